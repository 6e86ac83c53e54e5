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

  /// What the programs use, by wabt's names. A newer version has more under "all", and writes some of it unasked (compact
  /// imports); one that has a feature always has no option to enable it.
  private static let features = [
    "threads", "simd", "relaxed-simd", "bulk-memory", "reference-types", "multi-value", "multi-memory", "memory64", "tail-call",
    "extended-const", "sign-extension", "saturating-float-to-int",
  ]

  /// The options of this version that enable the features.
  private static func featureOptions(of tool: String) throws -> [String] {
    let process = Process()
    process.executableURL = URL(filePath: tool)
    process.arguments = ["--help"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let help = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let words = Set(help.split(whereSeparator: \.isWhitespace))
    return features.map { "--enable-\($0)" }.filter { words.contains(Substring($0)) }
  }

  /// Runs the command on a file and returns what it wrote.
  static func run(_ name: String, _ input: String, _ folder: TemporaryFolder) throws -> [UInt8] {
    let output = folder.url.appending(path: "theirs").path
    let process = Process()
    let tool = try #require(find(name))
    process.executableURL = URL(filePath: tool)
    process.arguments = try featureOptions(of: tool) + [input, "-o", output]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(name) refuses \(input)")
    return [UInt8](try Data(contentsOf: URL(filePath: output)))
  }
}
