/// SentencePiece in the form of Llama 2 and Gemma: text starts as its characters, and neighbours whose text together is a
/// token merge, the pair of highest score first, of equal ones the leftmost. A character that is no token falls back to its
/// bytes.
///
/// Spaces are spelled `▁` in the vocabulary; here they are spaces, and a `▁` in the text counts as one. No words are cut: the
/// whole text merges as one, by way of a heap.
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
    specials = SpecialTokenMatcher(table)
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
  public func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool) -> [TokenID] {
    let bytes = Array(text.utf8)
    var ids: [TokenID] = []
    if addSpecial, addsBOS, let bosID { ids.append(bosID) }
    var start = 0
    while start < bytes.count {
      let match = specials.firstMatch(bytes, from: start, control: parseSpecial)
      let end = match?.range.lowerBound ?? bytes.count
      if start < end {
        // Every part begins a text, or stands behind a special token: a space goes before it.
        var part: [UInt8] = addsSpacePrefix ? [0x20] : []
        appendWithSpaces(bytes, start..<end, to: &part)
        merge(part, into: &ids)
      }
      guard let match else { break }
      ids.append(match.id)
      start = match.range.upperBound
    }
    if addSpecial, addsEOS, let eosID { ids.append(eosID) }
    return ids
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

  /// Merges one part of the text and appends its tokens.
  private func merge(_ part: [UInt8], into ids: inout [TokenID]) {
    var symbols = SymbolChain(part)
    var heap = MinimumHeap()
    // The rank of each symbol with its right neighbour, `noRank` where they make no token.
    var pairRanks = [UInt32](repeating: MergeTable.noRank, count: symbols.count)
    func rankPair(_ left: Int) {
      pairRanks[left] = MergeTable.noRank
      let right = symbols.next[left]
      guard right >= 0 else { return }
      let range = symbols.starts[left]..<symbols.ends[Int(right)]
      guard range.count <= tokenByteCountMax, let token = index.find(part.span, range, table) else { return }
      pairRanks[left] = min(ranks[token], MergeTable.noRank - 1)
      heap.insert(UInt64(pairRanks[left]) << 32 | UInt64(left))
    }
    for symbol in 0..<symbols.count { rankPair(symbol) }
    while let entry = heap.popMinimum() {
      // An entry counts only if its pair still has the rank that it was made for.
      let left = Int(entry & 0xFFFF_FFFF)
      guard pairRanks[left] == UInt32(truncatingIfNeeded: entry >> 32) else { continue }
      pairRanks[Int(symbols.next[left])] = MergeTable.noRank
      symbols.mergeWithNext(left)
      rankPair(left)
      if symbols.previous[left] >= 0 { rankPair(Int(symbols.previous[left])) }
    }
    var symbol = 0
    while symbol >= 0, symbol < symbols.count {
      let range = symbols.starts[symbol]..<symbols.ends[symbol]
      if let token = index.find(part.span, range, table), table.kinds[token] != .byte {
        ids.append(TokenID(Int32(token)))
      } else {
        for byte in part[range] {
          let token = byteTokens[Int(byte)]
          if token >= 0 { ids.append(TokenID(token)) } else if let unknownID { ids.append(unknownID) }
        }
      }
      symbol = Int(symbols.next[symbol])
    }
  }
}

/// The characters of a text as a chain from which neighbours can be joined.
private struct SymbolChain {
  let starts: [Int]
  private(set) var ends: [Int]
  private(set) var next: [Int32]
  private(set) var previous: [Int32]

  var count: Int { starts.count }

  init(_ text: [UInt8]) {
    var starts: [Int] = []
    for index in text.indices where text[index] & 0xC0 != 0x80 { starts.append(index) }
    self.starts = starts
    let count = starts.count
    ends = starts.isEmpty ? [] : Array(starts.dropFirst()) + [text.count]
    next = (0..<count).map { $0 + 1 < count ? Int32($0 + 1) : -1 }
    previous = (0..<count).map { Int32($0 - 1) }
  }

  mutating func mergeWithNext(_ symbol: Int) {
    let right = Int(next[symbol])
    ends[symbol] = ends[right]
    next[symbol] = next[right]
    if next[symbol] >= 0 { previous[Int(next[symbol])] = Int32(symbol) }
  }
}
