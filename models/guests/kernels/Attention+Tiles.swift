import GuestImports

// Several rows of one sequence (prefill), any type of cache.
//
// Keys are converted to f32 in tiles of `tilePositions`; each query (a row and a head) takes its scores of the tile, then its
// softmax over the whole range, then values likewise. The products run over four queries and four positions, or four queries
// and sixteen columns, at a time; where queries are no multiple of four, the last one stands in for the missing ones.
// Workspace:
//
//     | queries, scaled | sums of values | tile | scores: a line of positions per query |
extension AttentionPass {
  private static let tilePositions = 64

  private struct Tiles {
    var queries: UnsafeMutableRawPointer, sums: UnsafeMutableRawPointer
    var tile: UnsafeMutableRawPointer, scores: UnsafeMutableRawPointer
    var queryCount: Int, headCount: Int, rowByteCount: Int, lineByteCount: Int
    /// First position of the lines, and the end of the last.
    var start: Int, end: Int
  }

  func runTiles(base: UInt64, rows: Range<Int>, heads: Range<Int>) {
    let headCount = heads.count, queryCount = rows.count * headCount, keyValueHead = heads.lowerBound / headsPerGroup
    var start = Int.max, end = 0
    for row in rows {
      let range = range(row)
      start = min(start, range.lowerBound)
      end = max(end, range.upperBound)
    }
    let tile = AttentionPass.tilePositions
    start = start / tile * tile
    let lineByteCount = 4 * ((end - start + tile - 1) / tile * tile), rowByteCount = 4 * dimension
    let queries = Workspace.reserve(2 * queryCount * rowByteCount + tile * rowByteCount + queryCount * lineByteCount)
    let sums = queries + queryCount * rowByteCount, tileRows = sums + queryCount * rowByteCount
    let tiles = Tiles(
      queries: queries, sums: sums, tile: tileRows, scores: tileRows + tile * rowByteCount, queryCount: queryCount,
      headCount: headCount, rowByteCount: rowByteCount, lineByteCount: lineByteCount, start: start, end: end)

    prepare(tiles, rows, heads)
    for tileStart in stride(from: start, to: end, by: tile) {
      let positions = tileStart..<min(end, tileStart + tile)
      load(keys, base, keyValueHead, positions, to: tileRows)
      forEachGroup(tiles, rows, positions) { group, positions in addScores(tiles, group, positions, tileStart: tileStart) }
    }
    for row in rows {
      let range = range(row)
      for head in 0..<headCount {
        softmax(tiles, tiles.scores + ((row - rows.lowerBound) * headCount + head) * lineByteCount - 4 * start, range)
      }
    }
    for tileStart in stride(from: start, to: end, by: tile) {
      let positions = tileStart..<min(end, tileStart + tile)
      load(values, base, keyValueHead, positions, to: tileRows)
      forEachGroup(tiles, rows, positions) { group, positions in addValues(tiles, group, positions, tileStart: tileStart) }
    }
    for row in rows {
      for head in heads {
        let query = (row - rows.lowerBound) * headCount + head - heads.lowerBound
        copyToScratch(sums + query * rowByteCount, count: dimension, to: out &+ offset(row, head))
      }
    }
  }

  /// Copies the queries, times the scale, and clears the sums.
  private func prepare(_ tiles: Tiles, _ rows: Range<Int>, _ heads: Range<Int>) {
    let factor = SIMD4<Float>(repeating: scale)
    var query = tiles.queries, sum = tiles.sums
    for row in rows {
      for head in heads {
        var address = q &+ offset(row, head)
        for _ in 0..<dimension / 4 {
          query.storeBytes(of: scratch_load(address, 0) * factor, as: SIMD4<Float>.self)
          sum.storeBytes(of: SIMD4<Float>(), as: SIMD4<Float>.self)
          address &+= 16
          query += 16
          sum += 16
        }
      }
    }
  }

