import GuestImports

/// A short text under construction, without allocation: names, log lines, error texts.
///
/// Holds `byteCountMax` bytes; what does not fit is cut off.
struct TextBuffer {
  static let byteCountMax = 256
  private var bytes = InlineArray<256, UInt8>(repeating: 0)
  private(set) var byteCount = 0

  mutating func append(byte: UInt8) {
    guard byteCount < TextBuffer.byteCountMax else { return }
    bytes[byteCount] = byte
    byteCount += 1
  }

  mutating func append(_ text: StaticString) {
    let start = text.utf8Start
    for index in 0..<text.utf8CodeUnitCount { append(byte: start[index]) }
  }

  mutating func append(_ value: Int) {
    if value < 0 { append(byte: 45) }
    append(unsigned: UInt64(value.magnitude))
  }

  mutating func append(unsigned value: UInt64) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var digitCount = 0
    var rest = value
    repeat {
      digits[digitCount] = UInt8(truncatingIfNeeded: rest % 10) + 48
      digitCount += 1
      rest /= 10
    } while rest > 0
    while digitCount > 0 {
      digitCount -= 1
      append(byte: digits[digitCount])
    }
  }

  mutating func append(_ text: TextBuffer) {
    for index in 0..<text.byteCount { append(byte: text.bytes[index]) }
  }

  subscript(_ index: Int) -> UInt8 { bytes[index] }

  /// The text in memory 0, while `body` runs.
  func withAddress<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
    var copy = bytes
    return withUnsafeMutablePointer(to: &copy) { body(UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self)) }
  }

  /// Sends the text to the host's log.
  func log() {
    withAddress { host_log($0, Int32(byteCount)) }
  }
}
