/// Conversions between float32 and the two 16-bit formats of weight files, by integer arithmetic: exact, the same on every
/// machine and in every build, and without the run-time support that `Float16` needs.
///
///     binary16   s eeeee mmmmmmmmmm            bias 15, largest 65504, smallest subnormal 2⁻²⁴
///     bfloat16   s eeeeeeee mmmmmmm            the upper half of a float32
///     float32    s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm
public enum HalfPrecision {
  /// The value of binary16 bits. Exact; a NaN keeps its payload's upper bits and is quiet.
  public static func float(halfBits bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let mantissa = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      // Zero or subnormal: mantissa · 2⁻²⁴, exact in float32.
      let magnitude = Float(mantissa) * 0x1p-24
      return Float(bitPattern: magnitude.bitPattern | sign)
    case 0x1F:
      let quiet: UInt32 = mantissa == 0 ? 0 : 0x40_0000
      return Float(bitPattern: sign | 0x7F80_0000 | quiet | mantissa << 13)
    default:
      return Float(bitPattern: sign | (exponent + 112) << 23 | mantissa << 13)
    }
  }

  /// The binary16 bits nearest to a value, ties to even. Beyond 65519.99 it is infinity; a NaN stays a (quiet) NaN.
  public static func halfBits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let magnitude = bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return sign | 0x7E00 | UInt16(truncatingIfNeeded: magnitude >> 13) & 0x3FF }
    if magnitude >= 0x4780_0000 { return sign | 0x7C00 }  // 65536 and more
    if magnitude >= 0x3880_0000 {
      // A normal result: rebias, then round the 13 bits that fall away. A carry runs into the exponent, as it should.
      let rebiased = magnitude - (112 << 23)
      return sign | UInt16(roundToNearestEven(rebiased, droppedBitCount: 13))
    }
    if magnitude < 0x3300_0000 { return sign }  // below 2⁻²⁵: zero
    // A subnormal result: the mantissa with its hidden bit, in units of 2⁻²⁴.
    let exponent = magnitude >> 23
    let mantissa = magnitude & 0x7F_FFFF | 0x80_0000
    return sign | UInt16(roundToNearestEven(mantissa, droppedBitCount: 126 - exponent))
  }

  /// The value of bfloat16 bits. Exact.
  public static func float(bfloatBits bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  /// The bfloat16 bits nearest to a value, ties to even; a NaN stays a (quiet) NaN.
  public static func bfloatBits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if bits & 0x7FFF_FFFF > 0x7F80_0000 { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }

  private static func roundToNearestEven(_ value: UInt32, droppedBitCount: UInt32) -> UInt32 {
    let half: UInt32 = 1 << (droppedBitCount - 1)
    let kept = value >> droppedBitCount
    let dropped = value & (half << 1 - 1)
    return dropped > half || (dropped == half && kept & 1 == 1) ? kept + 1 : kept
  }
}
