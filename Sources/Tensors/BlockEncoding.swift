/// From float32 to stored bytes, row by row: what makes test data and small models. Simple and exact rather than clever:
/// ggml's files are made with a search for better scales, so its Q4_K and Q6_K blocks have smaller errors than these.
///
/// Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 follow ggml's `quantize_row_*_ref`. Source: ggml 0.25.
public enum BlockEncoding {
  /// The types that can be encoded here.
  public static let elementTypes: [ElementType] = [
    .f32, .f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q6_K,
  ]

  /// - Parameter values: finite; a whole number of blocks.
  public static func encode(_ values: [Float], as type: ElementType) throws(KernelError) -> [UInt8] {
    guard elementTypes.contains(type) else { throw .unsupportedElementType(type) }
    guard let byteCount = type.rowByteCount(elementCount: values.count) else {
      throw .shapeMismatch("\(values.count) elements are no whole number of \(type.name) blocks")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    for start in stride(from: 0, to: values.count, by: type.blockElementCount) {
      let block = Array(values[start..<start + type.blockElementCount])
      switch type {
      case .f32: append(block[0].bitPattern, to: &bytes)
      case .f16: append(HalfPrecision.halfBits(block[0]), to: &bytes)
      case .bf16: append(HalfPrecision.bfloatBits(block[0]), to: &bytes)
      case .q4_0: encodeSymmetric(block, bitCount: 4, to: &bytes)
      case .q5_0: encodeSymmetric(block, bitCount: 5, to: &bytes)
      case .q4_1: encodeWithMinimum(block, bitCount: 4, to: &bytes)
      case .q5_1: encodeWithMinimum(block, bitCount: 5, to: &bytes)
      case .q8_0: encodeQ8_0(block, to: &bytes)
      case .q4_K: encodeQ4_K(block, to: &bytes)
      case .q6_K: encodeQ6_K(block, to: &bytes)
      default: throw .unsupportedElementType(type)
      }
    }
    return bytes
  }

  /// Q4_0 and Q5_0: the value of largest magnitude becomes -2ⁿ⁻¹.
  private static func encodeSymmetric(_ block: [Float], bitCount: Int, to bytes: inout [UInt8]) {
    var extreme: Float = 0
    for value in block where value.magnitude > extreme.magnitude { extreme = value }
    let middle = Float(1 << (bitCount - 1))
    let d = extreme / -middle
    let inverse = d == 0 ? 0 : 1 / d
    append(HalfPrecision.halfBits(d), to: &bytes)
    appendPacked(block.map { quantized($0 * inverse + (middle + 0.5), max: 1 << bitCount - 1) }, bitCount, to: &bytes)
  }

  /// Q4_1 and Q5_1: the range from the least to the greatest value is cut into 2ⁿ - 1 steps.
  private static func encodeWithMinimum(_ block: [Float], bitCount: Int, to bytes: inout [UInt8]) {
    let (least, greatest) = (block.min()!, block.max()!)
    let levelMax = 1 << bitCount - 1
    let d = (greatest - least) / Float(levelMax)
    let inverse = d == 0 ? 0 : 1 / d
    append(HalfPrecision.halfBits(d), to: &bytes)
    append(HalfPrecision.halfBits(least), to: &bytes)
    appendPacked(block.map { quantized(($0 - least) * inverse + 0.5, max: levelMax) }, bitCount, to: &bytes)
  }

  private static func encodeQ8_0(_ block: [Float], to bytes: inout [UInt8]) {
    let d = block.reduce(0) { Swift.max($0, $1.magnitude) } / 127
    let inverse = d == 0 ? 0 : 1 / d
    append(HalfPrecision.halfBits(d), to: &bytes)
    for value in block { bytes.append(UInt8(bitPattern: Int8((value * inverse).rounded()))) }
  }

  private static func encodeQ4_K(_ block: [Float], to bytes: inout [UInt8]) {
    // Per sub-block: the minimum is stored as a positive number that is subtracted, so it is at most 0.
    let subBlocks = stride(from: 0, to: 256, by: 32).map { Array(block[$0..<$0 + 32]) }
    let minimums = subBlocks.map { -Swift.min(0, $0.min()!) }
    let steps = zip(subBlocks, minimums).map { Swift.max(0, $0.max()! + $1) / 15 }
    let d = HalfPrecision.float(halfBits: HalfPrecision.halfBits(steps.max()! / 63))
    let dmin = HalfPrecision.float(halfBits: HalfPrecision.halfBits(minimums.max()! / 63))
    let scaleLevels = steps.map { d == 0 ? 0 : UInt8(Swift.min(63, ($0 / d).rounded())) }
    let minimumLevels = minimums.map { dmin == 0 ? 0 : UInt8(Swift.min(63, ($0 / dmin).rounded())) }
    append(HalfPrecision.halfBits(d), to: &bytes)
    append(HalfPrecision.halfBits(dmin), to: &bytes)
    for j in 0..<4 { bytes.append(scaleLevels[j] | (scaleLevels[j + 4] >> 4) << 6) }
    for j in 0..<4 { bytes.append(minimumLevels[j] | (minimumLevels[j + 4] >> 4) << 6) }
    for j in 4..<8 { bytes.append(scaleLevels[j] & 0xF | minimumLevels[j] << 4) }
    let levels = subBlocks.indices.map { sub -> [UInt8] in
      let step = d * Float(scaleLevels[sub])
      let minimum = dmin * Float(minimumLevels[sub])
      return subBlocks[sub].map { step == 0 ? 0 : quantized(($0 + minimum) / step + 0.5, max: 15) }
    }
    for pair in 0..<4 {
      for j in 0..<32 { bytes.append(levels[2 * pair][j] | levels[2 * pair + 1][j] << 4) }
    }
  }

  private static func encodeQ6_K(_ block: [Float], to bytes: inout [UInt8]) {
    let subBlocks = stride(from: 0, to: 256, by: 16).map { Array(block[$0..<$0 + 16]) }
    let steps = subBlocks.map { $0.reduce(0) { Swift.max($0, $1.magnitude) } / 31 }
    let d = HalfPrecision.float(halfBits: HalfPrecision.halfBits(steps.max()! / 127))
    let scales = steps.map { d == 0 ? 0 : Int8(Swift.min(127, ($0 / d).rounded())) }
    var levels: [UInt8] = []
    for (sub, values) in subBlocks.enumerated() {
      let step = d * Float(scales[sub])
      levels += values.map { step == 0 ? 32 : quantized($0 / step + 32.5, max: 63) }
    }
    // Groups of 32 elements share bytes as `BlockDecoding.decodeQ6_K` draws it.
    for half in 0..<2 {
      for byte in 0..<64 {
        bytes.append(levels[half * 128 + byte] & 0xF | levels[half * 128 + 64 + byte] << 4)
      }
    }
    for half in 0..<2 {
      for j in 0..<32 {
        bytes.append((0..<4).reduce(0) { $0 | (levels[half * 128 + $1 * 32 + j] >> 4) << UInt8(2 * $1) })
      }
    }
    bytes += scales.map { UInt8(bitPattern: $0) }
    append(HalfPrecision.halfBits(d), to: &bytes)
  }

  /// 32 levels: for five bits a u32 of fifth bits first, then 16 bytes of nibbles, elements 0..<16 in the low ones.
  private static func appendPacked(_ levels: [UInt8], _ bitCount: Int, to bytes: inout [UInt8]) {
    if bitCount == 5 {
      append(levels.indices.reduce(UInt32(0)) { $0 | UInt32(levels[$1] >> 4) << UInt32($1) }, to: &bytes)
    }
    for j in 0..<16 { bytes.append(levels[j] & 0xF | levels[j + 16] << 4) }
  }

  /// Truncated towards zero, into 0...max.
  private static func quantized(_ value: Float, max: Int) -> UInt8 { UInt8(Swift.min(max, Swift.max(0, Int(value)))) }

  private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
}
