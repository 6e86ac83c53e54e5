import Foundation
import Tokenizers

extension FuzzTarget {
  /// Parts of the input are divided by the byte 0xFF: numbers, tokens, merges, text. Tokens and merges are divided by zero bytes;
  /// a token begins with the number of its kind.
  static let tokenizer = FuzzTarget(
    "tokenizer", "a vocabulary with merges or scores, and a text: encoded and decoded", inputByteCountMax: 2048,
    dictionary: ["<|im_end|>", "<s>", "</s>", "\u{2581}", "\u{120}", "a b", "aaaa", "1", "3", "4", "6", "<0x41>", "\u{1F600}", "\u{301}", "'s", "123"],
    bytes: [[0xFF], [0x00], [0xE2, 0x96]],
    seeds: { _ in
      func seed(_ numbers: [UInt8], _ tokens: [String], _ merges: [String], _ text: String) -> [UInt8] {
        numbers + [0xFF] + Array(tokens.joined(separator: "\0").utf8) + [0xFF] + Array(merges.joined(separator: "\0").utf8) + [0xFF]
          + Array(text.utf8)
      }
      return [
        seed([0, 1, 1, 0, 0, 0], ["3<|im_end|>", "1he", "1hel", "4user"], ["h e", "he l"], "hello <|im_end|> user\n 123's"),
        seed([0, 0, 0, 0, 1, 2], ["1a", "1b", "1ab", "3<s>"], ["a b"], "abab <s>"),
        seed([1, 1, 1, 1, 0, 0], ["2<unk>", "3<s>", "3</s>", "1\u{2581}he", "1he", "1l", "1o", "1hel"], [], "hello </s> he"),
        seed([1, 0, 0, 0, 1, 3], ["2<unk>", "3<s>", "1</", "1s", "1>", "1</s", "3</s>"], [], "</s>"),
      ]
    }
  ) { (input) throws(BrokenPromise) in
    let parts = input.split(separator: 0xFF, maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, let (description, isComplete) = TokenizerChecks.description(parts) else { return }
    guard let tokenizer = try? description.makeTokenizer() else { return }
    let text = String(decoding: parts[3], as: UTF8.self)
    let plain = try TokenizerChecks.check(tokenizer, text, unknownID: description.unknownID)
    // A vocabulary that spells every byte gives every text back.
    guard isComplete, !text.contains("\u{2581}"), !plain.contains(where: { tokenizer.kind(of: $0) == .unknown }) else { return }
    // SentencePiece puts a space before each part between user-defined tokens, and only the first is taken away again.
    if tokenizer.addsSpacePrefix, plain.contains(where: { tokenizer.kind(of: $0) == .userDefined }) { return }
    try promise(tokenizer.decode(plain, renderSpecial: true) == text, "encoding and decoding \(text.debugDescription) gives \(tokenizer.decode(plain).debugDescription)")
  }
}

enum TokenizerChecks {
  /// What holds of any tokenizer and text. Gives the ids of the text as a stranger's.
  /// - Parameter unknownID: what stands for text that the vocabulary cannot spell; some files call it a control token.
  static func check(_ tokenizer: any Tokenizer, _ text: String, unknownID: TokenID?) throws(BrokenPromise) -> [TokenID] {
    let plain = try ids(tokenizer, PromptText(raw: text, parseSpecial: false))
    let content = try ids(tokenizer, PromptText(rendered: text, templateRanges: [], reservedTokens: tokenizer.reservedTokens(in: [text])))
    for (who, ids) in [("plain text", plain), ("content of a message", content)] {
      for id in ids {
        guard let kind = tokenizer.kind(of: id) else { throw BrokenPromise("encoding gives \(id), which is no token") }
        try promise(kind != .control || id == unknownID, "\(who) gives the control token \(id), \(tokenizer.pieces([id]))")
      }
    }
    // A template that wrote the first half, up to within a character perhaps.
    let half = text.utf8.count / 2
    let special = try ids(tokenizer, PromptText(raw: text, parseSpecial: true))
    let mixed = try ids(tokenizer, PromptText(rendered: text, templateRanges: half > 0 ? [0..<half] : [], reservedTokens: []))
    for id in special + mixed { try promise(tokenizer.kind(of: id) != nil, "encoding gives \(id), which is no token") }
    for ids in [plain, special] {
      var decoder = StreamingDecoder(tokenizer)
      var streamed = ""
      for id in ids { streamed += decoder.push(id) }
      streamed += decoder.finish()
      let whole = tokenizer.decode(ids)
      try promise(streamed == whole || tokenizer.addsSpacePrefix && streamed.utf8.dropFirst().elementsEqual(whole.utf8), "a text decoded token by token differs")
    }
    for id in [-1, Int32(clamping: tokenizer.vocabularySize), .min, .max] {
      try promise(tokenizer.kind(of: TokenID(id)) == nil, "\(id) is no token, but has a kind")
      _ = tokenizer.decode([TokenID(id)])
    }
    return plain
  }

