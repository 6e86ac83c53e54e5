import Foundation
import Testing
import WasmScripts
import WebAssemblyText
import _TestSupport

/// The official suite, one case per file: as text, and in the JSON form that another tool made of it.
///
/// The files lie in `conformance/wasm-suite` of the shared folder (see `Repository.shared`); without it there is nothing to run.
/// Nothing may fail and nothing may be skipped. Assertions that hold for another reason than the one that the script names are
/// listed in `Data/remarks.txt`, each with what it is that we say instead; the list must be exact.
@Suite(
  "The official suite",
  .enabled(
    if: Repository.sharedPath("conformance/wasm-suite") != nil,
    "the folder with the official suite is not there (set BINDERY_SHARED)"))
struct SuiteTests {
  static let root = Repository.sharedPath("conformance/wasm-suite")

  static let files: [String] = {
    guard let root, let walker = FileManager.default.enumerator(atPath: root.path) else { return [] }
    let scripts = walker.compactMap { $0 as? String }.filter { $0.hasSuffix(".wast") }
    return scripts.sorted()
  }()

  /// What the suite says of itself: the number of assertions of each file.
  private struct Manifest: Decodable {
    struct Entry: Decodable {
      let file: String
      let asserts: Int
    }
    let entries: [Entry]
  }

  static let assertionCounts: [String: Int] = {
    guard let root, let data = try? Data(contentsOf: root.appending(path: "MANIFEST.json")),
      let manifest = try? JSONDecoder().decode(Manifest.self, from: data)
    else { return [:] }
    return Dictionary(uniqueKeysWithValues: manifest.entries.map { ($0.file, $0.asserts) })
  }()

  /// Lines of `FILE:LINE reason`.
  static let remarks: Set<String> = {
    guard let url = Bundle.module.url(forResource: "remarks", withExtension: "txt", subdirectory: "Data"),
      let text = try? String(contentsOf: url, encoding: .utf8)
    else { return [] }
    return Set(text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init))
  }()

  @Test("every command of a script holds", arguments: files)
  func passes(file: String) throws {
    let text = [UInt8](try Data(contentsOf: try #require(Self.root).appending(path: file)))
    let report = try ScriptRunner.run(try WebAssemblyText.script(text))
    for failure in report.failures { Issue.record("\(file):\(failure.line):\(failure.column): \(failure.message)") }
    #expect(report.skips.isEmpty)
    // A runner that does nothing must not look like success.
    #expect(report.passedCount == Self.assertionCounts[file])
    let found = Set(report.remarks.map { "\(file):\($0.line) \($0.text)" })
    let listed = Self.remarks.filter { $0.hasPrefix(file + ":") }
    #expect(
      found == listed, "found but not listed: \(found.subtracting(listed)); listed but not found: \(listed.subtracting(found))")
  }

  @Test("every command of a script in the JSON form holds", arguments: files)
  func passesAsJSON(file: String) throws {
    let url = try #require(Self.root).appending(path: "json/\(file.dropLast(5)).json")
    let report = try ScriptRunner.run(try JSONScript.read(contentsOf: url))
    for failure in report.failures { Issue.record("\(file):\(failure.line): \(failure.message)") }
    #expect(report.skips.isEmpty)
    #expect(report.passedCount == Self.assertionCounts[file])
  }

  @Test("the suite is there as a whole")
  func isComplete() { #expect(Set(Self.files) == Set(Self.assertionCounts.keys)) }
}