  /// Calls `body` with four queries and the part of `positions` that any of them attends, from a multiple of four.
  @inline(__always)
  private func forEachGroup(
    _ tiles: Tiles, _ rows: Range<Int>, _ positions: Range<Int>, _ body: (SIMD4<Int32>, Range<Int>) -> Void
  ) {
    var query = 0
    while query < tiles.queryCount {
      let last = min(query + 3, tiles.queryCount - 1)
      var from = Int.max, to = 0
      for row in query / tiles.headCount...last / tiles.headCount {
        let range = range(rows.lowerBound + row)
        from = min(from, range.lowerBound)
        to = max(to, range.upperBound)
      }
      from = max(from, positions.lowerBound) & ~3
      to = min(to, positions.upperBound)
      if from < to {
        let first = Int32(query), end = Int32(last)
        body(SIMD4(first, min(first &+ 1, end), min(first &+ 2, end), end), from..<to)
      }
      query += 4
    }
  }

  /// Scores of four queries at some positions of the tile.
  private func addScores(_ tiles: Tiles, _ group: SIMD4<Int32>, _ positions: Range<Int>, tileStart: Int) {
    let rowByteCount = tiles.rowByteCount
    var position = positions.lowerBound
    while position < positions.upperBound {
      var q0 = UnsafeRawPointer(tiles.queries + Int(group[0]) &* rowByteCount)
      var q1 = UnsafeRawPointer(tiles.queries + Int(group[1]) &* rowByteCount)
      var q2 = UnsafeRawPointer(tiles.queries + Int(group[2]) &* rowByteCount)
      var q3 = UnsafeRawPointer(tiles.queries + Int(group[3]) &* rowByteCount)
      var k0 = UnsafeRawPointer(tiles.tile + (position &- tileStart) &* rowByteCount)
      var k1 = k0 + rowByteCount, k2 = k1 + rowByteCount, k3 = k2 + rowByteCount
      let end = k1
      var a = Products(), b = Products(), c = Products(), d = Products()
      while k0 + 32 <= end {
        addProducts(&a, &b, &c, &d, q0, q1, q2, q3, k0, k1, k2, k3, at: 0)
        addProducts(&a, &b, &c, &d, q0, q1, q2, q3, k0, k1, k2, k3, at: 16)
        q0 += 32
        q1 += 32
        q2 += 32
        q3 += 32
        k0 += 32
        k1 += 32
        k2 += 32
        k3 += 32
      }
      if k0 < end { addProducts(&a, &b, &c, &d, q0, q1, q2, q3, k0, k1, k2, k3, at: 0) }
      let line = tiles.scores + 4 &* (position &- tiles.start)
      (line + Int(group[0]) &* tiles.lineByteCount).storeBytes(of: a.sums, as: SIMD4<Float>.self)
      (line + Int(group[1]) &* tiles.lineByteCount).storeBytes(of: b.sums, as: SIMD4<Float>.self)
      (line + Int(group[2]) &* tiles.lineByteCount).storeBytes(of: c.sums, as: SIMD4<Float>.self)
      (line + Int(group[3]) &* tiles.lineByteCount).storeBytes(of: d.sums, as: SIMD4<Float>.self)
      position &+= 4
    }
  }

  /// Scores of a line become weights that add up to one; weights beside the range become 0.
  private func softmax(_ tiles: Tiles, _ line: UnsafeMutableRawPointer, _ range: Range<Int>) {
    let from = range.lowerBound & ~3, to = (range.upperBound + 3) & ~3
    for position in from..<range.lowerBound {
      line.storeBytes(of: -Float.infinity, toByteOffset: 4 &* position, as: Float.self)
    }
    for position in range.upperBound..<to {
      line.storeBytes(of: -Float.infinity, toByteOffset: 4 &* position, as: Float.self)
    }
    if softcap > 0 {
      for position in stride(from: from, to: to, by: 4) {
        let score = floats(line + 4 &* position, 0)
        let isMasked = f32x4_less(score, SIMD4(repeating: -Float.greatestFiniteMagnitude))
        line.storeBytes(of: f32x4_select(isMasked, score, bounded(score)), toByteOffset: 4 &* position, as: SIMD4<Float>.self)
      }
    }
    var greatest = SIMD4<Float>(repeating: -Float.infinity)
    for position in stride(from: from, to: to, by: 4) { greatest = f32x4_max(greatest, floats(line + 4 &* position, 0)) }
    let shift = SIMD4<Float>(repeating: maximum(greatest))
    var sum = SIMD4<Float>()
    for position in stride(from: from, to: to, by: 4) {
      let weight = exponential(floats(line + 4 &* position, 0) - shift)
      sum += weight
      line.storeBytes(of: weight, toByteOffset: 4 &* position, as: SIMD4<Float>.self)
    }
    let factor = SIMD4<Float>(repeating: 1 / laneSum(sum))
    for position in stride(from: from, to: to, by: 4) {
      line.storeBytes(of: floats(line + 4 &* position, 0) * factor, toByteOffset: 4 &* position, as: SIMD4<Float>.self)
    }
    // Other queries of a group attend further: zero beside the range, as far as any.
    for position in stride(from: tiles.start, to: from, by: 4) {
      line.storeBytes(of: SIMD4<Float>(), toByteOffset: 4 &* position, as: SIMD4<Float>.self)
    }
    for position in stride(from: to, to: tiles.end, by: 4) {
      line.storeBytes(of: SIMD4<Float>(), toByteOffset: 4 &* position, as: SIMD4<Float>.self)
    }
  }

