import CPlatform

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Reads a file to its end: a regular one, a pipe, a terminal or a device.
public struct InputFile {
  /// How messages call it.
  public let name: String
  private let descriptor: CInt

  /// - Returns: the bytes of the file at a path.
  /// - Parameters:
  ///   - byteCountMax: a longer file is refused, when this many bytes have been read at the latest.
  ///   - isStopped: asked before each read and twenty times a second while nothing comes; true ends the call with ECANCELED.
  public static func read(
    _ path: SystemString, byteCountMax: Int, isStopped: () -> Bool = { false }
  ) throws(SystemFileError) -> [UInt8] {
    let name = "'\(path)'"
    guard !path.containsZero else { throw SystemFileError(.open, name, reason: "the path contains a zero byte") }
    var descriptor: CInt = -1
    var failure: CInt
    if let number = descriptorNumber(of: path.bytes) {
      // SAFETY (both): the result is written only on success.
      failure = unsafe bindery_file_duplicate(number, &descriptor)
    } else {
      // Without waiting for somebody who writes to a named pipe: the loop that reads waits, and can be stopped.
      failure = unsafe withTerminated(path.bytes) { unsafe bindery_open_at(AT_FDCWD, $0, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &descriptor) }
    }
    guard failure == 0 else { throw SystemFileError(.open, name, errno: failure) }
    defer { close(descriptor) }
    return try InputFile(name: name, descriptor: descriptor).readAll(byteCountMax, isStopped)
  }

  /// - Returns: what comes from standard input up to its end.
  public static func readStandardInput(byteCountMax: Int, isStopped: () -> Bool = { false }) throws(SystemFileError) -> [UInt8] {
    try InputFile(name: StandardStream.input.name, descriptor: StandardStream.input.descriptor)
      .readAll(byteCountMax, isStopped)
  }

  /// Whether a path leads to something that can only be read once, from its start to its end: a pipe, a terminal, a device.
  public static func isStream(_ path: SystemString) -> Bool {
    var status = stat()
    // SAFETY: the result is written only on success.
    guard !path.containsZero, unsafe withTerminated(path.bytes, { unsafe stat($0, &status) }) == 0 else { return false }
    let kind = status.st_mode & S_IFMT
    return kind != S_IFREG && kind != S_IFDIR
  }

  private func readAll(_ byteCountMax: Int, _ isStopped: () -> Bool) throws(SystemFileError) -> [UInt8] {
    var status = stat()
    // SAFETY: the result is written only on success.
    guard unsafe fstat(descriptor, &status) == 0 else { throw SystemFileError(.inspect, name, errno: errno) }
    let kind = status.st_mode & S_IFMT
    guard kind != S_IFDIR else { throw SystemFileError(.read, name, reason: "it is a folder, expected a file") }
    let tooLong = SystemFileError(.read, name, reason: "it is longer than \(byteCountMax) bytes")
    let expected = kind == S_IFREG ? Int(clamping: status.st_size) : 0
    guard expected <= byteCountMax else { throw tooLong }

    var buffer = GrowingBuffer()
    while true {
      guard !isStopped() else { throw SystemFileError(.read, name, errno: ECANCELED) }
      if kind != S_IFREG {
        var entry = bindery_poll_entry(descriptor: descriptor, events: CInt(POLLIN), results: 0)
        // SAFETY: one entry.
        let failure = unsafe bindery_poll(&entry, 1, 50_000_000)
        guard failure == 0 else { throw SystemFileError(.read, name, errno: failure) }
        if entry.results == 0 { continue }
      }
      // One byte more than expected: a file that is as long as it says needs no second buffer, only the read that finds its end.
      let wanted = buffer.count == 0 ? max(expected + 1, 1 << 16) : max(buffer.count, 1 << 16)
      guard let room = unsafe buffer.room(for: min(wanted, 1 << 26)) else {
        throw SystemFileError(.read, name, errno: ENOMEM)
      }
      var count = 0
      // SAFETY: the room is as long as it says.
      let failure = unsafe bindery_descriptor_read(descriptor, room.baseAddress, room.count, &count)
      guard failure == 0 else { throw SystemFileError(.read, name, errno: failure) }
      buffer.count += count
      if count == 0 { break }
      guard buffer.count <= byteCountMax else { throw tooLong }
    }
    guard let bytes = buffer.bytes() else { throw SystemFileError(.read, name, errno: ENOMEM) }
    return bytes
  }
}

/// Bytes of a length that is not known before. Allocation may fail.
@safe
private struct GrowingBuffer: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  var count = 0

  deinit { unsafe free(base) }

  /// Unused room for at least one byte, if it can be had: what is left, or `byteCount` more.
  mutating func room(for byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    if capacity == count {
      let (wanted, overflow) = capacity.addingReportingOverflow(byteCount)
      // SAFETY: `base` is nil or from this allocator; the old block stays where the new one cannot be had.
      guard !overflow, let grown = unsafe realloc(base, wanted) else { return nil }
      unsafe base = grown
      capacity = wanted
    }
    guard let base = unsafe base else { return nil }
    // SAFETY: count <= capacity, the length of the allocation.
    return unsafe UnsafeMutableRawBufferPointer(start: base + count, count: capacity - count)
  }

  /// A copy as an array, nil where there is no memory for it.
  func bytes() -> [UInt8]? {
    guard let base = unsafe base, count > 0 else { return [] }
    // An array's own allocation ends the process where it fails: ask before.
    guard let probe = unsafe malloc(count + 64) else { return nil }
    unsafe free(probe)
    // SAFETY: the first `count` bytes were written by reads.
    return unsafe [UInt8](UnsafeRawBufferPointer(start: base, count: count))
  }
}

/// The number of an open descriptor that a path of the system's stands for.
func descriptorNumber(of path: [UInt8]) -> CInt? {
  switch String(decoding: path, as: UTF8.self) {
  case "/dev/stdin": return 0
  case "/dev/stdout": return 1
  case "/dev/stderr": return 2
  case let text:
    guard let prefix = ["/dev/fd/", "/proc/self/fd/"].first(where: text.hasPrefix) else { return nil }
    return CInt(text.dropFirst(prefix.count)).flatMap { $0 >= 0 ? $0 : nil }
  }
}

/// A path as C takes it. The bytes contain no zero.
func withTerminated<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
  let characters = path.map { CChar(bitPattern: $0) } + [0]
  // SAFETY: the array ends with a zero and is not empty.
  return unsafe characters.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
}
