import CInterpreter
import CPlatform
import WebAssembly

// Instructions that the core leaves to Swift: rare ones, and those that change memories and tables.

/// The C function behind the register instruction `runtime`.
let runtimeCall:
  @convention(c) (
    UnsafeMutablePointer<bindery_context>?, UnsafeMutablePointer<bindery_instance>?, UInt32, UInt32, UInt32,
    UnsafeMutablePointer<bindery_slot>?
  ) -> Int32 = { context, instance, operation, first, second, slots in
    // SAFETY: the core passes the context and instance it runs with, and the slots of the operands.
    guard let owner = unsafe context?.pointee.owner, let state = unsafe instance?.pointee.owner, let slots = unsafe slots,
      let operation = RuntimeOperation(rawValue: operation)
    else { preconditionFailure("the core runs with a context, an instance and known operations") }
    let store = unsafe Unmanaged<Store>.fromOpaque(owner).takeUnretainedValue()
    let call = unsafe RuntimeCall(
      store: store, state: Unmanaged<InstanceState>.fromOpaque(state).takeUnretainedValue(), first: Int(first),
      second: Int(second), slots: slots)
    do throws(Trap) {
      try call.perform(operation)
      return 0
    } catch {
      store.pendingTrap = error
      return Int32(BINDERY_TRAP_HOST.rawValue)
    }
  }

@safe
private struct RuntimeCall {
  let store: Store
  let state: InstanceState
  let first: Int
  let second: Int
  let slots: UnsafeMutablePointer<bindery_slot>

  // SAFETY (both): the translator gave each operation its operands' slots, and one for the result.
  private func operand(_ index: Int) -> UInt64 { unsafe slots[index].i64 }
  private func setResult(_ value: UInt64) { unsafe slots[0].words = (value, 0) }

  func perform(_ operation: RuntimeOperation) throws(Trap) {
    switch operation {
    case .memoryGrow:
      let memory = state.memories[first]
      let delta = operand(0)
      if memory.mayGrow(by: delta) { try store.takeFuel(forPages: delta << memory.pageByteCountLog2) }
      setResult(memory.grow(by: delta) ?? refusal(memory.type.addressType))
    case .memoryInit: try initializeMemory()
    case .memoryNotify, .memoryWait32, .memoryWait64: try waitOrNotify(operation)
    case .dataDrop: state.dataSegmentIsDropped[first] = true
    case .memoryMap, .memoryUnmap, .memoryProtect, .memoryDiscard, .memoryTryDiscard:
      try controlWhenUnpinned(operation, state.memories[first])
    case .memoryReference: setResult(store.reference(to: state.memories[first]).bits)
    case .memorySizeByReference: setResult(try referenced(operand(0)).pageCount)
    case .memoryCopyByReference: try copyByReference()
    case .selectMemory: try selectMemory()
    case .tableInit:
      let (table, segment) = (state.tables[first], state.elementSegments[second])
      if table.contains(operand(0), operand(2)) { try takeFuel(forElements: operand(2)) }
      try checkTable(try table.initialize(operand(0), from: segment, operand(1), operand(2), pause))
    case .elementDrop: state.elementSegments[first] = nil
    case .tableCopy:
      let (to, from) = (state.tables[first], state.tables[second])
      if to.contains(operand(0), operand(2)) { try takeFuel(forElements: operand(2)) }
      try checkTable(try to.copy(operand(0), from: from, operand(1), operand(2), pause))
    case .tableGrow:
      let table = state.tables[first]
      if table.admits(operand(1)) { try takeFuel(forElements: operand(1)) }
      setResult(try table.grow(by: operand(1), value: operand(0), pause) ?? refusal(table.type.addressType))
    case .tableFill:
      let table = state.tables[first]
      if table.contains(operand(0), operand(2)) { try takeFuel(forElements: operand(2)) }
      try checkTable(try table.fill(operand(0), operand(1), operand(2), pause))
    }
  }

  private func pause() throws(Trap) { try store.pause() }

  /// Of tables: their count fits what a table may have, so the bytes fit as well.
  private func takeFuel(forElements count: UInt64) throws(Trap) { try store.takeFuel(forBulk: count * 8) }

  private func checkTable(_ isInBounds: Bool) throws(Trap) {
    guard isInBounds else { throw Trap(.outOfBoundsTableAccess) }
  }

