import GuestImports

// One row (decode) over an f16 cache: up to four query heads of one key/value head, a lane each.
//
// Nothing is converted ahead: each key and value is loaded once for all four heads and stays in registers. A vector of eight
// f16 becomes the four elements with even and the four with odd numbers (shift and mask, see HalfPrecision), so queries are
// stored in that order, and results are put back in order. Scores lie as [position][head], so softmax works on heads as lanes.
// Workspace:
//
//     | queries: per 16 columns and head 4 vectors: even, odd, even, odd | scores: 4 heads of each position |
extension AttentionPass {
  func runSingleRow(base: UInt64, row: Int, heads: Range<Int>) {
    switch heads.count {
    case 1: runSingleRow(base, row, heads.lowerBound, headCount: 1)
    case 2: runSingleRow(base, row, heads.lowerBound, headCount: 2)
    case 3: runSingleRow(base, row, heads.lowerBound, headCount: 3)
    default: runSingleRow(base, row, heads.lowerBound, headCount: 4)
    }
  }

  @inline(__always)
  private func runSingleRow(_ base: UInt64, _ row: Int, _ firstHead: Int, headCount: Int) {
    let range = range(row)
    let keyValueHead = firstHead / headsPerGroup, headOffset = UInt64(keyValueHead * dimension) &* 2
    let queryByteCount = 4 * dimension * headCount
    let queries = Workspace.reserve(queryByteCount + 16 * range.count)
    let scores = queries + queryByteCount
    storeQueries(queries, row, firstHead, headCount: headCount)

    var score = scores
    forEachRun(keys, base, range) { address, count in
      // Two positions at a time; the last one twice where it is alone.
      var address = address &+ headOffset, rest = count
      while rest > 0 {
        let second = rest > 1 ? address &+ keys.positionByteCount : address
        let (a, b) = products(address, second, queries, queryByteCount, headCount: headCount)
        score.storeBytes(of: a, as: SIMD4<Float>.self)
        if rest > 1 { score.storeBytes(of: b, toByteOffset: 16, as: SIMD4<Float>.self) }
        score += 32
        address &+= 2 &* keys.positionByteCount
        rest &-= 2
      }
      // An odd run wrote one position only.
      if count & 1 != 0 { score -= 16 }
    }

    softmax(scores, range.count)

    for column in stride(from: 0, to: dimension, by: 16) {
      addValues(
        base, range, headOffset &+ 2 &* UInt64(column), scores, out &+ offset(row, firstHead) &+ 4 &* UInt64(column),
        headCount: headCount)
    }
  }

  /// Queries times the scale, even and odd elements apart. The factor of f16 is owed to them and to the scores.
  @inline(__always)
  private func storeQueries(_ queries: UnsafeMutableRawPointer, _ row: Int, _ firstHead: Int, headCount: Int) {
    let factor = SIMD4<Float>(repeating: scale * HalfPrecision.activationFactor)
    var pointer = queries
    for column in stride(from: 0, to: dimension, by: 16) {
      for head in 0..<headCount {
        let address = q &+ offset(row, firstHead &+ head) &+ 4 &* UInt64(column)
        let x0 = scratch_load(address, 0) * factor, x1 = scratch_load(address, 16) * factor
        let x2 = scratch_load(address, 32) * factor, x3 = scratch_load(address, 48) * factor
        pointer.storeBytes(of: f32x4_even(x0, x1), as: SIMD4<Float>.self)
        pointer.storeBytes(of: f32x4_odd(x0, x1), toByteOffset: 16, as: SIMD4<Float>.self)
        pointer.storeBytes(of: f32x4_even(x2, x3), toByteOffset: 32, as: SIMD4<Float>.self)
        pointer.storeBytes(of: f32x4_odd(x2, x3), toByteOffset: 48, as: SIMD4<Float>.self)
        pointer += 64
      }
    }
  }

  /// Calls `body` with the address and count of neighbouring positions: the parts of the range in each chunk.
  @inline(__always)
  private func forEachRun(_ plane: CachePlane, _ base: UInt64, _ range: Range<Int>, _ body: (UInt64, Int) -> Void) {
    var position = range.lowerBound
    while position < range.upperBound {
      let chunkEnd = (position / plane.chunkPositions + 1) * plane.chunkPositions
      let end = min(range.upperBound, chunkEnd)
      body(plane.address(base: base, position: position), end - position)
      position = end
    }
  }

  /// Scores of the keys at two addresses, heads as lanes.
  @inline(__always)
  private func products(
    _ first: UInt64, _ second: UInt64, _ queries: UnsafeRawPointer, _ queryByteCount: Int, headCount: Int
  ) -> (SIMD4<Float>, SIMD4<Float>) {
    var a0 = SIMD4<Float>(), a1 = SIMD4<Float>(), a2 = SIMD4<Float>(), a3 = SIMD4<Float>()
    var b0 = SIMD4<Float>(), b1 = SIMD4<Float>(), b2 = SIMD4<Float>(), b3 = SIMD4<Float>()
    var first = first, second = second, query = queries
    let end = queries + queryByteCount
    while query < end {
      let a = Sixteen(first), b = Sixteen(second)
      a.addProducts(query, 0, &a0)
      b.addProducts(query, 0, &b0)
      if headCount > 1 {
        a.addProducts(query, 64, &a1)
        b.addProducts(query, 64, &b1)
      }
      if headCount > 2 {
        a.addProducts(query, 128, &a2)
        b.addProducts(query, 128, &b2)
      }
      if headCount > 3 {
        a.addProducts(query, 192, &a3)
        b.addProducts(query, 192, &b3)
      }
      first &+= 32
      second &+= 32
      query += 64 &* headCount
    }
    let factor = SIMD4<Float>(repeating: HalfPrecision.resultFactor)
    return (laneSums(a0, a1, a2, a3) * factor, laneSums(b0, b1, b2, b3) * factor)
  }

