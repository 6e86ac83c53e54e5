import WasmRuntime
import WebAssembly

/// A result of `exec --invoke`: a number as JSON has it where it can be held exactly, else text.
enum InvocationValue: Encodable {
  case integer(Int64)
  case number(Double)
  case text(String)

  init(_ value: Value) {
    switch value {
    case .i32(let bits): self = .integer(Int64(Int32(bitPattern: bits)))
    case .i64(let bits): self = .integer(Int64(bitPattern: bits))
    case .f32(let bits) where Float(bitPattern: bits).isFinite: self = .number(Double(Float(bitPattern: bits)))
    case .f64(let bits) where Double(bitPattern: bits).isFinite: self = .number(Double(bitPattern: bits))
    default: self = .text(Self.text(of: value))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    }
  }

  /// Reads a number in decimal or, with 0x, in hexadecimal; negative ones too.
  static func parse(_ text: String, as type: ValueType) throws(CommandFailure) -> Value {
    func integer<Signed: FixedWidthInteger, Unsigned: FixedWidthInteger>(_: Signed.Type, _: Unsigned.Type) -> Unsigned? {
      let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
      let isHexadecimal = digits.hasPrefix("0x")
      // No second sign.
      guard (isHexadecimal ? digits.dropFirst(2) : digits).first?.isHexDigit == true else { return nil }
      let number = (text.hasPrefix("-") ? "-" : "") + (isHexadecimal ? digits.dropFirst(2) : digits)
      let radix = isHexadecimal ? 16 : 10
      return Unsigned(number, radix: radix) ?? Signed(number, radix: radix).map { Unsigned(truncatingIfNeeded: $0) }
    }
    let value: Value? =
      switch type {
      case .i32: integer(Int32.self, UInt32.self).map { Value.i32($0) }
      case .i64: integer(Int64.self, UInt64.self).map { Value.i64($0) }
      case .f32: Float(text).map { Value.f32($0) }
      case .f64: Double(text).map { Value.f64($0) }
      default: nil
      }
    guard let value else { throw CommandFailure("'\(text)' cannot be an argument of type \(type)") }
    return value
  }

  static func text(of value: Value) -> String {
    switch value {
    case .i32(let bits): "\(Int32(bitPattern: bits))"
    case .i64(let bits): "\(Int64(bitPattern: bits))"
    case .f32(let bits): "\(Float(bitPattern: bits))"
    case .f64(let bits): "\(Double(bitPattern: bits))"
    case .v128(let bits): "0x" + hexadecimal(bits.high) + hexadecimal(bits.low)
    case .funcref(let function): function == nil ? "null" : "funcref"
    case .externref(let number): number.map { "externref \($0)" } ?? "null"
    case .memref(let memory): memory == nil ? "null" : "memref"
    }
  }

  private static func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
