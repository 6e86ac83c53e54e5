import Tensors
import Testing
import _TestSupport

/// The reference is checked against values worked out by hand: whatever else it is compared with is compared with it.
@Suite struct ReferenceKernelTests {
  func f32(_ values: [Float]) throws -> [UInt8] { try BlockEncoding.encode(values, as: .f32) }

  func close(_ found: [Float], _ expected: [Float], _ bound: Float = 1e-6) -> Bool {
    found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) <= bound }
  }

  @Test func `a product multiplies by the transposed weight`() throws {
    // W = [[1, 2], [3, 4], [5, 6]], x = [[1, 10], [2, 20]].
    let weight = try f32([1, 2, 3, 4, 5, 6])
    let out = try ReferenceKernels.matmul(
      x: [1, 10, 2, 20], weight: weight, type: .f32, rows: 2, columnsIn: 2, columnsOut: 3)
    #expect(out == [21, 43, 65, 42, 86, 130])
    #expect(throws: KernelError.self) {
      try ReferenceKernels.matmul(x: [1, 10, 2], weight: weight, type: .f32, rows: 2, columnsIn: 2, columnsOut: 3)
    }
    #expect(throws: KernelError.self) {
      try ReferenceKernels.matmul(x: [1, 10], weight: weight, type: .f32, rows: 1, columnsIn: 2, columnsOut: 4)
    }
  }

  @Test func `a quantised product is the product of the decoded weight`() throws {
    var generator = SeededGenerator(seed: 3)
    let x = (0..<2 * 512).map { _ in normal(using: &generator) }
    let w = (0..<3 * 512).map { _ in normal(using: &generator) }
    for type in BlockEncoding.elementTypes {
      let encoded = try BlockEncoding.encode(w, as: type)
      let decoded = try BlockDecoding.decode(encoded, elementCount: w.count, as: type)
      let out = try ReferenceKernels.matmul(x: x, weight: encoded, type: type, rows: 2, columnsIn: 512, columnsOut: 3)
      let plain = try ReferenceKernels.matmul(x: x, weight: f32(decoded), type: .f32, rows: 2, columnsIn: 512, columnsOut: 3)
      #expect(out == plain, "\(type.name), seed 3")
    }
  }

  @Test func `rows are gathered by id`() throws {
    let weight = try f32([1, 2, 3, 4, 5, 6])
    let rows = try ReferenceKernels.getRows(weight: weight, type: .f32, ids: [2, 0, 2], columns: 2, rowCountMax: 3)
    #expect(rows == [5, 6, 1, 2, 5, 6])
    for id: Int32 in [-1, 3] {
      #expect(throws: KernelError.outOfRange("row \(id) of 3")) {
        try ReferenceKernels.getRows(weight: weight, type: .f32, ids: [id], columns: 2, rowCountMax: 3)
      }
    }
  }

  @Test func `norms divide by the root of the mean square and by the deviation`() throws {
    let rms = try ReferenceKernels.rmsNorm(
      x: [3, 4, 0, 0], weight: f32([1, 2]), type: .f32, rows: 2, columns: 2, epsilon: 0.5)
    // √(12.5 + 0.5) = √13
    #expect(close(rms, [3 / Float(13).squareRoot(), 8 / Float(13).squareRoot(), 0, 0]))
    let layer = try ReferenceKernels.layerNorm(
      x: [1, 3], weight: f32([2, 4]), bias: f32([10, 20]), type: .f32, rows: 1, columns: 2, epsilon: 0)
    #expect(layer == [8, 24])
  }

  @Test func `softmax sums to one and survives large values`() throws {
    let out = try ReferenceKernels.softmax(x: [1000, 1000, -.infinity, 0, 0, 0], rows: 2, columns: 3)
    #expect(close(out, [0.5, 0.5, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3]))
  }

  @Test func `the top values descend, ties by the lower id, NaN last`() throws {
    let (values, ids) = try ReferenceKernels.topK(x: [1, 5, 5, .nan, -2, 0], rows: 1, columns: 6, k: 5)
    #expect(values == [5, 5, 1, 0, -2])
    #expect(ids == [1, 2, 0, 5, 4])
  }

  @Test func `rotation by a quarter turn, in both pairings, leaves the rest alone`() throws {
    let quarter = Float.pi / 2
    let x: [Float] = [1, 2, 3, 4, 5, 6]
    let pairs = try ReferenceKernels.rope(
      x: x, positions: [1], heads: 1, headDimension: 6, ropeDimension: 2, base: 10, scale: quarter, mode: .adjacentPairs)
    #expect(close(pairs, [-2, 1, 3, 4, 5, 6]))
    // Base 1: both pairs turn by the same angle.
    let halves = try ReferenceKernels.rope(
      x: x, positions: [1], heads: 1, headDimension: 6, ropeDimension: 4, base: 1, scale: quarter, mode: .halves)
    #expect(close(halves, [-3, -4, 1, 2, 5, 6]))
    // Pair i turns by base^(-2i/d): 100^(-2/4) = 0.1 of the angle; here 10 quarter turns and one.
    let slower = try ReferenceKernels.rope(
      x: [1, 0, 1, 0], positions: [10], heads: 1, headDimension: 4, ropeDimension: 4, base: 100, scale: quarter,
      mode: .adjacentPairs)
    #expect(close(slower, [-1, 0, 0, 1]))
    // Two rows of two heads turn by their own positions.
    let rows = try ReferenceKernels.rope(
      x: [1, 0, 2, 0, 1, 0, 2, 0], positions: [0, 2], heads: 2, headDimension: 2, ropeDimension: 2, base: 10, scale: quarter,
      mode: .halves)
    #expect(close(rows, [1, 0, 2, 0, -1, 0, -2, 0]))
  }

  @Test func `activations have their known values`() throws {
    #expect(close(ReferenceKernels.silu([0, 1, -1, 100]), [0, 0.7310586, -0.26894143, 100]))
    #expect(close(ReferenceKernels.gelu([0, 1, -1, 3]), [0, 0.8413447, -0.15865526, 2.9959502]))
    #expect(close(ReferenceKernels.geluTanh([0, 1, -1, 3]), [0, 0.841192, -0.158808, 2.9963627]))
    #expect(close(try ReferenceKernels.siluMul(gate: [1, -1], up: [2, 3]), [1.4621172, -0.8068243]))
    #expect(close(try ReferenceKernels.geluTanhMul(gate: [1, -1], up: [2, 3]), [1.682384, -0.476424]))
  }

  @Test func `arithmetic is elementwise, a bias goes to each row`() throws {
    #expect(try ReferenceKernels.add([1, 2], [10, 20]) == [11, 22])
    #expect(try ReferenceKernels.mul([1, 2], [10, 20]) == [10, 40])
    #expect(ReferenceKernels.scale([1, 2], factor: 3) == [3, 6])
    let biased = try ReferenceKernels.addBias(x: [1, 2, 3, 4], bias: f32([10, 20]), type: .f32, rows: 2, columns: 2)
    #expect(biased == [11, 22, 13, 24])
    #expect(throws: KernelError.shapeMismatch("add: 1 and 2 elements")) { try ReferenceKernels.add([1], [1, 2]) }
  }
}

