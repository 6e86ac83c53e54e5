import GuestImports

// The tensor operations in a program's words: weights know their type and shape, so a call names operands and rows.

/// out[rows, w.rows] = x[rows, w.columns] · Wᵀ.
@inline(__always)
func matmul(_ out: UInt64, _ x: UInt64, _ w: WeightMatrix, rows: Int) {
  tensor_matmul(out, x, w.address, w.type.rawValue, Int32(rows), Int32(w.columns), Int32(w.rows))
}

/// out[r] = row ids[r] of W.
@inline(__always)
func getRows(_ out: UInt64, _ w: WeightMatrix, ids: UInt64, rows: Int) {
  tensor_get_rows(out, w.address, w.type.rawValue, ids, Int32(rows), Int32(w.columns), Int32(w.rows))
}

@inline(__always)
func rmsNorm(_ out: UInt64, _ x: UInt64, _ weight: WeightVector, rows: Int, epsilon: Float) {
  tensor_rms_norm(out, x, weight.address, weight.type.rawValue, Int32(rows), Int32(weight.count), epsilon)
}

/// x += y, of `rows` rows of `columns`.
@inline(__always)
func add(_ x: UInt64, _ y: UInt64, rows: Int, columns: Int) {
  tensor_add(x, x, y, UInt64(rows) * UInt64(columns))
}

/// gate = silu(gate) · up.
@inline(__always)
func siluMultiply(_ gate: UInt64, _ up: UInt64, rows: Int, columns: Int) {
  tensor_silu_mul(gate, gate, up, UInt64(rows) * UInt64(columns))
}

/// Which elements of a head rotate together.
enum RotaryPairs: Int32 {
  case adjacent = 0
  case halves = 1
}

/// Rotary positions of one model (or one kind of layer).
struct RotaryPositions {
  var dimension: Int, base: Float, scale: Float, pairs: RotaryPairs

  @inline(__always)
  func rotate(_ x: UInt64, positions: UInt64, rows: Int, heads: Int, headDimension: Int) {
    tensor_rope(
      x, positions, Int32(rows), Int32(heads), Int32(headDimension), Int32(dimension), base, scale, pairs.rawValue)
  }
}

/// Attention over the cache, with grouped heads.
struct CachedAttention {
  var headCount: Int, keyValueHeadCount: Int, headDimension: Int
  var scale: Float
  /// Positions that a row sees, 0: all.
  var window = 0
  /// Bound of the scores, 0: none.
  var softcap: Float = 0
  var layout: CacheLayout

  /// Stores keys and values [rows, width] of a layer at their positions.
  func append(keys: UInt64, values: UInt64, bases: UInt64, positions: UInt64, rows: Int, layer: Int) {
    for (x, plane) in [(keys, layout.keyPlaneOffset(layer: layer)), (values, layout.valuePlaneOffset(layer: layer))] {
      tensor_cache_append(
        x, bases, positions, plane, Int32(CacheLayout.chunkPositions), layout.chunkStride, Int32(rows), Int32(layout.width),
        CacheLayout.elementType.rawValue)
    }
  }

  /// out[rows, heads, headDimension] from q of the same shape.
  func attend(_ out: UInt64, _ q: UInt64, bases: UInt64, positions: UInt64, rows: Int, layer: Int) {
    tensor_attention(
      out, q, bases, positions, layout.keyPlaneOffset(layer: layer), layout.valuePlaneOffset(layer: layer),
      Int32(CacheLayout.chunkPositions), layout.chunkStride, Int32(rows), Int32(headCount), Int32(keyValueHeadCount),
      Int32(headDimension), CacheLayout.elementType.rawValue, scale, Int32(window), softcap)
  }
}
