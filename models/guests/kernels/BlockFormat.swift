import GuestImports

/// A quantised weight type whose products are taken in integers.
///
/// The activations of a call are quantised to int8 in blocks of 32 with one scale each, in the layout that the format wants
/// (`ActivationLayout`); a block's product is an integer dot product, then scaled. Two kernels:
///
/// - one row (decode): four columns (rows of W) at a time, their four sums in the lanes of one vector;
/// - four rows at a time (prefill): the lanes are the rows; each group of four weights is broadcast to all lanes, so nothing
///   is added across lanes at all.
protocol BlockFormat {
  associatedtype Layout: ActivationLayout
  /// One block of one column, unpacked: each vector holds four weights, four times.
  associatedtype Column

  static var blockByteCount: UInt64 { get }

  /// Adds a block of four columns times one row, the weights at `offset` behind the addresses, the activations at `at` behind
  /// x (both constants): lane i of `sum` is the column at address wi.
  static func addProducts(
    _ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64, offset: Int32, _ x: UnsafeRawPointer, _ at: UInt32,
    _ sum: inout SIMD4<Float>)

  static func column(_ w: UInt64) -> Column

  /// Adds a block of one column times four rows: lane i of `sum` is row i.
  static func addProducts(_ column: Column, _ rows: Layout.RowGroup, _ sum: inout SIMD4<Float>)
}

/// How quantised activations lie in the workspace.
///
/// Scales carry the factor `HalfPrecision.activationFactor`; results are owed `HalfPrecision.resultFactor`.
protocol ActivationLayout {
  associatedtype RowGroup
  /// Bytes of a block of one row.
  static var blockByteCount: Int { get }
  /// Bytes of a block of four rows.
  static var groupBlockByteCount: Int { get }

  static func store(_ block: QuantisedBlock, to pointer: UnsafeMutableRawPointer)
  /// Stores the block as row `row` (0...3) of a group.
  static func store(_ block: QuantisedBlock, row: Int, to pointer: UnsafeMutableRawPointer)
  static func load(_ pointer: UnsafeRawPointer) -> RowGroup
}

/// 32 activations as integers -127...127: x[i] is about `scale` · value[i].
struct QuantisedBlock {
  /// Elements 0...15 and 16...31.
  var low: SIMD16<Int8>, high: SIMD16<Int8>
  var scale: Float

  static let zero = QuantisedBlock(low: SIMD16(), high: SIMD16(), scale: 0)

  /// Sum of the values times the scale.
  @inline(__always)
  var sum: Float {
    let one = i8x16_splat(1)
    let sums = i32x4_dot_add(low, one, i32x4_dot_add(high, one, SIMD4()))
    return Float(sums[0] &+ sums[1] &+ sums[2] &+ sums[3]) * scale
  }

  @inline(__always)
  init(low: SIMD16<Int8>, high: SIMD16<Int8>, scale: Float) {
    self.low = low
    self.high = high
    self.scale = scale
  }

  /// Quantises the 32 floats at `address` in scratch, to nearest.
  @inline(__always)
  init(scratch address: UInt64) {
    let x0 = scratch_load(address, 0), x1 = scratch_load(address, 16)
    let x2 = scratch_load(address, 32), x3 = scratch_load(address, 48)
    let x4 = scratch_load(address, 64), x5 = scratch_load(address, 80)
    let x6 = scratch_load(address, 96), x7 = scratch_load(address, 112)
    let a = f32x4_max(f32x4_max(f32x4_abs(x0), f32x4_abs(x1)), f32x4_max(f32x4_abs(x2), f32x4_abs(x3)))
    let b = f32x4_max(f32x4_max(f32x4_abs(x4), f32x4_abs(x5)), f32x4_max(f32x4_abs(x6), f32x4_abs(x7)))
    let largest = maximum(f32x4_max(a, b))
    let inverse = SIMD4<Float>(repeating: largest == 0 ? 0 : 127 / largest)
    let q0 = i16x8_narrow(rounded(x0 * inverse), rounded(x1 * inverse))
    let q1 = i16x8_narrow(rounded(x2 * inverse), rounded(x3 * inverse))
    let q2 = i16x8_narrow(rounded(x4 * inverse), rounded(x5 * inverse))
    let q3 = i16x8_narrow(rounded(x6 * inverse), rounded(x7 * inverse))
    self.init(low: i8x16_narrow(q0, q1), high: i8x16_narrow(q2, q3), scale: largest / 127)
  }
}

