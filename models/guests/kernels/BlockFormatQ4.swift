import GuestImports

/// Q4_1: weight = d · q + m, q in 0...15.
///
///     | d: f16 | m: f16 | 16 bytes: low nibbles are weights 0...15, high nibbles 16...31 |
///
/// Σ w·x = d · scale · Σ q·value + m · scale · Σ value.
struct Q4_1: BlockFormat {
  typealias Layout = SignedActivations
  static let blockByteCount: UInt64 = 20

  @inline(__always)
  static func addProducts(
    _ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, offset: Int32, _ x: UnsafeRawPointer, _ at: UInt32,
    _ sum: inout SIMD4<Float>
  ) {
    let low = bytes(x, at), high = bytes(x, at + 16)
    let products = nibbleProducts(
      weights_load(w0, offset + 4), weights_load(w1, offset + 4), weights_load(w2, offset + 4), weights_load(w3, offset + 4),
      low, high)
    var factors = weights_load32_splat(w0, offset)
    factors = weights_load32_lane(w1, offset, 1, factors)
    factors = weights_load32_lane(w2, offset, 2, factors)
    factors = weights_load32_lane(w3, offset, 3, factors)
    let scale = HalfPrecision.scaledLow(i32x4_from_i8x16(factors))
    let minimum = HalfPrecision.scaledHigh(i32x4_from_i8x16(factors))
    sum = f32x4_madd(products, scale * splat(x, at + 32), sum)
    sum = f32x4_madd(minimum, splat(x, at + 36), sum)
  }

  struct Column {
    var weights: UnsignedColumn
    var scale: SIMD4<Float>, minimum: SIMD4<Float>
  }

  @inline(__always)
  static func column(_ w: UInt64) -> Column {
    let factors = i32x4_from_i8x16(weights_load32_splat(w, 0))
    return Column(
      weights: UnsignedColumn(
        weights_load32_splat(w, 4), weights_load32_splat(w, 8), weights_load32_splat(w, 12), weights_load32_splat(w, 16)),
      scale: HalfPrecision.scaledLow(factors), minimum: HalfPrecision.scaledHigh(factors))
  }

  @inline(__always)
  static func addProducts(_ column: Column, _ rows: SignedActivations.RowGroup, _ sum: inout SIMD4<Float>) {
    let products = f32x4_convert(column.weights.products(rows))
    sum = f32x4_madd(products, column.scale * rows.scale, sum)
    sum = f32x4_madd(column.minimum, rows.sum, sum)
  }
}

/// Q4_0: weight = d · (q - 8), q in 0...15.
///
///     | d: f16 | 16 bytes: low nibbles are weights 0...15, high nibbles 16...31 |
///
/// Σ w·x = d · (scale · Σ q·value - 8 · scale · Σ value).
struct Q4_0: BlockFormat {
  typealias Layout = SignedActivations
  static let blockByteCount: UInt64 = 18

  @inline(__always)
  static func addProducts(
    _ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, offset: Int32, _ x: UnsafeRawPointer, _ at: UInt32,
    _ sum: inout SIMD4<Float>
  ) {
    let low = bytes(x, at), high = bytes(x, at + 16)
    let products = nibbleProducts(
      weights_load(w0, offset + 2), weights_load(w1, offset + 2), weights_load(w2, offset + 2), weights_load(w3, offset + 2),
      low, high)
    let scale = highHalfScales(w0, w1, w2, w3, offset: offset)
    let shifted = f32x4_madd(products, splat(x, at + 32), splat(x, at + 36) * SIMD4(repeating: -8))
    sum = f32x4_madd(shifted, scale, sum)
  }

  struct Column {
    var weights: UnsignedColumn
    var scale: SIMD4<Float>
  }

  @inline(__always)
  static func column(_ w: UInt64) -> Column {
    Column(
      weights: UnsignedColumn(
        weights_load32_splat(w, 2), weights_load32_splat(w, 6), weights_load32_splat(w, 10), weights_load32_splat(w, 14)),
      scale: HalfPrecision.scaledLow(i32x4_from_i8x16(weights_load32_splat(w, 0))))
  }

  @inline(__always)
  static func addProducts(_ column: Column, _ rows: SignedActivations.RowGroup, _ sum: inout SIMD4<Float>) {
    let products = f32x4_convert(column.weights.products(rows))
    let shifted = f32x4_madd(products, rows.scale, rows.sum * SIMD4(repeating: -8))
    sum = f32x4_madd(shifted, column.scale, sum)
  }
}

