/// What a caller of this module has to handle: one type, the kind of the failure, one sentence, and what lies beneath.
///
/// Three of the four kinds of errors; the fourth, a bug of ours, stops the process with the violated sentence. Nothing that a
/// guest, a file or a request can do leads there.
public struct BinderyError: Error, Sendable, CustomStringConvertible {
  public enum Kind: String, Sendable {
    /// A file, a program or a request is not what it must be. Trying again with the same input fails again.
    case malformedInput
    /// The guest failed while running.
    case trap
    /// The operating system or the configuration of this host refused: files, memory, limits.
    case environment
  }

  public let kind: Kind
  /// One sentence: what was expected, what was found, where, and what to do.
  public let message: String
  /// The error of the module below, where there is one.
  public let cause: (any Error)?

  public init(_ kind: Kind, _ message: String, cause: (any Error)? = nil) {
    self.kind = kind
    self.message = message
    self.cause = cause
  }

  public var description: String { message }
}
