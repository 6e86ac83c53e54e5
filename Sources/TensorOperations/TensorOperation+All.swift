import Tensors

// The operations, once. See TensorOperation for what the parts mean; the order of parameters is that of the WebAssembly imports.

extension TensorOperation {
  /// ggml numbers of the element types that weights may have in version 1 of the module.
  public static let weightTypes: [UInt32] = [0, 1, 2, 3, 6, 7, 8, 12, 14, 30]
  /// ggml numbers of the element types of weight vectors: norms and biases.
  public static let vectorTypes: [UInt32] = [0, 1, 30]
  /// ggml numbers of the element types of keys and values.
  public static let cacheTypes: [UInt32] = [0, 1]

  /// Every operation, slices included.
  public static let all: [TensorOperation] = dense + rowwise + positional + elementwise + selection

  /// What a model program may import; the slices are for hosts.
  public static let imports: [TensorOperation] = all.filter { $0.sliceOf == nil }

  // MARK: Matrix products

  private static let matmulParameters: [Parameter] = [
    .out("out", ["rows", "columns_out"]), .input("x", ["rows", "columns_in"]),
    .weights("w", ["columns_out", "columns_in"]), .type, .count("rows"), .count("columns_in"), .count("columns_out"),
  ]
  private static let matmulSummary =
    "out[rows, columns_out] = x[rows, columns_in] · Wᵀ, W row-major [columns_out, columns_in] of `type`."
  /// Providers may quantise the activations to 8 bits before an integer product, as ggml does.
  private static let quantizedTolerance = ReferenceKernels.quantizedActivationTolerance
  private static let floatTolerance = ReferenceKernels.floatTolerance

  private static let dense: [TensorOperation] = [
    .init("matmul", matmulSummary, matmulParameters, [.type("type", weightTypes)], tolerance: quantizedTolerance),
    .init(
      "matmul_slice", "The columns first ..< first + count of `matmul`'s out, which keeps its row stride columns_out.",
      matmulParameters + [.count("first"), .count("count")],
      [.type("type", weightTypes), .sumAtMost("first", "count", "columns_out")], tolerance: quantizedTolerance,
      sliceOf: "matmul"),
  ]

  // MARK: Rows

  private static let rowwise: [TensorOperation] = [
    .init(
      "get_rows", "out[r] = row ids[r] of w, dequantised.",
      [
        .out("out", ["rows", "columns"]), .weights("w", ["row_count_max", "columns"]), .type, .index("ids", .i32, ["rows"]),
        .count("rows"), .count("columns"), .count("row_count_max"),
      ], [.type("type", weightTypes), .idsBelow(ids: "ids", count: "row_count_max")], tolerance: floatTolerance),
    .init(
      "rms_norm", "out = x / √(mean(x²) + eps) · weight, row by row (arXiv:1910.07467).",
      [
        .out("out", ["rows", "columns"], mayEqual: ["x"]), .input("x", ["rows", "columns"]), .weights("weight", ["columns"]),
        .type,
        .count("rows"), .count("columns"), .scalar("eps"),
      ], [.type("type", vectorTypes)], tolerance: floatTolerance),
    .init(
      "layer_norm", "out = (x - mean(x)) / √(variance(x) + eps) · weight + bias, row by row (arXiv:1607.06450).",
      [
        .out("out", ["rows", "columns"], mayEqual: ["x"]), .input("x", ["rows", "columns"]), .weights("weight", ["columns"]),
        .weights("bias", ["columns"]), .type, .count("rows"), .count("columns"), .scalar("eps"),
      ], [.type("type", vectorTypes)], tolerance: floatTolerance),
    .init(
      "add_bias", "out[r] = x[r] + bias.",
      [
        .out("out", ["rows", "columns"], mayEqual: ["x"]), .input("x", ["rows", "columns"]), .weights("bias", ["columns"]), .type,
        .count("rows"), .count("columns"),
      ], [.type("type", vectorTypes)], tolerance: floatTolerance),
    .init(
      "softmax", "out[r] = exp(x[r] - max(x[r])) / Σ, row by row.",
      [
        .out("out", ["rows", "columns"], mayEqual: ["x"]), .input("x", ["rows", "columns"]), .count("rows"), .count("columns"),
      ], [], tolerance: floatTolerance),
  ]

