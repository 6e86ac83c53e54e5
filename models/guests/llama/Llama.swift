/// The `llama` architecture: a decoder of equal blocks, each attention and a gated MLP around a residual stream.
///
///     x = embedding(tokens)
///     per block:  x += Wo · attention(rope(Wq · n), rope(Wk · n), Wv · n)      n = rmsNorm(x)
///                 x += Wdown · (silu(Wgate · n) * (Wup · n))                   n = rmsNorm(x)
///     logits = Woutput · rmsNorm(x)
///
/// Source: LLaMA, arXiv:2302.13971; grouped heads, arXiv:2305.13245; rotary positions, arXiv:2104.09864. Tensor and metadata
/// names are those of GGUF files of the architecture `llama`, whose query and key rows are ordered so that adjacent elements
/// rotate together.
struct Llama: Architecture {
  struct Block {
    var attentionNorm: WeightVector
    var query: WeightMatrix, key: WeightMatrix, value: WeightMatrix, attentionOutput: WeightMatrix
    var mlpNorm: WeightVector
    var gate: WeightMatrix, up: WeightMatrix, down: WeightMatrix
  }

  let contextLength: Int
  let hiddenSize: Int
  let intermediateSize: Int
  let epsilon: Float
  let rotary: RotaryPositions
  let attention: CachedAttention

  let embedding: WeightMatrix
  private(set) var blocks: [Block] = []
  let outputNorm: WeightVector
  let output: WeightMatrix

  var vocabularySize: Int { embedding.rows }
  var embeddingSize: Int { hiddenSize }
  var cacheLayout: CacheLayout { attention.layout }

  // MARK: Weights

  init(_ catalog: inout Catalog) throws(ProgramError) {
    guard catalog.string("general.architecture", is: "llama") == true else {
      throw ProgramError { $0.append("metadata: expected general.architecture to be llama, found another or none") }
    }
    guard catalog.integer("llama.expert_count") ?? 0 == 0 else {
      throw ProgramError { $0.append("metadata: expected no llama.expert_count: mixtures of experts are another program") }
    }
    let sizes = 1...1 << 20
    let blockCount = try catalog.integer("llama.block_count", in: 1...4096)
    contextLength = try catalog.integer("llama.context_length", in: 1...1 << 28)
    hiddenSize = try catalog.integer("llama.embedding_length", in: sizes)
    intermediateSize = try catalog.integer("llama.feed_forward_length", in: sizes)
    epsilon = try catalog.positiveFloat("llama.attention.layer_norm_rms_epsilon")

    let headCount = try catalog.integer("llama.attention.head_count", in: 1...4096)
    let keyValueHeadCount = try catalog.integer("llama.attention.head_count_kv", in: 1...headCount, default: headCount)
    let headDimension = try catalog.integer(
      "llama.attention.key_length", in: 4...4096, default: hiddenSize / headCount)
    guard headCount % keyValueHeadCount == 0, headDimension % 4 == 0,
      catalog.integer("llama.attention.value_length") ?? headDimension == headDimension
    else {
      throw ProgramError {
        $0.append("metadata: expected head counts of which one divides the other, and keys and values of one length, ")
        $0.append("a multiple of 4; found ")
        $0.append(headCount)
        $0.append(" heads, ")
        $0.append(keyValueHeadCount)
        $0.append(" key/value heads, length ")
        $0.append(headDimension)
      }
    }
    attention = CachedAttention(
      headCount: headCount, keyValueHeadCount: keyValueHeadCount, headDimension: headDimension,
      scale: try catalog.positiveFloat("llama.attention.scale", default: 1 / Float(headDimension).squareRoot()),
      layout: CacheLayout(layerCount: blockCount, width: keyValueHeadCount * headDimension))
    rotary = try Llama.rotaryPositions(&catalog, headDimension)

    let queryWidth = headCount * headDimension, keyValueWidth = keyValueHeadCount * headDimension
    embedding = try catalog.matrix(TensorName("token_embd.weight"), columns: hiddenSize)
    outputNorm = try catalog.vector(TensorName("output_norm.weight"), count: hiddenSize)
    // Without a matrix of its own, the output is the embedding.
    output =
      catalog.contains(TensorName("output.weight"))
      ? try catalog.matrix(TensorName("output.weight"), rows: embedding.rows, columns: hiddenSize) : embedding
    for index in 0..<blockCount {
      func matrix(_ name: StaticString, rows: Int, columns: Int) throws(ProgramError) -> WeightMatrix {
        try catalog.matrix(TensorName(block: index, name), rows: rows, columns: columns)
      }
      func vector(_ name: StaticString) throws(ProgramError) -> WeightVector {
        try catalog.vector(TensorName(block: index, name), count: hiddenSize)
      }
      blocks.append(
        Block(
          attentionNorm: try vector("attn_norm.weight"),
          query: try matrix("attn_q.weight", rows: queryWidth, columns: hiddenSize),
          key: try matrix("attn_k.weight", rows: keyValueWidth, columns: hiddenSize),
          value: try matrix("attn_v.weight", rows: keyValueWidth, columns: hiddenSize),
          attentionOutput: try matrix("attn_output.weight", rows: hiddenSize, columns: queryWidth),
          mlpNorm: try vector("ffn_norm.weight"),
          gate: try matrix("ffn_gate.weight", rows: intermediateSize, columns: hiddenSize),
          up: try matrix("ffn_up.weight", rows: intermediateSize, columns: hiddenSize),
          down: try matrix("ffn_down.weight", rows: hiddenSize, columns: intermediateSize)))
    }
  }

