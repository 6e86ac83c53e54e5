import CPlatform

/// A whole regular file, mapped read-only. Nothing is read until it is touched, and what is touched is shared with every other
/// process that maps the file; memory pressure drops the pages again at no cost.
///
///     base = multiple of 2 MiB for large files         base + byteCount
///     |  bytes of the file                             |  zeroes up to the end of the host page  |
///
/// A file that is truncated meanwhile does not stop the process: the missing bytes read as zero and `checkNotLost` throws.
public final class MappedFile: Sendable {
  public let file: RegularFile
  public let byteCount: Int
  private let reservation: AddressReservation
  private let watch: FaultRange?

  public convenience init(path: String) throws(VirtualMemoryError) { try self.init(RegularFile(path: path)) }

  /// Maps the length that the file had when it was opened. An empty file is mapped as no bytes.
  /// - Throws: `.reserve`, `.mapFile`; `.inspectFile` if the file has become shorter since it was opened.
  public init(_ file: RegularFile) throws(VirtualMemoryError) {
    guard let byteCount = Int(exactly: file.byteCount) else {
      throw VirtualMemoryError(operation: .mapFile, errno: 12, byteCount: .max, path: file.path)
    }
    let current = try file.currentIdentity().byteCount
    guard current >= file.byteCount else {
      throw VirtualMemoryError(
        operation: .inspectFile, errno: 0, path: file.path,
        reason: "it was \(file.byteCount) bytes long when it was opened and is \(current) now")
    }
    let reservation = try AddressReservation(byteCount: byteCount)
    if byteCount > 0 {
      // The end of the last host page past the end of the file reads as zero.
      try reservation.map(file, fileOffset: 0, at: 0, byteCount: reservation.byteCount, access: .read)
      self.watch = try unsafe FaultRange(address: reservation.base, byteCount: reservation.byteCount)
    } else {
      self.watch = nil
    }
    self.file = file
    self.byteCount = byteCount
    self.reservation = reservation
  }

  // The watch ends before the addresses are given back.
  deinit { watch?.end() }

  /// True once bytes of the file could not be read.
  public var isLost: Bool { watch?.isLost ?? false }

  /// - Throws: `.readFile` if any byte read so far through this mapping may have been a zero in place of the file's.
  public func checkNotLost() throws(VirtualMemoryError) {
    guard isLost else { return }
    throw VirtualMemoryError(
      operation: .readFile, errno: 0, byteCount: byteCount, path: file.path,
      reason: "its contents disappeared while it was mapped: it was truncated, or its device failed")
  }

  /// The bytes of the file, in place, for the time of `body`. Check `checkNotLost` before trusting what was read.
  public func withBytes<Result: ~Copyable, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: the mapping covers byteCount bytes, is never written, and lives as long as self, which outlives the call.
    let bytes = unsafe UnsafeRawBufferPointer(start: reservation.base, count: byteCount)
    return try body(unsafe bytes.bytes)
  }

  /// The bytes of the file, in place, for the time of `body`, for code that hands pointers to C.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe body(UnsafeRawBufferPointer(start: reservation.base, count: byteCount))
  }

  /// A range of the file, to be bound into a memory.
  public func region(offset: UInt64, byteCount: UInt64) -> FileRegion {
    FileRegion(file: file, offset: offset, byteCount: byteCount)
  }

  public var region: FileRegion { FileRegion(file) }

  /// Tells the system how the file is going to be read: `.willNeed` starts reading it, `.hugePages` makes what is still to be read
  /// come in large pieces.
  /// - Returns: whether the system took the advice. Only time depends on it.
  @discardableResult
  public func advise(_ advice: MemoryAdvice) throws(VirtualMemoryError) -> Bool {
    try reservation.advise(advice, at: 0, byteCount: byteCount == 0 ? 0 : reservation.byteCount)
  }

  /// Drops the resident pages from this process (the page cache keeps them).
  public func evict() throws(VirtualMemoryError) {
    if byteCount > 0 { try reservation.evict(at: 0, byteCount: reservation.byteCount) }
  }

  /// Bytes resident in this process, in whole host pages.
  public func residentByteCount() throws(VirtualMemoryError) -> Int {
    byteCount == 0 ? 0 : try reservation.residentByteCount(at: 0, byteCount: reservation.byteCount)
  }
}
