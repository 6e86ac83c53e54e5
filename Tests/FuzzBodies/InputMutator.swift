/// Changes inputs at random, for runs without libFuzzer: repeatable by its seed, and blind to coverage.
public struct InputMutator: Sendable {
  private var state: UInt64
  private let dictionary: [[UInt8]]
  private let inputByteCountMax: Int

  public init(seed: UInt64, target: FuzzTarget) {
    state = seed
    dictionary = target.dictionary
    inputByteCountMax = target.inputByteCountMax
  }

  /// SplitMix64 (Steele, Lea, Flood 2014).
  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  private mutating func below(_ count: Int) -> Int { count <= 1 ? 0 : Int(next() % UInt64(count)) }

  /// An input made from one of `corpus`, or from nothing.
  public mutating func input(from corpus: [[UInt8]]) -> [UInt8] {
    var bytes = corpus.isEmpty || below(64) == 0 ? random(below(64)) : corpus[below(corpus.count)]
    if bytes.count > inputByteCountMax { bytes.removeLast(bytes.count - inputByteCountMax) }
    for _ in 0...below(below(4) == 0 ? 16 : 4) { mutate(&bytes, corpus) }
    if bytes.count > inputByteCountMax { bytes.removeLast(bytes.count - inputByteCountMax) }
    return bytes
  }

  private mutating func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

  private mutating func mutate(_ bytes: inout [UInt8], _ corpus: [[UInt8]]) {
    guard !bytes.isEmpty else { return bytes = random(1 + below(16)) }
    let place = below(bytes.count)
    switch below(12) {
    case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
    case 1: bytes[place] ^= 1 << UInt8(below(8))
    case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF, 0x20, bytes[place] &+ 1, bytes[place] &- 1][below(8)]
    case 3: bytes.insert(contentsOf: random(1 + below(4)), at: place)
    case 4: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(8)))
    case 5: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 1 + below(32))], at: below(bytes.count + 1))
    case 6, 7:
      guard !dictionary.isEmpty else { return }
      let word = dictionary[below(dictionary.count)]
      if below(2) == 0 {
        bytes.insert(contentsOf: word, at: place)
      } else {
        bytes.replaceSubrange(place..<min(bytes.count, place + word.count), with: word)
      }
    case 8:
      // A number of four or eight bytes: a border, or one more or less.
      let width = below(2) == 0 ? 4 : 8
      guard place + width <= bytes.count else { return }
      let number = UInt64(1) << UInt64(below(64)) &- UInt64(below(2))
      for index in 0..<width { bytes[place + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index)) }
    case 9:
      guard !corpus.isEmpty else { return }
      let other = corpus[below(corpus.count)]
      guard !other.isEmpty else { return }
      let start = below(other.count)
      let part = other[start..<min(other.count, start + 1 + below(64))]
      if below(2) == 0 {
        bytes.insert(contentsOf: part, at: place)
      } else {
        bytes.replaceSubrange(place..<min(bytes.count, place + part.count), with: part)
      }
    case 10: bytes.removeLast(bytes.count - place)
    default:
      let other = below(bytes.count)
      bytes.swapAt(place, other)
    }
  }
}
