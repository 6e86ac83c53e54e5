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

  var name: StaticString {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .q4_0: "Q4_0"
    case .q4_1: "Q4_1"
    case .q5_0: "Q5_0"
    case .q5_1: "Q5_1"
    case .q8_0: "Q8_0"
    case .q4_K: "Q4_K"
    case .q6_K: "Q6_K"
    case .bf16: "BF16"
    }
  }
}
