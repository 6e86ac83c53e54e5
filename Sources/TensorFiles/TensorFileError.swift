/// Why a tensor file cannot be used, and where.
///
/// The message says what was expected and what was found; `fileOffset` is the byte of the file where the offending value
/// starts, so that it can be looked at with a hex dump.
public struct TensorFileError: Error, Hashable, Sendable {
  public struct Code: Hashable, Sendable {
    private enum Kind { case malformed, limitExceeded, unsupported }
    private let kind: Kind
    /// The bytes contradict the format, or each other, or the file's length.
    public static let malformed = Code(kind: .malformed)
    /// The format allows it; nobody needs it; it would cost too much. See the limits of the format.
    public static let limitExceeded = Code(kind: .limitExceeded)
    /// Well-formed, but of a version or kind that is not read here.
    public static let unsupported = Code(kind: .unsupported)
  }

  public let code: Code
  public let message: String
  public let fileOffset: UInt64
  /// The tensor it is about, when it is about one.
  public let tensorName: String?

  public init(_ code: Code, _ message: String, at fileOffset: Int, tensor tensorName: String? = nil) {
    self.code = code
    self.message = message
    self.fileOffset = UInt64(clamping: fileOffset)
    self.tensorName = tensorName
  }
}

extension TensorFileError: CustomStringConvertible {
  public var description: String {
    (tensorName.map { "tensor \"\($0)\": " } ?? "") + message + " (at byte \(fileOffset))"
  }
}