  /// The core leaves the effective address in the first operand, and whether it carried out of 64 bits above it.
  private func waitOrNotify(_ operation: RuntimeOperation) throws(Trap) {
    let memory = state.memories[first]
    let (address, carry) = unsafe slots[0].words
    let byteCount: UInt64 = operation == .memoryWait64 ? 8 : 4
    guard address & (byteCount - 1) == 0 else { throw Trap(.unalignedAtomic) }
    guard carry == 0 else { throw Trap(.memory(.outOfBounds)) }
    if operation == .memoryNotify {
      setResult(UInt64(try memory.notify(address: address, count: UInt32(truncatingIfNeeded: operand(1)))))
      return
    }
    let timeout = Int64(bitPattern: operand(2))
    let result = try memory.wait(
      address: address, expected: byteCount == 8 ? operand(1) : operand(1) & 0xFFFF_FFFF, byteCount: byteCount,
      timeout: timeout < 0 ? nil : .nanoseconds(timeout), bell: store.context.bell,
      checkInterrupt: { () throws(Trap) in try store.checkInterrupt() })
    setResult(UInt64(result.rawValue))
  }

  /// -1 in the address type.
  private func refusal(_ type: AddressType) -> UInt64 { type == .i32 ? UInt64(UInt32.max) : .max }

  /// In a shared memory a guest waits for pages that another thread of the host uses in place.
  private func controlWhenUnpinned(_ operation: RuntimeOperation, _ memory: Memory) throws(Trap) {
    if operand(1) <= memory.byteCount { try store.takeFuel(forPages: operand(1)) }
    while true {
      var isPinned = false
      do throws(MemoryAccessError) {
        if try control(operation, memory) { return }
      } catch {
        guard error.fault == .pinned, memory.type.isShared,
          memory.willBeUnpinned(address: error.address, byteCount: error.byteCount)
        else { throw Trap(.memory(error.fault), message: error.description) }
        isPinned = true
      }
      // Stopped on the way: a trap is due, unless whoever cancelled has thought better of it.
      try pause()
      guard isPinned else { continue }
      var word: UInt32 = 0
      // SAFETY: a word of this frame, that nobody changes: it sleeps for a tenth of a millisecond.
      _ = unsafe bindery_futex_wait(&word, 0, 100_000)
    }
  }

  /// False if it was stopped on the way.
  private func control(_ operation: RuntimeOperation, _ memory: Memory) throws(MemoryAccessError) -> Bool {
    func isStopped() -> Bool { store.dueTrapKind() != nil }
    let (address, byteCount) = (operand(0), operand(1))
    switch operation {
    case .memoryMap:
      let isMapped = try memory.map(address: address, byteCount: byteCount, protection: protection)
      setResult(isMapped ? address : refusal(memory.type.addressType))
    case .memoryUnmap: return try memory.unmap(address: address, byteCount: byteCount, isStopped: isStopped)
    case .memoryProtect: try memory.protect(address: address, byteCount: byteCount, protection: protection)
    case .memoryDiscard:
      return try memory.discard(address: address, byteCount: byteCount, isTry: false, asks: true, isStopped: isStopped) != nil
    default:
      let result = try memory.discard(address: address, byteCount: byteCount, isTry: true, asks: true, isStopped: isStopped)
      guard let result else { return false }
      setResult(UInt64(UInt32(bitPattern: result.rawValue)))
    }
    return true
  }

  private var protection: PageProtection {
    guard let protection = PageProtection(rawValue: UInt8(second)) else {
      preconditionFailure("the decoder refuses other protections")
    }
    return protection
  }

  private func initializeMemory() throws(Trap) {
    let (destination, source, count) = (operand(0), operand(1), operand(2))
    let range = state.module.dataSegments[second].range
    let available = state.dataSegmentIsDropped[second] ? 0 : UInt64(range.count)
    guard count <= available, source <= available - count else { throw Trap(.memory(.outOfBounds)) }
    if state.memories[first].type.isShared {
      try initializeShared(state.memories[first], destination, range.lowerBound + Int(source), count)
      return
    }
    // SAFETY: the view is of this instance; the check makes the range writable, the guard keeps the source in the segment.
    let view = unsafe bindery_instance_view(state.pointer, UInt32(first))!
    let fault = unsafe bindery_memory_check_range(view, destination, count, 1)
    if let fault = MemoryFault(rawValue: fault) { throw Trap(.memory(fault)) }
    guard count > 0 else { return }
    try store.takeFuel(forBulk: count)
    let target = unsafe UnsafeMutableRawPointer(view.pointee.base + Int(destination))
    // Nothing changes the page states of an unshared memory while its guest runs.
    try BulkWork.forEachPiece(of: Int(count), pieceCount: BulkWork.byteCountMax, pause) { piece in
      unsafe state.module.bytes.withUnsafeBytes { bytes in
        unsafe (target + piece.lowerBound).copyMemory(
          from: bytes.baseAddress! + range.lowerBound + Int(source) + piece.lowerBound, byteCount: piece.count)
      }
    }
  }

