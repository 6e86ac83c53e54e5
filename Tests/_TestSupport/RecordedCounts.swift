import Foundation
import Synchronization

/// Counts that repeat exactly, held against those in `Tests/Fixtures/counts.json`: a change that makes the same work cost more
/// allocations, faults, copies or instructions fails, whatever the machine is doing meanwhile.
///
/// After a change that is meant to change them, run `BINDERY_RECORD=1 make test`, which writes that file, and look at its
/// difference: it belongs into the commit, with the reason.
public enum RecordedCounts {
  public enum Rule: String, Codable, Sendable {
    /// Neither more nor less: less is worth recording.
    case exactly
    /// Other machines may need fewer.
    case atMost = "at_most"
  }

  /// What makes the same source cost another number of allocations.
  public enum Dependence: Sendable {
    /// Nothing: instructions, bytes, faults, calls of the system.
    case none
    /// The compiler's optimiser and its standard library: with another compiler than the one the counts were recorded with, only
    /// a recorded 0 is held, and the rest may be up to twice as many.
    case compiler
  }

  private struct Entry: Codable {
    var name: String
    var count: Int
    var rule: Rule
  }

  private struct Document: Codable {
    var compiler: String
    var counts: [Entry]
  }

  public static let file = Repository.fixture("counts.json")
  public static let isRecording = ProcessInfo.processInfo.environment["BINDERY_RECORD"] == "1"

  private static let document = Mutex<Document?>(nil)

  #if compiler(>=6.5)
    private static let compiler = "6.5 or later"
  #elseif compiler(>=6.4)
    private static let compiler = "6.4"
  #elseif compiler(>=6.3)
    private static let compiler = "6.3"
  #else
    private static let compiler = "6.2"
  #endif

  /// Holds a count against the recorded one, or records it.
  /// - Parameter name: what is counted, and per what; a literal, since `every recorded count has its test` looks for it.
  /// - Throws: `Mismatch`, which says what was expected, what was found, and how to record anew.
  public static func check(
    _ name: String, _ count: Int, _ rule: Rule = .exactly, dependsOn dependence: Dependence = .none
  ) throws {
    if let problem = try problem(name, count, rule, dependence) { throw Mismatch(description: problem) }
  }

  public struct Mismatch: Error, CustomStringConvertible {
    public let description: String
  }

  private static func problem(_ name: String, _ count: Int, _ rule: Rule, _ dependence: Dependence) throws -> String? {
    try document.withLock { document in
      var current = try document ?? read()
      defer { document = current }
      let index = current.counts.firstIndex { $0.name == name }
      if isRecording {
        let entry = Entry(name: name, count: count, rule: rule)
        if let index { current.counts[index] = entry } else { current.counts.append(entry) }
        if dependence == .compiler { current.compiler = compiler }
        current.counts.sort { $0.name < $1.name }
        try write(current)
        return nil
      }
      guard let index else { return "\(name): found \(count), nothing is recorded. \(advice)" }
      let recorded = current.counts[index].count
      if dependence == .compiler, compiler != current.compiler, recorded > 0 {
        return count <= 2 * recorded
          ? nil : "\(name): recorded \(recorded) with Swift \(current.compiler), found \(count) with \(compiler). \(advice)"
      }
      if count == recorded || (rule == .atMost && count < recorded) { return nil }
      return "\(name): recorded \(rule == .atMost ? "at most " : "")\(recorded), found \(count). \(advice)"
    }
  }

  /// Every name in the file.
  public static func names() throws -> [String] { try read().counts.map(\.name) }

  private static let advice =
    "If the change means it, record anew with BINDERY_RECORD=1 and say why in the commit (Tests/Fixtures/counts.json)"

  private static func read() throws -> Document {
    guard FileManager.default.fileExists(atPath: file.path) else { return Document(compiler: compiler, counts: []) }
    return try JSONDecoder().decode(Document.self, from: Data(contentsOf: file))
  }

  private static func write(_ document: Document) throws {
    // One line an entry: a difference of the file then shows the names.
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let lines = try document.counts.map { "    " + String(decoding: try encoder.encode($0), as: UTF8.self) }
    let text = "{\n  \"compiler\": \"\(document.compiler)\",\n  \"counts\": [\n\(lines.joined(separator: ",\n"))\n  ]\n}\n"
    try Data(text.utf8).write(to: file)
  }
}
