import GuestImports

// Weights of five and six bits, and of formats that keep the scales of many blocks together, are unpacked to memory 0 before
// they are multiplied: four columns at a time, once for all rows (Unpack.swift). A block of a column is there
//
//     | 32 bytes 0...63 | two floats | 8 bytes of nothing |
//
// The addresses of columns are those of memory 0, in 64 bits as the addresses of weights are.

@inline(__always)
private func place(_ w: UInt64) -> UnsafeRawPointer {
  UnsafeRawPointer(bitPattern: UInt(truncatingIfNeeded: w)).unsafelyUnwrapped
}

/// The floats at `offset` of four columns, one a lane.
@inline(__always)
private func gather(
  _ w0: UnsafeRawPointer, _ w1: UnsafeRawPointer, _ w2: UnsafeRawPointer, _ w3: UnsafeRawPointer, _ offset: UInt32
) -> SIMD4<Float> {
  var floats = memory_load32_splat(w0, offset)
  floats = memory_load32_lane(w1, offset, 1, floats)
  floats = memory_load32_lane(w2, offset, 2, floats)
  return memory_load32_lane(w3, offset, 3, floats)
}

/// The sums of the lanes of four vectors, one a lane. No lane is beyond 16 bits.
@inline(__always)
private func sums(_ a: SIMD4<Int32>, _ b: SIMD4<Int32>, _ c: SIMD4<Int32>, _ d: SIMD4<Int32>) -> SIMD4<Float> {
  let ab = i32x4_pairwise_sum(i16x8_narrow(a, b)), cd = i32x4_pairwise_sum(i16x8_narrow(c, d))
  return f32x4_convert(i32x4_even(ab, cd) &+ i32x4_odd(ab, cd))
}

/// weight = scale · q + minimum, q in 0...31; the two floats are scale and minimum.
///
/// Σ w·x = scale · x's scale · Σ q·value + minimum · x's scale · Σ value.
struct UnpackedWeights: BlockFormat {
  typealias Layout = SignedActivations
  static let blockByteCount: UInt64 = 48

  @inline(__always)
  static func addProducts(
    _ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, offset: Int32, _ x: UnsafeRawPointer, _ at: UInt32,
    _ sum: inout SIMD4<Float>
  ) {
    let (a, b, c, d, offset) = (place(w0), place(w1), place(w2), place(w3), UInt32(bitPattern: offset))
    let low = bytes(x, at), high = bytes(x, at + 16)
    // Eight products of at most 31 · 127 a lane: 31496.
    let products = sums(
      product(a, offset, low, high), product(b, offset, low, high), product(c, offset, low, high), product(d, offset, low, high))
    sum = f32x4_madd(products, gather(a, b, c, d, offset + 32) * splat(x, at + 32), sum)
    sum = f32x4_madd(gather(a, b, c, d, offset + 36), splat(x, at + 36), sum)
  }

  @inline(__always)
  private static func product(
    _ w: UnsafeRawPointer, _ offset: UInt32, _ low: SIMD16<Int8>, _ high: SIMD16<Int8>
  ) -> SIMD4<Int32> {
    i32x4_dot_add(high, bytes(w, offset + 16), i32x4_dot_add(low, bytes(w, offset), SIMD4()))
  }

  struct Column {
    var weights: UnsignedColumn
    var scale: SIMD4<Float>, minimum: SIMD4<Float>
  }

  @inline(__always)
  static func column(_ w: UInt64) -> Column {
    let w = place(w)
    return Column(weights: UnsignedColumn(unpacked: w), scale: splat(w, 32), minimum: splat(w, 36))
  }

  @inline(__always)
  static func addProducts(_ column: Column, _ rows: SignedActivations.RowGroup, _ sum: inout SIMD4<Float>) {
    sum = f32x4_madd(f32x4_convert(column.weights.products(rows)), column.scale * rows.scale, sum)
    sum = f32x4_madd(column.minimum, rows.sum, sum)
  }
}

/// weight = scale · (q - 32), q in 0...63; the two floats are the scales of weights 0...15 and 16...31.
///
/// Σ w·x = Σ over both halves of scale · (x's scale · Σ q·value - 32 · x's scale · Σ value).
struct UnpackedHalves: BlockFormat {
  typealias Layout = HalvedActivations
  static let blockByteCount: UInt64 = 48

