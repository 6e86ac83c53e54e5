import CInterpreter
import CPlatform
import VirtualMemory

// Access by the host: the same checks as for a guest's access, over the whole range before the first byte.
extension Memory {
  /// The bytes of a range, in place, for the time of `body`. The pages are pinned meanwhile: neither host nor guest can unmap
  /// or protect them.
  /// - Throws: `.outOfBounds`, `.unmapped`, `.protected` before `body`; `.lost` after it, if a bound file disappeared.
  public func withUnsafeReadableBytes<Result>(
    address: UInt64, byteCount: UInt64,
    _ body: (UnsafeRawBufferPointer) throws(MemoryAccessError) -> Result
  ) throws(MemoryAccessError) -> Result {
    let pin = try pin(address: address, byteCount: byteCount, isWrite: false)
    defer { unpin(pin) }
    // SAFETY: `pin` checked that the range is in bounds and readable, and keeps it so.
    let result = try unsafe body(UnsafeRawBufferPointer(start: base + Int(address), count: Int(byteCount)))
    try checkNotLost()
    return result
  }

  /// The same for writing (and reading back).
  public func withUnsafeWritableBytes<Result>(
    address: UInt64, byteCount: UInt64,
    _ body: (UnsafeMutableRawBufferPointer) throws(MemoryAccessError) -> Result
  ) throws(MemoryAccessError) -> Result {
    let pin = try pin(address: address, byteCount: byteCount, isWrite: true)
    defer { unpin(pin) }
    // SAFETY: `pin` checked that the range is in bounds and writable, and keeps it so.
    let result = try unsafe body(UnsafeMutableRawBufferPointer(start: base + Int(address), count: Int(byteCount)))
    try checkNotLost()
    return result
  }

  /// A copy of a range.
  /// - Throws: as `withUnsafeReadableBytes`; `.allocationFailure` where the system has no memory for the copy.
  public func read(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) -> [UInt8] {
    try checkCopy(address: address, byteCount: byteCount)
    // SAFETY: the bytes are copied inside the closure.
    return try unsafe withUnsafeReadableBytes(address: address, byteCount: byteCount) { unsafe Array($0) }
  }

  /// Copies bytes into the memory.
  public func write(_ bytes: [UInt8], address: UInt64) throws(MemoryAccessError) {
    try unsafe withUnsafeWritableBytes(address: address, byteCount: UInt64(bytes.count)) { target in
      // SAFETY: the counts are equal.
      unsafe bytes.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
    }
  }

