import GuestImports

/// Where the keys or values of a layer lie in `cache`.
///
/// A sequence is a row of chunks of `chunkPositions` positions; a plane is one layer's keys, or values, within a chunk:
///
///     base | chunk 0: plane 0, plane 1, ... | chunk 1 at chunkStride: ... |
struct CachePlane {
  var offset: UInt64
  var chunkPositions: Int
  var chunkStride: UInt64
  /// Bytes of one position: all key/value heads of f32 or f16.
  var positionByteCount: UInt64

  @inline(__always)
  func address(base: UInt64, position: Int) -> UInt64 {
    let chunk = UInt64(position / chunkPositions), index = UInt64(position % chunkPositions)
    return base &+ chunk &* chunkStride &+ offset &+ index &* positionByteCount
  }
}

/// The element types of a cache.
private func isHalf(_ type: Int32) -> Bool {
  switch type {
  case ElementType.f32.rawValue: return false
  case ElementType.f16.rawValue: return true
  default: misuse("the cache holds f32 or f16, not the type", type)
  }
}

private func position(_ positions: UInt64, _ row: Int) -> Int {
  let value = scratch_i32_load(positions &+ 4 &* UInt64(row))
  if value < 0 { misuse("negative position", value) }
  return Int(value)
}

private func checkedChunk(_ positionCount: Int32) -> Int {
  if positionCount <= 0 { misuse("a chunk must hold positions, not", positionCount) }
  return Int(positionCount)
}

@_expose(wasm, "cache_append")
@_cdecl("cache_append")
public func cache_append(
  _ x: UInt64, _ bases: UInt64, _ positions: UInt64, _ planeOffset: UInt64, _ chunkPositions: Int32, _ chunkStride: UInt64,
  _ rows: Int32, _ width: Int32, _ type: Int32
) {
  let columnCount = count(width), isHalf = isHalf(type)
  let plane = CachePlane(
    offset: planeOffset, chunkPositions: checkedChunk(chunkPositions), chunkStride: chunkStride,
    positionByteCount: UInt64(columnCount) &* (isHalf ? 2 : 4))
  for row in 0..<count(rows) {
    let base = UInt64(bitPattern: scratch_i64_load(bases &+ 8 &* UInt64(row)))
    var target = plane.address(base: base, position: position(positions, row))
    var source = x &+ 4 &* UInt64(row * columnCount)
    var rest = columnCount
    if isHalf {
      while rest >= 8 {
        let low = HalfPrecision.bits(scratch_load(source, 0)), high = HalfPrecision.bits(scratch_load(source, 16))
        cache_v128_store_0(target, i16x8_low_halves(low, high))
        source &+= 32
        target &+= 16
        rest &-= 8
      }
      while rest > 0 {
        cache_i32_store16(target, UInt32(bitPattern: HalfPrecision.bits(scratch_v128_load32_zero(source))[0]))
        source &+= 4
        target &+= 2
        rest &-= 1
      }
    } else {
      while rest > 0 {
        cache_f32_store(target, scratch_f32_load(source))
        source &+= 4
        target &+= 4
        rest &-= 1
      }
    }
  }
}

@_expose(wasm, "attention")
@_cdecl("attention")
public func attention(
  _ out: UInt64, _ q: UInt64, _ bases: UInt64, _ positions: UInt64, _ keyPlaneOffset: UInt64, _ valuePlaneOffset: UInt64,
  _ chunkPositions: Int32, _ chunkStride: UInt64, _ rows: Int32, _ heads: Int32, _ keyValueHeads: Int32,
  _ headDimension: Int32, _ type: Int32, _ scale: Float, _ window: Int32, _ softcap: Float
) {
  attention_slice(
    out, q, bases, positions, keyPlaneOffset, valuePlaneOffset, chunkPositions, chunkStride, rows, heads, keyValueHeads,
    headDimension, type, scale, window, softcap, 0, rows, 0, heads)
}

