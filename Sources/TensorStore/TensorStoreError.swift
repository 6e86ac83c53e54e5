/// Why weight files could not be opened or brought into a guest's memory.
public struct TensorStoreError: Error, Sendable, CustomStringConvertible {
  public enum Kind: String, Sendable {
    /// The file is not what it must be; trying again fails again.
    case malformedInput
    /// The system refused: opening, reading, mapping, address space.
    case environment
  }

  public let kind: Kind
  /// One sentence with the path: what was expected and what was found.
  public let message: String
  public let path: String
  /// The error of the module below.
  public let cause: (any Error)?

  init(_ kind: Kind, path: String, _ message: String, cause: (any Error)? = nil) {
    self.kind = kind
    self.path = path
    self.message = "'\(path)': \(message)"
    self.cause = cause
  }

  public var description: String { message }
}