@Suite struct ReferenceAttentionTests {
  // Two key/value heads of dimension 2, chunks of two positions, keys at plane 0, values at plane 32, in float32.
  let layout = CacheLayout(chunkPositionCount: 2, chunkByteStride: 80, width: 4, type: .f32)

  func cache(keys: [Float], values: [Float], base: Int64, positions: [Int32]) throws -> [UInt8] {
    var cache = [UInt8](repeating: 0xFF, count: 400)
    let bases = positions.map { _ in base }
    try ReferenceKernels.cacheAppend(
      cache: &cache, x: keys, bases: bases, positions: positions, planeOffset: 0, layout: layout)
    try ReferenceKernels.cacheAppend(
      cache: &cache, x: values, bases: bases, positions: positions, planeOffset: 32, layout: layout)
    return cache
  }

  func attend(
    _ cache: [UInt8], query: [Float], positions: [Int32], window: Int = 0, softcap: Float = 0, scale: Float = 1
  ) throws -> [Float] {
    try ReferenceKernels.attention(
      cache: cache, query: query, bases: positions.map { _ in 16 }, positions: positions, keyPlaneOffset: 0,
      valuePlaneOffset: 32, layout: layout, heads: query.count / positions.count / 2, keyValueHeads: 2, headDimension: 2,
      scale: scale, window: window, softcap: softcap)
  }

