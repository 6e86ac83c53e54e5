/// Why bytes could not be read, and where.
///
/// Raised by ``BinaryReader``. The formats above wrap it in their own error, with their own wording.
public struct BinaryReadingError: Error, Hashable, Sendable {
  public enum Code: Hashable, Sendable {
    /// Fewer bytes are left than the value needs.
    case unexpectedEnd
    /// A LEB128 integer does not fit its type: bits beyond the type's width are set.
    case integerTooLarge
    /// A LEB128 integer has more bytes than its type can need.
    case integerRepresentationTooLong
    /// The bytes of a string are not well-formed UTF-8 (surrogates and overlong forms included).
    case malformedUTF8
  }

  public let code: Code
  /// The position of the first byte of the value that could not be read, counted from the start of the reader's bytes.
  public let offset: Int

  @inlinable
  public init(_ code: Code, at offset: Int) {
    self.code = code
    self.offset = offset
  }
}

extension BinaryReadingError: CustomStringConvertible {
  public var description: String {
    let reason =
      switch code {
      case .unexpectedEnd: "unexpected end"
      case .integerTooLarge: "integer too large"
      case .integerRepresentationTooLong: "integer representation too long"
      case .malformedUTF8: "malformed UTF-8 encoding"
      }
    return "\(reason) at byte \(offset)"
  }
}
