/// Takes numbers and choices from the bytes of an input, from the front; zeroes once they are used up. A small change of the
/// input is a small change of what is taken, which is what lets a fuzzer that follows coverage get on.
struct InputReader {
  private let bytes: [UInt8]
  private(set) var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { offset >= bytes.count }

  mutating func byte() -> UInt8 {
    guard offset < bytes.count else { return 0 }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func bool() -> Bool { byte() & 1 == 1 }

  /// True for `count` of 256 bytes.
  mutating func chance(_ count: Int) -> Bool { Int(byte()) >= 256 - count }

  mutating func u16() -> UInt16 { UInt16(byte()) | UInt16(byte()) << 8 }
  mutating func u32() -> UInt32 { UInt32(u16()) | UInt32(u16()) << 16 }
  mutating func u64() -> UInt64 { UInt64(u32()) | UInt64(u32()) << 32 }

  /// A number of the range: from one byte where it is short, else from two or eight.
  mutating func integer(_ range: ClosedRange<Int>) -> Int {
    let width = UInt64(bitPattern: Int64(range.upperBound &- range.lowerBound))
    guard width < .max else { return Int(truncatingIfNeeded: u64()) }
    let number = width < 256 ? UInt64(byte()) : width < 65536 ? UInt64(u16()) : u64()
    return range.lowerBound &+ Int(truncatingIfNeeded: number % (width + 1))
  }

  mutating func element<Element>(of elements: [Element]) -> Element { elements[integer(0...elements.count - 1)] }

  /// A number near a border of a machine's integers, where checks go wrong.
  mutating func border() -> UInt64 {
    let power: UInt64 = [0, 1 << 8, 1 << 16, 1 << 20, 1 << 31, 1 << 32, 1 << 47, 1 << 63, 1 << 62][integer(0...8)]
    return power &+ UInt64(bitPattern: Int64(Int8(bitPattern: byte())))
  }

  /// At most so many of the next bytes.
  mutating func take(_ count: Int) -> [UInt8] {
    let end = min(bytes.count, offset + max(0, count))
    defer { offset = end }
    return offset < end ? Array(bytes[offset..<end]) : []
  }

  mutating func rest() -> [UInt8] { take(bytes.count - offset) }
}
