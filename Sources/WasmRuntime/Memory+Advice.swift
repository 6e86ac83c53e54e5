import VirtualMemory

extension Memory {
  /// Tells the system how a range is going to be used, be it anonymous or bound: see `MemoryAdvice`. Contents, page states and what
  /// guests may do stay as they are; the host pages at its ends are advised about as wholes. The advice is forgotten where pages are
  /// unmapped.
  ///
  /// Weights that every pass reads whole, before the first pass (a file that is not in the page cache is then read in large pieces,
  /// and mapped as large pages where guest address and file offset are equal modulo 2 MiB):
  ///
  ///     let binding = try memory.bind(file, at: 0)
  ///     try memory.advise(.hugePages, address: binding.guestAddress, byteCount: binding.guestByteCount)
  ///
  /// - Returns: whether the system took the advice. Only time depends on it.
  /// - Throws: `MemoryAccessError` `.outOfBounds`, `.unmapped`, `.protected`: the pages must be readable, and with
  ///   `.populateWrite` writable. `VirtualMemoryError` if a page could not be populated: its file has become shorter, or memory ran out.
  @discardableResult
  public func advise(_ advice: MemoryAdvice, address: UInt64, byteCount: UInt64) throws -> Bool {
    // Not under the lock: reading a file takes its time, and guests go on meanwhile. What is pinned is neither unmapped nor replaced.
    let pin = try pin(address: address, byteCount: byteCount, isWrite: advice == .populateWrite)
    defer { unpin(pin) }
    guard byteCount > 0 else { return true }
    let start = Int(address) / hostPageByteCount * hostPageByteCount
    return try reservation.advise(advice, at: start, byteCount: roundedUpToHostPage(address + byteCount) - start)
  }
}