  // MARK: Positions and the cache

  private static let cacheParameters: [Parameter] = [.count("chunk_positions"), .offset("chunk_stride")]
  private static let attentionParameters: [Parameter] =
    [
      .out("out", ["rows", "heads", "head_dim"]), .input("q", ["rows", "heads", "head_dim"]), .index("bases", .i64, ["rows"]),
      .index("positions", .i32, ["rows"]), .offset("key_plane_offset"), .offset("value_plane_offset"),
    ] + cacheParameters + [
      .count("rows"), .count("heads"), .count("kv_heads"), .count("head_dim"), .type, .scalar("scale"), .count("window"),
      .scalar("softcap"),
    ]
  private static let attentionRules: [Rule] = [
    .type("type", cacheTypes), .atLeast("chunk_positions", 1), .atLeast("head_dim", 1), .multiple("heads", of: "kv_heads"),
    .cacheRows(.init(planeOffset: "key_plane_offset", width: ["kv_heads", "head_dim"], access: .read, isHistory: true)),
    .cacheRows(.init(planeOffset: "value_plane_offset", width: ["kv_heads", "head_dim"], access: .read, isHistory: true)),
  ]

  private static let positional: [TensorOperation] = [
    .init(
      "rope",
      "Rotates pairs of each head's first rope_dim elements in place by position · scale · base^(-2i / rope_dim) "
        + "(arXiv:2104.09864). mode 0: adjacent pairs (2i, 2i + 1); mode 1: halves (i, i + rope_dim / 2).",
      [
        .inOut("x", ["rows", "heads", "head_dim"]), .index("positions", .i32, ["rows"]), .count("rows"), .count("heads"),
        .count("head_dim"), .count("rope_dim"), .scalar("base"), .scalar("scale"), .count("mode"),
      ], [.atMost("rope_dim", "head_dim"), .even("rope_dim"), .oneOf("mode", [0, 1])], tolerance: ReferenceKernels.ropeTolerance),
    .init(
      "cache_append",
      "Stores row r of x, converted to `type`, at position positions[r] of the cache plane whose sequence starts at bases[r].",
      [
        .input("x", ["rows", "width"]), .index("bases", .i64, ["rows"]), .index("positions", .i32, ["rows"]),
        .offset("plane_offset"),
      ] + cacheParameters + [.count("rows"), .count("width"), .type],
      [
        .type("type", cacheTypes), .atLeast("chunk_positions", 1), .atLeast("width", 1),
        .cacheRows(.init(planeOffset: "plane_offset", width: ["width"], access: .write, isHistory: false)),
      ], tolerance: .exact),
    .init(
      "attention",
      "Row r attends positions 0...positions[r] of its own sequence (with a window: the last `window` of them): "
        + "softmax(q · kᵀ · scale) · v, head h with key/value head h · kv_heads / heads (arXiv:2305.13245). "
        + "softcap c > 0: scores become c · tanh(score / c).",
      attentionParameters, attentionRules, tolerance: ReferenceKernels.attentionTolerance),
    .init(
      "attention_slice",
      "The rows first_row ..< first_row + row_count and heads first_head ..< first_head + head_count of `attention`'s out.",
      attentionParameters + [.count("first_row"), .count("row_count"), .count("first_head"), .count("head_count")],
      attentionRules + [.sumAtMost("first_row", "row_count", "rows"), .sumAtMost("first_head", "head_count", "heads")],
      tolerance: ReferenceKernels.attentionTolerance, sliceOf: "attention"),
  ]

  // MARK: Elementwise

