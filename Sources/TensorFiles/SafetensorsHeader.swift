/// Reads the JSON of a safetensors header: only what such a header can hold, so that nothing nests and nothing is built that
/// is not wanted. Strict: no key twice, no trailing comma, nothing after the closing brace but the padding.
struct SafetensorsHeader {
  private let bytes: [UInt8]
  /// Where the header starts in the file.
  private let fileOffset: Int
  private var offset = 0
  private(set) var entries: [SafetensorsEntry] = []
  private(set) var indices: [String: Int] = [:]
  private(set) var metadata = TensorFileMetadata(entries: [], indices: [:])

  init(bytes: [UInt8], fileOffset: Int) {
    self.bytes = bytes
    self.fileOffset = fileOffset
  }

  mutating func read() throws(TensorFileError) {
    guard bytes.first == UInt8(ascii: "{") else { throw malformed("expected the header to start with \"{\"") }
    var hasMetadata = false
    try readObject { (header, name, start) throws(TensorFileError) in
      if name == "__metadata__" {
        guard !hasMetadata else { throw header.malformed("\"__metadata__\" occurs twice", at: start) }
        hasMetadata = true
        try header.readMetadata()
        return
      }
      guard header.entries.count < SafetensorsLimits.tensorCountMax else {
        throw TensorFileError(
          .limitExceeded, "more than \(SafetensorsLimits.tensorCountMax) tensors", at: header.fileOffset + start)
      }
      guard header.indices.updateValue(header.entries.count, forKey: name) == nil else {
        throw TensorFileError(.malformed, "two tensors have this name", at: header.fileOffset + start, tensor: name)
      }
      header.entries.append(try header.readEntry(name, start))
    }
    skipSpace()
    guard offset == bytes.count else { throw malformed("expected nothing but spaces after the header's JSON") }
  }

  private mutating func readEntry(_ name: String, _ start: Int) throws(TensorFileError) -> SafetensorsEntry {
    var entry = SafetensorsEntry(name: name, headerOffset: fileOffset + start)
    try readObject { (header, key, keyStart) throws(TensorFileError) in
      switch key {
      case "dtype" where entry.type == nil: entry.type = try header.readString()
      case "shape" where entry.shape == nil: entry.shape = try header.readIntegers()
      case "data_offsets" where entry.offsets == nil: entry.offsets = try header.readIntegers()
      default: throw header.malformed("expected dtype, shape and data_offsets, each once; found \"\(key)\"", at: keyStart)
      }
    }
    return entry
  }

  private mutating func readMetadata() throws(TensorFileError) {
    var list: [TensorFileMetadata.Entry] = []
    var places: [String: Int] = [:]
    try readObject { (header, key, start) throws(TensorFileError) in
      guard places.updateValue(list.count, forKey: key) == nil else {
        throw header.malformed("the key \"\(key)\" occurs twice", at: start)
      }
      list.append(.init(key: key, value: .string(try header.readString()), fileOffset: header.fileOffset + start))
    }
    metadata = TensorFileMetadata(entries: list, indices: places)
  }

  // MARK: - JSON

  private func malformed(_ message: String, at start: Int? = nil) -> TensorFileError {
    TensorFileError(.malformed, "the header: " + message, at: fileOffset + (start ?? offset))
  }

  private mutating func skipSpace() {
    while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) { offset += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(TensorFileError) {
    guard take(character) else { throw malformed("expected \"\(character)\"") }
  }

  /// Calls `body` behind each key, with the key and where it starts.
  private mutating func readObject(
    _ body: (inout SafetensorsHeader, String, Int) throws(TensorFileError) -> Void
  ) throws(TensorFileError) {
    try expect("{")
    if take("}") { return }
    repeat {
      skipSpace()
      let start = offset
      let key = try readString()
      try expect(":")
      try body(&self, key, start)
    } while take(",")
    try expect("}")
  }

  private mutating func readIntegers() throws(TensorFileError) -> [UInt64] {
    try expect("[")
    var values: [UInt64] = []
    if take("]") { return values }
    repeat { values.append(try readInteger()) } while take(",")
    try expect("]")
    return values
  }

  private mutating func readInteger() throws(TensorFileError) -> UInt64 {
    skipSpace()
    let start = offset
    var value: UInt64 = 0
    while offset < bytes.count, 0x30...0x39 ~= bytes[offset] {
      let (product, productOverflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, sumOverflow) = product.addingReportingOverflow(UInt64(bytes[offset] - 0x30))
      guard !productOverflow, !sumOverflow else { throw malformed("a number beyond 64 bits", at: start) }
      value = sum
      offset += 1
    }
    guard offset > start, offset == start + 1 || bytes[start] != 0x30 else {
      throw malformed("expected a whole number of 0 or more", at: start)
    }
    return value
  }

  private mutating func readString() throws(TensorFileError) -> String {
    try expect("\"")
    let start = offset
    var content: [UInt8] = []
    while offset < bytes.count {
      let byte = bytes[offset]
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: content, as: UTF8.self) else { throw malformed("a string is not UTF-8", at: start) }
        return string
      case 0..<0x20: throw malformed("a control character in a string", at: offset - 1)
      case UInt8(ascii: "\\"): content += Array(String(Character(try readEscape())).utf8)
      default: content.append(byte)
      }
    }
    throw malformed("a string is not closed", at: start)
  }

  private mutating func readEscape() throws(TensorFileError) -> Unicode.Scalar {
    guard offset < bytes.count else { throw malformed("a string is not closed") }
    let escaped = bytes[offset]
    offset += 1
    switch escaped {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(escaped)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let start = offset
      let high = try readFourDigits()
      if let scalar = Unicode.Scalar(high) { return scalar }
      // Half of a pair: the other must follow.
      guard 0xD800...0xDBFF ~= high, bytes[offset...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
        throw malformed("half of a surrogate pair", at: start)
      }
      offset += 2
      let low = try readFourDigits()
      guard 0xDC00...0xDFFF ~= low, let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)) else {
        throw malformed("half of a surrogate pair", at: start)
      }
      return scalar
    default: throw malformed("an unknown escape", at: offset - 1)
    }
  }

  private mutating func readFourDigits() throws(TensorFileError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard offset < bytes.count, let digit = Character(Unicode.Scalar(bytes[offset])).hexDigitValue else {
        throw malformed("expected four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }
}
