import CInterpreter
import WebAssembly

/// A value that crosses the border between host and guest.
public enum Value {
  case i32(UInt32)
  case i64(UInt64)
  /// The bits of the number, so that NaN payloads survive.
  case f32(UInt32)
  case f64(UInt64)
  case v128(V128Bits)
  case funcref(Function?)
  /// A number of the host's choice, below 2^64 - 1; nil is the null reference.
  case externref(UInt64?)
  /// A memory that was made known to the store (`Store.reference(to:)`); nil is the null reference.
  case memref(MemoryReference?)

  public var type: ValueType {
    switch self {
    case .i32: .i32
    case .i64: .i64
    case .f32: .f32
    case .f64: .f64
    case .v128: .v128
    case .funcref: .funcref
    case .externref: .externref
    case .memref: .memref
    }
  }

  public static func i32(_ value: Int32) -> Value { .i32(UInt32(bitPattern: value)) }
  public static func i64(_ value: Int64) -> Value { .i64(UInt64(bitPattern: value)) }
  public static func f32(_ value: Float) -> Value { .f32(value.bitPattern) }
  public static func f64(_ value: Double) -> Value { .f64(value.bitPattern) }

  /// The number, if this is an i32. Likewise below.
  public var i32: UInt32? { if case .i32(let value) = self { value } else { nil } }
  public var i64: UInt64? { if case .i64(let value) = self { value } else { nil } }
  public var f32: Float? { if case .f32(let bits) = self { Float(bitPattern: bits) } else { nil } }
  public var f64: Double? { if case .f64(let bits) = self { Double(bitPattern: bits) } else { nil } }

  /// As a slot holds it.
  var bits: V128Bits {
    switch self {
    case .i32(let value), .f32(let value): V128Bits(low: UInt64(value), high: 0)
    case .i64(let value), .f64(let value): V128Bits(low: value, high: 0)
    case .v128(let bits): bits
    case .funcref(let function): V128Bits(low: function?.reference ?? 0, high: 0)
    case .externref(let number): V128Bits(low: number.map { $0 + 1 } ?? 0, high: 0)
    case .memref(let reference): V128Bits(low: reference?.bits ?? 0, high: 0)
    }
  }

  /// From a slot. References to functions are of the store.
  init(bits: V128Bits, type: ValueType, store: Store) {
    self =
      switch type {
      case .i32: .i32(UInt32(truncatingIfNeeded: bits.low))
      case .i64: .i64(bits.low)
      case .f32: .f32(UInt32(truncatingIfNeeded: bits.low))
      case .f64: .f64(bits.low)
      case .v128: .v128(bits)
      case .funcref: .funcref(bits.low == 0 ? nil : Function(store: store, reference: bits.low))
      case .externref: .externref(bits.low == 0 ? nil : bits.low - 1)
      case .memref: .memref(bits.low == 0 ? nil : MemoryReference(store: store, bits: bits.low))
      }
  }

  /// Whether this value may be stored where a function of another store must not get to.
  func belongs(to store: Store) -> Bool {
    switch self {
    case .funcref(let function?): function.store === store
    case .memref(let reference?): reference.store === store
    default: true
    }
  }
}

extension bindery_slot {
  var bits: V128Bits {
    get { unsafe V128Bits(low: words.0, high: words.1) }
    set { unsafe words = (newValue.low, newValue.high) }
  }
}
