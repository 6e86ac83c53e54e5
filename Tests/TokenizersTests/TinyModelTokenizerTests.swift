import Foundation
import TensorFiles
import Testing
import Tokenizers
import _TestSupport

/// The tokenizer of the model in the repository: these tests need no download.
@Suite struct TinyModelTokenizerTests {
  struct Case: Decodable {
    let text: String, ids_plain: [Int32], ids_bos_special: [Int32]
  }

  static func load() throws -> BytePairTokenizer {
    let file = try Data(contentsOf: Repository.path("models/tiny-stories-1m/tiny-stories-1m.gguf"))
    let catalog = try GGUFFile.readCatalog(file.bytes)
    let description = try #require(try catalog.tokenizerDescription(in: file.bytes))
    return try BytePairTokenizer(description)
  }

  static func cases() throws -> [Case] {
    try JSONDecoder().decode([Case].self, from: Data(contentsOf: Repository.fixture("tiny/tokenizer_tiny.json")))
  }

  @Test func `awkward strings have llama.cpp's ids, and come back`() throws {
    let tokenizer = try Self.load()
    let cases = try Self.cases()
    #expect(cases.count > 40)
    for example in cases {
      let plain = try tokenizer.encode(example.text, addSpecial: false, parseSpecial: false)
      #expect(plain.map(\.rawValue) == example.ids_plain, "\(example.text.debugDescription)")
      #expect(tokenizer.decode(plain) == example.text, "\(example.text.debugDescription)")
      let special = try tokenizer.encode(example.text, addSpecial: true, parseSpecial: true)
      #expect(special.map(\.rawValue) == example.ids_bos_special, "\(example.text.debugDescription)")
    }
  }

  @Test func `the special tokens are the first three, and two of them end a generation`() throws {
    let tokenizer = try Self.load()
    #expect(tokenizer.vocabularySize == 1024)
    #expect(tokenizer.bosID == 1 && tokenizer.eosID == 2 && !tokenizer.addsBOS && !tokenizer.addsEOS)
    #expect(tokenizer.endOfGenerationIDs == [0, 2])
    #expect(tokenizer.kind(of: 2) == .control && tokenizer.kind(of: 3) == .normal)
  }
}