  /// The same in pieces of a MiB, for bytes whose number a guest chose: between two, `stop` is asked.
  /// - Throws: the trap of the access, or `cancelled` or `deadlineExceeded` with the pieces before written.
  public func write(_ bytes: [UInt8], address: UInt64, stop: StopSignal) throws(Trap) {
    var fault: MemoryAccessError?
    do throws(MemoryAccessError) { _ = unsafe try writablePointer(address: address, byteCount: UInt64(bytes.count)) } catch { fault = error }
    func check() throws(Trap) {
      if let fault { throw Trap(.memory(fault.fault), message: fault.description) }
      try stop.check()
    }
    try check()
    try BulkWork.forEachPiece(of: bytes.count, pieceCount: BulkWork.byteCountMax, check) { piece in
      do throws(MemoryAccessError) {
        try unsafe withUnsafeWritableBytes(address: address + UInt64(piece.lowerBound), byteCount: UInt64(piece.count)) { target in
          // SAFETY: the counts are equal.
          unsafe bytes.withUnsafeBytes { unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[piece])) }
        }
      } catch { fault = error }
    }
    try check()
  }

  /// `count` elements, little-endian as guests write them, at any alignment.
  public func read<Element: BitwiseCopyable>(
    _ type: Element.Type, address: UInt64, count: Int
  ) throws(MemoryAccessError) -> [Element] {
    let byteCount = try byteCount(of: type, count: count, address: address)
    try checkCopy(address: address, byteCount: byteCount)
    return try unsafe withUnsafeReadableBytes(address: address, byteCount: byteCount) { source in
      unsafe Array(unsafeUninitializedCapacity: count) { buffer, initializedCount in
        // SAFETY: the buffer holds `count` elements of plain bits, which are all copied.
        if count > 0 { unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(from: source) }
        initializedCount = count
      }
    }
  }

  /// Copies elements of plain bits into the memory, at any alignment.
  public func write<Element: BitwiseCopyable>(elements: [Element], address: UInt64) throws(MemoryAccessError) {
    let byteCount = try byteCount(of: Element.self, count: elements.count, address: address)
    try unsafe withUnsafeWritableBytes(address: address, byteCount: byteCount) { target in
      // SAFETY: the counts are equal: both are count * stride.
      unsafe elements.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
    }
  }

  /// Where a range lies, checked as for a guest's read. For operations of the host that run while no page state changes: the
  /// pointer is good until the next change of a page state, and says nothing about the bytes after the range.
  /// About 40 ns. Follow the operation with `checkNotLost`.
  package func readablePointer(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) -> UnsafeRawPointer {
    try checkAccess(address: address, byteCount: byteCount, isWrite: false)
    // SAFETY: the range is in bounds, so the address is inside the reservation (or its end, for no bytes).
    return unsafe UnsafeRawPointer(base + Int(address))
  }

  /// The same, checked as for a guest's write.
  package func writablePointer(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) -> UnsafeMutableRawPointer {
    try checkAccess(address: address, byteCount: byteCount, isWrite: true)
    // SAFETY: as above.
    return unsafe base + Int(address)
  }

  /// Pins a range for the rest of the memory's life: no guest and no host can unmap, protect, discard or unbind its pages any
  /// more (`.pinned`). For memories that several guests import, so that none can take pages away under another.
  /// - Throws: `.outOfBounds`, `.unmapped`, `.protected`: the pages must be readable now.
  package func pinForever(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) {
    _ = try pin(address: address, byteCount: byteCount, isWrite: false, isForGood: true)
  }

  /// True once bytes of a binding could not be read because its file disappeared; until it is unbound.
  public var isLost: Bool {
    guard lostPageCount > 0 else { return false }
    acquire()
    defer { release() }
    return bindings.values.contains { $0.watch?.isLost ?? false }
  }

  /// - Throws: `.lost` if what was read so far may have been zeroes in place of a file's bytes. One atomic load as long as no
  ///   page was ever lost in this process.
  public func checkNotLost() throws(MemoryAccessError) {
    guard lostPageCount > 0 else { return }
    acquire()
    defer { release() }
    for record in bindings.values where record.watch?.isLost ?? false {
      throw MemoryAccessError(.lost, address: record.guestAddress, byteCount: record.guestByteCount)
    }
  }

  // MARK: Inside

  private func checkAccess(address: UInt64, byteCount: UInt64, isWrite: Bool) throws(MemoryAccessError) {
    acquire()
    defer { release() }
    if let fault = fault(address: address, byteCount: byteCount, isWrite: isWrite) {
      throw MemoryAccessError(fault, address: address, byteCount: byteCount)
    }
  }

  /// An array that cannot be had would end the process, so large ones are tried first. Guests choose what hosts copy.
  private func checkCopy(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) {
    guard byteCount > 16 << 20 else { return }
    try checkAccess(address: address, byteCount: byteCount, isWrite: false)
    guard bindery_can_allocate(Int(byteCount)) else { throw MemoryAccessError(.allocationFailure, address: address, byteCount: byteCount) }
  }

  private func byteCount<Element>(
    of type: Element.Type, count: Int, address: UInt64
  ) throws(MemoryAccessError) -> UInt64 {
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard count >= 0, !overflow else { throw MemoryAccessError(.outOfBounds, address: address, byteCount: .max) }
    return UInt64(byteCount)
  }

  /// Checks and pins a range.
  func pin(
    address: UInt64, byteCount: UInt64, isWrite: Bool, isForGood: Bool = false
  ) throws(MemoryAccessError) -> PagePin? {
    acquire()
    defer { release() }
    if let fault = fault(address: address, byteCount: byteCount, isWrite: isWrite) {
      throw MemoryAccessError(fault, address: address, byteCount: byteCount)
    }
    guard byteCount > 0 else { return nil }
    let pages = (address >> pageByteCountLog2)..<(((address + byteCount - 1) >> pageByteCountLog2) + 1)
    let pin = PagePin(pages: pages, thread: isForGood ? 0 : bindery_thread_identity())
    pins.append(pin)
    return pin
  }

  func unpin(_ pin: PagePin?) {
    guard let pin else { return }
    acquire()
    defer { release() }
    if let index = pins.firstIndex(of: pin) { pins.remove(at: index) }
  }

  /// Under the lock.
  func isPinned(_ pages: Range<UInt64>) -> Bool { pins.contains { $0.pages.overlaps(pages) } }

  /// True if the pages of a range will be free: whoever pins them does so for a while, on another thread.
  func willBeUnpinned(address: UInt64, byteCount: UInt64) -> Bool {
    acquire()
    defer { release() }
    let pages = (address >> pageByteCountLog2)..<((address + byteCount) >> pageByteCountLog2)
    let this = bindery_thread_identity()
    return pins.allSatisfy { !$0.pages.overlaps(pages) || ($0.thread != 0 && $0.thread != this) }
  }
}

/// Pages that the host uses in place.
struct PagePin: Equatable {
  let pages: Range<UInt64>
  /// Who uses them; 0 if they are pinned for good.
  let thread: UInt
}
