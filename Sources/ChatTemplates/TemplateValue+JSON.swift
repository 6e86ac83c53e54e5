extension TemplateValue {
  /// Reads JSON, keys in their order: the tools of a request, say, which a template writes out again as they came.
  /// All text in it is content.
  ///
  /// - Returns: nil for what is no JSON, or is nested deeper than 100 levels. Numbers with a fraction or an exponent, and
  ///   those beyond 64 bits, are floats. A key that occurs twice keeps its first place and its last value.
  public init?(json: String) {
    var reader = JSONReader(bytes: Array(json.utf8))
    guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
    self = value
  }
}

private struct JSONReader {
  let bytes: [UInt8]
  var offset = 0

  /// The next byte that is no white space; 0 at the end.
  private mutating func peek() -> UInt8 {
    while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) { offset += 1 }
    return offset < bytes.count ? bytes[offset] : 0
  }

  var isAtEnd: Bool { bytes[offset...].allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) } }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    offset += 1
    return true
  }

  private mutating func take(_ word: StaticString, _ value: TemplateValue) -> TemplateValue? {
    guard bytes[offset...].starts(with: word.description.utf8) else { return nil }
    offset += word.utf8CodeUnitCount
    return value
  }

  mutating func value(depth: Int) -> TemplateValue? {
    guard depth < 100 else { return nil }
    switch peek() {
    case UInt8(ascii: "{"): return object(depth)
    case UInt8(ascii: "["): return array(depth)
    case UInt8(ascii: "\""): return string().map { .content($0) }
    case UInt8(ascii: "t"): return take("true", .bool(true))
    case UInt8(ascii: "f"): return take("false", .bool(false))
    case UInt8(ascii: "n"): return take("null", .none)
    default: return number()
    }
  }

  private mutating func object(_ depth: Int) -> TemplateValue? {
    offset += 1
    var dictionary = TemplateDictionary()
    if take(UInt8(ascii: "}")) { return .dictionary(dictionary) }
    repeat {
      guard peek() == UInt8(ascii: "\""), let key = string(), take(UInt8(ascii: ":")), let value = value(depth: depth + 1)
      else { return nil }
      dictionary[.content(key)] = value
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { return nil }
    return .dictionary(dictionary)
  }

  private mutating func array(_ depth: Int) -> TemplateValue? {
    offset += 1
    var elements: [TemplateValue] = []
    if take(UInt8(ascii: "]")) { return .list(TemplateList(elements)) }
    repeat {
      guard let value = value(depth: depth + 1) else { return nil }
      elements.append(value)
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { return nil }
    return .list(TemplateList(elements))
  }

  private mutating func number() -> TemplateValue? {
    let start = offset
    func isDigit() -> Bool { offset < bytes.count && 0x30...0x39 ~= bytes[offset] }
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "-") { offset += 1 }
    let first = offset
    while isDigit() { offset += 1 }
    guard offset > first, offset == first + 1 || bytes[first] != 0x30 else { return nil }
    var isFloat = false
    if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
      isFloat = true
      offset += 1
      guard isDigit() else { return nil }
      while isDigit() { offset += 1 }
    }
    if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
      isFloat = true
      offset += 1
      if offset < bytes.count, bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-") { offset += 1 }
      guard isDigit() else { return nil }
      while isDigit() { offset += 1 }
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    if !isFloat, let value = Int(text) { return .int(value) }
    return Double(text).map { .float($0) }
  }

  private mutating func string() -> String? {
    offset += 1
    var result: [UInt8] = []
    while offset < bytes.count {
      let byte = bytes[offset]
      offset += 1
      if byte == UInt8(ascii: "\"") { return String(validating: result, as: UTF8.self) }
      guard byte >= 0x20 else { return nil }
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      guard offset < bytes.count else { return nil }
      let escaped = bytes[offset]
      offset += 1
      switch escaped {
      case UInt8(ascii: "n"): result.append(0x0A)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "r"): result.append(0x0D)
      case UInt8(ascii: "b"): result.append(0x08)
      case UInt8(ascii: "f"): result.append(0x0C)
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(escaped)
      case UInt8(ascii: "u"):
        guard let scalar = escapedScalar() else { return nil }
        result += Array(String(Character(scalar)).utf8)
      default: return nil
      }
    }
    return nil
  }

  /// Four digits, or twice four for a character beyond U+FFFF. Half of a pair alone is U+FFFD.
  private mutating func escapedScalar() -> Unicode.Scalar? {
    guard let high = fourDigits() else { return nil }
    guard 0xD800...0xDBFF ~= high, bytes[offset...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
      return Unicode.Scalar(high) ?? "\u{FFFD}"
    }
    let before = offset
    offset += 2
    guard let low = fourDigits() else { return nil }
    if 0xDC00...0xDFFF ~= low { return Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)) }
    offset = before
    return "\u{FFFD}"
  }

  private mutating func fourDigits() -> UInt32? {
    guard bytes.count - offset >= 4 else { return nil }
    defer { offset += 4 }
    return bytes[offset..<offset + 4].reduce(UInt32?.some(0)) { value, byte in
      guard let value, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
      return value << 4 | UInt32(digit)
    }
  }
}