  /// sums += weights · values, of four queries, sixteen columns at a time.
  private func addValues(_ tiles: Tiles, _ group: SIMD4<Int32>, _ positions: Range<Int>, tileStart: Int) {
    let rowByteCount = tiles.rowByteCount, lineByteCount = tiles.lineByteCount
    let count = positions.upperBound &- positions.lowerBound
    let rows = tiles.tile + (positions.lowerBound &- tileStart) &* rowByteCount
    let line = tiles.scores + 4 &* (positions.lowerBound &- tiles.start)
    let t0 = tiles.sums + Int(group[0]) &* rowByteCount, t1 = tiles.sums + Int(group[1]) &* rowByteCount
    let t2 = tiles.sums + Int(group[2]) &* rowByteCount, t3 = tiles.sums + Int(group[3]) &* rowByteCount
    var offset = 0
    while offset < rowByteCount {
      // Columns that are left beyond a multiple of 16 are taken in fours.
      let isWhole = offset &+ 64 <= rowByteCount
      var w0 = UnsafeRawPointer(line + Int(group[0]) &* lineByteCount)
      var w1 = UnsafeRawPointer(line + Int(group[1]) &* lineByteCount)
      var w2 = UnsafeRawPointer(line + Int(group[2]) &* lineByteCount)
      var w3 = UnsafeRawPointer(line + Int(group[3]) &* lineByteCount)
      let end = w0 + 4 &* count
      var row = UnsafeRawPointer(rows + offset)
      if isWhole {
        var a = Products(t0 + offset), b = Products(t1 + offset), c = Products(t2 + offset), d = Products(t3 + offset)
        while w0 < end {
          let v0 = floats(row, 0), v1 = floats(row, 16), v2 = floats(row, 32), v3 = floats(row, 48)
          a.add(splat(w0, 0), v0, v1, v2, v3)
          b.add(splat(w1, 0), v0, v1, v2, v3)
          c.add(splat(w2, 0), v0, v1, v2, v3)
          d.add(splat(w3, 0), v0, v1, v2, v3)
          w0 += 4
          w1 += 4
          w2 += 4
          w3 += 4
          row += rowByteCount
        }
        a.store(to: t0 + offset)
        b.store(to: t1 + offset)
        c.store(to: t2 + offset)
        d.store(to: t3 + offset)
        offset &+= 64
      } else {
        var a = floats(t0 + offset, 0), b = floats(t1 + offset, 0), c = floats(t2 + offset, 0), d = floats(t3 + offset, 0)
        while w0 < end {
          let value = floats(row, 0)
          a = f32x4_madd(splat(w0, 0), value, a)
          b = f32x4_madd(splat(w1, 0), value, b)
          c = f32x4_madd(splat(w2, 0), value, c)
          d = f32x4_madd(splat(w3, 0), value, d)
          w0 += 4
          w1 += 4
          w2 += 4
          w3 += 4
          row += rowByteCount
        }
        (t0 + offset).storeBytes(of: a, as: SIMD4<Float>.self)
        (t1 + offset).storeBytes(of: b, as: SIMD4<Float>.self)
        (t2 + offset).storeBytes(of: c, as: SIMD4<Float>.self)
        (t3 + offset).storeBytes(of: d, as: SIMD4<Float>.self)
        offset &+= 16
      }
    }
  }

