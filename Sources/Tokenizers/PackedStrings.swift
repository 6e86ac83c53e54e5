/// Many byte strings in one array, each after its length as a little-endian u64: the form in which GGUF files hold string
/// arrays, so that a vocabulary of 49152 tokens is taken over with one copy, and not as 49152 objects.
public struct PackedStrings: Hashable, Sendable {
  public let bytes: [UInt8]
  public let count: Int

  /// - Parameter bytes: `count` strings, each after its length. Nil when the lengths do not add up.
  public init?(bytes: [UInt8], count: Int) {
    guard count >= 0 else { return nil }
    var cursor = Cursor(bytes)
    for _ in 0..<count { guard cursor.next() != nil else { return nil } }
    guard cursor.offset == bytes.count else { return nil }
    self.bytes = bytes
    self.count = count
  }

  public init(_ strings: [String]) {
    var bytes: [UInt8] = []
    for string in strings {
      let length = UInt64(string.utf8.count)
      for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
      bytes += Array(string.utf8)
    }
    self.bytes = bytes
    self.count = strings.count
  }

  /// Walks the strings from the first to the last.
  struct Cursor {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Where the next string's bytes are; nil at the end, or when its length is wrong.
    mutating func next() -> Range<Int>? {
      guard let range = Self.range(in: bytes.span, at: offset) else { return nil }
      offset = range.upperBound
      return range
    }

    @inline(__always)
    private static func range(in bytes: Span<UInt8>, at offset: Int) -> Range<Int>? {
      guard bytes.count - offset >= 8 else { return nil }
      var length: UInt64 = 0
      for index in 0..<8 { length |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
      guard length <= UInt64(bytes.count - offset - 8) else { return nil }
      return offset + 8..<offset + 8 + Int(length)
    }
  }

  var cursor: Cursor { Cursor(bytes) }
}
