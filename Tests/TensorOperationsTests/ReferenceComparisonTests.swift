import TensorOperations
import Tensors
import Testing
import WasmRuntime
import _TestSupport

/// Every operation of every provider against the plain reference kernels, over random and awkward shapes, within the tolerance
/// that stands beside the operation's definition.
@Suite("Providers against the reference kernels")
struct ReferenceComparisonTests {
  typealias Provider = OperationBench.Provider

  private static func expectClose(_ found: [Float], _ expected: [Float], _ operation: String, _ what: String) throws {
    let tolerance = try #require(TensorOperation.named(operation)).tolerance
    let error = KernelTolerance.normalizedSquaredError(of: found, against: expected)
    #expect(error <= tolerance.normalizedSquaredErrorMax, "tensor.\(operation), \(what): error \(error)")
  }

  static let matmulTypes: [ElementType] = BlockEncoding.elementTypes.filter { TensorOperation.weightTypes.contains($0.rawValue) }

  @Test("matmul", arguments: Provider.allCases, matmulTypes)
  func matmul(provider: Provider, type: ElementType) throws {
    let bench = try OperationBench(provider)
    var random = RandomOperands(seed: UInt64(type.rawValue) + 100)
    let block = type.blockElementCount
    // Compared together: one product alone may nearly cancel, and then its relative error says nothing.
    var found: [Float] = []
    var expected: [Float] = []
    for (rows, blocks, columnsOut) in [(1, 1, 1), (1, 2, 33), (2, 3, 31), (5, 1, 64), (7, 4, 100), (33, 2, 65), (1, 6, 577)] {
      let columnsIn = block == 1 ? blocks * 13 : blocks * block
      let x = random.floats(rows * columnsIn)
      let w = try random.weights(type, rows: columnsOut, columns: columnsIn)
      let out = try bench.output(rows * columnsOut)
      try bench.call(
        "matmul", out.at, try bench.scratch(x).at, try bench.weights(w).at, type.n, rows.n, columnsIn.n, columnsOut.n)
      found += try bench.floats(out, rows * columnsOut)
      expected += try ReferenceKernels.matmul(
        x: x, weight: w, type: type, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut)
    }
    try Self.expectClose(found, expected, "matmul", "\(type.name), seed \(random.seed)")
  }

  @Test("get_rows", arguments: Provider.allCases, matmulTypes)
  func getRows(provider: Provider, type: ElementType) throws {
    let bench = try OperationBench(provider)
    var random = RandomOperands(seed: UInt64(type.rawValue) + 200)
    let columns = type.blockElementCount == 1 ? 37 : type.blockElementCount * 3
    let w = try random.weights(type, rows: 9, columns: columns)
    let ids: [Int32] = [8, 0, 3, 3, 7]
    let out = try bench.output(ids.count * columns)
    try bench.call(
      "get_rows", out.at, try bench.weights(w).at, type.n, try bench.scratch(ids: ids).at, ids.count.n, columns.n, 9)
    let expected = try ReferenceKernels.getRows(weight: w, type: type, ids: ids, columns: columns, rowCountMax: 9)
    try Self.expectClose(try bench.floats(out, ids.count * columns), expected, "get_rows", "\(type.name), seed \(random.seed)")
  }

  static let rowShapes = [(1, 1), (1, 576), (3, 7), (5, 33), (64, 640)]

