/// How byte-level BPE vocabularies spell bytes as characters, so that every token is printable text: bytes that are visible
/// characters of Latin-1 stand for themselves, the other 68 are U+0100 ... U+0143 in order. A space is `Ġ`, a newline `Ċ`.
///
/// Source: `bytes_to_unicode` of GPT-2's encoder.
struct ByteLevelAlphabet {
  /// Byte of each of the code points 0 ..< 0x144, -1 for a character that spells none.
  let byteOfScalar: [Int16]

  init() {
    var byteOfScalar = [Int16](repeating: -1, count: 0x144)
    var nextScalar = 0x100
    for byte in 0..<256 {
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: byteOfScalar[byte] = Int16(byte)
      default:
        byteOfScalar[nextScalar] = Int16(byte)
        nextScalar += 1
      }
    }
    self.byteOfScalar = byteOfScalar
  }

  /// Writes the bytes that `spelling[range]` stands for to `bytes` from `offset` on, never more than `range.count`, and
  /// returns the offset behind them. A character outside the alphabet stands for its own UTF-8: some vocabularies have
  /// literal text among their tokens.
  @inline(__always)
  func write(_ spelling: Span<UInt8>, _ range: Range<Int>, to bytes: inout MutableSpan<UInt8>, at offset: Int) -> Int {
    let byteOfScalar = byteOfScalar.span
    var index = range.lowerBound
    var offset = offset
    while index < range.upperBound {
      let lead = spelling[index]
      index += 1
      var byte = lead
      // ASCII is visible and stands for itself, or is literal text; so is all that is not spelled by two bytes.
      if lead & 0xE0 == 0xC0, index < range.upperBound {
        let scalar = Int(lead & 0x1F) << 6 | Int(spelling[index] & 0x3F)
        if scalar < 0x144, byteOfScalar[scalar] >= 0 {
          byte = UInt8(truncatingIfNeeded: byteOfScalar[scalar])
          index += 1
        }
      }
      bytes[offset] = byte
      offset += 1
    }
    return offset
  }
}
