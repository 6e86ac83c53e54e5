import VirtualMemory

extension Memory {
  /// Reads a region of a file into accessible pages at `address`: one read() by the system, straight into the guest's memory.
  ///
  /// For callers that want the bytes to be the guest's own; `bind(_:at:mode:)` maps them instead and copies nothing.
  /// - Throws: `MemoryAccessError` if the range is not writable, and then nothing is read; `VirtualMemoryError` if the file cannot be
  ///   read or ends before, and then the range may hold a part of it.
  public func readFile(_ region: FileRegion, at address: UInt64) throws {
    guard region.byteCount > 0 else { return }
    var failure: VirtualMemoryError?
    try unsafe withUnsafeWritableBytes(address: address, byteCount: region.byteCount) { buffer in
      // SAFETY: the range was checked, and stays as it is for the closure; the file writes at most the buffer's count.
      do throws(VirtualMemoryError) { try unsafe region.file.read(at: region.offset, into: buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
