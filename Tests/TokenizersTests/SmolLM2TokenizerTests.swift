import Foundation
import TensorFiles
import Testing
import Tokenizers
import _TestSupport

/// SmolLM2's tokenizer from its file, built once.
enum SmolLM2 {
  static let tokenizer: BytePairTokenizer? = try? load()

  static func load() throws -> BytePairTokenizer? {
    guard let url = Repository.smolLM2 else { return nil }
    let file = try Data(contentsOf: url, options: .alwaysMapped)
    let catalog = try GGUFFile.readCatalog(file.bytes)
    return try catalog.tokenizerDescription(in: file.bytes).map { try BytePairTokenizer($0) }
  }
}

@Suite(.enabled(if: Repository.smolLM2 != nil, "run `make fetch` first: SmolLM2's file is not there"))
struct SmolLM2TokenizerTests {
  struct Case: Decodable {
    let text: String, ids_plain: [Int32], ids_bos_special: [Int32]
  }

  func check(_ cases: [Case]) throws {
    let tokenizer = try #require(try SmolLM2.load())
    for example in cases {
      let plain = try tokenizer.encode(example.text, addSpecial: false, parseSpecial: false)
      #expect(plain.map(\.rawValue) == example.ids_plain, "\(example.text.debugDescription)")
      let special = try tokenizer.encode(example.text, addSpecial: true, parseSpecial: true)
      #expect(special.map(\.rawValue) == example.ids_bos_special, "\(example.text.debugDescription)")
    }
  }

  @Test(.enabled(if: Repository.sharedPath("reference/tokenizer_smollm2.json") != nil, "the reference results are not there"))
  func `the reference's strings have the reference's ids, and come back`() throws {
    let url = try #require(Repository.sharedPath("reference/tokenizer_smollm2.json"))
    let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: url))
    #expect(cases.count == 150)
    try check(cases)
    let tokenizer = try #require(SmolLM2.tokenizer)
    for example in cases {
      #expect(tokenizer.decode(example.ids_plain.map { TokenID($0) }) == example.text)
    }
  }

  @Test func `awkward strings have llama.cpp's ids`() throws {
    let url = Repository.fixture("Tokenizers/smollm2.json")
    let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: url))
    #expect(cases.count > 500)
    try check(cases)
  }

  @Test func `special ids are those of the file, and of the texts that end a generation`() throws {
    let tokenizer = try #require(SmolLM2.tokenizer)
    #expect(tokenizer.vocabularySize == 49152)
    #expect(tokenizer.bosID == 1 && tokenizer.eosID == 2 && !tokenizer.addsBOS && !tokenizer.addsEOS)
    #expect(tokenizer.endOfGenerationIDs == [0, 2, 4])
    #expect(tokenizer.kind(of: 1) == .control && tokenizer.kind(of: 100) == .normal)
    #expect(tokenizer.kind(of: -1) == nil && tokenizer.kind(of: 49152) == nil && tokenizer.bytes(of: 49152) == nil)
  }

  @Test func `every token alone decodes to its bytes, and control tokens to nothing`() throws {
    let tokenizer = try #require(SmolLM2.tokenizer)
    for id in Int32(0)..<49152 {
      let bytes = try #require(tokenizer.bytes(of: TokenID(id)))
      let text = tokenizer.decode([TokenID(id)])
      #expect(text == (id < 17 ? "" : String(decoding: bytes, as: UTF8.self)))
    }
    #expect(tokenizer.decode([1, 100, 2], renderSpecial: true).hasPrefix("<|im_start|>"))
  }

  @Test func `a run of one letter costs n log n, and comes back`() throws {
    let tokenizer = try #require(SmolLM2.tokenizer)
    for unit in ["a", "=", " ", "\n", "é", "ha"] {
      let text = String(repeating: unit, count: 100_000)
      let ids = try tokenizer.encode(text, addSpecial: false, parseSpecial: true)
      #expect(tokenizer.decode(ids) == text)
      // Token counts of a run are those of its doubled half, but for the seam.
      #expect(ids.count < text.utf8.count)
    }
  }

  @Test func `pieces are for people`() throws {
    let tokenizer = try #require(SmolLM2.tokenizer)
    let ids = try tokenizer.encode("<|im_start|>Hello, 🙂", addSpecial: false, parseSpecial: true)
    let pieces = tokenizer.pieces(ids)
    #expect(pieces.first == "<|im_start|>")
    #expect(pieces.count == ids.count && pieces.contains("Hello"))
  }
}
