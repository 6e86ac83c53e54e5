import Foundation
import Testing
import WebAssembly
import WebAssemblyText
import _TestSupport

/// Our text read by another implementation, and its text read by ours: wabt, where it is installed (Debian package `wabt`).
@Suite(
  "Agreement with another implementation",
  .enabled(if: IndependentTool.find("wat2wasm") != nil && IndependentTool.find("wasm2wat") != nil, "wabt is not installed"))
struct IndependentToolTests {
  static let programs = RoundTripTests.programs.filter { !$0.hasPrefix("models/") }

  /// The module without custom sections, all numbers in their shortest form.
  private func reduced(_ bytes: [UInt8]) throws -> [UInt8] {
    SuiteTextTests.withoutCustomSections(try Module.parse(bytes).encode())
  }

  @Test("the other tool makes the same binary of our text", arguments: programs)
  func ourText(path: String) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let bytes = [UInt8](try Data(contentsOf: Repository.path(path)))
    let text = try WebAssemblyText.text(of: try Module.parse(bytes), customSections: false)
    let input = try folder.write(Array(text.utf8), to: "ours.wat")
    let theirs = try IndependentTool.run("wat2wasm", input, folder)
    #expect(try reduced(theirs) == reduced(bytes))
  }

  @Test("we make the same binary of the other tool's text", arguments: programs)
  func theirText(path: String) throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let text = try IndependentTool.run("wasm2wat", Repository.path(path).path, folder)
    let bytes = [UInt8](try Data(contentsOf: Repository.path(path)))
    #expect(try reduced(try WebAssemblyText.binary(of: text)) == reduced(bytes))
  }
}

/// A command of wabt.
enum IndependentTool {
  static func find(_ name: String) -> String? {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
    return folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// Runs the command on a file and returns what it wrote.
  static func run(_ name: String, _ input: String, _ folder: TemporaryFolder) throws -> [UInt8] {
    let output = folder.url.appending(path: "theirs").path
    let process = Process()
    process.executableURL = URL(filePath: try #require(find(name)))
    process.arguments = ["--enable-all", input, "-o", output]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(name) refuses \(input)")
    return [UInt8](try Data(contentsOf: URL(filePath: output)))
  }
}
