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
    // A place past the last address is no place: the sum traps.
    return base + chunk * chunkStride + offset + index * positionByteCount
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
  guard dimension > 0 else { misuse("attention: heads without elements; head dimension:", headDimension) }
  guard rowEnd <= rowTotal, headEnd <= headTotal else {
    misuse("attention_slice: slice ends past the last row or head; heads:", heads)
  }
  guard window >= 0 else { misuse("attention: negative window", window) }

  let positionByteCount = UInt64(keyValueHeadCount * dimension) &* (isHalf ? 2 : 4)
  let chunkPositions = checkedChunk(chunkPositions)
  let pass = AttentionPass(
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
      var groupEnd = min(headEnd, (head / pass.headsPerGroup + 1) * pass.headsPerGroup)
      if pass.dimension % 4 != 0 {
        groupEnd = head + 1
        for row in row..<end { pass.runElements(base: UInt64(bitPattern: base), row: row, head: head) }
      } else if end == row + 1, pass.isHalf, pass.dimension % 16 == 0 {
        groupEnd = min(groupEnd, head + 4)
        pass.runSingleRow(base: UInt64(bitPattern: base), row: row, heads: head..<groupEnd)
      } else {
        pass.runTiles(base: UInt64(bitPattern: base), rows: row..<end, heads: head..<groupEnd)
      }
      head = groupEnd
    }
    row = end
  }
}

/// Attention for query heads that share one key/value head.
struct AttentionPass {
  static let rowCountMax = 16

  var out: UInt64, q: UInt64, positions: UInt64
  var headTotal: Int, headsPerGroup: Int, dimension: Int, isHalf: Bool
  var scale: Float, window: Int, softcap: Float
  var keys: CachePlane, values: CachePlane

  /// The part of the cache that a row attends.
  func range(_ row: Int) -> Range<Int> {
    let last = position(positions, row)
    return (window > 0 && last >= window ? last - window + 1 : 0)..<(last + 1)
  }

  /// The scratch offset of a row and head of queries or results.
  @inline(__always)
  func offset(_ row: Int, _ head: Int) -> UInt64 { 4 &* UInt64((row &* headTotal &+ head) &* dimension) }

  /// The bound of softcapping, cap · tanh(score / cap), of finite scores.
  @inline(__always)
  func bounded(_ score: SIMD4<Float>) -> SIMD4<Float> {
    SIMD4(repeating: softcap) * hyperbolicTangent(score * SIMD4(repeating: 1 / softcap))
  }
}
