import Foundation
import Testing
import Tokenizers
import _TestSupport

/// A small vocabulary and llama.cpp's ids for it: see Tests/Fixtures/Tokenizers/make_sentencepiece.py.
@Suite struct SentencePieceTokenizerTests {
  struct Fixture: Decodable {
    struct Token: Decodable {
      let text: String, score: Float, kind: Int32

      init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        text = try values.decode(String.self)
        score = try values.decode(Float.self)
        kind = try values.decode(Int32.self)
      }
    }
    struct Case: Decodable { let text: String, ids_plain: [Int32], ids_bos_special: [Int32] }
    let vocabulary: [Token], with_space_prefix: [Case], without_space_prefix: [Case]

    static let shared = Result {
      try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: Repository.fixture("Tokenizers/sentencepiece.json")))
    }

    func description() -> TokenizerDescription {
      var description = TokenizerDescription(model: "llama", tokens: PackedStrings(vocabulary.map(\.text)))
      description.scores = vocabulary.map(\.score)
      description.tokenKinds = vocabulary.map(\.kind)
      description.bosID = 1
      description.eosID = 2
      description.unknownID = 0
      return description
    }
  }

  @Test func `ids are those of llama.cpp, with and without a space before the text`() throws {
    let fixture = try Fixture.shared.get()
    for addsSpacePrefix in [true, false] {
      var description = fixture.description()
      description.addsSpacePrefix = addsSpacePrefix
      let tokenizer = try description.makeTokenizer()
      let cases = addsSpacePrefix ? fixture.with_space_prefix : fixture.without_space_prefix
      #expect(cases.count > 500)
      for example in cases {
        let plain = try tokenizer.encode(example.text, addSpecial: false, parseSpecial: false)
        #expect(plain.map(\.rawValue) == example.ids_plain, "\(example.text.debugDescription)")
        let special = try tokenizer.encode(example.text, addSpecial: true, parseSpecial: true)
        #expect(special.map(\.rawValue) == example.ids_bos_special, "\(example.text.debugDescription)")
      }
    }
  }

  @Test func `text without special tokens comes back, by way of bytes where it must`() throws {
    let fixture = try Fixture.shared.get()
    for addsSpacePrefix in [true, false] {
      var description = fixture.description()
      description.addsSpacePrefix = addsSpacePrefix
      let tokenizer = try description.makeTokenizer()
      for example in fixture.without_space_prefix where !example.text.contains("▁") {
        let ids = try tokenizer.encode(example.text, addSpecial: true, parseSpecial: false)
        // A space is put before each part between user-defined tokens, and only the first is taken away again.
        if addsSpacePrefix, ids.contains(where: { tokenizer.kind(of: $0) == .userDefined }) { continue }
        #expect(Array(tokenizer.decode(ids).utf8) == Array(example.text.utf8), "\(example.text.debugDescription)")
      }
    }
  }

  @Test func `a long text costs n log n`() throws {
    let tokenizer = try Fixture.shared.get().description().makeTokenizer()
    for unit in ["a", "the ", "日", "\n"] {
      let text = String(repeating: unit, count: 30_000)
      #expect(try tokenizer.decode(tokenizer.encode(text, addSpecial: true, parseSpecial: true)) == text)
    }
  }

  @Test func `descriptions that contradict themselves are refused`() throws {
    let fixture = try Fixture.shared.get()
    func message(_ change: (inout TokenizerDescription) -> Void) -> String? {
      var description = fixture.description()
      change(&description)
      do throws(TokenizerError) {
        _ = try SentencePieceTokenizer(description)
        return nil
      } catch { return error.message }
    }
    #expect(message { _ in } == nil)
    #expect(message { $0.scores.removeLast() } == "1500 tokens, but scores for 1499")
    #expect(message { $0.scores[7] = .nan } == "a score is no number")
    #expect(message { $0.tokenKinds[300] = 6 } == "token 300 stands for a byte, but is not spelled <0x00>")
    #expect(message { $0.eosID = 1500 } == "the special token 1500 lies outside the vocabulary of 1500 tokens")
    #expect(message { $0.model = "gpt2" } == "expected the model \"llama\" (SentencePiece), found \"gpt2\"")
    #expect(throws: TokenizerError.self) {
      var description = fixture.description()
      description.model = "bert"
      _ = try description.makeTokenizer()
    }
  }
}
