import CPlatform

/// A regular file, open for reading. It may be renamed or unlinked meanwhile: the descriptor keeps it.
///
/// Pipes, devices and folders are refused: they have no length to check a mapping against.
public final class RegularFile: Sendable {
  /// What tells two files apart, and one file before and after a change.
  public struct Identity: Hashable, Sendable {
    public let device: UInt64, inode: UInt64
    public let byteCount: UInt64
    public let modificationSeconds: Int64, modificationNanoseconds: Int64
  }

  /// The name it was opened by, for messages. Nil for a file that came as a descriptor.
  public let path: String?
  /// Its identity when it was opened.
  public let identity: Identity
  let descriptor: CInt

  /// The length when it was opened.
  public var byteCount: UInt64 { identity.byteCount }

  public convenience init(path: String) throws(VirtualMemoryError) {
    var descriptor: CInt = -1
    // A path with a zero byte would be cut there, and name another file.
    guard !path.utf8.contains(0) else {
      throw VirtualMemoryError(operation: .openFile, errno: 0, path: path, reason: "the path contains a zero byte")
    }
    // SAFETY: the path is zero-terminated and lives for the call.
    let failure = unsafe path.withCString { unsafe bindery_file_open($0, &descriptor) }
    guard failure == 0 else { throw VirtualMemoryError(operation: .openFile, errno: failure, path: path) }
    try self.init(owning: descriptor, path: path)
  }

  /// Uses a duplicate of `descriptor`: the caller keeps and closes its own.
  public convenience init(duplicating descriptor: CInt, path: String? = nil) throws(VirtualMemoryError) {
    var duplicate: CInt = -1
    // SAFETY: the result is written only on success.
    let failure = unsafe bindery_file_duplicate(descriptor, &duplicate)
    guard failure == 0 else { throw VirtualMemoryError(operation: .duplicateDescriptor, errno: failure, path: path) }
    try self.init(owning: duplicate, path: path)
  }

  /// Takes the descriptor over, also when it throws.
  init(owning descriptor: CInt, path: String?) throws(VirtualMemoryError) {
    do throws(VirtualMemoryError) {
      let (identity, isRegular) = try Self.facts(of: descriptor, path: path)
      guard isRegular else { throw .notRegular(path: path) }
      self.descriptor = descriptor
      self.path = path
      self.identity = identity
    } catch {
      bindery_file_close(descriptor)
      throw error
    }
  }

  deinit { bindery_file_close(descriptor) }

  /// Asks the system again: the file may have changed since it was opened.
  public func currentIdentity() throws(VirtualMemoryError) -> Identity {
    try Self.facts(of: descriptor, path: path).0
  }

  /// Reads exactly `buffer.count` bytes at `offset` into memory of the caller.
  /// - Throws: `.readFile`, also if the file ends before.
  public func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(VirtualMemoryError) {
    guard let base = buffer.baseAddress, buffer.count > 0 else { return }
    var done = 0
    // SAFETY: at most buffer.count bytes are written.
    let failure = unsafe bindery_file_read(descriptor, base, buffer.count, offset, &done)
    guard failure == 0 else {
      throw VirtualMemoryError(operation: .readFile, errno: failure, byteCount: buffer.count, path: path)
    }
    guard done == buffer.count else {
      throw VirtualMemoryError(
        operation: .readFile, errno: 0, byteCount: buffer.count, path: path,
        reason: "the file ends after \(done) bytes from offset \(offset)")
    }
  }

  /// Reads exactly `byteCount` bytes at `offset`.
  public func read(at offset: UInt64, byteCount: Int) throws(VirtualMemoryError) -> [UInt8] {
    guard let end = UInt64(exactly: byteCount).map({ offset.addingReportingOverflow($0) }), !end.overflow,
      end.partialValue <= self.byteCount
    else {
      throw VirtualMemoryError(
        operation: .readFile, errno: 0, byteCount: byteCount, path: path,
        reason: "offset \(offset) and \(byteCount) bytes lie past its end at \(self.byteCount)")
    }
    var failure: VirtualMemoryError?
    // Not zeroed before: these bytes are about to be overwritten, and some files are large.
    // SAFETY: `read` fills the whole buffer or throws, and then the array is dropped. (The closure does not throw: rethrowing would
    // lose the error's type.)
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      let whole = unsafe UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: byteCount)
      do throws(VirtualMemoryError) { try unsafe read(at: offset, into: whole) } catch { failure = error }
      count = failure == nil ? byteCount : 0
    }
    if let failure { throw failure }
    return bytes
  }

  private static func facts(of descriptor: CInt, path: String?) throws(VirtualMemoryError) -> (Identity, isRegular: Bool) {
    var facts = bindery_file_facts()
    // SAFETY: the result is written only on success.
    let failure = unsafe bindery_file_facts_get(descriptor, &facts)
    guard failure == 0 else { throw VirtualMemoryError(operation: .inspectFile, errno: failure, path: path) }
    let identity = Identity(
      device: facts.device, inode: facts.inode, byteCount: facts.byte_count,
      modificationSeconds: facts.modification_seconds, modificationNanoseconds: facts.modification_nanoseconds)
    return (identity, facts.is_regular)
  }
}

extension VirtualMemoryError {
  static func notRegular(path: String?) -> Self {
    Self(operation: .inspectFile, errno: 0, path: path, reason: "it is not a regular file, so it has no length to map")
  }

  /// True for a pipe, device or folder where a file was expected.
  public var isNotRegularFile: Bool { self == .notRegular(path: path) }
}

/// A range of bytes of a file, at any offset and of any length from 1.
public struct FileRegion: Sendable {
  public let file: RegularFile
  public let offset: UInt64
  public let byteCount: UInt64

  public init(file: RegularFile, offset: UInt64, byteCount: UInt64) {
    self.file = file
    self.offset = offset
    self.byteCount = byteCount
  }

  /// The whole file, as long as it was when it was opened.
  public init(_ file: RegularFile) { self.init(file: file, offset: 0, byteCount: file.byteCount) }

  /// A region of an open file; the descriptor is duplicated and needs read access only.
  public init(descriptor: CInt, offset: UInt64, byteCount: UInt64) throws(VirtualMemoryError) {
    self.init(file: try RegularFile(duplicating: descriptor), offset: offset, byteCount: byteCount)
  }
}
