/// Integer and floating-point literals. Source: WebAssembly specification, sections 6.3.1 and 6.3.2.
///
/// Every function returns nil for a text that is no literal of its kind (`unexpected token`) and throws `OutOfRange` for one
/// whose value the type cannot hold (`constant out of range`).
enum NumberLiteral {
  struct OutOfRange: Error {}

  // MARK: Integers

  /// An unsigned literal: decimal or `0x` hexadecimal digits, single underscores between digits.
  static func unsigned(_ text: ArraySlice<UInt8>, bitCount: Int) throws(OutOfRange) -> UInt64? {
    guard let (digits, radix) = split(text), isDigits(digits, radix: radix) else { return nil }
    let max = bitCount == 64 ? UInt64.max : (UInt64(1) << UInt64(bitCount)) - 1
    guard let value = magnitude(digits, radix: radix, max: max) else { throw OutOfRange() }
    return value
  }

  /// A literal of an integer type: unsigned, or signed from -2^(n-1); the result holds its two's complement bits.
  static func integer(_ text: ArraySlice<UInt8>, bitCount: Int) throws(OutOfRange) -> UInt64? {
    guard let first = text.first else { return nil }
    let mask = bitCount == 64 ? UInt64.max : (UInt64(1) << UInt64(bitCount)) - 1
    let half = UInt64(1) << UInt64(bitCount - 1)
    guard first == UInt8(ascii: "-") || first == UInt8(ascii: "+") else { return try unsigned(text, bitCount: bitCount) }
    guard let (digits, radix) = split(text.dropFirst()), isDigits(digits, radix: radix) else { return nil }
    let isNegative = first == UInt8(ascii: "-")
    guard let value = magnitude(digits, radix: radix, max: isNegative ? half : half - 1) else { throw OutOfRange() }
    return isNegative ? (0 &- value) & mask : value
  }

