import WasmRuntime
import WebAssembly
import WebAssemblyText

extension ExpectedValue {
  /// Whether a result is one of those that are allowed.
  func matches(_ value: Value) -> Bool {
    switch (self, value) {
    case (.exact(let expected), _): expected.equals(value)
    case (.f32NaN(let nan), .f32(let bits)): nan.matches(UInt64(bits), significandBitCount: 23, width: 32)
    case (.f64NaN(let nan), .f64(let bits)): nan.matches(bits, significandBitCount: 52, width: 64)
    case (.f32x4(let lanes), .v128(let bits)):
      (0..<4).allSatisfy { index in
        let half = index < 2 ? bits.low : bits.high
        return lanes[index].matches(half >> UInt64(index % 2 * 32) & 0xFFFF_FFFF, significandBitCount: 23, width: 32)
      }
    case (.f64x2(let lanes), .v128(let bits)):
      lanes[0].matches(bits.low, significandBitCount: 52, width: 64)
        && lanes[1].matches(bits.high, significandBitCount: 52, width: 64)
    case (.anyNull, .funcref(nil)), (.anyNull, .externref(nil)), (.anyNull, .memref(nil)): true
    case (.anyFunction, .funcref(.some)), (.anyExternal, .externref(.some)): true
    case (.either(let choices), _): choices.contains { $0.matches(value) }
    default: false
    }
  }
}

extension ExpectedValue.NaN {
  /// Whether bits are a NaN of this kind. The sign is free; the quiet bit is the highest of the significand.
  func matches(_ bits: UInt64, significandBitCount: UInt64, width: UInt64) -> Bool {
    let quietBit: UInt64 = 1 << (significandBitCount - 1)
    let exponentMask = (UInt64.max >> (64 - (width - 1))) & ~((1 << significandBitCount) - 1)
    let significand = bits & ((1 << significandBitCount) - 1)
    guard bits & exponentMask == exponentMask else { return false }
    return switch self {
    case .canonical: significand == quietBit
    case .arithmetic: significand & quietBit != 0
    }
  }
}

extension ExpectedValue.FloatLane {
  func matches(_ bits: UInt64, significandBitCount: UInt64, width: UInt64) -> Bool {
    switch self {
    case .bits(let expected): bits == expected
    case .nan(let nan): nan.matches(bits, significandBitCount: significandBitCount, width: width)
    }
  }
}

extension ScriptValue {
  /// As an argument.
  var value: Value {
    switch self {
    case .i32(let value): .i32(value)
    case .i64(let value): .i64(value)
    case .f32(let bits): .f32(bits)
    case .f64(let bits): .f64(bits)
    case .v128(let bits): .v128(bits)
    case .nullReference(.externref): .externref(nil)
    case .nullReference(.memref): .memref(nil)
    case .nullReference: .funcref(nil)
    case .externalReference(let number): .externref(number)
    }
  }

  func equals(_ value: Value) -> Bool {
    switch (self, value) {
    case (.i32(let expected), .i32(let found)), (.f32(let expected), .f32(let found)): expected == found
    case (.i64(let expected), .i64(let found)), (.f64(let expected), .f64(let found)): expected == found
    case (.v128(let expected), .v128(let found)): expected == found
    case (.nullReference(let type), .funcref(nil)): type == .funcref
    case (.nullReference(let type), .externref(nil)): type == .externref
    case (.nullReference(let type), .memref(nil)): type == .memref
    case (.externalReference(let expected), .externref(let found?)): expected == found
    default: false
    }
  }
}
