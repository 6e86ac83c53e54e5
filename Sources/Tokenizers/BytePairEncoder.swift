/// Merges the symbols of one word: always the pair of lowest rank, of equal ones the leftmost, until no pair merges.
///
/// Keeps its buffers from word to word. Short words are searched for the best pair each time, which is quadratic and fast;
/// longer ones take a heap, so that a run of n letters costs n log n.
struct BytePairEncoder {
  private let merges: MergeTable
  private var symbols: [UInt32] = []
  /// Rank of each symbol with its right neighbour.
  private var ranks: [UInt32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var heap = MinimumHeap()

  /// From this many symbols on the heap is the faster way.
  private static let heapSymbolCountMin = 40

  init(_ merges: MergeTable) {
    self.merges = merges
    symbols.reserveCapacity(Self.heapSymbolCountMin)
    ranks.reserveCapacity(Self.heapSymbolCountMin)
  }

  /// Empties the word.
  mutating func begin() { symbols.removeAll(keepingCapacity: true) }

  /// Adds a symbol to the word.
  mutating func append(_ symbol: UInt32) { symbols.append(symbol) }

  /// Merges the word and appends what is left of it.
  mutating func finish(into ids: inout [TokenID], _ check: inout StopCheck) throws(TokenizerError) {
    if symbols.count < Self.heapSymbolCountMin { mergeShort() } else { try mergeLong(&check) }
    for symbol in symbols { ids.append(TokenID(Int32(bitPattern: symbol))) }
  }

  private mutating func mergeShort() {
    guard symbols.count > 1 else { return }
    ranks.removeAll(keepingCapacity: true)
    for index in 1..<symbols.count { ranks.append(merges.rank(left: symbols[index - 1], right: symbols[index])) }
    while true {
      var best = MergeTable.noRank
      var position = 0
      for index in ranks.indices where ranks[index] < best {
        best = ranks[index]
        position = index
      }
      guard best != MergeTable.noRank else { return }
      symbols[position] = merges.results[Int(best)]
      symbols.remove(at: position + 1)
      ranks.remove(at: position)
      if position < ranks.count { ranks[position] = merges.rank(left: symbols[position], right: symbols[position + 1]) }
      if position > 0 { ranks[position - 1] = merges.rank(left: symbols[position - 1], right: symbols[position]) }
    }
  }

  private mutating func mergeLong(_ check: inout StopCheck) throws(TokenizerError) {
    let count = symbols.count
    ranks = [UInt32](repeating: MergeTable.noRank, count: count)
    next = (0..<count).map { $0 + 1 < count ? Int32($0 + 1) : -1 }
    previous = (0..<count).map { Int32($0 - 1) }
    heap.removeAll()
    for index in 0..<count - 1 { rankPair(index, index + 1) }
    while let entry = heap.popMinimum() {
      try check.spend(16)
      // Entries are not taken back when their pair changes: one is good only if its pair still has the rank it was made for.
      let (rank, left) = (UInt32(truncatingIfNeeded: entry >> 32), Int(entry & 0xFFFF_FFFF))
      guard ranks[left] == rank else { continue }
      let right = Int(next[left])
      symbols[left] = merges.results[Int(rank)]
      ranks[right] = MergeTable.noRank
      next[left] = next[right]
      if next[left] >= 0 { previous[Int(next[left])] = Int32(left) }
      rankPair(left, Int(next[left]))
      if previous[left] >= 0 { rankPair(Int(previous[left]), left) }
    }
    var kept: [UInt32] = []
    var index = 0
    while index >= 0 {
      kept.append(symbols[index])
      index = Int(next[index])
    }
    symbols = kept
  }

  /// Looks up the rank of two neighbours; `right` is -1 at the end of the word.
  private mutating func rankPair(_ left: Int, _ right: Int) {
    ranks[left] = right < 0 ? MergeTable.noRank : merges.rank(left: symbols[left], right: symbols[right])
    if ranks[left] != MergeTable.noRank { heap.insert(UInt64(ranks[left]) << 32 | UInt64(left)) }
  }
}

/// A binary heap of words, least first.
struct MinimumHeap {
  private var words: [UInt64] = []

  mutating func removeAll() { words.removeAll(keepingCapacity: true) }

  mutating func insert(_ word: UInt64) {
    var child = words.count
    words.append(word)
    while child > 0 {
      let parent = (child - 1) / 2
      guard words[parent] > word else { break }
      words[child] = words[parent]
      child = parent
    }
    words[child] = word
  }

  mutating func popMinimum() -> UInt64? {
    guard let least = words.first, let last = words.popLast() else { return nil }
    guard !words.isEmpty else { return least }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < words.count else { break }
      if child + 1 < words.count, words[child + 1] < words[child] { child += 1 }
      guard words[child] < last else { break }
      words[parent] = words[child]
      parent = child
    }
    words[parent] = last
    return least
  }
}
