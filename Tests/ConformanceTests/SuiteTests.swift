import Foundation
import Testing
import WasmScripts
import WebAssemblyText
import _TestSupport

/// The official suite in its JSON form, one case per file.
///
/// The files lie in `conformance/wasm-suite/json` of the shared folder (see `Repository.shared`); without it there is nothing to
/// run. Failures that are known are listed in `Data/known-failures.txt`; one that is listed but passes is a failure too.
@Suite struct SuiteTests {
  static let folders = [
    "core", "bulk", "reference-types", "simd", "relaxed-simd", "multi-memory", "memory64", "extended-const", "tail-call",
    "custom-page-sizes",
  ]

  static let files: [String] = {
    guard let root = Repository.sharedPath("conformance/wasm-suite/json") else { return [] }
    return folders.flatMap { folder in
      let names = (try? FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)) ?? []
      return names.filter { $0.hasSuffix(".json") }.sorted().map { "\(folder)/\($0)" }
    }
  }()

  /// `FILE:LINE` of each known failure.
  static let knownFailures: Set<String> = {
    guard let url = Bundle.module.url(forResource: "known-failures", withExtension: "txt", subdirectory: "Data"),
      let text = try? String(contentsOf: url, encoding: .utf8)
    else { return [] }
    let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
    return Set(lines.compactMap { $0.split(separator: " ").first.map(String.init) })
  }()

  @Test(.enabled(if: !files.isEmpty, "the folder with the official suite is not there (set BINDERY_SHARED)"), arguments: files)
  func `a file of the official suite passes`(file: String) throws {
    let root = try #require(Repository.sharedPath("conformance/wasm-suite/json"))
    let report = try ScriptRunner.run(try JSONScript.read(contentsOf: root.appending(path: file)))
    let name = file.replacing(".json", with: ".wast")
    for failure in report.failures where !Self.knownFailures.contains("\(name):\(failure.line)") {
      Issue.record("\(name):\(failure.line): \(failure.message)")
    }
    let failed = Set(report.failures.map { "\(name):\($0.line)" })
    for known in Self.knownFailures where known.hasPrefix(name + ":") && !failed.contains(known) {
      Issue.record("\(known) is listed as a known failure, but passes")
    }
    // A runner that skips everything must not look like success.
    #expect(report.skips.count <= 4, "\(name): \(report.skips.count) commands skipped")
  }

  @Test(.enabled(if: !files.isEmpty, "the folder with the official suite is not there (set BINDERY_SHARED)"))
  func `the suite is there as a whole`() {
    #expect(Self.files.count > 150)
    for folder in Self.folders { #expect(Self.files.contains { $0.hasPrefix(folder + "/") }, "\(folder) is empty") }
  }
}
