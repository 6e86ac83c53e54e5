import Foundation

/// The built `bindery`, run as users run it.
public enum BinderyExecutable {
  public struct Result: Sendable {
    public let status: Int32
    public let output: String
    public let errors: String
    /// True if a signal ended the process: a crash.
    public let wasSignalled: Bool

    /// The object that `--json` printed, nil if standard output holds anything else.
    public var json: [String: Any]? {
      (try? JSONSerialization.jsonObject(with: Data(output.utf8))) as? [String: Any]
    }

    /// The lines of standard error that are not empty.
    public var errorLines: [String] { errors.split(separator: "\n").map(String.init) }
  }

  /// Beside the test bundle: both are products of one build.
  public static let url = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "bindery")

  /// Runs a command in the checkout and waits for its end.
  ///
  /// - Parameter during: called once the process runs, for example to send it a signal.
  public static func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], during: ((Process) -> Void)? = nil
  ) throws -> Result {
    let process = Process()
    process.executableURL = url
    process.arguments = arguments
    process.currentDirectoryURL = Repository.root
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    // Files, not pipes: a test must not deadlock on a full one.
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    func file(_ name: String, _ contents: String = "") throws -> FileHandle {
      let url = folder.url.appending(path: name)
      try Data(contents.utf8).write(to: url)
      return try FileHandle(forUpdating: url)
    }
    process.standardInput = try file("input", input)
    process.standardOutput = try file("output")
    process.standardError = try file("errors")
    try process.run()
    during?(process)
    process.waitUntilExit()
    func text(_ name: String) throws -> String {
      String(decoding: try Data(contentsOf: folder.url.appending(path: name)), as: UTF8.self)
    }
    return Result(
      status: process.terminationStatus, output: try text("output"), errors: try text("errors"),
      wasSignalled: process.terminationReason == .uncaughtSignal)
  }
}
