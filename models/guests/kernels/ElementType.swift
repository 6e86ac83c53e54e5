import GuestImports

/// The element types a weight may have, by their ggml number.
///
/// Layouts are those of ggml: a block of `blockElementCount` weights takes `blockByteCount` bytes, without padding.
enum ElementType: Int32 {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q4_K = 12
  case q6_K = 14
  case bf16 = 30

  var blockElementCount: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
    case .q4_K, .q6_K: 256
    }
  }

  var blockByteCount: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q4_0: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q4_K: 144
    case .q6_K: 210
    }
  }

  /// Bytes of a row of `columnCount` elements.
  func rowByteCount(_ columnCount: Int) -> UInt64 {
    UInt64(columnCount / blockElementCount) * UInt64(blockByteCount)
  }

  /// The type with this number, for rows of `columnCount`; traps on an unknown type or a row that is no whole number of blocks.
  static func checked(_ number: Int32, columnCount: Int) -> ElementType {
    guard let type = ElementType(rawValue: number) else { misuse("unknown element type", number) }
    guard columnCount % type.blockElementCount == 0 else {
      misuse("row is not a whole number of blocks: its length is", Int32(truncatingIfNeeded: columnCount))
    }
    return type
  }
}

/// Logs a sentence and traps: an operation was called with arguments that no operation has.
func misuse(_ reason: StaticString, _ number: Int32) -> Never {
  var line = LogLine()
  line.append("kernels: ")
  line.append(reason)
  line.append(" ")
  line.append(Int(number))
  line.write()
  fatalError()
}

/// A count argument as an `Int`; traps where it is negative.
@inline(__always)
func count(_ value: Int32) -> Int {
  if value < 0 { misuse("negative count", value) }
  return Int(value)
}
