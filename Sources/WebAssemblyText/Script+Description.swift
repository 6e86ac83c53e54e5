import WebAssembly

extension ScriptValue: CustomStringConvertible {
  /// As scripts write it; floats as decimals with their bits behind.
  public var description: String {
    switch self {
    case .i32(let value): "(i32.const \(Int32(bitPattern: value)))"
    case .i64(let value): "(i64.const \(Int64(bitPattern: value)))"
    case .f32(let bits): "(f32.const \(Float(bitPattern: bits)) (; \(Self.hexadecimal(UInt64(bits), digitCount: 8)) ;))"
    case .f64(let bits): "(f64.const \(Double(bitPattern: bits)) (; \(Self.hexadecimal(bits, digitCount: 16)) ;))"
    case .v128(let bits):
      "(v128.const i64x2 \(Self.hexadecimal(bits.low, digitCount: 16)) \(Self.hexadecimal(bits.high, digitCount: 16)))"
    case .nullReference(let type): "(ref.null \(type == .externref ? "extern" : "func"))"
    case .externalReference(let number): "(ref.extern \(number))"
    }
  }

  static func hexadecimal(_ bits: UInt64, digitCount: Int) -> String {
    let digits = String(bits, radix: 16)
    return "0x" + String(repeating: "0", count: max(0, digitCount - digits.count)) + digits
  }
}

extension ExpectedValue: CustomStringConvertible {
  /// As scripts write it.
  public var description: String {
    switch self {
    case .exact(let value): value.description
    case .f32NaN(let nan): "(f32.const \(nan))"
    case .f64NaN(let nan): "(f64.const \(nan))"
    case .f32x4(let lanes): "(v128.const f32x4 \(lanes.map { Self.describe($0, digitCount: 8) }.joined(separator: " ")))"
    case .f64x2(let lanes): "(v128.const f64x2 \(lanes.map { Self.describe($0, digitCount: 16) }.joined(separator: " ")))"
    case .anyNull: "(ref.null)"
    case .anyFunction: "(ref.func)"
    case .anyExternal: "(ref.extern)"
    case .either(let choices): "(either \(choices.map(\.description).joined(separator: " ")))"
    }
  }

  private static func describe(_ lane: FloatLane, digitCount: Int) -> String {
    switch lane {
    case .bits(let bits): ScriptValue.hexadecimal(bits, digitCount: digitCount)
    case .nan(let nan): nan.description
    }
  }
}

extension ExpectedValue.NaN: CustomStringConvertible {
  public var description: String {
    switch self {
    case .canonical: "nan:canonical"
    case .arithmetic: "nan:arithmetic"
    }
  }
}
