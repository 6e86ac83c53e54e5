import CInterpreter
import CPlatform
import WebAssembly

/// What a shared memory has besides its pages: the guests that run in it, and those that wait on its addresses.
@safe
final class MemorySharing {
  /// Contexts of stores with an instance that has the memory, once for each such instance. Under the memory's lock.
  fileprivate var contexts: [UnsafeMutablePointer<bindery_context>] = unsafe []
  fileprivate let parkingLot = ParkingLot()
}

/// How a wait on an address ended. The raw values are those of the instructions.
public enum WaitResult: UInt32, Sendable {
  /// Another thread notified the address.
  case woken = 0
  /// The address did not hold the value.
  case notEqual = 1
  case timedOut = 2
}

// Shared memories. One `Memory` object is imported by instances of several stores, each store on a thread of its own.
//
// Racing plain accesses see old or new bytes, as WebAssembly has it. A change of page states takes the memory's lock, closes
// the windows of every view over the pages, and then waits until each running guest has passed a safepoint (a call, a loop's
// back-edge, a wait, a host call): from then on no access that was tested against the old state is still to be made, and the
// mappings of the process may change. Guests hold no lock and wait for nothing while they are inside their code.
extension Memory {
  // MARK: Wait and notify

  /// Wakes guests and host threads that wait on an address, those that have waited longest first.
  /// - Parameter address: a multiple of 4, readable.
  /// - Returns: the number woken. 0 for a memory that is not shared: nothing can wait on it.
  /// - Throws: `unalignedAtomic`, or the fault of an access.
  @discardableResult
  public func notify(address: UInt64, count: UInt32 = .max) throws(Trap) -> UInt32 {
    try checkAtomic(address: address, byteCount: 4, isWait: false)
    return sharing?.parkingLot.notify(address, count: count) ?? 0
  }

  /// Waits on this thread until the address is notified: `memory.atomic.wait32` for the host.
  /// - Parameter timeout: nil waits for ever.
  /// - Throws: `unalignedAtomic`, `expectedSharedMemory`, or the fault of an access.
  public func wait(address: UInt64, whileEqualTo expected: UInt32, timeout: Duration? = nil) throws(Trap) -> WaitResult {
    try wait(address: address, expected: UInt64(expected), byteCount: 4, timeout: timeout, bell: Bell()) { () throws(Trap) in }
  }

  /// `memory.atomic.wait64` for the host.
  public func wait(address: UInt64, whileEqualTo expected: UInt64, timeout: Duration? = nil) throws(Trap) -> WaitResult {
    try wait(address: address, expected: expected, byteCount: 8, timeout: timeout, bell: Bell()) { () throws(Trap) in }
  }

  /// - Parameters:
  ///   - bell: rung when something happened to the waiter.
  ///   - checkInterrupt: throws when the wait is to end in a trap; asked whenever the bell rings.
  func wait(
    address: UInt64, expected: UInt64, byteCount: UInt64, timeout: Duration?, bell: Bell,
    checkInterrupt: () throws(Trap) -> Void
  ) throws(Trap) -> WaitResult {
    try checkAtomic(address: address, byteCount: byteCount, isWait: true)
    guard let sharing else { preconditionFailure("checked: the memory is shared") }
    return try sharing.parkingLot.wait(
      address, timeout: timeout, bell: bell,
      isExpected: { () throws(Trap) in try loadAtomic(address, byteCount) == expected }, checkInterrupt: checkInterrupt)
  }

  /// Alignment, bounds, whether it is shared, page states: in this order.
  private func checkAtomic(address: UInt64, byteCount: UInt64, isWait: Bool) throws(Trap) {
    guard address & (byteCount - 1) == 0 else { throw Trap(.unalignedAtomic) }
    let size = self.byteCount
    guard byteCount <= size, address <= size - byteCount else { throw Trap(.memory(.outOfBounds)) }
    if isWait, !type.isShared { throw Trap(.expectedSharedMemory) }
    acquire()
    defer { release() }
    if let fault = fault(address: address, byteCount: byteCount, isWrite: false) { throw Trap(.memory(fault)) }
  }

  /// The value at an address that has been checked for alignment, tested again: a page may have gone meanwhile.
  private func loadAtomic(_ address: UInt64, _ byteCount: UInt64) throws(Trap) -> UInt64 {
    acquire()
    defer { release() }
    if let fault = fault(address: address, byteCount: byteCount, isWrite: false) { throw Trap(.memory(fault)) }
    // SAFETY: the range is in bounds and readable while the lock is held, and aligned because the base is.
    return unsafe bindery_atomic_load_bytes(base + Int(address), byteCount == 8)
  }

  // MARK: Safepoints

  /// Before a store runs code of an instance with this memory.
  func join(_ context: ExecutionContext) {
    guard let sharing else { return }
    acquire()
    defer { release() }
    // SAFETY: the instance keeps the context until it leaves. The flag is the context's own thread's, which this is.
    unsafe sharing.contexts.append(context.pointer)
    unsafe context.pointer.pointee.shares_memory = 1
  }

  func leave(_ context: ExecutionContext) {
    guard let sharing else { return }
    acquire()
    defer { release() }
    if let index = unsafe sharing.contexts.firstIndex(of: context.pointer) { unsafe sharing.contexts.remove(at: index) }
  }

  /// Waits until no running guest of a shared memory is between the test of an access and the access: after the views have been
  /// refreshed, under the lock. Nothing to do for an unshared memory. The calling thread is not inside guest code: it is the
  /// host, or a guest that has called it.
  func awaitSafepoints() {
    guard let sharing else { return }
    for unsafe context in unsafe sharing.contexts {
      // SAFETY: a context that has joined is alive until it leaves, which takes the lock.
      unsafe bindery_context_await_safepoint(context)
    }
  }
}
