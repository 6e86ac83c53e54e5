/// Byte-level BPE, the tokenizer of GPT-2 and its many heirs: text is cut into words (`PreTokenizer`), each word starts as its
/// UTF-8 bytes, and pairs of neighbours merge in the order that training found.
///
/// Source: GPT-2 (Radford et al. 2019), §2.2; merges: arXiv:1508.07909. Compared with llama.cpp.
public struct BytePairTokenizer: Tokenizer {
  private let table: TokenTable
  private let merges: MergeTable
  private let preTokenizer: PreTokenizer
  private let specials: SpecialTokenMatcher
  /// The token of each single byte, -1 where the vocabulary has none.
  private let byteTokens: [Int32]
  /// Kept where whole words are looked up before any merge (Llama 3), nil elsewhere.
  private let wholeWords: ByteStringIndex?

  public let bosID: TokenID?
  public let eosID: TokenID?
  public let addsBOS: Bool
  public let addsEOS: Bool
  public let endOfGenerationIDs: Set<TokenID>

  /// Builds the tables: a few milliseconds and two megabytes for 49152 tokens.
  /// - Throws: `unsupported` for another algorithm or an unknown pre-tokenizer; `malformed` when merges name tokens that do
  ///   not exist, or ids lie outside the vocabulary.
  public init(_ description: TokenizerDescription) throws(TokenizerError) {
    guard description.model == "gpt2" else {
      throw TokenizerError(.unsupported, "expected the model \"gpt2\" (byte-level BPE), found \"\(description.model)\"")
    }
    let preTokenizer = try PreTokenizer(named: description.preTokenizer)
    let alphabet = ByteLevelAlphabet()
    let table = try TokenTable(description, spelling: .byteLevel(alphabet))
    let index = ByteStringIndex(table)
    try description.requireSpecialTokens(below: table.count)
    self.merges = try MergeTable(description.merges, table: table, index: index, alphabet: alphabet)
    self.byteTokens = (0..<256).map { byte in index.find([UInt8(byte)].span, 0..<1, table).map { Int32($0) } ?? -1 }
    self.specials = try SpecialTokenMatcher(table)
    // The family of Llama 3 was published with words that are tokens but that its merges do not make, and with a BOS.
    let isLlama3 = preTokenizer == .llama3 && !["dbrx", "smaug-bpe"].contains(description.preTokenizer)
    self.wholeWords = isLlama3 ? index : nil
    self.preTokenizer = preTokenizer
    self.table = table
    self.bosID = description.bosID
    self.eosID = description.eosID
    self.addsBOS = description.addsBOS ?? isLlama3
    self.addsEOS = description.addsEOS ?? false
    self.endOfGenerationIDs = EndOfGeneration.ids(description, table)
  }

  public var vocabularySize: Int { table.count }

  public func bytes(of id: TokenID) -> [UInt8]? {
    guard 0..<Int32(table.count) ~= id.rawValue else { return nil }
    return Array(table.bytes[table.range(of: Int(id.rawValue))])
  }

  public func appendBytes(of id: TokenID, to bytes: inout [UInt8]) -> Bool {
    guard 0..<Int32(table.count) ~= id.rawValue else { return false }
    bytes += table.bytes[table.range(of: Int(id.rawValue))]
    return true
  }

  public func kind(of id: TokenID) -> TokenKind? {
    guard 0..<Int32(table.count) ~= id.rawValue else { return nil }
    return table.kinds[Int(id.rawValue)]
  }

  /// Linear in the length of the text, but for words of n letters, which cost n log n.
  ///
  /// A byte for which the vocabulary has no token gives none: SmolLM2 lacks six control characters, and the reference
  /// implementations leave them out likewise.
  public func appendTokens(
    of text: PromptText, to ids: inout [TokenID], isStopped: (() -> Bool)?
  ) throws(TokenizerError) {
    let bytes = try text.checkedBytes()
    ids.reserveCapacity(ids.count + bytes.count / 3 + 2)
    var check = StopCheck(isStopped)
    var scanner = SpecialTokenMatcher.Scanner(specials, text, bytes)
    var encoder = BytePairEncoder(merges)
    var start = 0
    while start < bytes.count {
      let match = try scanner.next(&check)
      let first = ids.count
      try preTokenizer.forEachWord(bytes, start..<(match?.range.lowerBound ?? bytes.count)) { (word) throws(TokenizerError) in
        try check.spend(word.count)
        try encodeWord(bytes, word, &encoder, &ids, &check)
      }
      table.spellOut(text.reservedTokens, in: &ids, from: first) { byteTokens[Int($0)] }
      guard let match else { break }
      ids.append(match.id)
      start = match.range.upperBound
    }
  }

  public func reservedTokens(in literals: [String]) -> Set<TokenID> {
    specials.reservedTokens(in: literals, endOfGeneration: endOfGenerationIDs)
  }

  @inline(__always)
  private func encodeWord(
    _ bytes: [UInt8], _ word: Range<Int>, _ encoder: inout BytePairEncoder, _ ids: inout [TokenID], _ check: inout StopCheck
  ) throws(TokenizerError) {
    try PromptText.requireWord(word)
    if let wholeWords, let id = wholeWords.find(bytes.span, word, table) {
      ids.append(TokenID(Int32(id)))
      return
    }
    encoder.begin()
    for index in word {
      let token = byteTokens[Int(bytes[index])]
      if token >= 0 {
        encoder.append(UInt32(bitPattern: token))
      } else {
        // A byte without a token gives none, but what stands on its two sides does not merge across it.
        try encoder.finish(into: &ids, &check)
        encoder.begin()
      }
    }
    try encoder.finish(into: &ids, &check)
  }
}
