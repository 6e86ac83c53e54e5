/// Finds tokens that are recognised in text as a whole: at each place the longest one that starts there.
struct SpecialTokenMatcher: Sendable {
  struct Match {
    let range: Range<Int>
    let id: TokenID
  }

  struct Entry: Sendable {
    let bytes: [UInt8]
    let id: TokenID
    /// Control and unknown tokens; the others are user-defined.
    let isControl: Bool
  }

  /// Sorted by bytes, so that the tokens with a common beginning lie together.
  private let tokens: [Entry]
  /// Where the tokens that start with each byte lie in `tokens`.
  private let rangeOfFirstByte: [Range<Int>]

  /// - Throws: `unsupported` for a token longer than `EncodingLimits.specialTokenByteCountMax`, or more of them than
  ///   `EncodingLimits.specialTokenCountMax`.
  init(_ table: TokenTable) throws(TokenizerError) {
    var tokens: [Entry] = []
    for id in 0..<table.count {
      let kind = table.kinds[id]
      guard kind == .control || kind == .userDefined || kind == .unknown else { continue }
      let range = table.range(of: id)
      guard range.count <= EncodingLimits.specialTokenByteCountMax else {
        throw TokenizerError(
          .unsupported,
          "token \(id) is recognised as a whole and has \(range.count) bytes; at most \(EncodingLimits.specialTokenByteCountMax) are "
            + "supported")
      }
      guard tokens.count < EncodingLimits.specialTokenCountMax else {
        throw TokenizerError(
          .unsupported, "more than \(EncodingLimits.specialTokenCountMax) tokens are recognised as a whole; no more are supported")
      }
      if !range.isEmpty {
        tokens.append(Entry(bytes: Array(table.bytes[range]), id: TokenID(Int32(id)), isControl: kind != .userDefined))
      }
    }
    // Of equal ones the first in the vocabulary, so that the order is the same each time.
    tokens.sort { $0.bytes == $1.bytes ? $0.id < $1.id : $0.bytes.lexicographicallyPrecedes($1.bytes) }
    var ranges = [Range<Int>](repeating: 0..<0, count: 256)
    var start = 0
    while start < tokens.count {
      let byte = tokens[start].bytes[0]
      var end = start
      while end < tokens.count, tokens[end].bytes[0] == byte { end += 1 }
      ranges[Int(byte)] = start..<end
      start = end
    }
    self.tokens = tokens
    self.rangeOfFirstByte = ranges
  }

  /// See `Tokenizer.reservedTokens(in:)`.
  func reservedTokens(in literals: [String], endOfGeneration: Set<TokenID>) -> Set<TokenID> {
    var reserved: Set<TokenID> = []
    for token in tokens where !token.isControl {
      let isMarker = token.bytes.starts(with: "<|".utf8) && token.bytes.reversed().starts(with: ">|".utf8)
      let isWideMarker = token.bytes.starts(with: "<｜".utf8) && token.bytes.reversed().starts(with: "｜>".utf8.reversed())
      if isMarker || isWideMarker || endOfGeneration.contains(token.id) { reserved.insert(token.id) }
    }
    var isFound = [Bool](repeating: false, count: tokens.count)
    for literal in literals {
      let bytes = Array(literal.utf8)
      for offset in bytes.indices { forEachMatch(bytes, at: offset, end: bytes.count) { isFound[$0] = true } }
    }
    for (index, token) in tokens.enumerated() where isFound[index] && !token.isControl {
      let text = String(decoding: token.bytes, as: UTF8.self)
      if !text.unicodeScalars.allSatisfy(\.properties.isWhitespace) { reserved.insert(token.id) }
    }
    return reserved
  }

  /// Calls `body` with the numbers of all tokens that stand at an offset and end by `end`, shorter ones first.
  @inline(__always)
  private func forEachMatch(_ text: [UInt8], at offset: Int, end: Int, _ body: (Int) -> Void) {
    var candidates = rangeOfFirstByte[Int(text[offset])]
    var byteCount = 1
    while !candidates.isEmpty {
      // The tokens that are exactly this long come first among those with this beginning.
      while let first = candidates.first, tokens[first].bytes.count == byteCount {
        body(first)
        candidates = first + 1..<candidates.upperBound
      }
      guard offset + byteCount < end else { break }
      let byte = text[offset + byteCount]
      let lower = firstIndex(candidates) { $0[byteCount] >= byte }
      candidates = lower..<firstIndex(lower..<candidates.upperBound) { $0[byteCount] > byte }
      byteCount += 1
    }
  }

