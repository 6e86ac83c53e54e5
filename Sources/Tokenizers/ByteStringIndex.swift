/// Finds the token of a byte string: an open-addressing hash table of ids, whose keys are the token table's own bytes.
struct ByteStringIndex: Sendable {
  /// Id + 1 of the token in each slot; 0: free. The count is a power of two and at least twice the number of tokens.
  private var slots: [UInt32]
  private let mask: Int
  /// Another for each tokenizer: a vocabulary whose tokens all hash alike cannot be made beforehand.
  private let seed = UInt64.random(in: 0...UInt64.max)

  /// Control tokens are not in it: none may come of text that was not allowed to write them.
  init(_ table: TokenTable) {
    var capacity = 16
    while capacity < 2 * table.count { capacity *= 2 }
    slots = [UInt32](repeating: 0, count: capacity)
    mask = capacity - 1
    // What the algorithm makes goes first: a user-defined token of the same bytes, or a single byte's, must not hide it.
    for id in 0..<table.count where table.kinds[id] == .normal || table.kinds[id] == .unused { insert(id, table) }
    for id in 0..<table.count where table.kinds[id] == .userDefined || table.kinds[id] == .byte { insert(id, table) }
  }

  /// The first of two equal tokens stays.
  private mutating func insert(_ id: Int, _ table: TokenTable) {
    let (slot, found) = probe(table.bytes.span, table.range(of: id), table)
    if found == nil { slots[slot] = UInt32(id + 1) }
  }

  /// The token whose bytes are `bytes[range]`.
  func find(_ bytes: Span<UInt8>, _ range: Range<Int>, _ table: TokenTable) -> Int? { probe(bytes, range, table).id }

  /// The slot that holds these bytes and their token, or the free one where they would go.
  @inline(__always)
  private func probe(_ bytes: Span<UInt8>, _ range: Range<Int>, _ table: TokenTable) -> (slot: Int, id: Int?) {
    // Spans: neither reference counting nor uniqueness checks in the loops, which made up a third of the time.
    let (slots, tokenBytes, offsets) = (slots.span, table.bytes.span, table.offsets.span)
    var slot = Self.hash(bytes, range, seed) & mask
    while slots[slot] != 0 {
      let id = Int(slots[slot]) - 1
      if Self.equal(tokenBytes, Int(offsets[id])..<Int(offsets[id + 1]), bytes, range) { return (slot, id) }
      slot = (slot + 1) & mask
    }
    return (slot, nil)
  }

  /// FNV-1a with a last mix: tokens have seven bytes on average, too few for anything wider to pay.
  @inline(__always)
  private static func hash(_ bytes: Span<UInt8>, _ range: Range<Int>, _ seed: UInt64) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ seed
    for index in range { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
    return Int(truncatingIfNeeded: hash ^ hash >> 29)
  }

  @inline(__always)
  static func equal(_ a: Span<UInt8>, _ aRange: Range<Int>, _ b: Span<UInt8>, _ bRange: Range<Int>) -> Bool {
    guard aRange.count == bRange.count else { return false }
    for index in 0..<aRange.count where a[aRange.lowerBound + index] != b[bRange.lowerBound + index] { return false }
    return true
  }
}
