import CPlatform

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The operating system refused an operation on a stream or file: what was tried, on which, and the errno.
public struct SystemFileError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Operation: String, Hashable, Sendable {
    case read, write, open, inspect, create, replace
  }

  public let operation: Operation
  /// A path, or the name of a standard stream.
  public let name: String
  /// The error number of the system, or 0 where `reason` says what is wrong.
  public let errno: CInt
  /// A reason that the errno does not give.
  public let reason: String?

  public init(_ operation: Operation, _ name: String, errno: CInt = 0, reason: String? = nil) {
    self.operation = operation
    self.name = name
    self.errno = errno
    self.reason = reason
  }

  /// Nobody reads what is written any more: no fault of this process or of the system.
  public var isBrokenPipe: Bool { operation == .write && errno == EPIPE }

  /// One sentence: what failed, on what, why.
  public var description: String {
    let verb =
      switch operation {
      case .read, .open, .inspect: "read"
      case .write, .create, .replace: "write"
      }
    return "cannot \(verb) \(name): \(reason ?? Self.text(of: errno))"
  }

  /// The system's text for an error number.
  public static func text(of errno: CInt) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    // SAFETY: the shim writes at most the count it is given, and ends with a zero.
    unsafe buffer.withUnsafeMutableBufferPointer { unsafe bindery_error_text(errno, $0.baseAddress, $0.count) }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
