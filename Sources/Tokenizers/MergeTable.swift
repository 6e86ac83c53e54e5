/// Which pair of tokens merges into which, and in what order: an open-addressing hash table of one word per merge.
///
///     | left id, 22 bits | right id, 22 bits | rank, 20 bits |      all ones: a free slot
///
/// One word is one memory access per probe; 48900 merges take 1 MiB, and the tokens that they make 200 KB.
struct MergeTable: Sendable {
  static let tokenCountMax = 1 << 22
  static let mergeCountMax = 1 << 20
  static let noRank = UInt32.max

  private var slots: [UInt64]
  private let shift: UInt64
  private let mask: Int
  /// Odd, and another for each tokenizer: merges that all hash alike cannot be made beforehand.
  private let multiplier = UInt64.random(in: 0...UInt64.max) | 1
  /// The token that the merge of each rank makes.
  private(set) var results: [UInt32] = []

  init(capacityFor mergeCount: Int) {
    var bitCount: UInt64 = 4
    while 1 << bitCount < 2 * mergeCount { bitCount += 1 }
    slots = [UInt64](repeating: .max, count: 1 << bitCount)
    shift = 64 - bitCount
    mask = 1 << bitCount - 1
    results.reserveCapacity(mergeCount)
  }

  /// Adds the next merge; of two with the same parts the first counts.
  mutating func append(left: Int, right: Int, result: Int) {
    let key = UInt64(left) << 22 | UInt64(right)
    var slot = firstSlot(key)
    while slots[slot] != .max {
      if slots[slot] >> 20 == key {
        results.append(UInt32(result))
        return
      }
      slot = (slot + 1) & mask
    }
    slots[slot] = key << 20 | UInt64(results.count)
    results.append(UInt32(result))
  }

  /// The rank of a pair, `noRank` when it does not merge. Lower ranks merge first.
  @inline(__always)
  func rank(left: UInt32, right: UInt32) -> UInt32 {
    let key = UInt64(left) << 22 | UInt64(right)
    var slot = firstSlot(key)
    while true {
      let word = slots[slot]
      if word >> 20 == key { return UInt32(truncatingIfNeeded: word & 0xF_FFFF) }
      if word == .max { return Self.noRank }
      slot = (slot + 1) & mask
    }
  }

  /// Multiply-shift hashing: the upper bits of a product with a random odd number (Dietzfelbinger and others 1997).
  @inline(__always)
  private func firstSlot(_ key: UInt64) -> Int { Int(truncatingIfNeeded: (key &* multiplier) >> shift) }
}

extension MergeTable {
  /// Reads merges written as two spellings with a space between.
  init(
    _ merges: PackedStrings, table: TokenTable, index: ByteStringIndex, alphabet: ByteLevelAlphabet
  ) throws(TokenizerError) {
    guard merges.count < Self.mergeCountMax else {
      throw TokenizerError(.unsupported, "\(merges.count) merges; fewer than \(Self.mergeCountMax) are supported")
    }
    self.init(capacityFor: merges.count)
    var cursor = merges.cursor
    var parts = [UInt8](repeating: 0, count: 64)
    var guess = 0
    for rank in 0..<merges.count {
      guard let range = cursor.next() else { preconditionFailure("PackedStrings has checked its lengths") }
      // The space at the first byte would be a part of its own: search from the second.
      guard range.count >= 3, let space = merges.bytes[range.lowerBound + 1..<range.upperBound].firstIndex(of: 0x20) else {
        throw TokenizerError(.malformed, "merge \(rank) is not two parts with a space between")
      }
      if parts.count < range.count { parts = [UInt8](repeating: 0, count: 2 * range.count) }
      var target = parts.mutableSpan
      let middle = alphabet.write(merges.bytes.span, range.lowerBound..<space, to: &target, at: 0)
      let end = alphabet.write(merges.bytes.span, space + 1..<range.upperBound, to: &target, at: middle)
      // Vocabularies list what merges make in their order: the token after the last result is nearly always right.
      guess += 1
      if guess >= table.count || table.kinds[guess] != .normal
        || !ByteStringIndex.equal(table.bytes.span, table.range(of: guess), parts.span, 0..<end)
      {
        guard let found = index.find(parts.span, 0..<end, table) else { throw Self.missing(parts[..<end], rank) }
        guess = found
      }
      guard let left = index.find(parts.span, 0..<middle, table) else { throw Self.missing(parts[..<middle], rank) }
      guard let right = index.find(parts.span, middle..<end, table) else { throw Self.missing(parts[middle..<end], rank) }
      append(left: left, right: right, result: guess)
    }
  }

  private static func missing(_ bytes: ArraySlice<UInt8>, _ rank: Int) -> TokenizerError {
    TokenizerError(.malformed, "merge \(rank) is about \"\(String(decoding: bytes, as: UTF8.self))\", which is no token")
  }
}
