/// From stored bytes to float32: the plain meaning of each block layout. The oracle for every faster decoder.
///
/// Types: F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K. All layouts are little-endian. Each value is computed in
/// float32 in the order that ggml's plain C does, so the results are equal to ggml's bit by bit.
///
/// Source: the block structures of ggml (`ggml-common.h`) and `dequantize_row_*`; fixtures made with ggml 0.25.
public enum BlockDecoding {
  /// The types that can be decoded here.
  public static let elementTypes: [ElementType] = [
    .f32, .f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q5_K, .q6_K,
  ]

  /// `elementCount` elements from `offset` on.
  /// - Throws: `unsupportedElementType`, or `shapeMismatch` when the count is no whole number of blocks or the bytes end
  ///   before them.
  public static func decode(
    _ bytes: [UInt8], at offset: Int = 0, elementCount: Int, as type: ElementType
  ) throws(KernelError) -> [Float] {
    guard elementTypes.contains(type) else { throw .unsupportedElementType(type) }
    guard let byteCount = type.rowByteCount(elementCount: elementCount) else {
      throw .shapeMismatch("\(elementCount) elements are no whole number of \(type.name) blocks")
    }
    guard offset >= 0, offset <= bytes.count, byteCount <= bytes.count - offset else {
      throw .shapeMismatch("\(byteCount) bytes at \(offset) expected, the operand has \(bytes.count)")
    }
    var values: [Float] = []
    values.reserveCapacity(elementCount)
    for block in stride(from: offset, to: offset + byteCount, by: type.blockByteCount) {
      let source = BlockBytes(bytes: bytes, start: block)
      switch type {
      case .f32: values.append(Float(bitPattern: source.u32(0)))
      case .f16: values.append(source.half(0))
      case .bf16: values.append(HalfPrecision.float(bfloatBits: source.u16(0)))
      case .q4_0: decodeQ4_0(source, &values)
      case .q4_1: decodeQ4_1(source, &values)
      case .q5_0: decodeQ5_0(source, &values)
      case .q5_1: decodeQ5_1(source, &values)
      case .q8_0: decodeQ8_0(source, &values)
      case .q4_K: decodeQ4_K(source, &values)
      case .q5_K: decodeQ5_K(source, &values)
      case .q6_K: decodeQ6_K(source, &values)
      default: throw .unsupportedElementType(type)
      }
    }
    return values
  }

  /// f16 d | 16 bytes: element j in the low nibble of byte j, element j + 16 in the high one. d · (q - 8).
  private static func decodeQ4_0(_ block: BlockBytes, _ values: inout [Float]) {
    let d = block.half(0)
    for j in 0..<16 { values.append(Float(Int(block[2 + j] & 0xF) - 8) * d) }
    for j in 0..<16 { values.append(Float(Int(block[2 + j] >> 4) - 8) * d) }
  }

  /// f16 d | f16 m | 16 bytes of nibbles as Q4_0. d · q + m.
  private static func decodeQ4_1(_ block: BlockBytes, _ values: inout [Float]) {
    let (d, m) = (block.half(0), block.half(2))
    for j in 0..<16 { values.append(Float(block[4 + j] & 0xF) * d + m) }
    for j in 0..<16 { values.append(Float(block[4 + j] >> 4) * d + m) }
  }

  /// f16 d | u32: bit j is the fifth bit of element j | 16 bytes of nibbles. d · (q - 16).
  private static func decodeQ5_0(_ block: BlockBytes, _ values: inout [Float]) {
    let d = block.half(0)
    let high = block.u32(2)
    for j in 0..<32 { values.append(Float(Int(fiveBits(block, 6, high, j)) - 16) * d) }
  }

  /// f16 d | f16 m | u32 of fifth bits | 16 bytes of nibbles. d · q + m.
  private static func decodeQ5_1(_ block: BlockBytes, _ values: inout [Float]) {
    let (d, m) = (block.half(0), block.half(2))
    let high = block.u32(4)
    for j in 0..<32 { values.append(Float(fiveBits(block, 8, high, j)) * d + m) }
  }

  private static func fiveBits(_ block: BlockBytes, _ nibbles: Int, _ high: UInt32, _ j: Int) -> UInt8 {
    let low = j < 16 ? block[nibbles + j] & 0xF : block[nibbles + j - 16] >> 4
    return low | UInt8(high >> UInt32(j) & 1) << 4
  }

