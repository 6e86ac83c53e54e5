/// CRC-32 (ISO 3309), as zlib has it: for comparing memories, with other engines too.
public enum Checksum {
  /// Eight tables of 256, to take eight bytes at a time (Kounavis and Berry 2005).
  private static let table: [UInt32] = {
    var table: [UInt32] = []
    for index: UInt32 in 0..<256 {
      var value = index
      for _ in 0..<8 {
        let half = value >> 1
        value = value & 1 == 1 ? 0xEDB8_8320 ^ half : half
      }
      table.append(value)
    }
    for index in 256..<2048 {
      let before = table[index - 256]
      table.append(before >> 8 ^ table[Int(before & 0xFF)])
    }
    return table
  }()

  public static func of(_ bytes: [UInt8]) -> UInt32 {
    let (bytes, table) = (bytes.span, Self.table.span)
    var value = ~UInt32(0)
    var index = 0
    while index + 8 <= bytes.count {
      let low = value ^ (UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24)
      let first = table[1792 + Int(low & 0xFF)] ^ table[1536 + Int(low >> 8 & 0xFF)]
      let second = table[1280 + Int(low >> 16 & 0xFF)] ^ table[1024 + Int(low >> 24)]
      let third = table[768 + Int(bytes[index + 4])] ^ table[512 + Int(bytes[index + 5])]
      let fourth = table[256 + Int(bytes[index + 6])] ^ table[Int(bytes[index + 7])]
      value = first ^ second ^ third ^ fourth
      index += 8
    }
    while index < bytes.count {
      value = table[Int((value ^ UInt32(bytes[index])) & 0xFF)] ^ value >> 8
      index += 1
    }
    return ~value
  }
}
