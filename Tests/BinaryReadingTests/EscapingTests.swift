import BinaryReading
import Testing

@Suite("Text of strangers, escaped")
struct EscapingTests {
  @Test(
    "characters that do something else than show themselves are escaped",
    arguments: [
      ("\u{1B}[2J\u{1B}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"), ("a\nb\tc\rd\0", "a\\nb\\tc\\rd\\u{0}"),
      ("a\r\nb", "a\\r\\nb"), ("\u{7F}\u{80}\u{9B}31m\u{9F}", "\\u{7f}\\u{80}\\u{9b}31m\\u{9f}"),
      ("user\u{202E}gpj.exe\u{2066}\u{2069}\u{200F}\u{61C}", "user\\u{202e}gpj.exe\\u{2066}\\u{2069}\\u{200f}\\u{61c}"),
      ("\u{2028}\u{2029}\u{FEFF}\u{E0041}\u{AD}", "\\u{2028}\\u{2029}\\u{feff}\\u{e0041}\\u{ad}"),
    ])
  func escaped(text: String, expected: String) {
    #expect(text.escapedForTerminal == expected)
    #expect(Array(text.utf8).escapedForTerminal == expected)
    #expect(expected.escapedForTerminal == expected, "escaping what is escaped changes nothing")
  }

  @Test("what is only text stays", arguments: ["", "plain ~ text \\n", "Grüße, 世界 👩‍👩‍👧 می‌خواهم é\u{301} \u{A0}", "\u{FFFD}"])
  func unchanged(text: String) {
    #expect(text.escapedForTerminal.utf8.elementsEqual(text.utf8))
    #expect(Array(text.utf8).escapedForTerminal.utf8.elementsEqual(text.utf8))
  }

  @Test("text of many lines keeps its lines")
  func lines() {
    #expect("a\n\tb\r\u{1B}c\n".escapedForTerminal(keepingLines: true) == "a\n\tb\\r\\u{1b}c\n")
    #expect("a\n\tb".escapedForTerminal(keepingLines: true) == "a\n\tb")
  }

  @Test(
    "bytes that are no UTF-8 are shown as bytes",
    arguments: [
      ([0x61, 0xFF, 0x62], "a\\xffb"), ([0x9B, 0x33], "\\x9b3"), ([0xC0, 0x80], "\\xc0\\x80"), ([0xE2, 0x82], "\\xe2\\x82"),
      ([0xED, 0xA0, 0x80, 0x0A], "\\xed\\xa0\\x80\\n"), ([0xF0, 0x9F, 0x98, 0x41], "\\xf0\\x9f\\x98A"),
      ([0xE2, 0x80, 0xAE], "\\u{202e}"), ([0xC2, 0x9B], "\\u{9b}"),
    ] as [([UInt8], String)])
  func invalid(bytes: [UInt8], expected: String) { #expect(bytes.escapedForTerminal == expected) }

  @Test("every sequence of three bytes gives text without control characters")
  func exhaustive() {
    let interesting: [UInt8] = [0, 9, 10, 0x1B, 0x41, 0x7F, 0x80, 0x85, 0x9B, 0xA0, 0xAE, 0xBF, 0xC0, 0xC2, 0xDF, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF4, 0xFF]
    for a in interesting {
      for b in interesting {
        for c in interesting {
          let text = [a, b, c].escapedForTerminal
          let isSafe = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0 != "\u{FFFD}" }
          #expect(isSafe, "\([a, b, c]): \(text)")
        }
      }
    }
  }
}
