/// The number of a token in its vocabulary. 32 bits, as model programs take it.
public struct TokenID: RawRepresentable, Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
  public let rawValue: Int32

  @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
  @inlinable public init(_ value: Int32) { self.rawValue = value }
  @inlinable public init(integerLiteral value: Int32) { self.rawValue = value }

  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

extension TokenID: CustomStringConvertible {
  public var description: String { String(rawValue) }
}

/// What a token is for; the raw value is GGUF's number (`tokenizer.ggml.token_type`).
public enum TokenKind: UInt8, Hashable, Sendable {
  /// A piece of text.
  case normal = 1
  /// Stands for text that the vocabulary cannot spell.
  case unknown = 2
  /// Steers the model and is no text: `<|im_start|>`. Recognised in text only where the caller allows it.
  case control = 3
  /// Text that is never split: recognised in any text.
  case userDefined = 4
  /// A place in the vocabulary that nothing uses.
  case unused = 5
  /// One byte, where the vocabulary spells text that it lacks.
  case byte = 6
}