  /// One head's part of some positions, as f32 rows.
  private func load(
    _ plane: CachePlane, _ base: UInt64, _ head: Int, _ positions: Range<Int>, to pointer: UnsafeMutableRawPointer
  ) {
    let factor = SIMD4<Float>(repeating: HalfPrecision.factor)
    let headOffset = UInt64(head * dimension) &* (isHalf ? 2 : 4)
    var target = pointer
    for position in positions {
      var address = plane.address(base: base, position: position) &+ headOffset
      var rest = dimension
      if isHalf {
        while rest >= 8 {
          let bits = cache_v128_load_0(address)
          target.storeBytes(of: HalfPrecision.scaledHigh(i32x4_widen_low(bits)) * factor, as: SIMD4<Float>.self)
          target.storeBytes(
            of: HalfPrecision.scaledHigh(i32x4_widen_high(bits)) * factor, toByteOffset: 16, as: SIMD4<Float>.self)
          address &+= 16
          target += 32
          rest &-= 8
        }
        while rest > 0 {
          target.storeBytes(of: HalfPrecision.value(cache_i32_load16_u(address)), as: Float.self)
          address &+= 2
          target += 4
          rest &-= 1
        }
      } else {
        while rest > 0 {
          target.storeBytes(of: f32x4_from_i8x16(cache_v128_load_0(address)), as: SIMD4<Float>.self)
          address &+= 16
          target += 16
          rest &-= 4
        }
      }
    }
  }
}

/// Four vectors of sums of one query: its products with four keys, or sixteen columns of its weighted values.
private struct Products {
  var s0 = SIMD4<Float>(), s1 = SIMD4<Float>(), s2 = SIMD4<Float>(), s3 = SIMD4<Float>()

  @inline(__always)
  init() {}

  @inline(__always)
  init(_ p: UnsafeRawPointer) {
    s0 = floats(p, 0)
    s1 = floats(p, 16)
    s2 = floats(p, 32)
    s3 = floats(p, 48)
  }

  @inline(__always)
  mutating func add(
    _ x: SIMD4<Float>, _ v0: SIMD4<Float>, _ v1: SIMD4<Float>, _ v2: SIMD4<Float>, _ v3: SIMD4<Float>
  ) {
    s0 = f32x4_madd(x, v0, s0)
    s1 = f32x4_madd(x, v1, s1)
    s2 = f32x4_madd(x, v2, s2)
    s3 = f32x4_madd(x, v3, s3)
  }

  @inline(__always)
  var sums: SIMD4<Float> { laneSums(s0, s1, s2, s3) }

  @inline(__always)
  func store(to p: UnsafeMutableRawPointer) {
    p.storeBytes(of: s0, as: SIMD4<Float>.self)
    p.storeBytes(of: s1, toByteOffset: 16, as: SIMD4<Float>.self)
    p.storeBytes(of: s2, toByteOffset: 32, as: SIMD4<Float>.self)
    p.storeBytes(of: s3, toByteOffset: 48, as: SIMD4<Float>.self)
  }
}

/// Adds the products of four elements of four queries and four keys.
@inline(__always)
private func addProducts(
  _ a: inout Products, _ b: inout Products, _ c: inout Products, _ d: inout Products,
  _ q0: UnsafeRawPointer, _ q1: UnsafeRawPointer, _ q2: UnsafeRawPointer, _ q3: UnsafeRawPointer,
  _ k0: UnsafeRawPointer, _ k1: UnsafeRawPointer, _ k2: UnsafeRawPointer, _ k3: UnsafeRawPointer, at offset: UInt32
) {
  let v0 = floats(k0, offset), v1 = floats(k1, offset), v2 = floats(k2, offset), v3 = floats(k3, offset)
  a.add(floats(q0, offset), v0, v1, v2, v3)
  b.add(floats(q1, offset), v0, v1, v2, v3)
  c.add(floats(q2, offset), v0, v1, v2, v3)
  d.add(floats(q3, offset), v0, v1, v2, v3)
}
