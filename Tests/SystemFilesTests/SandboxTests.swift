import Foundation
import SystemFiles
import Testing
import _TestSupport

/// The sandbox around a process, tried by a program that enters it and then does what a stranger's code would do.
@Suite("The sandbox around a process", .enabled(if: Sandbox.landlockVersion != nil, "this kernel has no Landlock"))
struct SandboxTests {
  private static let permissionDenied = "\(EACCES)"
  private static let notPermitted = "\(EPERM)"

  /// Runs the probe. What it printed, by attempt, and its status.
  private func probe(
    folder: String, readable: String, secret: String, late: Bool = false
  ) throws -> (attempts: [String: String], status: Int32, output: String) {
    let process = Process()
    process.executableURL = BinderyExecutable.url.deletingLastPathComponent().appending(path: "_SandboxProbe")
    process.arguments = [folder, readable, secret] + (late ? ["late"] : [])
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    // A few kilobytes: the pipe takes them.
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    let pairs = text.split(separator: "\n").compactMap { line in
      line.range(of: ": ").map { (String(line[..<$0.lowerBound]), String(line[$0.upperBound...])) }
    }
    return (Dictionary(pairs) { first, _ in first }, process.terminationStatus, text)
  }

  @Test("files, processes and memory: only what the rules name")
  func attempts() throws {
    let folder = try TemporaryFolder()
    let outside = try TemporaryFolder()
    defer { withExtendedLifetime((folder, outside)) {} }
    let readable = try outside.write([1, 2, 3], to: "readable")
    let secret = try outside.write([4, 5, 6], to: "secret")
    let (attempts, status, output) = try probe(folder: folder.url.path, readable: readable, secret: secret)
    #expect(status == 0, "\(output)")
    for name in [
      "entered", "create in folder", "rename in folder", "make folder in folder", "link to secret", "remove in folder",
      "open readable", "open own status", "signal itself", "ask flags", "ask limit", "map pages", "thread",
    ] { #expect(attempts[name] == "done", "\(name): \(attempts[name] ?? "not tried")") }
    // Landlock: files.
    for name in [
      "open link to secret", "rename out of folder", "write readable", "open secret", "remove secret", "open passwords", "list root",
      "write own memory", "open passwords through own root", "open environment of parent", "thread opens secret",
    ] { #expect(attempts[name] == Self.permissionDenied, "\(name): \(attempts[name] ?? "not tried")") }
    let hardLink = attempts["hard link to secret"]
    #expect(hardLink == Self.permissionDenied || hardLink == "\(EXDEV)", "\(hardLink ?? "not tried")")
    // seccomp: system calls.
    for name in [
      "make pipe", "make device", "truncate readable", "change secret", "change root", "mount", "socket", "local socket",
      "pair of sockets", "signal parent", "signal parent by way of a file", "trace parent", "read memory of parent", "new namespace", "fork", "start program", "ring",
      "kernel program", "keys", "set limit", "map executable pages", "make pages executable", "thread makes socket",
    ] { #expect(attempts[name] == Self.notPermitted, "\(name): \(attempts[name] ?? "not tried")") }
    #expect(try Data(contentsOf: URL(filePath: readable)) == Data([1, 2, 3]))
    #expect(try Data(contentsOf: URL(filePath: secret)) == Data([4, 5, 6]))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() == ["link", "sub"])
  }

  @Test("a process with a second thread is refused: it would not be held")
  func threads() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let file = try folder.write([1], to: "file")
    let (_, status, output) = try probe(folder: folder.url.path, readable: file, secret: file, late: true)
    #expect(status == 3 && output == "refused: step 1, rule 0, error \(EBUSY)\n", "\(output)")
  }

  @Test("a path that is not there is refused, and named by its rule")
  func missingPath() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let (_, status, output) = try probe(folder: folder.url.path, readable: folder.url.path + "/missing", secret: "/")
    #expect(status == 3 && output == "refused: step 2, rule 1, error \(ENOENT)\n", "\(output)")
  }
}