  private static func rotaryPositions(_ catalog: inout Catalog, _ headDimension: Int) throws(ProgramError) -> RotaryPositions {
    guard !catalog.contains(TensorName("rope_freqs.weight")) else {
      throw ProgramError { $0.append("tensor rope_freqs.weight: frequency factors are not supported") }
    }
    let dimension = try catalog.integer(
      "llama.rope.dimension_count", in: 2...min(headDimension, 512), default: headDimension)
    guard dimension % 2 == 0 else {
      throw ProgramError {
        $0.append("metadata: expected an even llama.rope.dimension_count, found ")
        $0.append(dimension)
      }
    }
    var scale: Float = 1
    if catalog.string("llama.rope.scaling.type", is: "linear") == true {
      scale = 1 / (try catalog.positiveFloat("llama.rope.scaling.factor"))
    } else if catalog.string("llama.rope.scaling.type", is: "none") == false
      || catalog.float("llama.rope.scale_linear") ?? 1 != 1
    {
      throw ProgramError { $0.append("metadata: expected llama.rope.scaling.type to be none or linear, found another") }
    }
    return RotaryPositions(
      dimension: dimension, base: try catalog.positiveFloat("llama.rope.freq_base", default: 10000), scale: scale,
      pairs: .adjacent)
  }

  // MARK: Pass

  /// Activations of a pass: scratch addresses of f32 [rows, ...].
  struct Activations {
    var x: UInt64, normed: UInt64
    var query: UInt64, key: UInt64, value: UInt64, attended: UInt64
    var gate: UInt64, up: UInt64
    var logits: UInt64
  }

  func layOut(_ plan: inout ScratchPlan, rows: Int, outputs: Int) -> Activations {
    let queryWidth = attention.headCount * attention.headDimension
    return Activations(
      x: plan.floats(rows, hiddenSize), normed: plan.floats(rows, hiddenSize),
      query: plan.floats(rows, queryWidth), key: plan.floats(rows, attention.layout.width),
      value: plan.floats(rows, attention.layout.width), attended: plan.floats(rows, queryWidth),
      gate: plan.floats(rows, intermediateSize), up: plan.floats(rows, intermediateSize),
      logits: plan.floats(outputs, vocabularySize))
  }

  func forward(_ request: PassRequest, _ a: Activations) -> UInt64 {
    var rows = request.rows
    getRows(a.x, embedding, ids: request.tokens, rows: rows)
    for (layer, block) in blocks.enumerated() {
      rmsNorm(a.normed, a.x, block.attentionNorm, rows: rows, epsilon: epsilon)
      matmul(a.key, a.normed, block.key, rows: rows)
      matmul(a.value, a.normed, block.value, rows: rows)
      rotate(a.key, request, rows: rows, heads: attention.keyValueHeadCount)
      attention.append(
        keys: a.key, values: a.value, bases: request.bases, positions: request.positions, rows: rows, layer: layer)

      if layer == blocks.count - 1, request.outputs < rows {
        // The last block's keys and values are wanted of all rows; everything behind them of the outputs only.
        rows = gatherOutputs(request, a)
        if rows == 0 { break }
      }
      matmul(a.query, a.normed, block.query, rows: rows)
      rotate(a.query, request, rows: rows, heads: attention.headCount)
      attention.attend(
        a.attended, a.query, bases: request.bases, positions: request.positions, rows: rows, layer: layer)
      matmul(a.normed, a.attended, block.attentionOutput, rows: rows)
      add(a.x, a.normed, rows: rows, columns: hiddenSize)

      rmsNorm(a.normed, a.x, block.mlpNorm, rows: rows, epsilon: epsilon)
      matmul(a.gate, a.normed, block.gate, rows: rows)
      matmul(a.up, a.normed, block.up, rows: rows)
      siluMultiply(a.gate, a.up, rows: rows, columns: intermediateSize)
      matmul(a.normed, a.gate, block.down, rows: rows)
      add(a.x, a.normed, rows: rows, columns: hiddenSize)
    }
    if rows > 0 {
      rmsNorm(a.x, a.x, outputNorm, rows: rows, epsilon: epsilon)
      matmul(a.logits, a.x, output, rows: rows)
    }
    return a.logits
  }

  private func rotate(_ x: UInt64, _ request: PassRequest, rows: Int, heads: Int) {
    rotary.rotate(x, positions: request.positions, rows: rows, heads: heads, headDimension: attention.headDimension)
  }

  /// Keeps the rows whose logits are wanted, of everything that is still read; returns their count.
  private func gatherOutputs(_ request: PassRequest, _ a: Activations) -> Int {
    let rowByteCount = 4 * UInt64(hiddenSize)
    gatherRows(a.x, byteCount: rowByteCount, ids: request.outputIDs, count: request.outputs)
    gatherRows(a.normed, byteCount: rowByteCount, ids: request.outputIDs, count: request.outputs)
    gatherRows(request.positions, byteCount: 4, ids: request.outputIDs, count: request.outputs)
    gatherRows(request.bases, byteCount: 8, ids: request.outputIDs, count: request.outputs)
    return request.outputs
  }
}

/// What GuestKit runs.
typealias Program = Llama
