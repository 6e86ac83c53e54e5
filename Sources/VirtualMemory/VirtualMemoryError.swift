import CPlatform

/// The operating system refused a memory or file operation: what was tried, on how much, and the errno.
public struct VirtualMemoryError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Operation: String, Hashable, Sendable {
    case reserve, protect, replace, discard, evict, advise, release, createBuffer
    case openFile, readFile, inspectFile, duplicateDescriptor, mapFile
    case watchMapping, measureResidency
  }

  public let operation: Operation
  /// The error number of the system, or 0 where the system did what it was asked and the result is unusable
  /// (a file that is not regular, or too short).
  public let errno: CInt
  /// Bytes asked for; 0 where the operation has no length.
  public let byteCount: Int
  public let path: String?
  /// A reason that the errno does not give.
  public let reason: String?

  public init(operation: Operation, errno: CInt, byteCount: Int = 0, path: String? = nil, reason: String? = nil) {
    self.operation = operation
    self.errno = errno
    self.byteCount = byteCount
    self.path = path
    self.reason = reason
  }

  /// One sentence: what failed, on what, why.
  public var description: String {
    let file = path.map { "'\($0)'" } ?? "the file"
    let what =
      switch operation {
      case .reserve: "cannot reserve \(byteCount) bytes of address space"
      case .protect: "cannot change the protection of \(byteCount) bytes"
      case .replace: "cannot map \(byteCount) bytes of memory"
      case .discard: "cannot discard \(byteCount) bytes"
      case .evict: "cannot evict \(byteCount) bytes"
      case .advise: "cannot bring in \(byteCount) mapped bytes"
      case .createBuffer: "cannot make a buffer of \(byteCount) bytes"
      case .release: "cannot release \(byteCount) bytes of address space"
      case .openFile: "cannot open \(file)"
      case .readFile: "cannot read \(byteCount) bytes of \(file)"
      case .inspectFile: "cannot use \(file)"
      case .duplicateDescriptor: "cannot duplicate the descriptor of \(file)"
      case .mapFile: "cannot map \(byteCount) bytes of \(file)"
      case .watchMapping: "cannot watch \(byteCount) mapped bytes for loss"
      case .measureResidency: "cannot read the resident memory of this process"
      }
    return what + ": " + (reason ?? Self.text(of: errno))
  }

  /// The system's text for an error number, with the number.
  static func text(of errno: CInt) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    // SAFETY: the shim writes at most the count it is given, and ends with a zero.
    unsafe buffer.withUnsafeMutableBufferPointer { unsafe bindery_error_text(errno, $0.baseAddress, $0.count) }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self) + " (errno \(errno))"
  }
}