@inline(__always)
private func rounded(_ x: SIMD4<Float>) -> SIMD4<Int32> { i32x4_truncate(f32x4_nearest(x)) }

/// Activations for weights that are not negative: they are the seven-bit operand of the dot product, x the signed one.
///
///     one row:   | 32 values | scale | scale · sum |
///     four rows: | 8 times 4 values of 4 rows | 4 scales | 4 times scale · sum |
struct SignedActivations: ActivationLayout {
  static let blockByteCount = 48
  static let groupBlockByteCount = 160

  struct RowGroup {
    var x0: SIMD16<Int8>, x1: SIMD16<Int8>, x2: SIMD16<Int8>, x3: SIMD16<Int8>
    var x4: SIMD16<Int8>, x5: SIMD16<Int8>, x6: SIMD16<Int8>, x7: SIMD16<Int8>
    var scale: SIMD4<Float>, sum: SIMD4<Float>
  }

  @inline(__always)
  static func store(_ block: QuantisedBlock, to pointer: UnsafeMutableRawPointer) {
    pointer.storeBytes(of: block.low, as: SIMD16<Int8>.self)
    pointer.storeBytes(of: block.high, toByteOffset: 16, as: SIMD16<Int8>.self)
    pointer.storeBytes(of: block.scale * HalfPrecision.activationFactor, toByteOffset: 32, as: Float.self)
    pointer.storeBytes(of: block.sum * HalfPrecision.activationFactor, toByteOffset: 36, as: Float.self)
  }

  @inline(__always)
  static func store(_ block: QuantisedBlock, row: Int, to pointer: UnsafeMutableRawPointer) {
    storeInterleaved(block.low, block.high, row: row, to: pointer)
    pointer.storeBytes(of: block.scale * HalfPrecision.activationFactor, toByteOffset: 128 &+ 4 &* row, as: Float.self)
    pointer.storeBytes(of: block.sum * HalfPrecision.activationFactor, toByteOffset: 144 &+ 4 &* row, as: Float.self)
  }

  @inline(__always)
  static func load(_ p: UnsafeRawPointer) -> RowGroup {
    RowGroup(
      x0: bytes(p, 0), x1: bytes(p, 16), x2: bytes(p, 32), x3: bytes(p, 48), x4: bytes(p, 64), x5: bytes(p, 80),
      x6: bytes(p, 96), x7: bytes(p, 112), scale: floats(p, 128), sum: floats(p, 144))
  }
}

/// Activations for weights of eight bits: the weight is the signed operand, so x is split into its positive and its
/// negative part, each 0...127. Four dot products of one instruction each, where widening to 16 bits would take fourteen.
///
///     one row:   | 32 max(x, 0) | 32 max(-x, 0) | scale |
///     four rows: | 8 times 4 positive of 4 rows | 8 times 4 negative | 4 scales |
struct SplitActivations: ActivationLayout {
  static let blockByteCount = 80
  static let groupBlockByteCount = 272

  struct RowGroup {
    var p0: SIMD16<Int8>, p1: SIMD16<Int8>, p2: SIMD16<Int8>, p3: SIMD16<Int8>
    var p4: SIMD16<Int8>, p5: SIMD16<Int8>, p6: SIMD16<Int8>, p7: SIMD16<Int8>
    var n0: SIMD16<Int8>, n1: SIMD16<Int8>, n2: SIMD16<Int8>, n3: SIMD16<Int8>
    var n4: SIMD16<Int8>, n5: SIMD16<Int8>, n6: SIMD16<Int8>, n7: SIMD16<Int8>
    var scale: SIMD4<Float>
  }

