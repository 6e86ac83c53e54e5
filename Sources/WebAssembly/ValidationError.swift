/// A well-formed module that breaks a rule of the language, or is more than is granted: which, and where.
public struct ValidationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of failure it is.
  public enum Reason: Hashable, Sendable {
    /// The module breaks a rule of the language.
    case invalid
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

  public init(_ message: String, at offset: Int, reason: Reason = .invalid) {
    self.message = message
    self.offset = offset
    self.reason = reason
  }

  public var description: String {
    switch reason {
    case .invalid: "invalid module at byte \(offset): \(message)"
    case .overLimit, .outOfMemory, .stopped: "module at byte \(offset): \(message)"
    }
  }
}
