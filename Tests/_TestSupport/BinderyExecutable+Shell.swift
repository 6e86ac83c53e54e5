import Foundation

extension BinderyExecutable {
  /// Runs a line of bash in the checkout: for redirections, pipes and bytes that are not text. `$B` is the executable.
  /// - Returns: what the line printed, as bytes: `output` of the other form decodes it.
  /// - Parameter seconds: after this time the line is killed, and its status is that of a signal.
  public static func shell(_ line: String, environment: [String: String] = [:], seconds: Double = 60) throws -> Result {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/bash")
    process.arguments = ["-c", line]
    process.currentDirectoryURL = Repository.root
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }.merging(["B": url.path]) { $1 }
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    func file(_ name: String) throws -> FileHandle {
      let url = folder.url.appending(path: name)
      try Data().write(to: url)
      return try FileHandle(forUpdating: url)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try file("output")
    process.standardError = try file("errors")
    try process.run()
    let end = ContinuousClock.now + .seconds(seconds)
    while process.isRunning {
      if ContinuousClock.now > end { kill(process.processIdentifier, SIGKILL) }
      usleep(5_000)
    }
    process.waitUntilExit()
    func text(_ name: String) throws -> String {
      String(decoding: try Data(contentsOf: folder.url.appending(path: name)), as: UTF8.self)
    }
    return Result(
      status: process.terminationStatus, output: try text("output"), errors: try text("errors"),
      wasSignalled: process.terminationReason == .uncaughtSignal)
  }
}