  /// The value of digits with underscores, nil if it exceeds `max` or there is a wrong character.
  static func magnitude(_ digits: ArraySlice<UInt8>, radix: UInt64, max: UInt64) -> UInt64? {
    guard isDigits(digits, radix: radix) else { return nil }
    var value: UInt64 = 0
    for byte in digits where byte != UInt8(ascii: "_") {
      let (product, overflow) = value.multipliedReportingOverflow(by: radix)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit(byte) ?? 0))
      if overflow || carry || sum > max { return nil }
      value = sum
    }
    return value
  }

  /// The value of one hexadecimal digit.
  static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  private static func split(_ text: ArraySlice<UInt8>) -> (digits: ArraySlice<UInt8>, radix: UInt64)? {
    text.starts(with: "0x".utf8) ? (text.dropFirst(2), 16) : (text, 10)
  }

  /// One or more digits; an underscore only between two of them.
  private static func isDigits(_ text: ArraySlice<UInt8>, radix: UInt64) -> Bool {
    guard let last = text.last, last != UInt8(ascii: "_") else { return false }
    var previousIsDigit = false
    for byte in text {
      if byte == UInt8(ascii: "_") {
        guard previousIsDigit else { return false }
        previousIsDigit = false
      } else {
        guard let value = digit(byte), UInt64(value) < radix else { return false }
        previousIsDigit = true
      }
    }
    return true
  }

  // MARK: Floating point

  /// The bits of an f32 literal, rounded once, to nearest, ties to even.
  static func float32(_ text: ArraySlice<UInt8>) throws(OutOfRange) -> UInt32? {
    guard let literal = FloatLiteral(text) else { return nil }
    let sign: UInt32 = literal.isNegative ? 1 << 31 : 0
    switch literal.kind {
    case .infinity: return sign | 0x7F80_0000
    case .nan(let payload):
      guard let payload else { return sign | 0x7FC0_0000 }
      guard let bits = payload, bits > 0, bits < 1 << 23 else { throw OutOfRange() }
      return sign | 0x7F80_0000 | UInt32(bits)
    case .finite(let spelled):
      guard let value = Float(spelled) else { return nil }
      guard value.isFinite else { throw OutOfRange() }
      return sign | value.bitPattern
    }
  }

  /// The bits of an f64 literal.
  static func float64(_ text: ArraySlice<UInt8>) throws(OutOfRange) -> UInt64? {
    guard let literal = FloatLiteral(text) else { return nil }
    let sign: UInt64 = literal.isNegative ? 1 << 63 : 0
    switch literal.kind {
    case .infinity: return sign | 0x7FF0_0000_0000_0000
    case .nan(let payload):
      guard let payload else { return sign | 0x7FF8_0000_0000_0000 }
      guard let bits = payload, bits > 0, bits < 1 << 52 else { throw OutOfRange() }
      return sign | 0x7FF0_0000_0000_0000 | bits
    case .finite(let spelled):
      guard let value = Double(spelled) else { return nil }
      guard value.isFinite else { throw OutOfRange() }
      return sign | value.bitPattern
    }
  }

  /// A float literal taken apart; the digits are checked here and rounded by the standard library (correctly, once).
  private struct FloatLiteral {
    enum Kind {
      case infinity
      /// nil: canonical; .some(nil): a payload that does not fit 64 bits.
      case nan(payload: UInt64??)
      /// Digits without underscores, in the form that `Float.init` and `Double.init` read.
      case finite(String)
    }
    var isNegative = false
    var kind: Kind

    init?(_ text: ArraySlice<UInt8>) {
      var rest = text
      if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
        isNegative = first == UInt8(ascii: "-")
        rest = rest.dropFirst()
      }
      if rest.elementsEqual("inf".utf8) {
        kind = .infinity
      } else if rest.elementsEqual("nan".utf8) {
        kind = .nan(payload: nil)
      } else if rest.starts(with: "nan:0x".utf8) {
        guard isDigits(rest.dropFirst(6), radix: 16) else { return nil }
        kind = .nan(payload: .some(magnitude(rest.dropFirst(6), radix: 16, max: .max)))
      } else {
        guard let spelled = Self.finite(rest) else { return nil }
        kind = .finite(spelled)
      }
    }

    private static func finite(_ text: ArraySlice<UInt8>) -> String? {
      let isHexadecimal = text.starts(with: "0x".utf8)
      let radix: UInt64 = isHexadecimal ? 16 : 10
      let markers = isHexadecimal ? "pP" : "eE"
      var mantissa = isHexadecimal ? text.dropFirst(2) : text
      var exponent: ArraySlice<UInt8>?
      if let marker = mantissa.firstIndex(where: { markers.utf8.contains($0) }) {
        exponent = mantissa[(marker + 1)...]
        mantissa = mantissa[..<marker]
      }
      var fraction: ArraySlice<UInt8>?
      if let point = mantissa.firstIndex(of: UInt8(ascii: ".")) {
        fraction = mantissa[(point + 1)...]
        mantissa = mantissa[..<point]
      }
      guard isDigits(mantissa, radix: radix), fraction.map({ $0.isEmpty || isDigits($0, radix: radix) }) ?? true else {
        return nil
      }
      var spelled = isHexadecimal ? "0x" : ""
      spelled += plain(mantissa)
      if let fraction, !fraction.isEmpty { spelled += "." + plain(fraction) }
      if let exponent {
        let sign = exponent.first.flatMap { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") ? $0 : nil }
        let digits = sign == nil ? exponent : exponent.dropFirst()
        guard isDigits(digits, radix: 10) else { return nil }
        spelled += (isHexadecimal ? "p" : "e") + (sign == UInt8(ascii: "-") ? "-" : "+") + plain(digits)
      } else if isHexadecimal {
        spelled += "p+0"
      }
      return spelled
    }

    private static func plain(_ digits: ArraySlice<UInt8>) -> String {
      String(decoding: digits.filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
    }
  }
}
