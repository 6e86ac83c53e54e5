import BinaryReading

/// What a caller of this module has to handle: one type, the kind of the failure, one sentence, and what lies beneath.
///
/// A bug of ours is none of the kinds: it stops the process with the violated sentence. Nothing that a guest, a file or a request can
/// do leads there.
public struct BinderyError: Error, Sendable, CustomStringConvertible {
  public enum Kind: String, Sendable {
    /// A file, a program or a request is not what it must be. Trying again with the same input fails again.
    case malformedInput
    /// The guest failed while running.
    case trap
    /// The guest broke the interface of programs: an address, a count or a number that it returned cannot be what it must be.
    case programInterface
    /// The operating system or the configuration of this host refused: files, memory, descriptors.
    case environment
    /// It would not fit the session's budget of memory.
    case memoryLimit
    /// The time that was given for it is over.
    case timeLimit
    /// It was cancelled.
    case cancelled
  }

  public let kind: Kind
  /// One sentence: what was expected, what was found, where, and what to do. Names and texts in it that files and guests wrote are
  /// escaped.
  public let message: String
  /// The error of the module below, where there is one.
  public let cause: (any Error)?

  public init(_ kind: Kind, _ message: String, cause: (any Error)? = nil) {
    self.kind = kind
    self.message = message.escapedForTerminal
    self.cause = cause
  }

  public var description: String { message }
}
