/// What came of running a script.
public struct ScriptReport: Sendable {
  /// A command that did not do what the script says.
  public struct Failure: Hashable, Sendable {
    /// The place of the command in the script, counted from 1; column 0 where it is not known (scripts in JSON).
    public let line: Int
    public let column: Int
    /// What was expected and what was found.
    public let message: String
  }

  /// A command that was not run.
  public struct Skip: Hashable, Sendable {
    public let line: Int
    public let reason: String
  }

  /// An assertion that holds, but not for the reason that the script names: see the room's page.
  public struct Remark: Hashable, Sendable {
    public let line: Int
    public let text: String
  }

  /// Assertions that hold, those of threads included. Modules, actions and registrations count only when they fail.
  public internal(set) var passedCount = 0
  /// In the order of the script; those of a thread where the script waits for it.
  public internal(set) var failures: [Failure] = []
  public internal(set) var skips: [Skip] = []
  public internal(set) var remarks: [Remark] = []

  public init() {}

  mutating func add(_ other: ScriptReport) {
    passedCount += other.passedCount
    failures += other.failures
    skips += other.skips
    remarks += other.remarks
  }
}
