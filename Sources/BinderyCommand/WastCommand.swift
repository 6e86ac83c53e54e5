import ArgumentParser
import BinaryReading
import Foundation
import WasmScripts
import WebAssemblyText

struct WastCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wast", abstract: "Runs specification scripts.",
    discussion: """
      One line for each command that does not hold, with its place; the last line counts the assertions. Each script has a world \
      of its own, in which every feature of the engine is on. Scripts in the JSON form of wast2json are read as well (*.json).
      """)

  @Argument(help: "Scripts (*.wast).")
  var files: [String]

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  struct Output: Encodable {
    struct Failure: Encodable {
      let line: Int
      let column: Int
      let message: String
    }
    struct Remark: Encodable {
      let line: Int
      let text: String
    }
    struct File: Encodable {
      let path: String
      var passed = 0
      var failed = 0
      var skipped = 0
      var failures: [Failure] = []
      /// Assertions that hold for another reason than the one that the script names.
      var remarks: [Remark] = []
    }
    let files: [File]
    let passed: Int
    let failed: Int
    let skipped: Int
  }

  func run() throws {
    let inputs = try files.map { ($0, try readBytes($0)) }
    var results: [Output.File] = []
    for (path, bytes) in inputs {
      let result = try Self.run(path, bytes)
      if !json {
        for failure in result.failures {
          let place = failure.column > 0 ? "\(failure.line):\(failure.column)" : "\(failure.line)"
          try standardOutput("\(path.escapedForTerminal):\(place): \(failure.message.escapedForTerminal)\n")
        }
      }
      results.append(result)
    }
    func total(_ count: KeyPath<Output.File, Int>) -> Int { results.reduce(0) { $0 + $1[keyPath: count] } }
    let output = Output(files: results, passed: total(\.passed), failed: total(\.failed), skipped: total(\.skipped))
    if json {
      try printJSON(output)
    } else {
      try standardOutput("\(output.passed) passed, \(output.failed) failed, \(output.skipped) skipped\n")
    }
    guard output.failed == 0 else {
      let failing = results.filter { $0.failed > 0 }
      let commands = output.failed == 1 ? "1 command" : "\(output.failed) commands"
      throw CommandFailure(
        "\(commands) failed in \(failing.count) of \(results.count) files, first in '\(failing.first?.path ?? "")'")
    }
  }

  private static func run(_ path: String, _ bytes: [UInt8]) throws -> Output.File {
    var result = Output.File(path: path)
    let script: Script
    do {
      script = path.hasSuffix(".json") ? try JSONScript.read(contentsOf: URL(filePath: path)) : try WebAssemblyText.script(bytes)
    } catch let error as TextFormatError {
      // A script that cannot be read has one failure: the place where reading ended.
      result.failed = 1
      result.failures = [.init(line: error.line, column: error.column, message: error.message)]
      return result
    } catch {
      result.failed = 1
      result.failures = [.init(line: (error as? JSONScriptError)?.line ?? 0, column: 0, message: "\(error)")]
      return result
    }
    let report = try ScriptRunner.run(script)
    result.passed = report.passedCount
    result.failed = report.failures.count
    result.skipped = report.skips.count
    result.failures = report.failures.map { failure in
      // One line each: a trap's backtrace has several.
      .init(line: failure.line, column: failure.column, message: failure.message.split(separator: "\n").joined(separator: ";"))
    }
    result.remarks = report.remarks.map { .init(line: $0.line, text: $0.text) }
    return result
  }
}