  @Test("norms, bias and softmax", arguments: Provider.allCases, [ElementType.f32, .f16, .bf16])
  func rowwise(provider: Provider, type: ElementType) throws {
    let bench = try OperationBench(provider)
    var random = RandomOperands(seed: UInt64(type.rawValue) + 300)
    for (rows, columns) in Self.rowShapes {
      let x = random.floats(rows * columns, scale: 3)
      let (weight, bias) = (
        try random.weights(type, rows: 1, columns: columns), try random.weights(type, rows: 1, columns: columns)
      )
      let (w, b) = (try bench.weights(weight), try bench.weights(bias))
      let out = try bench.output(rows * columns)
      let input = try bench.scratch(x)
      let shape = "\(type.name) [\(rows), \(columns)], seed \(random.seed)"
      try bench.call("rms_norm", out.at, input.at, w.at, type.n, rows.n, columns.n, 1e-5)
      try Self.expectClose(
        try bench.floats(out, x.count),
        try ReferenceKernels.rmsNorm(x: x, weight: weight, type: type, rows: rows, columns: columns, epsilon: 1e-5), "rms_norm",
        shape)
      try bench.call("layer_norm", out.at, input.at, w.at, b.at, type.n, rows.n, columns.n, 1e-5)
      try Self.expectClose(
        try bench.floats(out, x.count),
        try ReferenceKernels.layerNorm(x: x, weight: weight, bias: bias, type: type, rows: rows, columns: columns, epsilon: 1e-5),
        "layer_norm", shape)
      try bench.call("add_bias", out.at, input.at, b.at, type.n, rows.n, columns.n)
      try Self.expectClose(
        try bench.floats(out, x.count),
        try ReferenceKernels.addBias(x: x, bias: bias, type: type, rows: rows, columns: columns), "add_bias", shape)
      try bench.call("softmax", out.at, input.at, rows.n, columns.n)
      try Self.expectClose(
        try bench.floats(out, x.count), try ReferenceKernels.softmax(x: x, rows: rows, columns: columns), "softmax", shape)
      // In place.
      try bench.call("rms_norm", input.at, input.at, w.at, type.n, rows.n, columns.n, 1e-5)
      try Self.expectClose(
        try bench.floats(input, x.count),
        try ReferenceKernels.rmsNorm(x: x, weight: weight, type: type, rows: rows, columns: columns, epsilon: 1e-5), "rms_norm",
        shape + ", in place")
    }
  }

  @Test("elementwise operations", arguments: Provider.allCases, [0, 1, 7, 33, 40_003])
  func elementwise(provider: Provider, count: Int) throws {
    let bench = try OperationBench(provider)
    var random = RandomOperands(seed: UInt64(count) + 400)
    let (a, b) = (random.floats(count, scale: 2), random.floats(count, scale: 2))
    let (x, y, out) = (try bench.scratch(a), try bench.scratch(b), try bench.output(count))
    let binary: [(String, ([Float], [Float]) throws -> [Float])] = [
      ("add", { try ReferenceKernels.add($0, $1) }), ("mul", { try ReferenceKernels.mul($0, $1) }),
      ("silu_mul", { try ReferenceKernels.siluMul(gate: $0, up: $1) }),
      ("gelu_tanh_mul", { try ReferenceKernels.geluTanhMul(gate: $0, up: $1) }),
    ]
    for (name, reference) in binary {
      try bench.call(name, out.at, x.at, y.at, count.n)
      try Self.expectClose(try bench.floats(out, count), try reference(a, b), name, "\(count) elements, seed \(random.seed)")
    }
    let unary: [(String, ([Float]) -> [Float])] = [
      ("silu", ReferenceKernels.silu), ("gelu", ReferenceKernels.gelu), ("gelu_tanh", ReferenceKernels.geluTanh),
    ]
    for (name, reference) in unary {
      try bench.call(name, out.at, x.at, count.n)
      try Self.expectClose(try bench.floats(out, count), reference(a), name, "\(count) elements, seed \(random.seed)")
    }
    try bench.call("scale", out.at, x.at, count.n, 0.125)
    try Self.expectClose(try bench.floats(out, count), ReferenceKernels.scale(a, factor: 0.125), "scale", "\(count) elements")
    try bench.call("add", x.at, x.at, y.at, count.n)
    try Self.expectClose(try bench.floats(x, count), try ReferenceKernels.add(a, b), "add", "in place, seed \(random.seed)")
  }

