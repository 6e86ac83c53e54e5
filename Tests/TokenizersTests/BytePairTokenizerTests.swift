import Testing
import Tokenizers
import _TestSupport

/// A vocabulary small enough to be worked out by hand.
struct SmallVocabulary {
  static let control: Int32 = 3, userDefined: Int32 = 4

  var tokens = [
    "<s>", "</s>", "<|im_end|>", "<|im|>", "WORD", "é", "a", "b", "c", "Ġ", "Ã", "©", "ab", "bc", "abc", "Ġa", "Ã©",
  ]
  var kinds: [Int32] = [3, 3, 3, 3, 4, 4] + [Int32](repeating: 1, count: 11)
  var merges = ["b c", "a b", "ab c", "Ġ a", "Ã ©"]
  var change: (inout TokenizerDescription) -> Void = { _ in }

  func build() throws(TokenizerError) -> BytePairTokenizer {
    var description = TokenizerDescription(model: "gpt2", tokens: PackedStrings(tokens))
    description.tokenKinds = kinds
    description.merges = PackedStrings(merges)
    description.preTokenizer = "gpt-2"
    description.bosID = 0
    description.eosID = 1
    change(&description)
    return try BytePairTokenizer(description)
  }
}

@Suite struct BytePairTokenizerTests {
  func names(_ text: String, special: Bool = true, _ vocabulary: SmallVocabulary = .init()) throws -> [String] {
    let tokenizer = try vocabulary.build()
    return try tokenizer.encode(text, addSpecial: false, parseSpecial: special).map { vocabulary.tokens[Int($0.rawValue)] }
  }

  @Test func `the first merge wins, then the next, of equal ones the leftmost`() throws {
    // "b c" comes before "a b": abc is a + bc, which nothing merges further.
    #expect(try names("abc") == ["a", "bc"])
    #expect(try names("abab") == ["ab", "ab"])
    #expect(try names("aab") == ["a", "ab"])
    #expect(try names(" a") == ["Ġa"])
    #expect(try names("a a") == ["a", "Ġa"])
    var vocabulary = SmallVocabulary()
    vocabulary.merges = ["a b", "ab c", "b c", "Ġ a", "Ã ©"]
    #expect(try names("abc", vocabulary) == ["abc"])
    #expect(try names("") == [])
  }

