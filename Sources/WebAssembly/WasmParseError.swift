import BinaryReading

/// Bytes that are not a WebAssembly module that this version reads: why, and where.
public struct WasmParseError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of failure it is.
  public enum Reason: Hashable, Sendable {
    /// The bytes break the binary format.
    case malformed
    /// The bytes belong to a part of WebAssembly that this version does not have; the message names it.
    case unsupported
    /// The module is larger than ``ModuleLimits`` allow.
    case overLimit
    /// Whoever pays for the module does not grant its memory.
    case outOfMemory
    /// ``Supervision/shouldStop`` said so.
    case stopped
  }

  /// In the words of the official test suite, which may be followed by details.
  public let message: String
  /// The position in the module's bytes.
  public let offset: Int
  public let reason: Reason

  /// Whether the bytes belong to a part of WebAssembly that this version does not have.
  public var isUnsupported: Bool { reason == .unsupported }

  public init(_ message: String, at offset: Int, reason: Reason = .malformed) {
    self.message = message
    self.offset = offset
    self.reason = reason
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

  /// A part of the language that is known but not here: `not supported: exception handling (section 13)`.
  static func unsupported(_ part: String, _ what: String, at offset: Int) -> WasmParseError {
    WasmParseError("not supported: \(part) (\(what))", at: offset, reason: .unsupported)
  }

  public var description: String {
    switch reason {
    case .malformed: "malformed module at byte \(offset): \(message)"
    case .unsupported, .overLimit, .outOfMemory, .stopped: "module at byte \(offset): \(message)"
    }
  }
}
