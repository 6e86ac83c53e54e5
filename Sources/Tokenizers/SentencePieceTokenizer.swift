/// SentencePiece in the form of Llama 2 and Gemma: text starts as its characters, and neighbours whose text together is a
/// token merge, the pair of highest score first, of equal ones the leftmost. A character that is no token falls back to its
/// bytes.
///
/// Spaces are spelled `▁` in the vocabulary; here they are spaces, and a `▁` in the text counts as one. No rule cuts words: the whole
/// text merges as one, by way of a heap. But two neighbouring bytes that stand beside each other in no token can never come into
/// one, so what lies on their two sides merges apart: mostly words, each with a small heap of its own.
///
/// Source: SentencePiece, arXiv:1808.06226, and its BPE model; compared with llama.cpp.
public struct SentencePieceTokenizer: Tokenizer {
  private let table: TokenTable
  private let index: ByteStringIndex
  /// Lower merges first: the scores in descending order, as an unsigned number each.
  private let ranks: [UInt32]
  private let specials: SpecialTokenMatcher
  /// The token of each byte (`<0x0A>`), or of its character; -1 where there is neither.
  private let byteTokens: [Int32]
  private let unknownID: TokenID?
  private let tokenByteCountMax: Int
  private let pairs: BytePairSet

  public let bosID: TokenID?
  public let eosID: TokenID?
  public let addsBOS: Bool
  public let addsEOS: Bool
  public let addsSpacePrefix: Bool
  public let endOfGenerationIDs: Set<TokenID>

  /// - Throws: `unsupported` for another algorithm; `malformed` when scores are missing or no numbers, or ids lie outside the
  ///   vocabulary.
  public init(_ description: TokenizerDescription) throws(TokenizerError) {
    guard description.model == "llama" else {
      throw TokenizerError(.unsupported, "expected the model \"llama\" (SentencePiece), found \"\(description.model)\"")
    }
    let table = try TokenTable(description, spelling: .sentencePiece)
    guard description.scores.count == table.count else {
      throw TokenizerError(.malformed, "\(table.count) tokens, but scores for \(description.scores.count)")
    }
    guard !description.scores.contains(where: \.isNaN) else { throw TokenizerError(.malformed, "a score is no number") }
    try description.requireSpecialTokens(below: table.count)
    ranks = description.scores.map(Self.rank)
    let index = ByteStringIndex(table)
    var byteTokens = (0..<256).map { byte in index.find([UInt8(byte)].span, 0..<1, table).map { Int32($0) } ?? -1 }
    for id in 0..<table.count where table.kinds[id] == .byte { byteTokens[Int(table.bytes[Int(table.offsets[id])])] = Int32(id) }
    self.byteTokens = byteTokens
    self.index = index
    specials = try SpecialTokenMatcher(table)
    pairs = BytePairSet(table)
    tokenByteCountMax = (0..<table.count).reduce(0) { max($0, table.range(of: $1).count) }
    unknownID = description.unknownID.flatMap { 0..<Int32(table.count) ~= $0.rawValue ? $0 : nil }
    bosID = description.bosID
    eosID = description.eosID
    addsBOS = description.addsBOS ?? true
    addsEOS = description.addsEOS ?? false
    addsSpacePrefix = description.addsSpacePrefix ?? true
    endOfGenerationIDs = EndOfGeneration.ids(description, table)
    self.table = table
  }

  /// Floats in descending order as ascending numbers, below `MergeTable.noRank`.
  private static func rank(_ score: Float) -> UInt32 {
    // Both zeros are one score.
    let bits = score == 0 ? 0 : score.bitPattern
    let ascending = bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000
    return ~ascending
  }

  public var vocabularySize: Int { table.count }

  public func bytes(of id: TokenID) -> [UInt8]? {
    guard 0..<Int32(table.count) ~= id.rawValue else { return nil }
    return Array(table.bytes[table.range(of: Int(id.rawValue))])
  }

  public func kind(of id: TokenID) -> TokenKind? {
    guard 0..<Int32(table.count) ~= id.rawValue else { return nil }
    return table.kinds[Int(id.rawValue)]
  }

  /// Costs n log n for a text of n characters.
  public func appendTokens(
    of text: PromptText, to ids: inout [TokenID], isStopped: (() -> Bool)?
  ) throws(TokenizerError) {
    let bytes = try text.checkedBytes()
    var check = StopCheck(isStopped)
    var scanner = SpecialTokenMatcher.Scanner(specials, text, bytes)
    var merger = PieceMerger()
    var start = 0
    while start < bytes.count {
      let match = try scanner.next(&check)
      let end = match?.range.lowerBound ?? bytes.count
      if start < end {
        // Every part begins a text, or stands behind a special token: a space goes before it.
        var part: [UInt8] = addsSpacePrefix ? [0x20] : []
        part.reserveCapacity(end - start + 1)
        appendWithSpaces(bytes, start..<end, to: &part)
        let first = ids.count
        try pairs.forEachWord(part) { (word) throws(TokenizerError) in
          try check.spend(word.count)
          try PromptText.requireWord(word)
          try merge(part, word, &merger, into: &ids, &check)
        }
        table.spellOut(text.reservedTokens, in: &ids, from: first) { byteTokens[Int($0)] }
      }
      guard let match else { break }
      ids.append(match.id)
      start = match.range.upperBound
    }
  }

  public func reservedTokens(in literals: [String]) -> Set<TokenID> {
    specials.reservedTokens(in: literals, endOfGeneration: endOfGenerationIDs)
  }