  @inline(__always)
  static func store(_ block: QuantisedBlock, to pointer: UnsafeMutableRawPointer) {
    let zero = SIMD16<Int8>()
    pointer.storeBytes(of: i8x16_max(block.low, zero), as: SIMD16<Int8>.self)
    pointer.storeBytes(of: i8x16_max(block.high, zero), toByteOffset: 16, as: SIMD16<Int8>.self)
    pointer.storeBytes(of: i8x16_max(zero &- block.low, zero), toByteOffset: 32, as: SIMD16<Int8>.self)
    pointer.storeBytes(of: i8x16_max(zero &- block.high, zero), toByteOffset: 48, as: SIMD16<Int8>.self)
    pointer.storeBytes(of: block.scale * HalfPrecision.activationFactor, toByteOffset: 64, as: Float.self)
  }

  @inline(__always)
  static func store(_ block: QuantisedBlock, row: Int, to pointer: UnsafeMutableRawPointer) {
    let zero = SIMD16<Int8>()
    storeInterleaved(i8x16_max(block.low, zero), i8x16_max(block.high, zero), row: row, to: pointer)
    storeInterleaved(i8x16_max(zero &- block.low, zero), i8x16_max(zero &- block.high, zero), row: row, to: pointer + 128)
    pointer.storeBytes(of: block.scale * HalfPrecision.activationFactor, toByteOffset: 256 &+ 4 &* row, as: Float.self)
  }

  @inline(__always)
  static func load(_ p: UnsafeRawPointer) -> RowGroup {
    RowGroup(
      p0: bytes(p, 0), p1: bytes(p, 16), p2: bytes(p, 32), p3: bytes(p, 48), p4: bytes(p, 64), p5: bytes(p, 80),
      p6: bytes(p, 96), p7: bytes(p, 112), n0: bytes(p, 128), n1: bytes(p, 144), n2: bytes(p, 160), n3: bytes(p, 176),
      n4: bytes(p, 192), n5: bytes(p, 208), n6: bytes(p, 224), n7: bytes(p, 240), scale: floats(p, 256))
  }
}

@inline(__always)
func bytes(_ p: UnsafeRawPointer, _ offset: UInt32) -> SIMD16<Int8> { memory_load_i8x16(p, offset) }
@inline(__always)
func floats(_ p: UnsafeRawPointer, _ offset: UInt32) -> SIMD4<Float> { memory_load_f32x4(p, offset) }
/// The float at `offset`, in every lane.
@inline(__always)
func splat(_ p: UnsafeRawPointer, _ offset: UInt32) -> SIMD4<Float> { memory_load32_splat(p, offset) }

/// Bytes 4j...4j+3 of the 32 go to vector j, lane `row`.
@inline(__always)
private func storeInterleaved(_ low: SIMD16<Int8>, _ high: SIMD16<Int8>, row: Int, to pointer: UnsafeMutableRawPointer) {
  let low = i32x4_from_i8x16(low), high = i32x4_from_i8x16(high), lane = pointer + 4 &* row
  lane.storeBytes(of: low[0], as: Int32.self)
  lane.storeBytes(of: low[1], toByteOffset: 16, as: Int32.self)
  lane.storeBytes(of: low[2], toByteOffset: 32, as: Int32.self)
  lane.storeBytes(of: low[3], toByteOffset: 48, as: Int32.self)
  lane.storeBytes(of: high[0], toByteOffset: 64, as: Int32.self)
  lane.storeBytes(of: high[1], toByteOffset: 80, as: Int32.self)
  lane.storeBytes(of: high[2], toByteOffset: 96, as: Int32.self)
  lane.storeBytes(of: high[3], toByteOffset: 112, as: Int32.self)
}
