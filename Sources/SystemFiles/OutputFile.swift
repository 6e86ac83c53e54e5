import CPlatform

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A file that is written whole or not at all: readers of its name see the old file or the new one, never a part of it, whatever
/// happens on the way.
///
/// Bytes go to a new file beside the target, which takes the name in `commit`. A link at the end of the path is followed, as a
/// shell does with `>`, and stays; the mode of a file that is replaced stays as well. What is no regular file (a device, a pipe,
/// `/dev/stdout`) is written as the bytes come.
public final class OutputFile {
  private let path: SystemString
  private var descriptor: CInt = -1
  /// Where the bytes are until `commit`; nil if they go to the target at once.
  private var temporaryPath: [UInt8]?
  private let target: [UInt8]
  private var buffer: [UInt8] = []

  /// Bytes are collected up to this many, so that small pieces cost no call of the system each.
  private static let bufferByteCount = 1 << 16

  /// Opens the file. Nothing is to be seen under its name yet.
  public init(_ path: SystemString) throws(SystemFileError) {
    let name = "'\(path)'"
    guard !path.containsZero else { throw SystemFileError(.create, name, reason: "the path contains a zero byte") }
    guard !path.bytes.isEmpty else { throw SystemFileError(.create, name, reason: "the path is empty") }
    self.path = path
    target = try Self.followLinks(path)
    var status = stat()
    // SAFETY: the result is written only on success.
    let exists = unsafe withTerminated(target) { unsafe stat($0, &status) } == 0
    let kind = status.st_mode & S_IFMT
    guard !exists || kind != S_IFDIR else { throw SystemFileError(.create, name, reason: "it is a folder, expected a file") }
    if let number = descriptorNumber(of: target) {
      // Opened anew, an open file would begin again at its start, and a closed stream would be the null device.
      // SAFETY: the result is written only on success.
      let failure = unsafe bindery_file_duplicate(number, &descriptor)
      guard failure == 0 else { throw SystemFileError(.create, name, errno: failure) }
      return
    }
    if exists && kind != S_IFREG || Self.isOfSystem(target) {
      // SAFETY: the result is written only on success.
      let failure = unsafe withTerminated(target) { unsafe bindery_open_at(AT_FDCWD, $0, O_WRONLY | O_NOCTTY, 0, &descriptor) }
      guard failure == 0 else { throw SystemFileError(.create, name, errno: failure) }
      return
    }
    // Whoever may not write to the file may not replace it either, though the folder would let him.
    if exists {
      guard unsafe withTerminated(target, { unsafe access($0, W_OK) }) == 0 else { throw SystemFileError(.create, name, errno: errno) }
    }
    let temporary = try Self.makeTemporary(in: Self.folder(of: target), &descriptor, name)
    temporaryPath = temporary
    if exists { _ = fchmod(descriptor, status.st_mode & 0o777) }
  }

  deinit { abandon() }

  /// Takes bytes. They may wait until `commit`.
  public func write(_ bytes: [UInt8]) throws(SystemFileError) {
    precondition(descriptor >= 0, "a file is written before it is committed")
    if bytes.count >= Self.bufferByteCount {
      try flush()
      try put(bytes)
    } else {
      buffer += bytes
      if buffer.count >= Self.bufferByteCount { try flush() }
    }
  }

  /// The file appears under its name, whole and on its device. To be called once.
  public func commit() throws(SystemFileError) {
    precondition(descriptor >= 0, "a file is committed once")
    try flush()
    let isTemporary = temporaryPath != nil
    // A full device tells some file systems' writers only here.
    if isTemporary, fsync(descriptor) != 0, errno != EINVAL { throw fail(errno) }
    let failure = close(descriptor) == 0 ? 0 : errno
    descriptor = -1
    guard failure == 0 || failure == EINTR else { throw fail(failure) }
    guard let temporaryPath else { return }
    let renamed = unsafe withTerminated(temporaryPath) { old in unsafe withTerminated(target) { unsafe rename(old, $0) } }
    guard renamed == 0 else { throw fail(errno) }
    self.temporaryPath = nil
  }

  private func flush() throws(SystemFileError) {
    guard !buffer.isEmpty else { return }
    let bytes = buffer
    buffer.removeAll(keepingCapacity: true)
    try put(bytes)
  }

  private func put(_ bytes: [UInt8]) throws(SystemFileError) {
    let failure = writeAll(bytes, to: descriptor)
    if failure != 0 { throw fail(failure) }
  }

  private func fail(_ errno: CInt) -> SystemFileError {
    abandon()
    return SystemFileError(.write, "'\(path)'", errno: errno)
  }

  private func abandon() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
    if let temporaryPath { _ = unsafe withTerminated(temporaryPath) { unsafe unlink($0) } }
    temporaryPath = nil
  }

  /// A new file under a name that nobody else has, with the mode that new files get.
  private static func makeTemporary(
    in folder: [UInt8], _ descriptor: inout CInt, _ name: String
  ) throws(SystemFileError) -> [UInt8] {
    var failure: CInt = EEXIST
    for _ in 0..<100 where failure == EEXIST {
      let path = folder + Array(".bindery-\(getpid())-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))".utf8)
      // SAFETY: the result is written only on success. O_EXCL: neither a file that is there nor a link is opened.
      failure = unsafe withTerminated(path) { unsafe bindery_open_at(AT_FDCWD, $0, O_WRONLY | O_CREAT | O_EXCL, 0o666, &descriptor) }
      if failure == 0 { return path }
    }
    throw SystemFileError(
      .create, name, errno: failure, reason: failure == ENOENT ? "there is no folder '\(SystemString(folder))'" : nil)
  }

  // MARK: Paths

  /// As many links as Linux follows.
  private static let linkCountMax = 40

  /// The path at the end of a chain of links, whether or not there is something. Stops at the system's own links, which name an
  /// open file and not another path.
  private static func followLinks(_ path: SystemString) throws(SystemFileError) -> [UInt8] {
    var current = path.bytes
    for _ in 0..<linkCountMax {
      if isOfSystem(current) { return current }
      var target = [CChar](repeating: 0, count: 4096)
      // SAFETY: at most the array's count is written.
      let count = unsafe withTerminated(current) { link in
        unsafe target.withUnsafeMutableBufferPointer { unsafe readlink(link, $0.baseAddress!, $0.count) }
      }
      guard count > 0 else { return current }
      guard count < target.count else { throw SystemFileError(.create, "'\(path)'", errno: ENAMETOOLONG) }
      let next = target[..<count].map { UInt8(bitPattern: $0) }
      current = next.first == UInt8(ascii: "/") ? next : folder(of: current) + next
    }
    throw SystemFileError(.create, "'\(path)'", errno: ELOOP)
  }

  /// Under /dev and /proc nothing is replaced: names there stand for streams.
  private static func isOfSystem(_ path: [UInt8]) -> Bool {
    path.starts(with: Array("/dev/".utf8)) || path.starts(with: Array("/proc/".utf8))
  }

  /// Everything up to the last slash; empty for a name in the current folder.
  private static func folder(of path: [UInt8]) -> [UInt8] {
    path.lastIndex(of: UInt8(ascii: "/")).map { Array(path[...$0]) } ?? []
  }
}