@_expose(wasm, "attention_slice")
@_cdecl("attention_slice")
public func attention_slice(
  _ out: UInt64, _ q: UInt64, _ bases: UInt64, _ positions: UInt64, _ keyPlaneOffset: UInt64, _ valuePlaneOffset: UInt64,
  _ chunkPositions: Int32, _ chunkStride: UInt64, _ rows: Int32, _ heads: Int32, _ keyValueHeads: Int32,
  _ headDimension: Int32, _ type: Int32, _ scale: Float, _ window: Int32, _ softcap: Float, _ firstRow: Int32,
  _ rowCount: Int32, _ firstHead: Int32, _ headCount: Int32
) {
  let headTotal = count(heads), keyValueHeadCount = count(keyValueHeads), dimension = count(headDimension)
  let rowTotal = count(rows), firstRow = count(firstRow), rowEnd = firstRow + count(rowCount)
  let firstHead = count(firstHead), headEnd = firstHead + count(headCount), isHalf = isHalf(type)
  guard keyValueHeadCount > 0, headTotal % keyValueHeadCount == 0 else {
    misuse("attention: heads are no multiple of the key/value heads,", keyValueHeads)
  }
  guard dimension > 0, dimension % 4 == 0 else { misuse("attention: head dimension is no multiple of 4:", headDimension) }
  guard rowEnd <= rowTotal, headEnd <= headTotal else {
    misuse("attention_slice: slice ends past the last row or head; heads:", heads)
  }
  guard window >= 0 else { misuse("attention: negative window", window) }

  let positionByteCount = UInt64(keyValueHeadCount * dimension) &* (isHalf ? 2 : 4)
  let chunkPositions = checkedChunk(chunkPositions)
  var pass = AttentionPass(
    out: out, q: q, positions: positions, headTotal: headTotal, headsPerGroup: headTotal / keyValueHeadCount,
    dimension: dimension, isHalf: isHalf, scale: scale, window: Int(window), softcap: softcap,
    keys: CachePlane(
      offset: keyPlaneOffset, chunkPositions: chunkPositions, chunkStride: chunkStride, positionByteCount: positionByteCount),
    values: CachePlane(
      offset: valuePlaneOffset, chunkPositions: chunkPositions, chunkStride: chunkStride, positionByteCount: positionByteCount))

  // Neighbouring rows of one sequence share the conversion of its keys and values.
  var row = firstRow
  while row < rowEnd {
    let base = scratch_i64_load(bases &+ 8 &* UInt64(row))
    var end = row + 1
    while end < rowEnd, end - row < AttentionPass.rowCountMax, scratch_i64_load(bases &+ 8 &* UInt64(end)) == base { end += 1 }
    var head = firstHead
    while head < headEnd {
      let groupEnd = min(headEnd, (head / pass.headsPerGroup + 1) * pass.headsPerGroup)
      pass.run(base: UInt64(bitPattern: base), rows: row..<end, heads: head..<groupEnd)
      head = groupEnd
    }
    row = end
  }
}

/// Attention of some rows of one sequence, for query heads that share one key/value head.
///
/// Keys are converted to f32 in tiles of `tilePositions`, then every query (a row and a head) takes its scores of the tile;
/// softmax over the whole range; values likewise. Workspace:
///
///     | queries, scaled | sums of values | tile | scores: a line of positions per query |
struct AttentionPass {
  static let rowCountMax = 16
  static let tilePositions = 64

  var out: UInt64, q: UInt64, positions: UInt64
  var headTotal: Int, headsPerGroup: Int, dimension: Int, isHalf: Bool
  var scale: Float, window: Int, softcap: Float
  var keys: CachePlane, values: CachePlane

  /// The part of the cache that a row attends.
  private func range(_ row: Int) -> Range<Int> {
    let last = position(positions, row)
    return (window > 0 && last >= window ? last - window + 1 : 0)..<(last + 1)
  }

