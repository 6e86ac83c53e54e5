import WebAssembly

/// A text on its way out: a buffer of bounded size that is emptied into a sink whenever it is full, so that printing needs no
/// memory in proportion to the text.
///
/// Appending never empties the buffer. Whatever can be long (a line, an element of a long list) calls ``drain(at:)`` as it goes.
struct TextOutput {
  private static let bufferByteCount = 1 << 16

  private var buffer: [UInt8] = []
  private var sunkByteCount = 0
  private let byteCountMax: Int
  private let sink: ([UInt8]) throws -> Void

  /// - Parameters:
  ///   - byteCountMax: the longest text: a few bytes of a binary can name or declare very much.
  ///   - sink: takes the next part of the text, of about 64 KiB.
  init(byteCountMax: Int, sink: @escaping ([UInt8]) throws -> Void) {
    self.byteCountMax = byteCountMax
    self.sink = sink
    buffer.reserveCapacity(Self.bufferByteCount + 4096)
  }

  /// Empties the buffer if it is full.
  /// - Parameter offset: the place in the binary, for the error of a text that is too long.
  @inline(__always)
  mutating func drain(at offset: Int) throws {
    if buffer.count >= Self.bufferByteCount { try flush(at: offset) }
  }

  /// Empties the buffer.
  mutating func flush(at offset: Int) throws {
    guard buffer.count <= byteCountMax - sunkByteCount else {
      throw WasmParseError("the text would be longer than \(byteCountMax) bytes", at: offset)
    }
    try sink(buffer)
    sunkByteCount += buffer.count
    buffer.removeAll(keepingCapacity: true)
  }

  // MARK: Appending

  @inline(__always)
  mutating func byte(_ value: UInt8) { buffer.append(value) }

  @inline(__always)
  mutating func raw(_ bytes: [UInt8]) { buffer.append(contentsOf: bytes) }

  @inline(__always)
  mutating func raw(_ bytes: ArraySlice<UInt8>) { buffer.append(contentsOf: bytes) }

  mutating func text(_ text: String) { buffer.append(contentsOf: text.utf8) }

  mutating func decimal(_ value: some UnsignedInteger & FixedWidthInteger) {
    var rest = UInt64(value)
    let start = buffer.count
    repeat {
      buffer.append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest != 0
    buffer[start...].reverse()
  }

  mutating func decimal(_ value: some SignedInteger & FixedWidthInteger) {
    if value < 0 { byte(UInt8(ascii: "-")) }
    decimal(UInt64(value.magnitude))
  }

  mutating func hexadecimal(_ value: UInt64) {
    text("0x")
    text(String(value, radix: 16))
  }

  // MARK: Strings

  /// Bytes as a string of printable ASCII and escapes.
  mutating func quoted(_ bytes: ArraySlice<UInt8>, at offset: Int) throws {
    byte(UInt8(ascii: "\""))
    for value in bytes {
      escaped(value, keeping: 0x20..<0x7F)
      try drain(at: offset)
    }
    byte(UInt8(ascii: "\""))
  }

  /// A name as a string. It stays readable in any script: only quotes, and what no terminal should see, are escaped.
  mutating func quotedName(_ bytes: ArraySlice<UInt8>, at offset: Int) throws {
    guard bytes.contains(where: { $0 >= 0x80 }) else { return try quoted(bytes, at: offset) }
    byte(UInt8(ascii: "\""))
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      let isShown = scalar.isShownInText
      for value in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
        escaped(value, keeping: isShown ? 0x20..<0xFF : 0x20..<0x7F)
      }
      try drain(at: offset)
    }
    byte(UInt8(ascii: "\""))
  }

  mutating func quotedName(_ name: String, at offset: Int) throws { try quotedName(Array(name.utf8)[...], at: offset) }

  private mutating func escaped(_ value: UInt8, keeping kept: Range<UInt8>) {
    if value == UInt8(ascii: "\"") || value == UInt8(ascii: "\\") {
      byte(UInt8(ascii: "\\"))
      byte(value)
    } else if kept.contains(value), value != 0x7F {
      byte(value)
    } else {
      byte(UInt8(ascii: "\\"))
      byte(Self.hexadecimalDigit(value >> 4))
      byte(Self.hexadecimalDigit(value & 15))
    }
  }

  private static func hexadecimalDigit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10 }
}

extension Unicode.Scalar {
  /// False for characters that move the cursor or change the direction of writing: control and format characters and the separators of
  /// lines and paragraphs. Such a character of a stranger's file must not reach a terminal. Joiners (U+200C, U+200D) are shown.
  package var isShownInText: Bool {
    if value < 0x80 { return value >= 0x20 && value != 0x7F }
    if value == 0x200C || value == 0x200D { return true }
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: return false
    default: return true
    }
  }
}
