import CTensorKernels

// Operations on rows and elements, in the order of `TensorOperation.all`. Every pointer here is an operand that the caller has
// checked: it holds as many elements as the shape in the parameters says.

extension NativeKernels {
  // MARK: Rows

  /// out[rows, columns] = rows ids[r] of w, dequantised. The ids are not checked here.
  package static func getRows(
    out: UnsafeMutablePointer<Float>, weights: UnsafeRawPointer, type: UInt32, ids: UnsafePointer<Int32>, rows: Int, columns: Int
  ) {
    // SAFETY: the caller checked the operands and that every id names a row of the weights.
    unsafe tk_get_rows(out, weights, type, ids, rows, columns)
  }

  /// Rows [first, first + count) of w[…, columns] as f32.
  package static func dequantizeRows(
    out: UnsafeMutablePointer<Float>, weights: UnsafeRawPointer, type: UInt32, first: Int, count: Int, columns: Int
  ) {
    // SAFETY: the caller checked the operands.
    unsafe tk_dequantize_rows(out, weights, type, first, count, columns)
  }

  package static func rmsNorm(
    out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, weight: UnsafeRawPointer, type: UInt32, rows: Int, columns: Int,
    eps: Float
  ) {
    // SAFETY: the caller checked the operands; out may equal x.
    unsafe tk_rms_norm(out, x, weight, type, rows, columns, eps)
  }

  package static func layerNorm(
    out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, weight: UnsafeRawPointer, bias: UnsafeRawPointer, type: UInt32,
    rows: Int, columns: Int, eps: Float
  ) {
    // SAFETY: the caller checked the operands; out may equal x.
    unsafe tk_layer_norm(out, x, weight, bias, type, rows, columns, eps)
  }

  package static func addBias(
    out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, bias: UnsafeRawPointer, type: UInt32, rows: Int, columns: Int
  ) {
    // SAFETY: the caller checked the operands; out may equal x.
    unsafe tk_add_bias(out, x, bias, type, rows, columns)
  }

  package static func softmax(out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, rows: Int, columns: Int) {
    // SAFETY: the caller checked the operands; out may equal x.
    unsafe tk_softmax(out, x, rows, columns)
  }

  // MARK: Positions and the cache

  /// x[rows, heads, headDimension] in place; mode 0: adjacent pairs, 1: halves.
  package static func rope(
    x: UnsafeMutablePointer<Float>, positions: UnsafePointer<Int32>, rows: Int, heads: Int, headDimension: Int,
    ropeDimension: Int, base: Float, scale: Float, mode: Int32
  ) {
    // SAFETY: the caller checked the operands, and that ropeDimension is even and at most headDimension.
    unsafe tk_rope(x, positions, rows, heads, headDimension, ropeDimension, base, scale, mode)
  }

  /// - Parameter cache: host address of byte 0 of the cache memory.
  package static func cacheAppend(
    x: UnsafePointer<Float>, cache: UnsafeMutableRawPointer, bases: UnsafePointer<Int64>, positions: UnsafePointer<Int32>,
    planeOffset: Int64, chunkPositions: Int64, chunkStride: Int64, rows: Int, width: Int, type: UInt32
  ) {
    // SAFETY: the caller checked x, and every cache row that the bases and positions name.
    unsafe tk_cache_append(x, cache, bases, positions, planeOffset, chunkPositions, chunkStride, rows, width, type)
  }

