import GuestImports

/// Sines and cosines of rotary positions, kept between calls.
///
/// Every layer asks for the same positions, for queries and for keys; a table line is a pure function of its key. Direct
/// mapped: a line is 16 bytes of key, `pairCount` cosines, as many sines. All lines are of one length; calls with another
/// number of pairs clear the table. Memory is taken by lines that are used: 272 bytes for a head of 64.
enum RotationTable {
  static let byteCount = 1 << 19
  static let pairCountMax = 256
  private nonisolated(unsafe) static var pairCount = 0
  private nonisolated(unsafe) static var table: UnsafeMutableRawPointer?

  /// Prepares for lines of so many pairs.
  static func use(pairCount count: Int) {
    guard count != pairCount else { return }
    // Zeroed, and new pages are left untouched.
    free(table)
    table = calloc(1, Int(byteCount))
    guard table != nil else { misuse("rope: memory 0 cannot grow; KiB needed for the table:", Int32(byteCount >> 10)) }
    pairCount = count
  }

  /// The line of this position: its cosines, then its sines.
  static func line(position: Int32, base: Float, scale: Float) -> UnsafeRawPointer {
    let lineByteCount = (16 + 8 * pairCount + 15) & ~15
    // The base enters the choice of the line: some models use one base in some layers and another in others.
    let hash = UInt32(bitPattern: position) ^ (base.bitPattern &* 0x9e37_79b1) >> 24
    let line = table! + Int(hash % UInt32(byteCount / lineByteCount)) * lineByteCount
    // Zero is not the key of any line: pairCount is at least 1.
    let key = SIMD4<UInt32>(UInt32(bitPattern: position), base.bitPattern, scale.bitPattern, UInt32(pairCount))
    if line.load(as: SIMD4<UInt32>.self) == key { return UnsafeRawPointer(line + 16) }
    let step = ScalarMath.logarithm(Double(base)) / Double(pairCount)
    for pair in 0..<pairCount {
      let (sine, cosine) = rotation(position, scale, pair: pair, step: step)
      line.storeBytes(of: Float(cosine), toByteOffset: 16 + 4 * pair, as: Float.self)
      line.storeBytes(of: Float(sine), toByteOffset: 16 + 4 * (pairCount + pair), as: Float.self)
    }
    line.storeBytes(of: key, as: SIMD4<UInt32>.self)
    return UnsafeRawPointer(line + 16)
  }

  /// `step`: the logarithm of the base, by the number of pairs.
  static func rotation(_ position: Int32, _ scale: Float, pair: Int, step: Double) -> (sine: Double, cosine: Double) {
    ScalarMath.sineAndCosine(Double(position) * Double(scale) * ScalarMath.exponential(-Double(pair) * step))
  }
}

@_expose(wasm, "rope")
@_cdecl("rope")
public func rope(
  _ x: UInt64, _ positions: UInt64, _ rows: Int32, _ heads: Int32, _ headDimension: Int32, _ ropeDimension: Int32,
  _ base: Float, _ scale: Float, _ mode: Int32
) {
  let headCount = count(heads), headDimension = count(headDimension), ropeDimension = count(ropeDimension)
  guard mode == 0 || mode == 1 else { misuse("rope: unknown mode", mode) }
  guard ropeDimension % 2 == 0, ropeDimension <= headDimension else {
    misuse("rope: dimension is odd, or larger than the head:", Int32(ropeDimension))
  }
  guard base.isFinite, base >= 1, scale.isFinite else { misuse("rope: base is below 1 or not finite; mode", mode) }
  let pairCount = ropeDimension / 2
  guard pairCount > 0 else { return }
  guard pairCount <= RotationTable.pairCountMax else {
    return rotateWithoutTable(
      x, positions, rows: count(rows), heads: headCount, headDimension, pairCount, base: base, scale: scale, isAdjacent: mode == 0)
  }
  RotationTable.use(pairCount: pairCount)
  var address = x
  for row in 0..<count(rows) {
    let position = scratch_i32_load(positions &+ 4 &* UInt64(row))
    let table = RotationTable.line(position: position, base: base, scale: scale)
    for _ in 0..<headCount {
      if mode == 0 {
        rotateAdjacent(address, table, pairCount)
      } else {
        rotateHalves(address, table, pairCount)
      }
      address &+= 4 &* UInt64(headDimension)
    }
  }
}

