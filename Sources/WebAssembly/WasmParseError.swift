import BinaryReading

/// Bytes that are not a WebAssembly module: why, and where.
public struct WasmParseError: Error, Hashable, Sendable, CustomStringConvertible {
  /// In the words of the official test suite, which may be followed by details.
  public let message: String
  /// The position in the module's bytes.
  public let offset: Int
  /// Whether the bytes belong to a part of WebAssembly 3.0 that this version does not have.
  public let isUnsupported: Bool

  public init(_ message: String, at offset: Int, isUnsupported: Bool = false) {
    self.message = message
    self.offset = offset
    self.isUnsupported = isUnsupported
  }

  init(_ error: BinaryReadingError) {
    let message =
      switch error.code {
      case .unexpectedEnd: "unexpected end of section or function"
      case .integerTooLarge: "integer too large"
      case .integerRepresentationTooLong: "integer representation too long"
      case .malformedUTF8: "malformed UTF-8 encoding"
      }
    self.init(message, at: error.offset)
  }

  public var description: String { "malformed module at byte \(offset): \(message)" }
}
