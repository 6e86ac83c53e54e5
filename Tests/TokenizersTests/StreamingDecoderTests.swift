import Testing
import Tokenizers
import _TestSupport

/// One token per byte, and one control token.
struct ByteTokenizer: Tokenizer {
  func appendTokens(of text: PromptText, to ids: inout [TokenID], isStopped: (() -> Bool)?) {
    ids += text.text.utf8.map { TokenID(Int32($0)) }
  }
  func reservedTokens(in literals: [String]) -> Set<TokenID> { [] }
  func bytes(of id: TokenID) -> [UInt8]? {
    id == 256 ? Array("<end>".utf8) : UInt8(exactly: id.rawValue).map { [$0] }
  }
  func kind(of id: TokenID) -> TokenKind? { id == 256 ? .control : id.rawValue < 256 ? .byte : nil }
  var vocabularySize: Int { 257 }
  var bosID: TokenID? { nil }
  var eosID: TokenID? { 256 }
  var addsBOS: Bool { false }
  var addsEOS: Bool { false }
  var endOfGenerationIDs: Set<TokenID> { [256] }
}

@Suite struct StreamingDecoderTests {
  func stream(_ bytes: [UInt8]) -> (parts: [String], end: String) {
    var decoder = StreamingDecoder(ByteTokenizer())
    return (bytes.map { decoder.push(TokenID(Int32($0))) }, decoder.finish())
  }

  @Test func `characters come whole, at their last byte`() {
    let (parts, end) = stream(Array("aé日🙂!".utf8))
    #expect(parts == ["a", "", "é", "", "", "日", "", "", "", "🙂", "!"])
    #expect(end == "")
  }

  @Test(arguments: [[0xC3], [0xE6, 0x97], [0xF0, 0x9F, 0x99]] as [[UInt8]])
  func `what is incomplete at the end is one U+FFFD`(bytes: [UInt8]) {
    let (parts, end) = stream(bytes)
    #expect(parts.joined() == "" && end == "\u{FFFD}")
  }

  @Test func `bytes that start no character are not waited for`() {
    for bytes: [UInt8] in [[0x80], [0xFF], [0xC0], [0xE0, 0x80], [0xED, 0xA0], [0xF4, 0x90], [0xF5]] {
      let (parts, end) = stream(bytes)
      #expect(end == "", "\(bytes)")
      #expect(parts.joined() == String(decoding: bytes, as: UTF8.self), "\(bytes)")
    }
  }

  @Test func `parts add up to what decoding all at once gives, also of random bytes`() {
    let seed: UInt64 = 99
    var generator = SeededGenerator(seed: seed)
    let interesting: [UInt8] = [0x41, 0x80, 0xBF, 0xC2, 0xC3, 0xE0, 0xED, 0xE6, 0x9F, 0xA0, 0xF0, 0x90, 0x8F, 0xF4, 0xFF]
    for _ in 0..<5000 {
      let bytes = (0..<Int.random(in: 0...12, using: &generator)).map { _ in interesting.randomElement(using: &generator)! }
      let (parts, end) = stream(bytes)
      #expect(parts.joined() + end == String(decoding: bytes, as: UTF8.self), "seed \(seed): \(bytes)")
    }
  }

  @Test func `control tokens give no text unless asked for, and do not break a character`() {
    var decoder = StreamingDecoder(ByteTokenizer())
    #expect([0xC3, 256, 0xA9].map { decoder.push($0) } == ["", "", "é"])
    #expect(ByteTokenizer().decode([65, 256]) == "A")
    #expect(ByteTokenizer().decode([65, 256], renderSpecial: true) == "A<end>")
    #expect(ByteTokenizer().decode([65, 300, -1]) == "A\u{FFFD}\u{FFFD}")
  }
}