/// The same for more pairs than lines of the table have: no known model has so many.
private func rotateWithoutTable(
  _ x: UInt64, _ positions: UInt64, rows: Int, heads: Int, _ headDimension: Int, _ pairCount: Int, base: Float, scale: Float,
  isAdjacent: Bool
) {
  let step = ScalarMath.logarithm(Double(base)) / Double(pairCount)
  let pairByteCount: UInt64 = isAdjacent ? 8 : 4, distance = isAdjacent ? 4 : 4 &* UInt64(pairCount)
  for row in 0..<rows {
    let position = scratch_i32_load(positions &+ 4 &* UInt64(row))
    for pair in 0..<pairCount {
      let rotation = RotationTable.rotation(position, scale, pair: pair, step: step)
      let sine = Float(rotation.sine), cosine = Float(rotation.cosine)
      var address = x &+ 4 &* UInt64(row) &* UInt64(heads) &* UInt64(headDimension) &+ pairByteCount &* UInt64(pair)
      for _ in 0..<heads {
        let a = scratch_f32_load(address), b = scratch_f32_load(address &+ distance)
        scratch_f32_store(address, a * cosine - b * sine)
        scratch_f32_store(address &+ distance, b * cosine + a * sine)
        address &+= 4 &* UInt64(headDimension)
      }
    }
  }
}

/// Rotates pairs (x[2i], x[2i+1]).
@inline(__always)
private func rotateAdjacent(_ x: UInt64, _ table: UnsafeRawPointer, _ pairCount: Int) {
  let sines = table + 4 &* pairCount
  var pair = 0
  var address = x
  while pair + 4 <= pairCount {
    let cosine = floats(table + 4 &* pair, 0), sine = floats(sines + 4 &* pair, 0)
    let negative = SIMD4<Float>() - sine
    let low = scratch_load(address, 0), high = scratch_load(address, 16)
    scratch_store(
      address, 0,
      low * f32x4_interleave_low(cosine, cosine) + f32x4_swap_pairs(low) * f32x4_interleave_low(negative, sine))
    scratch_store(
      address, 16,
      high * f32x4_interleave_high(cosine, cosine) + f32x4_swap_pairs(high) * f32x4_interleave_high(negative, sine))
    pair &+= 4
    address &+= 32
  }
  while pair < pairCount {
    let a = scratch_f32_load(address), b = scratch_f32_load(address &+ 4)
    let cosine = table.load(fromByteOffset: 4 &* pair, as: Float.self)
    let sine = sines.load(fromByteOffset: 4 &* pair, as: Float.self)
    scratch_f32_store(address, a * cosine - b * sine)
    scratch_f32_store(address &+ 4, b * cosine + a * sine)
    pair &+= 1
    address &+= 8
  }
}

/// Rotates pairs (x[i], x[i + pairCount]).
@inline(__always)
private func rotateHalves(_ x: UInt64, _ table: UnsafeRawPointer, _ pairCount: Int) {
  let sines = table + 4 &* pairCount
  var pair = 0
  var address = x
  var second = x &+ 4 &* UInt64(pairCount)
  while pair + 4 <= pairCount {
    let cosine = floats(table + 4 &* pair, 0), sine = floats(sines + 4 &* pair, 0)
    let a = scratch_load(address, 0), b = scratch_load(second, 0)
    scratch_store(address, 0, a * cosine - b * sine)
    scratch_store(second, 0, b * cosine + a * sine)
    pair &+= 4
    address &+= 16
    second &+= 16
  }
  while pair < pairCount {
    let a = scratch_f32_load(address), b = scratch_f32_load(second)
    let cosine = table.load(fromByteOffset: 4 &* pair, as: Float.self)
    let sine = sines.load(fromByteOffset: 4 &* pair, as: Float.self)
    scratch_f32_store(address, a * cosine - b * sine)
    scratch_f32_store(second, b * cosine + a * sine)
    pair &+= 1
    address &+= 4
    second &+= 4
  }
}
