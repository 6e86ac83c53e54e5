/// Why a tokenizer cannot be built from a description.
public struct TokenizerError: Error, Hashable, Sendable {
  public enum Code: Hashable, Sendable {
    /// The parts of the description contradict each other.
    case malformed
    /// Well-formed, but of a kind that is not built here.
    case unsupported
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
