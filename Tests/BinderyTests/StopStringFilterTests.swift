import Bindery
import Testing
import _TestSupport

@Suite("Stop strings")
struct StopStringFilterTests {
  /// Feeds pieces; returns what was given on for each, and at the end.
  private static func feed(_ pieces: [String], stops: [String]) -> (given: [String], text: String, isStopped: Bool) {
    var filter = StopStringFilter(stops)
    var given = pieces.map { filter.append($0) }
    given.append(filter.finish())
    return (given, given.joined(), filter.isStopped)
  }

  @Test("text passes at once where there is no stop string")
  func passesThrough() {
    #expect(Self.feed(["a", "bc"], stops: []).given == ["a", "bc", ""])
    #expect(Self.feed(["a", "bc"], stops: [""]).given == ["a", "bc", ""])
  }

  @Test("nothing of a stop string is given on, however it is cut")
  func cutsAnywhere() {
    let text = "one END two"
    for first in 0...text.count {
      for second in first...text.count {
        let pieces = [text.prefix(first), text.dropFirst(first).prefix(second - first), text.dropFirst(second)].map(String.init)
        let result = Self.feed(pieces, stops: ["END"])
        #expect(result.text == "one ")
        #expect(result.isStopped)
      }
    }
  }

  @Test("a beginning that is not continued is given on")
  func falseAlarm() {
    let result = Self.feed(["a", "E", "N", "x", "EN"], stops: ["END"])
    #expect(result.given == ["a", "", "", "ENx", "", "EN"])
    #expect(!result.isStopped)
  }

  @Test("overlapping beginnings are found")
  func overlaps() { #expect(Self.feed(["a", "a", "b"], stops: ["aab"]).text == "") }

  @Test("of several stop strings the first in the text wins")
  func earliest() { #expect(Self.feed(["x cd ab"], stops: ["ab", "cd"]).text == "x ") }

  @Test("characters of several bytes stay whole")
  func multibyte() {
    let result = Self.feed(["gr", "ü", "ß", "e — ", "日本", "語"], stops: ["ß!", "本語"])
    #expect(result.text == "grüße — 日")
    #expect(result.given.allSatisfy { !$0.contains("\u{FFFD}") })
  }

  @Test("random text equals the search in the whole text")
  func randomAgainstSearch() {
    for seed in UInt64(0)..<300 {
      var generator = SeededGenerator(seed: seed)
      let text = String((0..<40).map { _ in "abc".randomElement(using: &generator)! })
      let stops = (0..<2).map { _ in
        String((0..<Int.random(in: 1...4, using: &generator)).map { _ in "abc".randomElement(using: &generator)! })
      }
      let expected = stops.compactMap { text.firstRange(of: $0)?.lowerBound }.min().map { String(text[..<$0]) } ?? text
      var pieces: [String] = []
      var rest = Substring(text)
      while !rest.isEmpty {
        let count = Int.random(in: 1...5, using: &generator)
        pieces.append(String(rest.prefix(count)))
        rest = rest.dropFirst(count)
      }
      #expect(Self.feed(pieces, stops: stops).text == expected, "seed \(seed), stops \(stops)")
    }
  }
}