  @Test func `long words merge as short ones do`() throws {
    let tokenizer = try SmallVocabulary().build()
    let seed: UInt64 = 5
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let text = String((0..<Int.random(in: 30...90, using: &generator)).map { _ in "abc".randomElement(using: &generator)! })
      let ids = try tokenizer.encode(text, addSpecial: false, parseSpecial: false)
      #expect(ids.map(\.rawValue) == Self.mergedPlainly(text), "seed \(seed): \(text)")
    }
  }

  /// The definition: merge by merge in their order, each from left to right. (Right for this vocabulary, where no merge makes
  /// a pair of an earlier one.)
  static func mergedPlainly(_ text: String) -> [Int32] {
    let vocabulary = SmallVocabulary()
    var symbols = text.map { String($0) }
    for merge in vocabulary.merges {
      let parts = merge.split(separator: " ").map(String.init)
      var index = 0
      while index + 1 < symbols.count {
        if symbols[index] == parts[0], symbols[index + 1] == parts[1] {
          symbols[index] += symbols.remove(at: index + 1)
        }
        index += 1
      }
    }
    return symbols.map { symbol in Int32(vocabulary.tokens.firstIndex(of: symbol)!) }
  }

  @Test func `control tokens are recognised only where allowed, user-defined ones always, the longest first`() throws {
    #expect(try names("a<|im_end|>b") == ["a", "<|im_end|>", "b"])
    #expect(try names("<|im|><|im_end|>") == ["<|im|>", "<|im_end|>"])
    #expect(try names("aWORDb") == ["a", "WORD", "b"])
    #expect(try names("aWORDb", special: false) == ["a", "WORD", "b"])
    // The bytes of "<|im_en" have no tokens here, but for none: they give nothing.
    #expect(try names("a<|im_enb", special: false) == ["a", "b"])
    #expect(try names("a<|im_end|>b", special: false) == ["a", "b"])
    #expect(try names("é", special: false) == ["é"])
  }

  @Test func `a user-defined token does not take the place of one that merges make of the same bytes`() throws {
    var vocabulary = SmallVocabulary()
    vocabulary.kinds[5] = SmallVocabulary.control
    #expect(try names("é", special: false, vocabulary) == ["Ã©"])
    #expect(try names("é", special: true, vocabulary) == ["é"])
  }

  @Test func `a byte without a token gives none, and its neighbours do not merge across it`() throws {
    #expect(try names("axb") == ["a", "b"])
    #expect(try names("x") == [])
  }

  @Test func `BOS and EOS are added where the description says so`() throws {
    func ids(_ change: @escaping (inout TokenizerDescription) -> Void) throws -> [TokenID] {
      var vocabulary = SmallVocabulary()
      vocabulary.change = change
      let tokenizer = try vocabulary.build()
      #expect(try tokenizer.encode("a", addSpecial: false, parseSpecial: true) == [6])
      return try tokenizer.encode("a", addSpecial: true, parseSpecial: true)
    }
    #expect(try ids { _ in } == [6])
    #expect(try ids { $0.addsBOS = true } == [0, 6])
    #expect(try ids { $0.addsBOS = true; $0.addsEOS = true } == [0, 6, 1])
    #expect(try ids { $0.addsBOS = true; $0.bosID = nil } == [6])
    // Llama 3 adds a BOS unless told otherwise.
    #expect(try ids { $0.preTokenizer = "llama-bpe" } == [0, 6])
    #expect(try ids { $0.preTokenizer = "llama-bpe"; $0.addsBOS = false } == [6])
  }

  @Test func `Llama 3 takes a whole word that is a token before it merges`() throws {
    var vocabulary = SmallVocabulary()
    #expect(try names("abc", vocabulary) == ["a", "bc"])
    vocabulary.change = { $0.preTokenizer = "llama-bpe" }
    #expect(try names("abc", vocabulary) == ["abc"])
  }

  @Test func `the ends of generation are the ids that are named and the texts that are known`() throws {
    #expect(try SmallVocabulary().build().endOfGenerationIDs == [1, 2])
    var vocabulary = SmallVocabulary()
    vocabulary.change = { $0.eotID = 7 }
    #expect(try vocabulary.build().endOfGenerationIDs == [1, 2, 7])
  }

  @Test func `descriptions that contradict themselves are refused`() {
    func message(_ edit: (inout SmallVocabulary) -> Void) -> String? {
      var vocabulary = SmallVocabulary()
      edit(&vocabulary)
      do {
        _ = try vocabulary.build()
        return nil
      } catch { return error.message }
    }
    #expect(message { _ in } == nil)
    #expect(message { $0.tokens = []; $0.kinds = [] } == "the vocabulary has no tokens")
    #expect(message { $0.kinds.removeLast() } == "17 tokens, but kinds for 16")
    #expect(message { $0.kinds[3] = 9 } == "token 3 has the unknown kind 9; expected 0...6")
    #expect(message { $0.merges.append("abc") } == "merge 5 is not two parts with a space between")
    #expect(message { $0.merges.append("") } == "merge 5 is not two parts with a space between")
    #expect(message { $0.merges.append("c c") } == "merge 5 is about \"cc\", which is no token")
    #expect(message { $0.merges.append("z a") } == "merge 5 is about \"za\", which is no token")
    #expect(message { $0.change = { $0.bosID = 17 } } == "the special token 17 lies outside the vocabulary of 17 tokens")
    #expect(message { $0.change = { $0.eosID = -1 } } == "the special token -1 lies outside the vocabulary of 17 tokens")
    #expect(message { $0.change = { $0.preTokenizer = "martian" } } == "the pre-tokenizer \"martian\" is not known")
    #expect(
      message { $0.change = { $0.model = "llama" } } == "expected the model \"gpt2\" (byte-level BPE), found \"llama\"")
    #expect(PackedStrings(bytes: [1, 0, 0, 0, 0, 0, 0, 0], count: 1) == nil)
    #expect(PackedStrings(bytes: [255, 255, 255, 255, 255, 255, 255, 255], count: 1) == nil)
    #expect(PackedStrings(bytes: [0, 0, 0, 0, 0, 0, 0, 0, 9], count: 1) == nil)
  }
}