  mutating func run(base: UInt64, rows: Range<Int>, heads: Range<Int>) {
    let headCount = heads.count, queryCount = rows.count * headCount, keyValueHead = heads.lowerBound / headsPerGroup
    var start = Int.max, end = 0
    for row in rows {
      let range = range(row)
      start = min(start, range.lowerBound)
      end = max(end, range.upperBound)
    }
    let tile = AttentionPass.tilePositions
    start = start / tile * tile
    let lineByteCount = 4 * ((end - start + tile - 1) / tile * tile)
    let rowByteCount = 4 * dimension
    let queries = Workspace.reserve(2 * queryCount * rowByteCount + tile * rowByteCount + queryCount * lineByteCount)
    let sums = queries + queryCount * rowByteCount
    let tileRows = sums + queryCount * rowByteCount
    let scores = tileRows + tile * rowByteCount

    let factor = SIMD4<Float>(repeating: scale)
    for row in rows {
      for head in heads {
        let query = (row - rows.lowerBound) * headCount + head - heads.lowerBound
        let address = q &+ 4 &* UInt64((row * headTotal + head) * dimension)
        for index in stride(from: 0, to: rowByteCount, by: 16) {
          (queries + query &* rowByteCount + index).storeBytes(
            of: scratch_load(address &+ UInt64(index), 0) * factor, as: SIMD4<Float>.self)
          (sums + query &* rowByteCount + index).storeBytes(of: SIMD4<Float>(), as: SIMD4<Float>.self)
        }
      }
    }

    for tileStart in stride(from: start, to: end, by: tile) {
      let tileEnd = min(end, tileStart + tile)
      load(keys, base, keyValueHead, tileStart..<tileEnd, to: tileRows)
      for row in rows {
        let range = range(row)
        let from = max(range.lowerBound, tileStart) & ~3, to = min(range.upperBound, tileEnd)
        for head in 0..<headCount where from < to {
          let query = (row - rows.lowerBound) * headCount + head
          let line = scores + query * lineByteCount - 4 * start
          for position in stride(from: from, to: to, by: 4) {
            let products = dotFour(
              queries + query &* rowByteCount, tileRows + (position &- tileStart) &* rowByteCount, rowByteCount)
            line.storeBytes(of: products, toByteOffset: 4 &* position, as: SIMD4<Float>.self)
          }
        }
      }
    }

    for row in rows {
      let range = range(row)
      for head in 0..<headCount {
        softmax(scores + ((row - rows.lowerBound) * headCount + head) * lineByteCount - 4 * start, range)
      }
    }

    for tileStart in stride(from: start, to: end, by: tile) {
      let tileEnd = min(end, tileStart + tile)
      load(values, base, keyValueHead, tileStart..<tileEnd, to: tileRows)
      for row in rows {
        let range = range(row)
        let from = max(range.lowerBound, tileStart), to = min(range.upperBound, tileEnd)
        for head in 0..<headCount where from < to {
          let query = (row - rows.lowerBound) * headCount + head
          addValues(
            scores + query * lineByteCount - 4 * start + 4 * from, to - from, tileRows + (from - tileStart) * rowByteCount,
            sums + query * rowByteCount)
        }
      }
    }

    for row in rows {
      for head in heads {
        let query = (row - rows.lowerBound) * headCount + head - heads.lowerBound
        copyToScratch(
          sums + query * rowByteCount, count: dimension, to: out &+ 4 &* UInt64((row * headTotal + head) * dimension))
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

  /// Scores of a line become weights that add up to one; weights beside the range, in its first and last vector, become 0.
  private func softmax(_ line: UnsafeMutableRawPointer, _ range: Range<Int>) {
    let from = range.lowerBound & ~3, to = (range.upperBound + 3) & ~3
    for position in from..<range.lowerBound {
      line.storeBytes(of: -Float.infinity, toByteOffset: 4 &* position, as: Float.self)
    }
    for position in range.upperBound..<to {
      line.storeBytes(of: -Float.infinity, toByteOffset: 4 &* position, as: Float.self)
    }
    if softcap > 0 {
      let cap = SIMD4<Float>(repeating: softcap), inverse = SIMD4<Float>(repeating: 1 / softcap)
      for position in stride(from: from, to: to, by: 4) {
        let score = floats(line + 4 &* position, 0)
        let bounded = cap * hyperbolicTangent(score * inverse)
        let isMasked = f32x4_less(score, SIMD4(repeating: -Float.greatestFiniteMagnitude))
        line.storeBytes(of: f32x4_select(isMasked, score, bounded), toByteOffset: 4 &* position, as: SIMD4<Float>.self)
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
  }

  /// sum += Σ weight · row, 16 columns at a time.
  @inline(__always)
  private func addValues(_ weights: UnsafeRawPointer, _ count: Int, _ rows: UnsafeRawPointer, _ sum: UnsafeMutableRawPointer) {
    let rowByteCount = 4 &* dimension
    var offset = 0
    while offset &+ 64 <= rowByteCount {
      let target = sum + offset
      var s0 = floats(target, 0), s1 = floats(target, 16), s2 = floats(target, 32), s3 = floats(target, 48)
      var row = rows + offset, weight = weights
      let end = weights + 4 &* count
      while weight < end {
        let factor = splat(weight, 0)
        s0 = f32x4_madd(factor, floats(row, 0), s0)
        s1 = f32x4_madd(factor, floats(row, 16), s1)
        s2 = f32x4_madd(factor, floats(row, 32), s2)
        s3 = f32x4_madd(factor, floats(row, 48), s3)
        row += rowByteCount
        weight += 4
      }
      target.storeBytes(of: s0, as: SIMD4<Float>.self)
      target.storeBytes(of: s1, toByteOffset: 16, as: SIMD4<Float>.self)
      target.storeBytes(of: s2, toByteOffset: 32, as: SIMD4<Float>.self)
      target.storeBytes(of: s3, toByteOffset: 48, as: SIMD4<Float>.self)
      offset &+= 64
    }
    while offset < rowByteCount {
      var s0 = floats(sum + offset, 0)
      var row = rows + offset
      for index in 0..<count {
        s0 = f32x4_madd(splat(weights + 4 &* index, 0), floats(row, 0), s0)
        row += rowByteCount
      }
      sum.storeBytes(of: s0, toByteOffset: offset, as: SIMD4<Float>.self)
      offset &+= 16
    }
  }
}
