import CPlatform

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The three streams that a process is started with.
public enum StandardStream: CInt, CaseIterable, Sendable {
  case input = 0
  case output = 1
  case error = 2

  public var descriptor: CInt { rawValue }

  public var name: String {
    switch self {
    case .input: "standard input"
    case .output: "standard output"
    case .error: "standard error"
    }
  }

  public var isTerminal: Bool { isatty(descriptor) == 1 }

  /// For the first line of a program: opens the null device in the place of each stream that was closed when the process started.
  /// Without it the next file that is opened gets the number, and what is printed lands in it.
  ///
  /// All are opened for reading: a read from standard input is at its end, a write to the others fails as it does on a closed one.
  public static func openClosed() {
    for stream in allCases {
      var flags: CInt = 0
      // SAFETY: the result is written only on success.
      guard unsafe bindery_descriptor_flags(stream.descriptor, &flags) == EBADF else { continue }
      // The lowest free number, which is this one: those below are open. Inherited by children, as a standard stream is.
      let opened = unsafe open("/dev/null", O_RDONLY)
      if opened > stream.descriptor { close(opened) }
    }
  }

  /// A write to a pipe that nobody reads gives an error from here on, instead of ending the process.
  public static func ignoreBrokenPipes() {
    signal(SIGPIPE, SIG_IGN)
    // The same for a file that grows past the limit of the process.
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Writes all bytes, at once: nothing waits in a buffer.
  /// - Throws: `.write`. Some of the bytes may have been written.
  public func write(_ bytes: [UInt8]) throws(SystemFileError) {
    let failure = writeAll(bytes, to: descriptor)
    guard failure == 0 else { throw SystemFileError(.write, "to \(name)", errno: failure) }
  }

  /// Writes as many of the bytes as the stream takes within a short time: for the last words of a process that must end, whether or not anybody
  /// reads them. A pipe that has room for one part takes it without waiting.
  public func writeBriefly(_ bytes: [UInt8], milliseconds: CInt = 200) {
    var rest = bytes[...]
    while !rest.isEmpty {
      var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      // SAFETY: one record, which lives for the call.
      guard unsafe poll(&request, 1, milliseconds) == 1, request.revents & Int16(POLLOUT) != 0 else { return }
      // As much as a pipe takes in one piece where it takes anything (PIPE_BUF).
      guard writeAll(Array(rest.prefix(4096)), to: descriptor) == 0 else { return }
      rest = rest.dropFirst(4096)
    }
  }
}

/// - Returns: 0, or the errno that ended the writing.
func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> CInt {
  // SAFETY: the bytes live for the call, which reads as many as there are.
  unsafe bytes.withUnsafeBytes { unsafe bindery_descriptor_write(descriptor, $0.baseAddress, $0.count) }
}
