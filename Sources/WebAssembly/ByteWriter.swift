/// Collects bytes of the binary format. Integers are written in their shortest form.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func byte(_ value: UInt8) { bytes.append(value) }

  mutating func append(_ other: some Sequence<UInt8>) { bytes.append(contentsOf: other) }

  mutating func unsigned(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func u32(_ value: UInt32) { unsigned(UInt64(value)) }
  mutating func count(_ value: Int) { unsigned(UInt64(value)) }

  mutating func signed(_ value: Int64) {
    var rest = value
    while true {
      let low = UInt8(truncatingIfNeeded: rest) & 0x7F
      rest >>= 7
      // The last byte's bit 6 is the sign.
      if (rest == 0 && low & 0x40 == 0) || (rest == -1 && low & 0x40 != 0) {
        bytes.append(low)
        return
      }
      bytes.append(low | 0x80)
    }
  }

  mutating func fixed32(_ value: UInt32) {
    for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  mutating func fixed64(_ value: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  mutating func name(_ name: String) {
    count(name.utf8.count)
    append(name.utf8)
  }

  /// The length of what `body` writes, then that.
  mutating func sized(_ body: (inout ByteWriter) -> Void) {
    var inner = ByteWriter()
    body(&inner)
    count(inner.bytes.count)
    append(inner.bytes)
  }
}