  @inline(__always)
  static func addProducts(
    _ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, offset: Int32, _ x: UnsafeRawPointer, _ at: UInt32,
    _ sum: inout SIMD4<Float>
  ) {
    let (a, b, c, d, offset) = (place(w0), place(w1), place(w2), place(w3), UInt32(bitPattern: offset))
    let scale = splat(x, at + 32)
    // Four products of at most 63 · 127 a lane: 32004.
    let low = half(a, b, c, d, offset, bytes(x, at)), high = half(a, b, c, d, offset + 16, bytes(x, at + 16))
    sum = f32x4_madd(gather(a, b, c, d, offset + 32), f32x4_madd(low, scale, splat(x, at + 36)), sum)
    sum = f32x4_madd(gather(a, b, c, d, offset + 36), f32x4_madd(high, scale, splat(x, at + 40)), sum)
  }

  @inline(__always)
  private static func half(
    _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeRawPointer, _ d: UnsafeRawPointer, _ offset: UInt32,
    _ x: SIMD16<Int8>
  ) -> SIMD4<Float> {
    sums(
      i32x4_dot_add(x, bytes(a, offset), SIMD4()), i32x4_dot_add(x, bytes(b, offset), SIMD4()),
      i32x4_dot_add(x, bytes(c, offset), SIMD4()), i32x4_dot_add(x, bytes(d, offset), SIMD4()))
  }

  struct Column {
    var weights: UnsignedColumn
    var low: SIMD4<Float>, high: SIMD4<Float>
  }

  @inline(__always)
  static func column(_ w: UInt64) -> Column {
    let w = place(w)
    return Column(weights: UnsignedColumn(unpacked: w), low: splat(w, 32), high: splat(w, 36))
  }

  @inline(__always)
  static func addProducts(_ column: Column, _ rows: HalvedActivations.RowGroup, _ sum: inout SIMD4<Float>) {
    let low = f32x4_convert(column.weights.lowProducts(rows.values))
    let high = f32x4_convert(column.weights.highProducts(rows.values))
    sum = f32x4_madd(column.low, f32x4_madd(low, rows.values.scale, rows.values.sum), sum)
    sum = f32x4_madd(column.high, f32x4_madd(high, rows.values.scale, rows.highSum), sum)
  }
}

/// Activations for weights with two scales a block and a constant part of -32 · scale: sums of the halves, times -32.
///
///     one row:   | 32 values | scale | -32 scale · sum of 0...15 | the same of 16...31 | nothing |
///     four rows: | 8 times 4 values of 4 rows | 4 scales | 4 times -32 scale · sum of 0...15 | the same of 16...31 |
struct HalvedActivations: ActivationLayout {
  static let blockByteCount = 48
  static let groupBlockByteCount = 176

  struct RowGroup {
    /// `sum` is that of the first halves.
    var values: SignedActivations.RowGroup
    var highSum: SIMD4<Float>
  }

  @inline(__always)
  static func store(_ block: QuantisedBlock, to pointer: UnsafeMutableRawPointer) {
    SignedActivations.store(block, to: pointer)
    let (low, high) = offsets(block)
    pointer.storeBytes(of: low, toByteOffset: 36, as: Float.self)
    pointer.storeBytes(of: high, toByteOffset: 40, as: Float.self)
  }

  @inline(__always)
  static func store(_ block: QuantisedBlock, row: Int, to pointer: UnsafeMutableRawPointer) {
    SignedActivations.store(block, row: row, to: pointer)
    let (low, high) = offsets(block)
    pointer.storeBytes(of: low, toByteOffset: 144 &+ 4 &* row, as: Float.self)
    pointer.storeBytes(of: high, toByteOffset: 160 &+ 4 &* row, as: Float.self)
  }

  @inline(__always)
  static func load(_ p: UnsafeRawPointer) -> RowGroup {
    RowGroup(values: SignedActivations.load(p), highSum: floats(p, 160))
  }

  @inline(__always)
  private static func offsets(_ block: QuantisedBlock) -> (low: Float, high: Float) {
    let factor = -32 * HalfPrecision.activationFactor
    return (
      QuantisedBlock(low: block.low, high: SIMD16(), scale: block.scale).sum * factor,
      QuantisedBlock(low: SIMD16(), high: block.high, scale: block.scale).sum * factor
    )
  }
}

extension UnsignedColumn {
  /// From the 32 bytes of an unpacked block.
  @inline(__always)
  init(unpacked w: UnsafeRawPointer) {
    self.init(
      w0: word(w, 0), w1: word(w, 4), w2: word(w, 8), w3: word(w, 12), w4: word(w, 16), w5: word(w, 20), w6: word(w, 24),
      w7: word(w, 28))
  }
}

/// The four bytes at `offset`, in every lane.
@inline(__always)
private func word(_ w: UnsafeRawPointer, _ offset: UInt32) -> SIMD16<Int8> { memory_load32_splat_i8x16(w, offset) }
