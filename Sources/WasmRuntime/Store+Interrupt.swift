import CInterpreter
import CPlatform

extension Store {
  /// For host functions that wait: whether the run in progress is to end.
  /// - Throws: `cancelled` or `deadlineExceeded`, as the guest's next safepoint would.
  public func checkInterrupt() throws(Trap) { try stopSignal.check() }

  /// The trap that is due, by the flags or by the clock.
  func dueTrapKind() -> TrapKind? {
    context.checkDeadlines()
    return stopSignal.trapKind
  }

  // MARK: Bulk work

  /// Between two pieces of bulk work.
  func pause() throws(Trap) {
    if let kind = dueTrapKind() { throw Trap(kind) }
  }

  /// The same where a module is instantiated.
  func pauseInstantiation() throws(WasmError) {
    if let kind = dueTrapKind() { throw .trap(Trap(kind)) }
  }

  /// Takes the fuel for work on that many bytes of elements, segments or memory, before it is done.
  func takeFuel(forBulk byteCount: UInt64) throws(Trap) { try takeFuel(byteCount, UInt64(BINDERY_FUEL_BULK_BYTES)) }

  /// The same for pages that are grown, mapped, unmapped, protected or discarded.
  func takeFuel(forPages byteCount: UInt64) throws(Trap) { try takeFuel(byteCount, UInt64(BINDERY_FUEL_PAGE_BYTES)) }

  private func takeFuel(_ byteCount: UInt64, _ byteCountOfOne: UInt64) throws(Trap) {
    // SAFETY: a plain field, on the thread that uses the store.
    guard unsafe bindery_context_take_fuel(context.pointer, byteCount, byteCountOfOne) else { throw Trap(.fuelExhausted) }
  }
}

/// Asked by the core at a safepoint when something wants its attention, and between the pieces of bulk work.
let interruptCall: @convention(c) (UnsafeMutablePointer<bindery_context>?) -> Int32 = { context in
  // SAFETY: the core passes the context it runs with, whose store is in the middle of `run`.
  guard let context = unsafe context, let owner = unsafe context.pointee.owner else {
    preconditionFailure("a context in use has a store")
  }
  let store = unsafe Unmanaged<Store>.fromOpaque(owner).takeUnretainedValue()
  switch store.dueTrapKind() {
  case .cancelled?: return Int32(BINDERY_TRAP_CANCELLED.rawValue)
  case .deadlineExceeded?: return Int32(BINDERY_TRAP_DEADLINE.rawValue)
  default: break
  }
  if unsafe bindery_lost_page_count() != context.pointee.lost_page_count_seen, store.lostMemoryTrap() != nil {
    return Int32(BINDERY_TRAP_MAPPING_LOST.rawValue)
  }
  return 0
}
