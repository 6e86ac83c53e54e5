/// A well-formed module that breaks a rule of the language: which, and where.
public struct ValidationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// In the words of the official test suite, which may be followed by details.
  public let message: String
  /// The position in the module's bytes.
  public let offset: Int

  public init(_ message: String, at offset: Int) {
    self.message = message
    self.offset = offset
  }

  public var description: String { "invalid module at byte \(offset): \(message)" }
}