  /// f16 d | 32 signed bytes. d · q.
  private static func decodeQ8_0(_ block: BlockBytes, _ values: inout [Float]) {
    let d = block.half(0)
    for j in 0..<32 { values.append(Float(Int8(bitPattern: block[2 + j])) * d) }
  }

  /// f16 d | f16 dmin | 12 bytes: 8 6-bit scales and 8 6-bit minimums | 128 bytes: each 32 hold two sub-blocks of 32, the
  /// first in the low nibbles, the second in the high ones. d · scale · q - dmin · minimum.
  private static func decodeQ4_K(_ block: BlockBytes, _ values: inout [Float]) {
    let (d, dmin) = (block.half(0), block.half(2))
    for sub in 0..<8 {
      let (scale, minimum) = scaleAndMinimum(block, 4, sub)
      let (d1, m1) = (d * Float(scale), dmin * Float(minimum))
      for j in 0..<32 {
        let byte = block[16 + sub / 2 * 32 + j]
        let q = sub % 2 == 0 ? byte & 0xF : byte >> 4
        values.append(d1 * Float(q) - m1)
      }
    }
  }

  /// As Q4_K, with 32 bytes of fifth bits before the nibbles: bit `sub` of byte j belongs to element j of sub-block `sub`.
  private static func decodeQ5_K(_ block: BlockBytes, _ values: inout [Float]) {
    let (d, dmin) = (block.half(0), block.half(2))
    for sub in 0..<8 {
      let (scale, minimum) = scaleAndMinimum(block, 4, sub)
      let (d1, m1) = (d * Float(scale), dmin * Float(minimum))
      for j in 0..<32 {
        let byte = block[48 + sub / 2 * 32 + j]
        let low = sub % 2 == 0 ? byte & 0xF : byte >> 4
        let high = block[16 + j] >> UInt8(sub) & 1
        values.append(d1 * Float(low + high << 4) - m1)
      }
    }
  }

  /// The 6-bit scale and minimum of a sub-block. The first four lie in the low 6 bits of bytes 0...3 and 4...7; the others in
  /// the nibbles of bytes 8...11, with their upper two bits on top of those bytes.
  static func scaleAndMinimum(_ block: BlockBytes, _ scales: Int, _ sub: Int) -> (scale: UInt8, minimum: UInt8) {
    if sub < 4 { return (block[scales + sub] & 63, block[scales + sub + 4] & 63) }
    let shared = block[scales + sub + 4]
    return (
      shared & 0xF | (block[scales + sub - 4] >> 6) << 4,
      shared >> 4 | (block[scales + sub] >> 6) << 4
    )
  }

  /// 128 bytes of low nibbles | 64 bytes of high bit pairs | 16 signed scales, one per 16 elements | f16 d.
  /// d · scale · (q - 32). Two halves of 128 elements, each four groups of 32 that share bytes: groups 0 and 1 lie in the low
  /// nibbles of bytes 0..<32 and 32..<64, groups 2 and 3 in the high ones; group g has bits 2g and 2g+1 of the bit pairs.
  private static func decodeQ6_K(_ block: BlockBytes, _ values: inout [Float]) {
    let d = block.half(208)
    for half in 0..<2 {
      for group in 0..<4 {
        for j in 0..<32 {
          let byte = block[half * 64 + group % 2 * 32 + j]
          let low = group < 2 ? byte & 0xF : byte >> 4
          let high = block[128 + half * 32 + j] >> UInt8(2 * group) & 3
          let scale = Int8(bitPattern: block[192 + half * 8 + group * 2 + j / 16])
          values.append(d * Float(scale) * Float(Int(low | high << 4) - 32))
        }
      }
    }
  }
}

/// Little-endian reads at offsets within one block of a checked range.
struct BlockBytes {
  let bytes: [UInt8]
  let start: Int

  subscript(offset: Int) -> UInt8 { bytes[start + offset] }

  func u16(_ offset: Int) -> UInt16 { UInt16(self[offset]) | UInt16(self[offset + 1]) << 8 }

  func u32(_ offset: Int) -> UInt32 { UInt32(u16(offset)) | UInt32(u16(offset + 2)) << 16 }

  func half(_ offset: Int) -> Float { HalfPrecision.float(halfBits: u16(offset)) }
}
