/// What came of running a script.
public struct ScriptReport: Sendable {
  /// A command that did not do what the script says.
  public struct Failure: Hashable, Sendable {
    /// The line of the command in the script.
    public let line: Int
    /// What was expected and what was found.
    public let message: String
  }

  /// A command that was not run.
  public struct Skip: Hashable, Sendable {
    public let line: Int
    public let reason: String
  }

  /// Assertions that hold. Modules, actions and registrations count only when they fail.
  public internal(set) var passedCount = 0
  public internal(set) var failures: [Failure] = []
  public internal(set) var skips: [Skip] = []

  public init() {}
}
