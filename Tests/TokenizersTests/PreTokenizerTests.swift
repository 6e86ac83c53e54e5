import Foundation
import Testing
import Tokenizers
import _TestSupport

@Suite struct PreTokenizerTests {
  struct Case: Decodable {
    let text: String, gpt2: [String], gpt2WithSingleDigits: [String], llama3: [String], qwen2: [String]
  }

  @Test func `words are those of the published regular expressions`() throws {
    let url = Repository.fixture("Tokenizers/pretokenizers.json")
    let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: url))
    #expect(cases.count > 400)
    // Bytes are compared: Swift's equality of strings takes canonically equivalent ones for equal.
    func bytes(_ words: [String]) -> [[UInt8]] { words.map { Array($0.utf8) } }
    for example in cases {
      #expect(bytes(PreTokenizer.gpt2.words(example.text)) == bytes(example.gpt2), "\(example.text.debugDescription)")
      #expect(
        bytes(PreTokenizer.gpt2WithSingleDigits.words(example.text)) == bytes(example.gpt2WithSingleDigits),
        "\(example.text.debugDescription)")
      #expect(bytes(PreTokenizer.llama3.words(example.text)) == bytes(example.llama3), "\(example.text.debugDescription)")
      #expect(bytes(PreTokenizer.qwen2.words(example.text)) == bytes(example.qwen2), "\(example.text.debugDescription)")
    }
  }

  @Test(arguments: PreTokenizer.allCases)
  func `words add up to the text, whatever it is`(preTokenizer: PreTokenizer) {
    let seed: UInt64 = 11
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      var text = ""
      for _ in 0..<Int.random(in: 0...40, using: &generator) {
        let range: ClosedRange<UInt32> = Bool.random(using: &generator) ? 0...0x7F : 0...0x10FFFF
        if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) { text.unicodeScalars.append(scalar) }
      }
      let words = preTokenizer.words(text)
      #expect(Array(words.joined().utf8) == Array(text.utf8), "seed \(seed)")
      #expect(!words.contains(""), "seed \(seed)")
    }
  }

  @Test func `an unknown or missing pre-tokenizer is said, not guessed`() throws {
    #expect(throws: TokenizerError(.unsupported, "the pre-tokenizer \"martian\" is not known")) {
      try PreTokenizer(named: "martian")
    }
    #expect(throws: TokenizerError.self) { try PreTokenizer(named: nil) }
    #expect(try PreTokenizer(named: "smollm") == .gpt2WithSingleDigits)
    #expect(try PreTokenizer(named: "gpt-2") == .gpt2)
    #expect(try PreTokenizer(named: "llama-bpe") == .llama3)
    #expect(try PreTokenizer(named: "qwen2") == .qwen2)
  }
}