/// 32 weights 0...63 of one column: vector i holds weights 4i...4i+3 in each lane.
struct UnsignedColumn {
  var w0: SIMD16<Int8>, w1: SIMD16<Int8>, w2: SIMD16<Int8>, w3: SIMD16<Int8>
  var w4: SIMD16<Int8>, w5: SIMD16<Int8>, w6: SIMD16<Int8>, w7: SIMD16<Int8>

  @inline(__always)
  func products(_ x: SignedActivations.RowGroup) -> SIMD4<Int32> {
    var sum = lowProducts(x)
    sum = i32x4_dot_add(x.x4, w4, sum)
    sum = i32x4_dot_add(x.x5, w5, sum)
    sum = i32x4_dot_add(x.x6, w6, sum)
    return i32x4_dot_add(x.x7, w7, sum)
  }

  /// Of weights 0...15.
  @inline(__always)
  func lowProducts(_ x: SignedActivations.RowGroup) -> SIMD4<Int32> {
    var sum = i32x4_dot_add(x.x0, w0, SIMD4())
    sum = i32x4_dot_add(x.x1, w1, sum)
    sum = i32x4_dot_add(x.x2, w2, sum)
    return i32x4_dot_add(x.x3, w3, sum)
  }

  /// Of weights 16...31.
  @inline(__always)
  func highProducts(_ x: SignedActivations.RowGroup) -> SIMD4<Int32> {
    var sum = i32x4_dot_add(x.x4, w4, SIMD4())
    sum = i32x4_dot_add(x.x5, w5, sum)
    sum = i32x4_dot_add(x.x6, w6, sum)
    return i32x4_dot_add(x.x7, w7, sum)
  }
}

extension UnsignedColumn {
  /// From the four words of packed nibbles.
  @inline(__always)
  init(_ a: SIMD16<Int8>, _ b: SIMD16<Int8>, _ c: SIMD16<Int8>, _ d: SIMD16<Int8>) {
    let mask = i8x16_splat(15)
    self.init(
      w0: a & mask, w1: b & mask, w2: c & mask, w3: d & mask, w4: i8x16_shift_right_unsigned(a, 4),
      w5: i8x16_shift_right_unsigned(b, 4), w6: i8x16_shift_right_unsigned(c, 4), w7: i8x16_shift_right_unsigned(d, 4))
  }
}

/// Σ q·value of four columns, one a lane.
///
/// The sums are added across lanes by narrowing: a lane holds at most 8 · 15 · 127 = 15240, a pair of them 30480, so 16 bits
/// hold every step, and six instructions do for four columns what shuffles and additions would do in nine.
@inline(__always)
private func nibbleProducts(
  _ a: SIMD16<Int8>, _ b: SIMD16<Int8>, _ c: SIMD16<Int8>, _ d: SIMD16<Int8>, _ low: SIMD16<Int8>, _ high: SIMD16<Int8>
) -> SIMD4<Float> {
  let mask = i8x16_splat(15)
  let sumA = i32x4_dot_add(high, i8x16_shift_right_unsigned(a, 4), i32x4_dot_add(low, a & mask, SIMD4()))
  let sumB = i32x4_dot_add(high, i8x16_shift_right_unsigned(b, 4), i32x4_dot_add(low, b & mask, SIMD4()))
  let sumC = i32x4_dot_add(high, i8x16_shift_right_unsigned(c, 4), i32x4_dot_add(low, c & mask, SIMD4()))
  let sumD = i32x4_dot_add(high, i8x16_shift_right_unsigned(d, 4), i32x4_dot_add(low, d & mask, SIMD4()))
  let pairs = i16x8_narrow(i32x4_pairwise_sum(i16x8_narrow(sumA, sumB)), i32x4_pairwise_sum(i16x8_narrow(sumC, sumD)))
  return f32x4_convert(i32x4_pairwise_sum(pairs))
}

/// The f16 at `offset` of four columns, times 2⁻¹¹².
@inline(__always)
func highHalfScales(_ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, offset: Int32) -> SIMD4<Float> {
  var bits = weights_load16_high(w0, offset, 0, SIMD16())
  bits = weights_load16_high(w1, offset, 1, bits)
  bits = weights_load16_high(w2, offset, 2, bits)
  bits = weights_load16_high(w3, offset, 3, bits)
  return HalfPrecision.scaledHigh(i32x4_from_i8x16(bits))
}
