import Foundation
import Testing
import _TestSupport

/// SECURITY.md says numbers. They are the ones of the code.
@Suite("The limits of SECURITY.md")
struct SecurityTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let limit: String
    let value: String
    /// `Sources/ROOM/FILE.swift`, and the name of a constant or a default in it.
    let file: String
    let name: String

    var testDescription: String { limit }
  }

  /// The rows of all tables of the page whose last cell is `[FILE](PATH) NAME` with the name in backquotes.
  static let rows: [Row] = {
    guard let text = try? SourceTree.text(Repository.path("SECURITY.md")) else { return [] }
    return text.split(separator: "\n").compactMap { line in
      let cells = line.split(separator: "|", omittingEmptySubsequences: true).map { $0.trimmingCharacters(in: .whitespaces) }
      guard cells.count == 3, let place = cells[2].wholeMatch(of: /\[[^\]]+\]\((Sources\/[^)]+)\) `([A-Za-z]+)`/) else { return nil }
      return Row(limit: cells[0], value: cells[1], file: String(place.1), name: String(place.2))
    }
  }()

  @Test("the table is there")
  func rowCount() { #expect(Self.rows.count >= 15) }

  @Test("each number is the one in the code", arguments: rows)
  func number(row: Row) throws {
    let written = try #require(Self.number(row.value), "'\(row.value)' is no number with a unit")
    let source = try SourceTree.text(Repository.path(row.file))
    let declaration = try Regex("\\b\(row.name)\\b(?::[^=\\n]+)? = ([^\\n/]+)")
    let match = try #require(source.firstMatch(of: declaration), "\(row.file) declares no '\(row.name)' with a value")
    let expression = String(match.output[1].substring ?? "").trimmingCharacters(in: .whitespaces)
    let constant = try #require(Self.value(of: expression), "\(row.file): '\(expression)' is no constant")
    #expect(written == constant, "\(row.limit)")
  }

  /// `1000`, `50 000`, `64 KiB`, `1 GiB`, `10 s`.
  static func number(_ text: String) -> Double? {
    guard let match = text.wholeMatch(of: /(\d{1,3}(?: \d{3})*|\d+(?:\.\d+)?)(?: (KiB|MiB|GiB|TiB|bytes|s|ms))?/),
      let number = Double(match.1.replacing(" ", with: ""))
    else { return nil }
    let units: [Substring: Double] = ["KiB": 1024, "MiB": 1_048_576, "GiB": 1_073_741_824, "TiB": 1_099_511_627_776, "ms": 0.001]
    return number * (match.2.flatMap { units[$0] } ?? 1)
  }

  /// A product, or a shift, of literals: `1 << 20`, `50_000`, `64 * 1024`.
  static func value(of expression: String) -> Double? {
    func literal(_ text: some StringProtocol) -> Double? {
      Double(text.replacingOccurrences(of: "_", with: "").trimmingCharacters(in: .whitespaces))
    }
    let shift = expression.components(separatedBy: "<<")
    if shift.count == 2, let base = literal(shift[0]), let distance = literal(shift[1]) { return base * pow(2, distance) }
    let product = expression.split(separator: "*").map { literal($0) }
    return product.reduce(1) { result, factor in result.flatMap { left in factor.map { left * $0 } } }
  }

  @Test("numbers and constants are read as they are written")
  func reading() {
    #expect(Self.number("50 000") == 50_000 && Self.number("1 GiB") == 1_073_741_824 && Self.number("100 ms") == 0.1)
    #expect(Self.number("1000") == 1000 && Self.number("7 654 321 bytes") == 7_654_321)
    #expect(Self.number("many") == nil && Self.number("5 apples") == nil)
    #expect(Self.value(of: "1 << 20") == 1_048_576 && Self.value(of: "50_000") == 50_000 && Self.value(of: "2 * 1_024") == 2048)
    #expect(Self.value(of: "other") == nil)
  }
}