  @Test("rope in both layouts", arguments: Provider.allCases, [0, 1])
  func rope(provider: Provider, mode: Int) throws {
    let bench = try OperationBench(provider)
    var random = RandomOperands(seed: UInt64(mode) + 500)
    for (rows, heads, headDim, ropeDim) in [(1, 1, 2, 2), (1, 9, 64, 64), (3, 2, 64, 32), (70, 3, 128, 128), (2, 1, 6, 4)] {
      let x = random.floats(rows * heads * headDim)
      let positions = (0..<rows).map { _ in Int32(random.integer(0...8191)) }
      let address = try bench.scratch(x)
      try bench.call(
        "rope", address.at, try bench.scratch(ids: positions).at, rows.n, heads.n, headDim.n, ropeDim.n, 100_000.0, 1.0, mode.n)
      let expected = try ReferenceKernels.rope(
        x: x, positions: positions, heads: heads, headDimension: headDim, ropeDimension: ropeDim, base: 100_000, scale: 1,
        mode: try #require(ReferenceKernels.RopeMode(rawValue: Int32(mode))))
      try Self.expectClose(
        try bench.floats(address, x.count), expected, "rope",
        "mode \(mode) [\(rows), \(heads), \(headDim)] of \(ropeDim), seed \(random.seed)")
    }
  }

  @Test("cache_append and attention over several sequences", arguments: Provider.allCases, [ElementType.f32, .f16])
  func attention(provider: Provider, type: ElementType) throws {
    for (seed, window, softcap) in [(UInt64(1), 0, Float(0)), (2, 0, 30), (3, 5, 0), (4, 100, 0)] {
      let bench = try OperationBench(provider)
      var random = RandomOperands(seed: seed)
      let (heads, keyValueHeads, headDim, chunk) = seed % 2 == 0 ? (9, 3, 64, 64) : (4, 1, 32, 16)
      let width = keyValueHeads * headDim
      let layout = CacheLayout(
        chunkPositionCount: chunk, chunkByteStride: 2 * chunk * width * type.blockByteCount + 128, width: width, type: type)
      let valuePlane = chunk * layout.rowByteCount
      // Two sequences; the second starts a few pages on. The last rows of each attend.
      let lengths = [random.integer(1...150), random.integer(1...150)]
      let bases: [Int64] = [0, Int64(20 * OperationBench.page)]
      _ = try bench.memories.cache.map(address: 0, byteCount: 40 * OperationBench.page, protection: .readWrite)
      var reference = [UInt8](repeating: 0, count: Int(40 * OperationBench.page))
      var allBases: [Int64] = []
      var allPositions: [Int32] = []
      for (sequence, length) in lengths.enumerated() {
        for position in 0..<length {
          allBases.append(bases[sequence])
          allPositions.append(Int32(position))
        }
      }
      let (b, p) = (try bench.scratch(bases: allBases), try bench.scratch(ids: allPositions))
      for plane in [0, valuePlane] {
        let x = random.floats(allBases.count * width)
        try bench.call(
          "cache_append", try bench.scratch(x).at, b.at, p.at, plane.n, chunk.n, layout.chunkByteStride.n, allBases.count.n,
          width.n,
          type.n)
        try ReferenceKernels.cacheAppend(
          cache: &reference, x: x, bases: allBases, positions: allPositions, planeOffset: Int64(plane), layout: layout)
      }
      #expect(
        try bench.memories.cache.read(address: 0, byteCount: 40 * OperationBench.page) == reference, "cache_append, seed \(seed)")
      let rows = allBases.count
      let query = random.floats(rows * heads * headDim)
      let out = try bench.output(query.count)
      let scale = 1 / Float(headDim).squareRoot()
      try bench.call(
        "attention", out.at, try bench.scratch(query).at, b.at, p.at, 0, valuePlane.n, chunk.n, layout.chunkByteStride.n, rows.n,
        heads.n,
        keyValueHeads.n, headDim.n, type.n, scale.f, window.n, softcap.f)
      let expected = try ReferenceKernels.attention(
        cache: reference, query: query, bases: allBases, positions: allPositions, keyPlaneOffset: 0,
        valuePlaneOffset: Int64(valuePlane),
        layout: layout, heads: heads, keyValueHeads: keyValueHeads, headDimension: headDim, scale: scale, window: window,
        softcap: softcap)
      try Self.expectClose(
        try bench.floats(out, query.count), expected, "attention",
        "\(type.name), lengths \(lengths), window \(window), softcap \(softcap), seed \(seed)")
    }
  }

  @Test("top_k, with ties", arguments: Provider.allCases)
  func topK(provider: Provider) throws {
    let bench = try OperationBench(provider)
    var random = RandomOperands(seed: 600)
    for (rows, columns, k) in [(1, 1, 1), (2, 10, 10), (3, 100, 5), (1, 1000, 40), (2, 5, 0)] {
      let x = (0..<rows * columns).map { _ in Float(random.integer(-20...20)) }
      let values = try bench.output(rows * k)
      let ids = try bench.scratch(ids: [Int32](repeating: -1, count: rows * k))
      try bench.call("top_k", values.at, ids.at, try bench.scratch(x).at, rows.n, columns.n, k.n)
      let expected = try ReferenceKernels.topK(x: x, rows: rows, columns: columns, k: k)
      #expect(try bench.floats(values, rows * k) == expected.values, "seed \(random.seed)")
      #expect(try bench.memories.scratch.read(Int32.self, address: ids, count: rows * k) == expected.ids, "seed \(random.seed)")
    }
  }
}
