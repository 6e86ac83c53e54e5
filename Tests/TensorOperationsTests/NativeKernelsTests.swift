import CTensorKernels
import TensorOperations
import Tensors
import Testing
import _TestSupport

/// Every native kernel at every level of instructions this machine has, against the plain reference kernels, with the tolerances
/// stated there. Operands are unaligned and shapes awkward.
@Suite("Native kernels", .serialized)
struct NativeKernelsTests {
  static let levels = Array(0...Int(tk_level_best()))
  static let weightTypes: [ElementType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q6_K, .f16, .bf16, .f32]
  static let seed = UInt64.random(in: 0...UInt64.max)

  // MARK: Products

  @Test("products agree with the reference for few and many rows, whole and in slices", arguments: levels, weightTypes)
  func products(level: Int, type: ElementType) throws {
    try NativeKernelRun.at(level: level) {
      var random = SeededGenerator(seed: Self.seed)
      let block = type.blockElementCount
      let shapes = [(1, 8), (2, 33), (3, 64), (4, 31), (5, 40), (7, 17), (9, 35), (16, 50), (21, 70)]
      for (rows, columnsOut) in shapes {
        let unitCount = Int.random(in: 1...40, using: &random)
        let columnsIn = block == 256 ? 512 : block == 32 ? 32 * unitCount : 7 * unitCount + 1
        let x = random.exactActivations(rows * columnsIn)
        let weight = try BlockEncoding.encode(random.normals(columnsOut * columnsIn), as: type)
        let expected = try ReferenceKernels.matmul(
          x: x, weight: weight, type: type, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut)
        let boundary = Int.random(in: 0...columnsOut, using: &random)
        for slices in [[0..<columnsOut], [0..<boundary, boundary..<columnsOut]] {
          let found = NativeKernelRun.matmul(
            x: x, weight: weight, type: type, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut, slices: slices)
          let error = KernelTolerance.normalizedSquaredError(of: found, against: expected)
          #expect(
            error <= ReferenceKernels.floatTolerance.normalizedSquaredErrorMax,
            "\(type.name) \(rows) × \(columnsIn) · \(columnsOut), slices \(slices): error \(error), seed \(Self.seed)")
        }
      }
    }
  }

  /// Normal activations are rounded to 8 bits: the error is that of the rounding, s² / 12 for steps of s = max / 127.
  @Test("rounding of activations stays within its tolerance", arguments: levels, weightTypes)
  func roundedActivations(level: Int, type: ElementType) throws {
    try NativeKernelRun.at(level: level) {
      var random = SeededGenerator(seed: Self.seed)
      let (rows, columnsIn, columnsOut) = (8, 512, 64)
      let x = random.normals(rows * columnsIn)
      let weight = try BlockEncoding.encode(random.normals(columnsOut * columnsIn), as: type)
      let expected = try ReferenceKernels.matmul(
        x: x, weight: weight, type: type, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut)
      let found = NativeKernelRun.matmul(
        x: x, weight: weight, type: type, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut, slices: [0..<columnsOut])
      let error = KernelTolerance.normalizedSquaredError(of: found, against: expected)
      let tolerance = ReferenceKernels.matmulTolerance(type, activationsQuantized: true)
      #expect(error <= tolerance.normalizedSquaredErrorMax, "\(type.name): error \(error), seed \(Self.seed)")
      if type.isQuantized { #expect(error > 1e-7, "activations were not rounded at all: is the bound above still needed?") }
    }
  }

  @Test("rows are dequantised exactly as the reference decodes them", arguments: levels, weightTypes)
  func getRows(level: Int, type: ElementType) throws {
    try NativeKernelRun.at(level: level) {
      var random = SeededGenerator(seed: Self.seed)
      let columns = type.blockElementCount == 1 ? 77 : 512
      let weight = try BlockEncoding.encode(random.normals(9 * columns), as: type)
      let ids: [Int32] = [8, 0, 3, 3]
      let expected = try ReferenceKernels.getRows(weight: weight, type: type, ids: ids, columns: columns, rowCountMax: 9)
      let found = unsafe NativeKernelRun.output(ids.count * columns) { out in
        // SAFETY: out has 4 rows, the weights 9, and the ids lie below 9.
        unsafe weight.withUnsafeBytes {
          unsafe NativeKernels.getRows(
            out: out, weights: $0.baseAddress!, type: type.rawValue, ids: ids, rows: ids.count, columns: columns)
        }
      }
      #expect(found == expected, "\(type.name), seed \(Self.seed)")
    }
  }

  // MARK: Rows

  @Test("norms, biases and softmax agree with the reference", arguments: levels, weightTypes)
  func rows(level: Int, type: ElementType) throws {
    try NativeKernelRun.at(level: level) {
      var random = SeededGenerator(seed: Self.seed)
      let (rows, columns) = (3, type.blockElementCount == 1 ? 333 : 768)
      let x = random.normals(rows * columns)
      let weight = try BlockEncoding.encode(random.normals(columns), as: type)
      let bias = try BlockEncoding.encode(random.normals(columns), as: type)
      // SAFETY: x and out have rows · columns elements, weight and bias columns of the type.
      unsafe weight.withUnsafeBytes { (weight: UnsafeRawBufferPointer) in
        unsafe bias.withUnsafeBytes { (bias: UnsafeRawBufferPointer) in
          let number = type.rawValue
          let expected = [
            try! ReferenceKernels.rmsNorm(
              x: x, weight: unsafe Array(weight), type: type, rows: rows, columns: columns, epsilon: 1e-5),
            try! ReferenceKernels.layerNorm(
              x: x, weight: unsafe Array(weight), bias: unsafe Array(bias), type: type, rows: rows, columns: columns,
              epsilon: 1e-12),
            try! ReferenceKernels.addBias(x: x, bias: unsafe Array(bias), type: type, rows: rows, columns: columns),
            try! ReferenceKernels.softmax(x: x, rows: rows, columns: columns),
          ]
          let found = [
            unsafe NativeKernelRun.output(x.count) {
              unsafe NativeKernels.rmsNorm(
                out: $0, x: x, weight: weight.baseAddress!, type: number, rows: rows, columns: columns, eps: 1e-5)
            },
            unsafe NativeKernelRun.output(x.count) {
              unsafe NativeKernels.layerNorm(
                out: $0, x: x, weight: weight.baseAddress!, bias: bias.baseAddress!, type: number, rows: rows, columns: columns,
                eps: 1e-12)
            },
            unsafe NativeKernelRun.output(x.count) {
              unsafe NativeKernels.addBias(out: $0, x: x, bias: bias.baseAddress!, type: number, rows: rows, columns: columns)
            },
            unsafe NativeKernelRun.output(x.count) { unsafe NativeKernels.softmax(out: $0, x: x, rows: rows, columns: columns) },
          ]
          for (index, name) in ["rms_norm", "layer_norm", "add_bias", "softmax"].enumerated() {
            #expect(
              ReferenceKernels.floatTolerance.accepts(found[index], against: expected[index]), "\(name), seed \(Self.seed)")
          }
        }
      }
    }
  }

  // MARK: Elements

  @Test("elementwise kernels agree with the reference, also where out is an input", arguments: levels)
  func elementwise(level: Int) throws {
    try NativeKernelRun.at(level: level) {
      var random = SeededGenerator(seed: Self.seed)
      let a = random.normals(1003).map { $0 * 5 } + [0, -100, 100, 88.5, -88.5]
      let b = random.normals(a.count)
      let n = a.count
      func check(
        _ name: String, _ expected: [Float], _ run: (UnsafeMutablePointer<Float>, UnsafePointer<Float>) -> Void
      ) {
        let apart = unsafe NativeKernelRun.output(n) { out in unsafe run(out, a) }
        let inPlace = unsafe NativeKernelRun.output(n) { out in
          // SAFETY: out has n elements; the kernels allow out to equal an input.
          unsafe out.update(from: a, count: n)
          unsafe run(out, out)
        }
        #expect(ReferenceKernels.floatTolerance.accepts(apart, against: expected), "\(name), seed \(Self.seed)")
        #expect(apart == inPlace, "\(name) in place, seed \(Self.seed)")
      }
      // SAFETY (each closure): out, a and b have n elements.
      unsafe check("add", try ReferenceKernels.add(a, b)) { unsafe NativeKernels.add(out: $0, a: $1, b: b, count: n) }
      unsafe check("mul", try ReferenceKernels.mul(a, b)) { unsafe NativeKernels.mul(out: $0, a: $1, b: b, count: n) }
      unsafe check("scale", ReferenceKernels.scale(a, factor: 0.3)) {
        unsafe NativeKernels.scale(out: $0, x: $1, count: n, factor: 0.3)
      }
      unsafe check("silu", ReferenceKernels.silu(a)) { unsafe NativeKernels.silu(out: $0, x: $1, count: n) }
      unsafe check("gelu", ReferenceKernels.gelu(a)) { unsafe NativeKernels.gelu(out: $0, x: $1, count: n) }
      unsafe check("gelu_tanh", ReferenceKernels.geluTanh(a)) { unsafe NativeKernels.geluTanh(out: $0, x: $1, count: n) }
      unsafe check("silu_mul", try ReferenceKernels.siluMul(gate: a, up: b)) {
        unsafe NativeKernels.siluMul(out: $0, gate: $1, up: b, count: n)
      }
      unsafe check("gelu_tanh_mul", try ReferenceKernels.geluTanhMul(gate: a, up: b)) {
        unsafe NativeKernels.geluTanhMul(out: $0, gate: $1, up: b, count: n)
      }
    }
  }

  @Test("rotary positions agree with the reference up to the end of a long context", arguments: levels, [0, 1])
  func rope(level: Int, mode: Int) throws {
    try NativeKernelRun.at(level: level) {
      var random = SeededGenerator(seed: Self.seed)
      let positions: [Int32] = [0, 1, 17, 511, 8191, 100_000]
      for (heads, headDimension, ropeDimension, base) in [(9, 64, 64, Float(100_000)), (2, 256, 256, 1e6), (3, 20, 6, 10_000)] {
        let x = random.normals(positions.count * heads * headDimension)
        let expected = try ReferenceKernels.rope(
          x: x, positions: positions, heads: heads, headDimension: headDimension, ropeDimension: ropeDimension, base: base,
          scale: 1,
          mode: try #require(ReferenceKernels.RopeMode(rawValue: numericCast(mode))))
        let found = unsafe NativeKernelRun.output(x.count) { out in
          // SAFETY: out has x.count elements, which is the shape.
          unsafe out.update(from: x, count: x.count)
          unsafe NativeKernels.rope(
            x: out, positions: positions, rows: positions.count, heads: heads, headDimension: headDimension,
            ropeDimension: ropeDimension, base: base, scale: 1, mode: Int32(mode))
        }
        #expect(ReferenceKernels.ropeTolerance.accepts(found, against: expected), "head \(headDimension), seed \(Self.seed)")
      }
    }
  }

  @Test("the k largest come in order, ties by lower id", arguments: levels)
  func topK(level: Int) throws {
    try NativeKernelRun.at(level: level) {
      var random = SeededGenerator(seed: Self.seed)
      for (columns, k) in [(1, 1), (50, 50), (1000, 40), (4097, 3)] {
        let x = random.normals(2 * columns).map { ($0 * 10).rounded() }
        let expected = try ReferenceKernels.topK(x: x, rows: 2, columns: columns, k: k)
        var ids = [Int32](repeating: -1, count: 2 * k)
        let values = unsafe NativeKernelRun.output(2 * k) { out in
          // SAFETY: out and ids have 2 · k elements, x 2 · columns.
          unsafe NativeKernels.topK(values: out, ids: &ids, x: x, rows: 2, columns: columns, k: k)
        }
        #expect(values == expected.values && ids == expected.ids, "\(k) of \(columns), seed \(Self.seed)")
      }
    }
  }
}
