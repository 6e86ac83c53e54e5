import GuestImports

/// A line of text under construction, without allocation: for logs and error texts.
///
/// Holds `byteCountMax` bytes; what does not fit is cut off.
struct LogLine {
  static let byteCountMax = 256
  private var bytes = InlineArray<256, UInt8>(repeating: 0)
  private(set) var byteCount = 0

  mutating func append(byte: UInt8) {
    guard byteCount < LogLine.byteCountMax else { return }
    bytes[byteCount] = byte
    byteCount += 1
  }

  mutating func append(_ text: StaticString) {
    let start = text.utf8Start
    for index in 0..<text.utf8CodeUnitCount { append(byte: start[index]) }
  }

  mutating func append(_ value: Int) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var digitCount = 0
    var rest = value.magnitude
    repeat {
      digits[digitCount] = UInt8(truncatingIfNeeded: rest % 10) + 48
      digitCount += 1
      rest /= 10
    } while rest > 0
    if value < 0 { append(byte: 45) }
    while digitCount > 0 {
      digitCount -= 1
      append(byte: digits[digitCount])
    }
  }

  /// Sends the line to the host's log.
  func write() {
    var copy = bytes
    withUnsafeMutablePointer(to: &copy) { pointer in
      host_log(UnsafeRawPointer(pointer).assumingMemoryBound(to: UInt8.self), Int32(byteCount))
    }
  }
}