  private static func binary(_ name: String, _ summary: String, _ a: String, _ b: String) -> TensorOperation {
    .init(
      name, summary,
      [.out("out", ["count"], mayEqual: [a, b]), .input(a, ["count"]), .input(b, ["count"]), .elementCount("count")], [],
      tolerance: floatTolerance)
  }

  private static func unary(_ name: String, _ summary: String, scalar: [Parameter] = []) -> TensorOperation {
    .init(
      name, summary, [.out("out", ["count"], mayEqual: ["x"]), .input("x", ["count"]), .elementCount("count")] + scalar, [],
      tolerance: floatTolerance)
  }

  private static let elementwise: [TensorOperation] = [
    binary("add", "out = a + b.", "a", "b"),
    binary("mul", "out = a · b.", "a", "b"),
    unary("scale", "out = x · factor.", scalar: [.scalar("factor")]),
    unary("silu", "out = x / (1 + e^-x)."),
    unary("gelu", "out = x · (1 + erf(x / √2)) / 2."),
    unary("gelu_tanh", "out = x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2."),
    binary("silu_mul", "out = silu(gate) · up.", "gate", "up"),
    binary("gelu_tanh_mul", "out = gelu_tanh(gate) · up.", "gate", "up"),
  ]

  // MARK: Selection

  private static let selection: [TensorOperation] = [
    .init(
      "top_k", "The k largest of each row, descending, ties by lower id: their values and ids.",
      [
        .out("values", ["rows", "k"]), .outIndex("ids", ["rows", "k"]), .input("x", ["rows", "columns"]), .count("rows"),
        .count("columns"),
        .count("k"),
      ], [.atMost("k", "columns")], tolerance: .exact)
  ]
}

// MARK: - Shorthand for the table

extension TensorOperation {
  fileprivate init(
    _ name: String, _ summary: String, _ parameters: [Parameter], _ rules: [Rule], tolerance: KernelTolerance,
    sliceOf: String? = nil
  ) {
    self.init(
      name: name, summary: summary, parameters: parameters, rules: rules, tolerance: tolerance, sliceOf: sliceOf)
  }
}

extension TensorOperation.Parameter {
  private static func operand(
    _ name: String, _ memory: TensorOperation.MemoryName, _ access: TensorOperation.Access, _ element: TensorOperation.Element,
    _ shape: [String], mayEqual: [String] = []
  ) -> Self {
    .init(name: name, kind: .operand(.init(memory: memory, access: access, element: element, shape: shape, mayEqual: mayEqual)))
  }

  fileprivate static func out(_ name: String, _ shape: [String], mayEqual: [String] = []) -> Self {
    operand(name, .scratch, .write, .f32, shape, mayEqual: mayEqual)
  }
  fileprivate static func outIndex(_ name: String, _ shape: [String]) -> Self { operand(name, .scratch, .write, .i32, shape) }
  fileprivate static func inOut(_ name: String, _ shape: [String]) -> Self { operand(name, .scratch, .readWrite, .f32, shape) }
  fileprivate static func input(_ name: String, _ shape: [String]) -> Self { operand(name, .scratch, .read, .f32, shape) }
  fileprivate static func index(_ name: String, _ element: TensorOperation.Element, _ shape: [String]) -> Self {
    operand(name, .scratch, .read, element, shape)
  }
  fileprivate static func weights(_ name: String, _ shape: [String]) -> Self {
    operand(name, .weights, .read, .typed("type"), shape)
  }
  fileprivate static let type = Self(name: "type", kind: .elementType)
  fileprivate static func count(_ name: String) -> Self { .init(name: name, kind: .count) }
  fileprivate static func elementCount(_ name: String) -> Self { .init(name: name, kind: .elementCount) }
  fileprivate static func offset(_ name: String) -> Self { .init(name: name, kind: .offset) }
  fileprivate static func scalar(_ name: String) -> Self { .init(name: name, kind: .scalar) }
}
