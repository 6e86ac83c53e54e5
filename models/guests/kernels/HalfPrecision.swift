import GuestImports

/// Conversion of f16 by bit shifts.
///
/// The exponent and mantissa bits of an f16, shifted to where f32 has them, are the number times 2⁻¹¹² (the difference of
/// the exponent biases), subnormals included. So a kernel converts with a shift and a mask and owes a factor 2¹¹², which it
/// multiplies in where that is cheapest. Powers of two do not round. Infinities and NaNs of f16 come out as numbers
/// beyond 65504: weights have none.
enum HalfPrecision {
  static let factor: Float = 0x1p112

  /// 2¹¹² in two parts, for a kernel that scales its activations (up to 2⁶³ in magnitude) and its results.
  static let activationFactor: Float = 0x1p64
  static let resultFactor: Float = 0x1p48

  /// The f16 in bits 31...16 of each lane, times 2⁻¹¹².
  @inline(__always)
  static func scaledHigh(_ lanes: SIMD4<Int32>) -> SIMD4<Float> {
    f32x4_from_i32x4(i32x4_shift_right(lanes, 3) & SIMD4(repeating: Int32(bitPattern: 0x8fff_e000)))
  }

  /// The f16 in bits 15...0 of each lane, times 2⁻¹¹².
  @inline(__always)
  static func scaledLow(_ lanes: SIMD4<Int32>) -> SIMD4<Float> {
    scaledHigh(i32x4_shift_left(lanes, 16))
  }

  /// The f16 in bits 15...0, times 2⁻¹¹².
  @inline(__always)
  static func scaled(_ bits: UInt32) -> Float {
    let lane = Int32(bitPattern: bits << 16) >> 3
    return Float(bitPattern: UInt32(bitPattern: lane) & 0x8fff_e000)
  }

  @inline(__always)
  static func value(_ bits: UInt32) -> Float { scaled(bits) * factor }

  /// The nearest f16 of each lane, ties to even, in bits 15...0; magnitudes beyond 65504 become 65504.
  @inline(__always)
  static func bits(_ value: SIMD4<Float>) -> SIMD4<Int32> {
    let word = i32x4_from_f32x4(value)
    let sign = i32x4_shift_right_unsigned(word, 16) & SIMD4(repeating: 0x8000)
    let magnitude = f32x4_min(f32x4_abs(value), SIMD4(repeating: 65504))
    // A subnormal f16 is rounded by the addition: 0.5 has its last place at 2⁻²⁴.
    let small = i32x4_from_f32x4(magnitude + SIMD4(repeating: 0.5)) &- SIMD4(repeating: 0x3f00_0000)
    let wide = i32x4_from_f32x4(magnitude)
    let odd = i32x4_shift_right_unsigned(wide, 13) & SIMD4(repeating: 1)
    let rounded = wide &+ SIMD4(repeating: 0xfff &- (112 << 23)) &+ odd
    let normal = i32x4_shift_right_unsigned(rounded, 13)
    let isSmall = f32x4_less(magnitude, SIMD4(repeating: 0x1p-14))
    return i32x4_from_f32x4(f32x4_select(isSmall, f32x4_from_i32x4(small), f32x4_from_i32x4(normal))) | sign
  }
}