  @Test func `rows lie where the layout draws them`() {
    #expect(layout.address(base: 16, planeOffset: 32, position: 0) == 48)
    #expect(layout.address(base: 16, planeOffset: 32, position: 1) == 64)
    #expect(layout.address(base: 16, planeOffset: 32, position: 2) == 128)
  }

  @Test func `equal scores average the values of the positions that the row may see`() throws {
    let values: [Float] = [1, 2, 10, 20, 3, 4, 30, 40, 5, 6, 50, 60]
    let cache = try cache(keys: [Float](repeating: 0, count: 12), values: values, base: 16, positions: [0, 1, 2])
    let query: [Float] = [1, 1, 1, 1]
    #expect(try attend(cache, query: query, positions: [0]) == [1, 2, 10, 20])
    #expect(try attend(cache, query: query, positions: [2]) == [3, 4, 30, 40])
    #expect(try attend(cache, query: query, positions: [2], window: 2) == [4, 5, 40, 50])
    #expect(try attend(cache, query: query, positions: [2], window: 1) == [5, 6, 50, 60])
    // Four query heads: two read each key/value head. Two rows at once.
    #expect(
      try attend(cache, query: query + query + query + query, positions: [0, 2])
        == [1, 2, 1, 2, 10, 20, 10, 20, 3, 4, 3, 4, 30, 40, 30, 40])
  }

  @Test func `scores weigh the values, scaled and capped`() throws {
    let keys: [Float] = [1, 0, 0, 0, -1, 0, 0, 0]
    let values: [Float] = [1, 0, 0, 0, 0, 1, 0, 0]
    let cache = try cache(keys: keys, values: values, base: 16, positions: [0, 1])
    let plain = try attend(cache, query: [2, 0, 0, 0], positions: [1], scale: 0.5)
    #expect(abs(plain[0] - 0.880797) < 1e-6 && abs(plain[1] - 0.119203) < 1e-6)  // softmax(1, -1)
    let capped = try attend(cache, query: [2000, 0, 0, 0], positions: [1], softcap: 1, scale: 0.5)
    #expect(abs(capped[0] - 0.880797) < 1e-6)  // tanh of a large score is 1
  }

  @Test func `a position outside the cache is refused`() throws {
    let cache = try cache(keys: [0, 0, 0, 0], values: [0, 0, 0, 0], base: 16, positions: [0])
    #expect(throws: KernelError.self) { try attend(cache, query: [1, 1, 1, 1], positions: [-1]) }
    #expect(throws: KernelError.self) { try attend(cache, query: [1, 1, 1, 1], positions: [10]) }
  }
}

@Suite struct KernelToleranceTests {
  @Test func `the error is relative to the squared sum, and NaN is never near`() {
    #expect(KernelTolerance.normalizedSquaredError(of: [1, 2.2], against: [1, 2]) - 0.04 / 5 < 1e-7)
    #expect(KernelTolerance.normalizedSquaredError(of: [0.5], against: [0]) == 0.25)
    #expect(KernelTolerance.normalizedSquaredError(of: [.nan], against: [1]) == .infinity)
    #expect(KernelTolerance.normalizedSquaredError(of: [1], against: [.infinity]) == .infinity)
    #expect(KernelTolerance.normalizedSquaredError(of: [.infinity, 1], against: [.infinity, 1]) == 0)
    #expect(KernelTolerance.normalizedSquaredError(of: [1], against: [1, 2]) == .infinity)
    #expect(KernelTolerance.exact.accepts([1, 2], against: [1, 2]))
    #expect(!KernelTolerance.exact.accepts([1, 2], against: [1, Float(2).nextUp]))
  }
}