  /// The first of the sorted candidates that satisfies a predicate which, once true, stays true.
  private func firstIndex(_ candidates: Range<Int>, where predicate: ([UInt8]) -> Bool) -> Int {
    var (low, high) = (candidates.lowerBound, candidates.upperBound)
    while low < high {
      let middle = (low + high) / 2
      if predicate(tokens[middle].bytes) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// The longest token at an offset that ends by `end`, of equal ones the first; nil when there is none that `isAllowed`.
  private func longestMatch(_ text: [UInt8], at offset: Int, end: Int, where isAllowed: (Entry) -> Bool) -> Entry? {
    var best: Entry?
    forEachMatch(text, at: offset, end: end) { index in
      let token = tokens[index]
      if best?.bytes.count != token.bytes.count, isAllowed(token) { best = token }
    }
    return best
  }
}

extension SpecialTokenMatcher {
  /// Walks the special tokens of a text in their order.
  ///
  /// What only a template may write goes first: it is looked for in template text alone, and nothing that content could contribute
  /// to it or around it hides it. User-defined tokens that are no markers (runs of spaces, say) are then looked for in what is
  /// between, across the border of template and content. In a raw prompt there is one kind only, and the first and longest match
  /// counts, as in llama.cpp.
  struct Scanner {
    private let matcher: SpecialTokenMatcher
    private let bytes: [UInt8]
    private let templateRanges: [Range<Int>]
    private let reserved: Set<TokenID>?
    /// In a raw prompt that is parsed all kinds are found at once.
    private let isRaw: Bool
    private var rangeIndex = 0
    private var position = 0
    /// The next token that only a template may write; nil behind the last.
    private var pending: Match?
    private var hasPending = false

    init(_ matcher: SpecialTokenMatcher, _ text: PromptText, _ bytes: [UInt8]) {
      self.matcher = matcher
      self.bytes = bytes
      templateRanges = text.templateRanges
      reserved = text.reservedTokens
      isRaw = text.reservedTokens == nil
    }

    /// The next match, nil behind the last.
    mutating func next(_ check: inout StopCheck) throws(TokenizerError) -> Match? {
      guard !matcher.tokens.isEmpty else { return nil }
      if !hasPending {
        pending = try nextReserved(&check)
        hasPending = true
      }
      let end = pending?.range.lowerBound ?? bytes.count
      if !(isRaw && !templateRanges.isEmpty) {
        while position < end {
          let offset = position
          position += 1
          try check.spend(1)
          guard !matcher.rangeOfFirstByte[Int(bytes[offset])].isEmpty else { continue }
          let found = matcher.longestMatch(bytes, at: offset, end: end) { !$0.isControl && reserved?.contains($0.id) != true }
          if let found {
            position = offset + found.bytes.count
            return Match(range: offset..<position, id: found.id)
          }
        }
      }
      guard let match = pending else { return nil }
      position = match.range.upperBound
      hasPending = false
      return match
    }

    private mutating func nextReserved(_ check: inout StopCheck) throws(TokenizerError) -> Match? {
      var offset = position
      while rangeIndex < templateRanges.count {
        let range = templateRanges[rangeIndex]
        offset = max(offset, range.lowerBound)
        while offset < range.upperBound {
          try check.spend(1)
          if !matcher.rangeOfFirstByte[Int(bytes[offset])].isEmpty {
            let found = matcher.longestMatch(bytes, at: offset, end: range.upperBound) {
              isRaw || $0.isControl || reserved?.contains($0.id) == true
            }
            if let found { return Match(range: offset..<offset + found.bytes.count, id: found.id) }
          }
          offset += 1
        }
        rangeIndex += 1
      }
      return nil
    }
  }
}
