import GuestImports

/// Q8_0: weight = d · q, q in -127...127.
///
///     | d: f16 | 32 bytes |
///
/// Σ w·x = d · scale · (Σ q·max(value, 0) - Σ q·max(-value, 0)).
struct Q8_0: BlockFormat {
  typealias Layout = SplitActivations
  static let blockByteCount: UInt64 = 34

  @inline(__always)
  static func addProducts(
    _ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, offset: Int32, _ x: UnsafeRawPointer, _ at: UInt32,
    _ sum: inout SIMD4<Float>
  ) {
    let p0 = bytes(x, at), p1 = bytes(x, at + 16), n0 = bytes(x, at + 32), n1 = bytes(x, at + 48)
    let a = products(w0, offset, p0, p1, n0, n1), b = products(w1, offset, p0, p1, n0, n1)
    let c = products(w2, offset, p0, p1, n0, n1), d = products(w3, offset, p0, p1, n0, n1)
    let ab = i32x4_even(a, b) &+ i32x4_odd(a, b), cd = i32x4_even(c, d) &+ i32x4_odd(c, d)
    let sums = f32x4_convert(i32x4_even(ab, cd) &+ i32x4_odd(ab, cd))
    sum = f32x4_madd(sums, highHalfScales(w0, w1, w2, w3, offset: offset) * splat(x, at + 64), sum)
  }

  @inline(__always)
  private static func products(
    _ w: UInt64, _ offset: Int32, _ p0: SIMD16<Int8>, _ p1: SIMD16<Int8>, _ n0: SIMD16<Int8>, _ n1: SIMD16<Int8>
  ) -> SIMD4<Int32> {
    let low = weights_load(w, offset + 2), high = weights_load(w, offset + 18)
    return i32x4_dot_add(high, p1, i32x4_dot_add(low, p0, SIMD4())) &- i32x4_dot_add(high, n1, i32x4_dot_add(low, n0, SIMD4()))
  }

  struct Column {
    var w0: SIMD16<Int8>, w1: SIMD16<Int8>, w2: SIMD16<Int8>, w3: SIMD16<Int8>
    var w4: SIMD16<Int8>, w5: SIMD16<Int8>, w6: SIMD16<Int8>, w7: SIMD16<Int8>
    var scale: SIMD4<Float>
  }

  @inline(__always)
  static func column(_ w: UInt64) -> Column {
    Column(
      w0: weights_load32_splat(w, 2), w1: weights_load32_splat(w, 6), w2: weights_load32_splat(w, 10),
      w3: weights_load32_splat(w, 14), w4: weights_load32_splat(w, 18), w5: weights_load32_splat(w, 22),
      w6: weights_load32_splat(w, 26), w7: weights_load32_splat(w, 30),
      scale: HalfPrecision.scaledLow(i32x4_from_i8x16(weights_load32_splat(w, 0))))
  }

  @inline(__always)
  static func addProducts(_ w: Column, _ x: SplitActivations.RowGroup, _ sum: inout SIMD4<Float>) {
    var positive = i32x4_dot_add(w.w0, x.p0, SIMD4())
    positive = i32x4_dot_add(w.w1, x.p1, positive)
    positive = i32x4_dot_add(w.w2, x.p2, positive)
    positive = i32x4_dot_add(w.w3, x.p3, positive)
    positive = i32x4_dot_add(w.w4, x.p4, positive)
    positive = i32x4_dot_add(w.w5, x.p5, positive)
    positive = i32x4_dot_add(w.w6, x.p6, positive)
    positive = i32x4_dot_add(w.w7, x.p7, positive)
    var negative = i32x4_dot_add(w.w0, x.n0, SIMD4())
    negative = i32x4_dot_add(w.w1, x.n1, negative)
    negative = i32x4_dot_add(w.w2, x.n2, negative)
    negative = i32x4_dot_add(w.w3, x.n3, negative)
    negative = i32x4_dot_add(w.w4, x.n4, negative)
    negative = i32x4_dot_add(w.w5, x.n5, negative)
    negative = i32x4_dot_add(w.w6, x.n6, negative)
    negative = i32x4_dot_add(w.w7, x.n7, negative)
    sum = f32x4_madd(f32x4_convert(positive &- negative), w.scale * x.scale, sum)
  }
}