  /// Scores become weights that add up to one, times `HalfPrecision.activationFactor`.
  private func softmax(_ scores: UnsafeMutableRawPointer, _ count: Int) {
    let end = scores + 16 &* count
    var greatest = SIMD4<Float>(repeating: -Float.infinity)
    var pointer = scores
    while pointer < end {
      if softcap > 0 { pointer.storeBytes(of: bounded(floats(pointer, 0)), as: SIMD4<Float>.self) }
      greatest = f32x4_max(greatest, floats(pointer, 0))
      pointer += 16
    }
    var sum = SIMD4<Float>()
    pointer = scores
    while pointer < end {
      let weight = exponential(floats(pointer, 0) - greatest)
      sum += weight
      pointer.storeBytes(of: weight, as: SIMD4<Float>.self)
      pointer += 16
    }
    let factor = SIMD4<Float>(repeating: HalfPrecision.activationFactor) / sum
    pointer = scores
    while pointer < end {
      pointer.storeBytes(of: floats(pointer, 0) * factor, as: SIMD4<Float>.self)
      pointer += 16
    }
  }

  /// Sixteen columns of the result of all heads.
  @inline(__always)
  private func addValues(
    _ base: UInt64, _ range: Range<Int>, _ columnOffset: UInt64, _ scores: UnsafeRawPointer, _ out: UInt64, headCount: Int
  ) {
    var s0 = SumsOfSixteen(), s1 = SumsOfSixteen(), s2 = SumsOfSixteen(), s3 = SumsOfSixteen()
    var weight = scores
    let step = values.positionByteCount
    forEachRun(values, base, range) { address, count in
      var address = address &+ columnOffset
      let end = weight + 16 &* count
      while weight < end {
        let value = Sixteen(address)
        s0.add(value, splat(weight, 0))
        if headCount > 1 { s1.add(value, splat(weight, 4)) }
        if headCount > 2 { s2.add(value, splat(weight, 8)) }
        if headCount > 3 { s3.add(value, splat(weight, 12)) }
        address &+= step
        weight += 16
      }
    }
    let headByteCount = 4 &* UInt64(dimension)
    s0.store(out)
    if headCount > 1 { s1.store(out &+ headByteCount) }
    if headCount > 2 { s2.store(out &+ 2 &* headByteCount) }
    if headCount > 3 { s3.store(out &+ 3 &* headByteCount) }
  }
}

/// Sixteen f16 of the cache, times 2⁻¹¹²: elements 0, 2, 4, 6; 1, 3, 5, 7; 8, 10, 12, 14; 9, 11, 13, 15.
private struct Sixteen {
  var even0: SIMD4<Float>, odd0: SIMD4<Float>, even1: SIMD4<Float>, odd1: SIMD4<Float>

  @inline(__always)
  init(_ address: UInt64) {
    let low = i32x4_from_i8x16(cache_v128_load_0(address)), high = i32x4_from_i8x16(cache_v128_load_16(address))
    even0 = HalfPrecision.scaledLow(low)
    odd0 = HalfPrecision.scaledHigh(low)
    even1 = HalfPrecision.scaledLow(high)
    odd1 = HalfPrecision.scaledHigh(high)
  }

  @inline(__always)
  func addProducts(_ query: UnsafeRawPointer, _ offset: UInt32, _ sum: inout SIMD4<Float>) {
    sum = f32x4_madd(even0, floats(query, offset), sum)
    sum = f32x4_madd(odd0, floats(query, offset + 16), sum)
    sum = f32x4_madd(even1, floats(query, offset + 32), sum)
    sum = f32x4_madd(odd1, floats(query, offset + 48), sum)
  }
}

/// Weighted sums of `Sixteen`.
private struct SumsOfSixteen {
  var even0 = SIMD4<Float>(), odd0 = SIMD4<Float>(), even1 = SIMD4<Float>(), odd1 = SIMD4<Float>()

  @inline(__always)
  mutating func add(_ value: Sixteen, _ weight: SIMD4<Float>) {
    even0 = f32x4_madd(weight, value.even0, even0)
    odd0 = f32x4_madd(weight, value.odd0, odd0)
    even1 = f32x4_madd(weight, value.even1, even1)
    odd1 = f32x4_madd(weight, value.odd1, odd1)
  }

  @inline(__always)
  func store(_ address: UInt64) {
    let factor = SIMD4<Float>(repeating: HalfPrecision.resultFactor)
    scratch_store(address, 0, f32x4_interleave_low(even0, odd0) * factor)
    scratch_store(address, 16, f32x4_interleave_high(even0, odd0) * factor)
    scratch_store(address, 32, f32x4_interleave_low(even1, odd1) * factor)
    scratch_store(address, 48, f32x4_interleave_high(even1, odd1) * factor)
  }
}