  /// Rows [firstRow, + rowCount) and heads [firstHead, + headCount) of out[rows, heads, headDimension]. Slices of whole groups of
  /// heads / keyValueHeads heads read keys and values once.
  /// - Parameter cache: host address of byte 0 of the cache memory.
  package static func attentionSlice(
    out: UnsafeMutablePointer<Float>, q: UnsafePointer<Float>, bases: UnsafePointer<Int64>, positions: UnsafePointer<Int32>,
    cache: UnsafeRawPointer, keyPlaneOffset: Int64, valuePlaneOffset: Int64, chunkPositions: Int64, chunkStride: Int64, rows: Int,
    heads: Int, keyValueHeads: Int, headDimension: Int, type: UInt32, scale: Float, window: Int32, softcap: Float, firstRow: Int,
    rowCount: Int, firstHead: Int, headCount: Int, part: AttentionPart? = nil
  ) {
    let range = unsafe part?.positions ?? 0..<0
    let state = unsafe part?.state
    // SAFETY: the caller checked out and q, every cache row from the first to the last position of each row, and that the slice
    // lies in rows and heads. The C structure holds the pointers during this call only.
    unsafe withUnsafePointer(
      to: tk_attention_arguments(
        out: out, q: q, cache: cache, bases: bases, positions: positions, key_plane_offset: keyPlaneOffset,
        value_plane_offset: valuePlaneOffset, chunk_positions: chunkPositions, chunk_stride: chunkStride, heads: heads,
        kv_heads: keyValueHeads, head_dim: headDimension, type: type, scale: scale, window: window, softcap: softcap,
        position_begin: Int64(range.lowerBound), position_end: Int64(range.upperBound), state: state)
    ) { arguments in
      unsafe tk_attention(arguments, firstRow, rowCount, firstHead, headCount)
    }
  }

  /// Some positions of an attention that is done in parts, from position 0 up and without gaps.
  @unsafe package struct AttentionPart {
    package let positions: Range<Int>
    /// [rows, heads, 2] floats, left alone between the parts.
    package let state: UnsafeMutablePointer<Float>

    package init(positions: Range<Int>, state: UnsafeMutablePointer<Float>) {
      unsafe self.positions = positions
      unsafe self.state = state
    }
  }

  // MARK: Elementwise; out may equal any input

  package static func add(out: UnsafeMutablePointer<Float>, a: UnsafePointer<Float>, b: UnsafePointer<Float>, count: Int) {
    // SAFETY: the caller checked the operands.
    unsafe tk_add(out, a, b, count)
  }

  package static func mul(out: UnsafeMutablePointer<Float>, a: UnsafePointer<Float>, b: UnsafePointer<Float>, count: Int) {
    // SAFETY: the caller checked the operands.
    unsafe tk_mul(out, a, b, count)
  }

  package static func scale(out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, count: Int, factor: Float) {
    // SAFETY: the caller checked the operands.
    unsafe tk_scale(out, x, count, factor)
  }

  package static func silu(out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, count: Int) {
    // SAFETY: the caller checked the operands.
    unsafe tk_silu(out, x, count)
  }

  package static func gelu(out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, count: Int) {
    // SAFETY: the caller checked the operands.
    unsafe tk_gelu(out, x, count)
  }

  package static func geluTanh(out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, count: Int) {
    // SAFETY: the caller checked the operands.
    unsafe tk_gelu_tanh(out, x, count)
  }

  package static func siluMul(
    out: UnsafeMutablePointer<Float>, gate: UnsafePointer<Float>, up: UnsafePointer<Float>, count: Int
  ) {
    // SAFETY: the caller checked the operands.
    unsafe tk_silu_mul(out, gate, up, count)
  }

  package static func geluTanhMul(
    out: UnsafeMutablePointer<Float>, gate: UnsafePointer<Float>, up: UnsafePointer<Float>, count: Int
  ) {
    // SAFETY: the caller checked the operands.
    unsafe tk_gelu_tanh_mul(out, gate, up, count)
  }

  // MARK: Selection

  /// The k largest of each row of x[rows, columns], descending, ties by lower id: values[rows, k], ids[rows, k].
  package static func topK(
    values: UnsafeMutablePointer<Float>, ids: UnsafeMutablePointer<Int32>, x: UnsafePointer<Float>, rows: Int, columns: Int,
    k: Int
  ) {
    // SAFETY: the caller checked the operands, and that k is at most columns.
    unsafe tk_top_k(values, ids, x, rows, columns, k)
  }

  /// The steps that `topKSteps` takes for a row.
  package static func topKStepCount(columns: Int, k: Int) -> Int { tk_top_k_step_count(columns, k) }

  /// Steps [first, first + count) of `topK` of one row: in order, with values and ids left alone in between.
  package static func topKSteps(
    values: UnsafeMutablePointer<Float>, ids: UnsafeMutablePointer<Int32>, x: UnsafePointer<Float>, columns: Int, k: Int, first: Int,
    count: Int
  ) {
    // SAFETY: the caller checked the operands, and that k is at most columns.
    unsafe tk_top_k_steps(values, ids, x, columns, k, first, count)
  }
}