  private func appendWithSpaces(_ bytes: [UInt8], _ range: Range<Int>, to part: inout [UInt8]) {
    var index = range.lowerBound
    while index < range.upperBound {
      if bytes[index] == 0xE2, index + 2 < range.upperBound, bytes[index + 1] == 0x96, bytes[index + 2] == 0x81 {
        part.append(0x20)
        index += 3
      } else {
        part.append(bytes[index])
        index += 1
      }
    }
  }

  /// Merges one word of the text and appends its tokens.
  private func merge(
    _ part: [UInt8], _ word: Range<Int>, _ merger: inout PieceMerger, into ids: inout [TokenID], _ check: inout StopCheck
  ) throws(TokenizerError) {
    merger.begin(part, word)
    try merger.run(&check) { range in
      guard range.count <= tokenByteCountMax, let token = index.find(part.span, range, table) else { return MergeTable.noRank }
      return min(ranks[token], MergeTable.noRank - 1)
    }
    merger.forEachPiece { range in
      if let token = index.find(part.span, range, table), table.kinds[token] != .byte {
        ids.append(TokenID(Int32(token)))
      } else {
        for byte in part[range] {
          let token = byteTokens[Int(byte)]
          if token >= 0 { ids.append(TokenID(token)) } else if let unknownID { ids.append(unknownID) }
        }
      }
    }
  }
}

/// Which two bytes stand beside each other in any token: 8 KiB of bits.
private struct BytePairSet: Sendable {
  private var bits = [UInt64](repeating: 0, count: 1024)

  init(_ table: TokenTable) {
    for id in 0..<table.count where table.kinds[id] != .control && table.kinds[id] != .unknown && table.kinds[id] != .byte {
      let range = table.range(of: id)
      for index in range.dropFirst() {
        let pair = Int(table.bytes[index - 1]) << 8 | Int(table.bytes[index])
        bits[pair >> 6] |= 1 << UInt64(pair & 63)
      }
    }
  }

  /// Calls `body` with the parts of a text that merge apart; together they cover it.
  func forEachWord(_ text: [UInt8], _ body: (Range<Int>) throws(TokenizerError) -> Void) throws(TokenizerError) {
    var start = 0
    for index in text.indices.dropFirst() {
      // The bytes of one character belong together whether a token holds them or not.
      guard text[index] & 0xC0 != 0x80 else { continue }
      let pair = Int(text[index - 1]) << 8 | Int(text[index])
      guard bits[pair >> 6] & 1 << UInt64(pair & 63) == 0 else { continue }
      try body(start..<index)
      start = index
    }
    if start < text.count { try body(start..<text.count) }
  }
}

/// The characters of a word as a chain in which neighbours are joined, the pair of lowest rank first. Keeps its buffers from word to
/// word: some 30 bytes for each character.
private struct PieceMerger {
  /// Where each character starts in the text, and where the last ends.
  private var starts: [Int32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  /// The rank of each symbol with its right neighbour, `noRank` where they make no token.
  private var ranks: [UInt32] = []
  private var heap = MinimumHeap()

  private var count: Int { next.count }

  mutating func begin(_ text: [UInt8], _ word: Range<Int>) {
    starts.removeAll(keepingCapacity: true)
    next.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    ranks.removeAll(keepingCapacity: true)
    heap.removeAll()
    for index in word where text[index] & 0xC0 != 0x80 || index == word.lowerBound {
      let symbol = Int32(starts.count)
      starts.append(Int32(index))
      next.append(symbol + 1)
      previous.append(symbol - 1)
      ranks.append(MergeTable.noRank)
    }
    next[next.count - 1] = -1
    starts.append(Int32(word.upperBound))
  }

  /// - Parameter rank: of the piece of a range, `noRank` when it is no token.
  mutating func run(_ check: inout StopCheck, _ rank: (Range<Int>) -> UInt32) throws(TokenizerError) {
    for symbol in 0..<count { rankPair(symbol, rank) }
    while let entry = heap.popMinimum() {
      // An entry counts only if its pair still has the rank that it was made for.
      let left = Int(entry & 0xFFFF_FFFF)
      guard ranks[left] == UInt32(truncatingIfNeeded: entry >> 32) else { continue }
      let right = Int(next[left])
      // Pieces are hashed whole, and vocabularies may have long ones.
      try check.spend(16 + range(left).count / 8)
      ranks[right] = MergeTable.noRank
      next[left] = next[right]
      if next[left] >= 0 { previous[Int(next[left])] = Int32(left) }
      rankPair(left, rank)
      if previous[left] >= 0 { rankPair(Int(previous[left]), rank) }
    }
  }

  private func range(_ symbol: Int) -> Range<Int> {
    Int(starts[symbol])..<Int(next[symbol] >= 0 ? starts[Int(next[symbol])] : starts[count])
  }

  private mutating func rankPair(_ left: Int, _ rank: (Range<Int>) -> UInt32) {
    ranks[left] = MergeTable.noRank
    guard next[left] >= 0 else { return }
    ranks[left] = rank(Int(starts[left])..<range(Int(next[left])).upperBound)
    if ranks[left] != MergeTable.noRank { heap.insert(UInt64(ranks[left]) << 32 | UInt64(left)) }
  }

  func forEachPiece(_ body: (Range<Int>) -> Void) {
    var symbol = 0
    while symbol >= 0, symbol < count {
      body(range(symbol))
      symbol = Int(next[symbol])
    }
  }
}