  /// Other threads may change page states: the pages of a piece are pinned while it is copied.
  private func initializeShared(_ memory: Memory, _ address: UInt64, _ source: Int, _ count: UInt64) throws(Trap) {
    try checkAccess(memory, address, count, isWrite: true)
    try store.takeFuel(forBulk: count)
    var fault: MemoryAccessError?
    try BulkWork.forEachPiece(of: Int(count), pieceCount: BulkWork.byteCountMax, { () throws(Trap) in try pause(after: fault) }) { piece in
      do throws(MemoryAccessError) {
        try unsafe memory.withUnsafeWritableBytes(address: address + UInt64(piece.lowerBound), byteCount: UInt64(piece.count)) { target in
          // SAFETY: the source is in a segment, the target has as many bytes as the piece.
          unsafe state.module.bytes.withUnsafeBytes { bytes in
            let start = source + piece.lowerBound
            unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + piece.count)]))
          }
        }
      } catch { fault = error }
    }
    try pause(after: fault)
  }

  /// The whole range, before the first byte of it changes.
  private func checkAccess(_ memory: Memory, _ address: UInt64, _ count: UInt64, isWrite: Bool) throws(Trap) {
    do throws(MemoryAccessError) {
      if isWrite {
        _ = unsafe try memory.writablePointer(address: address, byteCount: count)
      } else {
        _ = unsafe try memory.readablePointer(address: address, byteCount: count)
      }
    } catch { throw Trap(.memory(error.fault), message: error.description) }
  }

  private func pause(after fault: MemoryAccessError?) throws(Trap) {
    if let fault { throw Trap(.memory(fault.fault), message: fault.description) }
    try pause()
  }

  private func referenced(_ bits: UInt64) throws(Trap) -> Memory {
    guard bits != 0 else { throw Trap(.nullMemoryReference) }
    return MemoryReference(store: store, bits: bits).memory
  }

  /// Takes the reference from below the other operands of an access, which move down by one.
  private func selectMemory() throws(Trap) {
    state.select(try referenced(operand(0)))
    for index in 1..<first { unsafe slots[index - 1] = slots[index] }
  }

  /// As memory.copy: bounds of both first, then the destination's pages, then the source's.
  private func copyByReference() throws(Trap) {
    let (destination, source, count) = (operand(1), operand(3), operand(4))
    let (to, from) = (try referenced(operand(0)), try referenced(operand(2)))
    func isInBounds(_ address: UInt64, _ memory: Memory) -> Bool {
      let (end, overflow) = address.addingReportingOverflow(count)
      return !overflow && end <= memory.byteCount
    }
    guard isInBounds(destination, to), isInBounds(source, from) else { throw Trap(.memory(.outOfBounds)) }
    try checkAccess(to, destination, count, isWrite: true)
    try checkAccess(from, source, count, isWrite: false)
    try store.takeFuel(forBulk: count)
    var fault: MemoryAccessError?
    let isBackward = to === from && destination > source
    try BulkWork.forEachPiece(
      of: Int(count), pieceCount: BulkWork.byteCountMax, isBackward: isBackward, { () throws(Trap) in try pause(after: fault) }
    ) { piece in
      let (start, byteCount) = (UInt64(piece.lowerBound), UInt64(piece.count))
      do throws(MemoryAccessError) {
        try unsafe to.withUnsafeWritableBytes(address: destination + start, byteCount: byteCount) { (target) throws(MemoryAccessError) in
          try unsafe from.withUnsafeReadableBytes(address: source + start, byteCount: byteCount) { (bytes) throws(MemoryAccessError) in
            // SAFETY: both ranges were checked, and stay while they are used; copyMemory handles overlap.
            unsafe target.copyMemory(from: bytes)
          }
        }
      } catch { fault = error }
    }
    try pause(after: fault)
  }
}
