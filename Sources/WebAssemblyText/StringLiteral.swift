/// The bytes of a quoted string. Source: WebAssembly specification, section 6.3.3.
enum StringLiteral {
  /// Decodes the escapes of a literal; `range` includes the quotes.
  ///
  /// - Throws: `invalid escape` for an unknown one, `malformed UTF-8 encoding` for a `\u{...}` that is no Unicode scalar.
  static func bytes(of range: Range<Int>, in source: [UInt8]) throws(TextFormatError) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(range.count)
    try decode(range, in: source, into: &result) { _, _ in }
    return result
  }

  /// Decodes a literal and appends its bytes.
  /// - Parameter run: called with the length of the result and the place in the source where bytes begin to stand in the source as
  ///   they are, or an escape stands for one or a few.
  @inline(__always)
  static func decode(
    _ range: Range<Int>, in source: [UInt8], into result: inout [UInt8], run: (Int, Int) -> Void
  ) throws(TextFormatError) {
    run(result.count, range.lowerBound + 1)
    var index = range.lowerBound + 1
    let end = range.upperBound - 1
    while index < end {
      let byte = source[index]
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        index += 1
        continue
      }
      run(result.count, index)
      let escape = source[index + 1]
      index += 2
      switch escape {
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "n"): result.append(0x0A)
      case UInt8(ascii: "r"): result.append(0x0D)
      case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"): result.append(escape)
      case UInt8(ascii: "u"):
        guard index < end, source[index] == UInt8(ascii: "{"),
          let close = source[index..<end].firstIndex(of: UInt8(ascii: "}")),
          let value = NumberLiteral.magnitude(source[(index + 1)..<close], radix: 16, max: 0x10_FFFF),
          let scalar = Unicode.Scalar(UInt32(value))
        else { throw TextFormatError("malformed UTF-8 encoding", at: index - 2, in: source) }
        result.append(contentsOf: Array(String(Character(scalar)).utf8))
        index = close + 1
      default:
        guard index < end, let high = NumberLiteral.digit(escape), let low = NumberLiteral.digit(source[index]) else {
          throw TextFormatError("invalid escape", at: index - 2, in: source)
        }
        result.append(high << 4 | low)
        index += 1
      }
      run(result.count, index)
    }
  }
}
