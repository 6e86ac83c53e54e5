/// Why a tokenizer cannot be built from a description, or a text not be encoded.
public struct TokenizerError: Error, Hashable, Sendable {
  public enum Code: Hashable, Sendable {
    /// The parts of the description contradict each other.
    case malformed
    /// Well-formed, but of a kind that is not built here.
    case unsupported
    /// A text costs more to encode than `EncodingLimits` allow.
    case limitExceeded
    /// The caller asked to stop, as at a deadline.
    case stopped
  }

  public let code: Code
  public let message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}

extension TokenizerError: CustomStringConvertible {
  public var description: String { "the tokenizer: " + message }
}
