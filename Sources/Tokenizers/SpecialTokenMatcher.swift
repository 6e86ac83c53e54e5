/// Finds tokens that are recognised in text as a whole: at each place the longest one that starts there.
struct SpecialTokenMatcher: Sendable {
  struct Match {
    let range: Range<Int>
    let id: TokenID
  }

  /// Sorted by bytes, so that the tokens with a common beginning lie together.
  private let tokens: [(bytes: [UInt8], id: TokenID, isControl: Bool)]
  /// Where the tokens that start with each byte lie in `tokens`.
  private let rangeOfFirstByte: [Range<Int>]

  init(_ table: TokenTable) {
    var tokens: [(bytes: [UInt8], id: TokenID, isControl: Bool)] = []
    for id in 0..<table.count {
      let kind = table.kinds[id]
      guard kind == .control || kind == .userDefined || kind == .unknown else { continue }
      let bytes = Array(table.bytes[table.range(of: id)])
      if !bytes.isEmpty { tokens.append((bytes, TokenID(Int32(id)), kind != .userDefined)) }
    }
    tokens.sort { $0.bytes.lexicographicallyPrecedes($1.bytes) }
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

  /// The first match from `start` on.
  /// - Parameter control: whether control tokens count, or user-defined ones only.
  func firstMatch(_ text: [UInt8], from start: Int, control: Bool) -> Match? {
    guard !tokens.isEmpty else { return nil }
    for offset in start..<text.count where !rangeOfFirstByte[Int(text[offset])].isEmpty {
      if let match = longestMatch(text, at: offset, control: control) { return match }
    }
    return nil
  }

  private func longestMatch(_ text: [UInt8], at offset: Int, control: Bool) -> Match? {
    var candidates = rangeOfFirstByte[Int(text[offset])]
    var best: Match?
    var byteCount = 1
    while !candidates.isEmpty {
      // The tokens that are exactly this long come first among those with this beginning.
      while let first = candidates.first, tokens[first].bytes.count == byteCount {
        if best?.range.count != byteCount, control || !tokens[first].isControl {
          best = Match(range: offset..<offset + byteCount, id: tokens[first].id)
        }
        candidates = first + 1..<candidates.upperBound
      }
      guard offset + byteCount < text.count else { break }
      let byte = text[offset + byteCount]
      let lower = firstIndex(candidates) { $0[byteCount] >= byte }
      candidates = lower..<firstIndex(lower..<candidates.upperBound) { $0[byteCount] > byte }
      byteCount += 1
    }
    return best
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
}