  /// Texts here are far shorter than what encoding refuses.
  private static func ids(_ tokenizer: any Tokenizer, _ text: PromptText) throws(BrokenPromise) -> [TokenID] {
    var ids: [TokenID] = []
    do throws(TokenizerError) { try tokenizer.appendTokens(of: text, to: &ids, isStopped: nil) } catch {
      throw BrokenPromise("a short text is not encoded: \(error)")
    }
    return ids
  }

  /// GPT-2's spelling of bytes as printable characters, in the order of the bytes.
  private static let byteAlphabet: [String] = {
    var next: UInt32 = 256
    return (UInt32(0)..<256).compactMap { byte in
      let isPrintable = (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte)
      if !isPrintable { next += 1 }
      return Unicode.Scalar(isPrintable ? byte : next - 1).map { String(Character($0)) }
    }
  }()

  static func description(_ parts: [ArraySlice<UInt8>]) -> (TokenizerDescription, isComplete: Bool)? {
    var numbers = InputReader(Array(parts[0]))
    let isSentencePiece = numbers.bool()
    let isComplete = numbers.bool()
    var tokens: [String] = []
    var kinds: [Int32] = []
    if isComplete {
      tokens = isSentencePiece ? (0..<256).map { "<0x" + ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) + ">" } : byteAlphabet
      kinds = .init(repeating: isSentencePiece ? 6 : 1, count: 256)
    }
    for token in parts[1].split(separator: 0, omittingEmptySubsequences: false).prefix(64) {
      tokens.append(String(decoding: token.dropFirst(), as: UTF8.self))
      kinds.append(token.first.map { Int32($0) - 0x30 } ?? 1)
    }
    var description = TokenizerDescription(model: isSentencePiece ? "llama" : "gpt2", tokens: PackedStrings(tokens))
    description.tokenKinds = kinds
    description.merges = PackedStrings(
      parts[2].split(separator: 0, omittingEmptySubsequences: false).prefix(64).map { String(decoding: $0, as: UTF8.self) })
    description.addsBOS = numbers.bool()
    description.addsEOS = numbers.bool()
    description.addsSpacePrefix = numbers.bool()
    description.preTokenizer = numbers.element(of: ["smollm", "gpt-2", "llama-bpe", "qwen2", nil, "default"])
    if isSentencePiece {
      let step = Float(Int8(bitPattern: numbers.byte()))
      description.scores = tokens.indices.map { numbers.isAtEnd ? -Float($0) : Float($0 % 7) * step }
    }
    if tokens.count > 1 {
      description.bosID = TokenID(Int32(tokens.count - 1))
      description.eosID = TokenID(Int32(tokens.count - 2))
      if isSentencePiece { description.unknownID = TokenID(Int32(numbers.byte())) }
    }
    return (description, isComplete)
  }
}
