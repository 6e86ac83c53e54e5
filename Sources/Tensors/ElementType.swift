/// How the elements of a tensor are stored: every tensor type that ggml numbers, with its block layout's sizes, and those of
/// safetensors whose elements are whole bytes.
///
/// A type stores its elements in blocks of `blockElementCount` consecutive elements of one row, `blockByteCount` bytes each:
///
///     row of 96 elements, Q4_1:   | f16 scale | f16 minimum | 16 bytes: 32 nibbles |  block 1  |  block 2  |
///                                 |<--------------- 20 bytes, block 0 ------------>|
///
/// Plain types have blocks of one element. The raw value is ggml's number, as GGUF files and the `tensor` import module
/// carry it. Numbers that ggml has withdrawn (4, 5, 31...33, 36...38) are no case, so that reading one fails. Types that only
/// safetensors files have are numbered here, from 0x1000 on; see `init(ggmlNumber:)`.
///
/// Source: `enum ggml_type` and the type traits of ggml 0.25; the sizes were compared with that library's own answers.
public enum ElementType: UInt32, CaseIterable, Hashable, Sendable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q8_1 = 9
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case q8_K = 15
  case iq2_XXS = 16
  case iq2_XS = 17
  case iq3_XXS = 18
  case iq1_S = 19
  case iq4_NL = 20
  case iq3_S = 21
  case iq2_S = 22
  case iq4_XS = 23
  case i8 = 24
  case i16 = 25
  case i32 = 26
  case i64 = 27
  case f64 = 28
  case iq1_M = 29
  case bf16 = 30
  case tq1_0 = 34
  case tq2_0 = 35
  case mxfp4 = 39
  case nvfp4 = 40
  case q1_0 = 41
  case q2_0 = 42
  case bool = 0x1000
  case u8, u16, u32, u64
  case f8_E4M3, f8_E5M2, f8_E8M0
  /// A complex number: two float32.
  case c64

  /// The type of a number in a GGUF file: none that ggml does not give.
  public init?(ggmlNumber: UInt32) {
    guard ggmlNumber < Self.bool.rawValue else { return nil }
    self.init(rawValue: ggmlNumber)
  }

  /// The name in the spelling of the GGUF documentation: `F32`, `Q4_1`, `Q4_K`, `IQ2_XXS`, `MXFP4`.
  public var name: String { "\(self)".uppercased() }

  /// The type of this name (any letter case), nil when there is none.
  public init?(name: String) {
    let wanted = name.uppercased()
    guard let type = Self.allCases.first(where: { $0.name == wanted }) else { return nil }
    self = type
  }

  /// Elements in a block: 1 for plain types.
  public var blockElementCount: Int { layout.elementCount }

  /// Bytes of a block: of one element for plain types.
  public var blockByteCount: Int { layout.byteCount }

  /// Whether several elements share a block and its scales.
  public var isQuantized: Bool { blockElementCount > 1 }

  /// Bits per element, scales included: 5 for `q4_1`, 8.5 for `q8_0`.
  public var bitsPerElement: Double { Double(blockByteCount * 8) / Double(blockElementCount) }

  /// Bytes of one row of `elementCount` elements; nil when the row is no whole number of blocks, or the count is negative
  /// or does not fit an `Int`.
  public func rowByteCount(elementCount: Int) -> Int? {
    let (elementsPerBlock, bytesPerBlock) = layout
    guard elementCount >= 0, elementCount % elementsPerBlock == 0 else { return nil }
    let (byteCount, overflow) = (elementCount / elementsPerBlock).multipliedReportingOverflow(by: bytesPerBlock)
    return overflow ? nil : byteCount
  }

  /// The one table of block sizes.
  private var layout: (elementCount: Int, byteCount: Int) {
    switch self {
    case .f32, .i32, .u32: (1, 4)
    case .f16, .bf16, .i16, .u16: (1, 2)
    case .f64, .i64, .u64, .c64: (1, 8)
    case .i8, .u8, .bool, .f8_E4M3, .f8_E5M2, .f8_E8M0: (1, 1)
    case .q4_0: (32, 2 + 16)  // f16 scale, nibbles
    case .q4_1: (32, 2 + 2 + 16)  // f16 scale, f16 minimum, nibbles
    case .q5_0: (32, 2 + 4 + 16)  // f16 scale, fifth bits, nibbles
    case .q5_1: (32, 2 + 2 + 4 + 16)  // f16 scale, f16 minimum, fifth bits, nibbles
    case .q8_0: (32, 2 + 32)  // f16 scale, signed bytes
    case .q8_1: (32, 2 + 2 + 32)  // f16 scale, f16 scaled sum, signed bytes
    case .q2_K: (256, 16 + 64 + 2 + 2)  // 16 × (4-bit scale, 4-bit minimum), 2-bit values, f16 scale, f16 minimum
    case .q3_K: (256, 32 + 64 + 12 + 2)  // third bits, 2-bit values, 16 6-bit scales, f16 scale
    case .q4_K: (256, 2 + 2 + 12 + 128)  // f16 scale, f16 minimum, 8 × (6-bit scale, 6-bit minimum), nibbles
    case .q5_K: (256, 2 + 2 + 12 + 32 + 128)  // as q4_K, with fifth bits
    case .q6_K: (256, 128 + 64 + 16 + 2)  // low nibbles, high bit pairs, 16 signed scales, f16 scale
    case .q8_K: (256, 4 + 256 + 32)  // f32 scale, signed bytes, 16 × i16 sums
    case .iq2_XXS: (256, 66)
    case .iq2_XS: (256, 74)
    case .iq3_XXS: (256, 98)
    case .iq1_S: (256, 50)
    case .iq4_NL: (32, 2 + 16)
    case .iq3_S: (256, 110)
    case .iq2_S: (256, 82)
    case .iq4_XS: (256, 136)
    case .iq1_M: (256, 56)
    case .tq1_0: (256, 54)
    case .tq2_0: (256, 66)
    case .mxfp4: (32, 1 + 16)  // e8m0 scale, nibbles
    case .nvfp4: (64, 4 + 32)  // 4 × ue4m3 scale, nibbles
    case .q1_0: (128, 2 + 16)
    case .q2_0: (64, 2 + 16)
    }
  }
}
