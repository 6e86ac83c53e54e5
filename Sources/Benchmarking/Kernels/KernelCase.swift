import Tensors
import TensorOperations
import WasmRuntime

/// One operation at one shape: its operands and what it costs at least.
struct KernelCase: Sendable {
  /// What the arithmetic of an operation is made of.
  enum Arithmetic: String, Sendable {
    case float = "f32"
    /// Dot products of 8-bit integers.
    case integer = "int8"
  }

  /// A product in f32 that OpenBLAS can do too.
  struct Product: Sendable {
    let rows: Int
    let columnsIn: Int
    let columnsOut: Int
  }

  /// Weights that lie many times one behind another: each call takes the next ones, as a model's layers follow each other, so
  /// that no cache holds them when their turn comes again.
  struct Ring: Sendable {
    /// The parameter that is the address of the weights.
    let parameter: Int
    let byteCount: UInt64
    let count: Int
  }

  let operation: String
  var type = ""
  let shape: String
  /// Bytes that have to be moved at least: each operand once.
  let bytes: Double
  /// How many of them are written.
  let written: Double
  var isInPlace = false
  let flops: Double
  var arithmetic = Arithmetic.float
  var product: Product?
  var ring: (@Sendable (KernelStage) -> Ring)?
  /// Puts the operands into the stage's memories and gives the arguments, in the order of the operation's parameters.
  let arguments: @Sendable (KernelStage) throws -> [Value]

  /// What a plain loop does that reads and writes in the same proportion.
  var traffic: MachineProbe.Traffic {
    if isInPlace { return .update }
    let share = written / bytes
    return share < 0.17 ? .read : share < 0.42 ? .add : share < 0.75 ? .copy : .fill
  }

  /// Bytes of memory that are touched.
  var footprint: Int { Int(bytes / traffic.bytesMovedPerByte) & ~3 }

  static let all: [KernelCase] =
    weightTypes.map { matvec($0) } + weightTypes.map { matmul($0, rows: 64, columnsIn: 1024, columnsOut: 1024) }
    + weightTypes.map { getRows($0) } + rowwise + positional + elementwise + selection

  private static let weightTypes = BlockEncoding.elementTypes.filter { TensorOperation.weightTypes.contains($0.rawValue) }

  // MARK: Products

  /// Bytes of weights that a decode step's product reads.
  static let matvecByteCount = 64_000_000

  /// A decode step's product: 64 MB of weights from memory.
  private static func matvec(_ type: ElementType) -> KernelCase {
    let columnsIn = 2048
    let rowBytes = columnsIn / type.blockElementCount * type.blockByteCount
    return matmul(type, rows: 1, columnsIn: columnsIn, columnsOut: matvecByteCount / rowBytes / 64 * 64, isFromMemory: true)
  }

  private static func matmul(
    _ type: ElementType, rows: Int, columnsIn: Int, columnsOut: Int, isFromMemory: Bool = false
  ) -> KernelCase {
    let weightBytes = columnsOut * (columnsIn / type.blockElementCount * type.blockByteCount)
    let ring: @Sendable (KernelStage) -> Ring = { stage in
      Ring(parameter: 2, byteCount: UInt64(weightBytes), count: isFromMemory ? max(1, stage.ringByteCount / weightBytes) : 1)
    }
    return KernelCase(
      operation: "matmul", type: type.name, shape: "\(rows) x \(columnsIn) x \(columnsOut)",
      bytes: Double(weightBytes + 4 * rows * (columnsIn + columnsOut)), written: Double(4 * rows * columnsOut),
      flops: 2 * Double(rows) * Double(columnsIn) * Double(columnsOut), arithmetic: type.isQuantized ? .integer : .float,
      product: Product(rows: rows, columnsIn: columnsIn, columnsOut: columnsOut), ring: isFromMemory ? ring : nil
    ) { stage in
      let out = try stage.reserve(4 * rows * columnsOut, in: .scratch)
      let x = try stage.floats(rows * columnsIn)
      let w = try stage.weight(type, rows: ring(stage).count * columnsOut, columns: columnsIn)
      return [.i64(out), .i64(x), .i64(w), .n(Int(type.rawValue)), .n(rows), .n(columnsIn), .n(columnsOut)]
    }
  }

  private static func getRows(_ type: ElementType) -> KernelCase {
    let (rows, columns, total) = (64, 2048, 4096)
    let rowBytes = columns / type.blockElementCount * type.blockByteCount
    return KernelCase(
      operation: "get_rows", type: type.name, shape: "\(rows) of \(total) x \(columns)",
      bytes: Double(rows * (rowBytes + 4 * columns)),
      written: Double(4 * rows * columns), flops: 0
    ) { stage in
      let out = try stage.reserve(4 * rows * columns, in: .scratch)
      let ids = try stage.integers((0..<rows).map { Int32($0 * 997 % total) })
      let w = try stage.weight(type, rows: total, columns: columns)
      return [.i64(out), .i64(w), .n(Int(type.rawValue)), .i64(ids), .n(rows), .n(columns), .n(total)]
    }
  }

  // MARK: Rows

  private static let (rows, columns) = (64, 2048)
  private static let all32 = Double(rows * columns * 4)

  private static func rowwise(
    _ operation: String, type: String = "", flopsPerElement: Double,
    arguments: @escaping @Sendable (KernelStage) throws -> [Value]
  ) -> KernelCase {
    KernelCase(
      operation: operation, type: type, shape: "\(rows) x \(columns)", bytes: 2 * all32, written: all32,
      flops: flopsPerElement * all32 / 4, arguments: arguments)
  }

  private static let rowwise: [KernelCase] = [
    rowwise("rms_norm", type: "F32", flopsPerElement: 4) { stage in
      let (x, weight) = (try stage.floats(rows * columns), try stage.floats(columns, in: .weights))
      let out = try stage.reserve(4 * rows * columns, in: .scratch)
      return [.i64(out), .i64(x), .i64(weight), .n(0), .n(rows), .n(columns), .f(1e-5)]
    },
    rowwise("layer_norm", type: "F32", flopsPerElement: 7) { stage in
      let x = try stage.floats(rows * columns)
      let (weight, bias) = (try stage.floats(columns, in: .weights), try stage.floats(columns, in: .weights))
      let out = try stage.reserve(4 * rows * columns, in: .scratch)
      return [.i64(out), .i64(x), .i64(weight), .i64(bias), .n(0), .n(rows), .n(columns), .f(1e-5)]
    },
    rowwise("add_bias", type: "F32", flopsPerElement: 1) { stage in
      let (x, bias) = (try stage.floats(rows * columns), try stage.floats(columns, in: .weights))
      let out = try stage.reserve(4 * rows * columns, in: .scratch)
      return [.i64(out), .i64(x), .i64(bias), .n(0), .n(rows), .n(columns)]
    },
    rowwise("softmax", flopsPerElement: 4) { stage in
      let x = try stage.floats(rows * columns)
      return [.i64(try stage.reserve(4 * rows * columns, in: .scratch)), .i64(x), .n(rows), .n(columns)]
    },
  ]

  // MARK: Positions

  private static let positional: [KernelCase] = [
    KernelCase(
      operation: "rope", shape: "64 x 32 heads x 64", bytes: 2 * all32, written: all32, isInPlace: true, flops: 6 * all32 / 4
    ) { stage in
      let x = try stage.floats(rows * columns)
      let positions = try stage.integers((0..<Int32(rows)).map { $0 })
      return [.i64(x), .i64(positions), .n(rows), .n(32), .n(64), .n(64), .f(10_000), .f(1), .n(1)]
    },
    cacheAppend, attention(rows: 1, context: 1024), attention(rows: 64, context: 1024),
  ]

  private static let cacheAppend = KernelCase(
    operation: "cache_append", type: "F16", shape: "64 x 192", bytes: 64 * 192 * 6, written: 64 * 192 * 2, flops: 0
  ) { stage in
    let x = try stage.floats(64 * 192)
    let bases = try stage.integers([Int64](repeating: 0, count: 64))
    let positions = try stage.integers((0..<Int32(64)).map { $0 })
    _ = try stage.reserve(1 << 16, in: .cache)
    return [.i64(x), .i64(bases), .i64(positions), .i64(UInt64(0)), .n(64), .i64(UInt64(1 << 16)), .n(64), .n(192), .n(1)]
  }

  /// Nine heads of 64 over three of keys and values, in f16, as SmolLM2 has them; the last rows of a context.
  private static func attention(rows: Int, context: Int) -> KernelCase {
    let (heads, keyValueHeads, headDim, chunk) = (9, 3, 64, 64)
    let rowBytes = keyValueHeads * headDim * 2
    let plane = chunk * rowBytes
    let stride = (2 * plane + 0xFFFF) & ~0xFFFF
    // The last of the rows sees every position, each row before it one less.
    let pairs = Double(rows * context - rows * (rows - 1) / 2)
    return KernelCase(
      operation: "attention", type: "F16", shape: "\(rows) rows, \(context) positions",
      bytes: Double(2 * context * rowBytes + 8 * rows * heads * headDim), written: Double(4 * rows * heads * headDim),
      flops: 4 * Double(heads * headDim) * pairs
    ) { stage in
      _ = try stage.reserve(context / chunk * stride, in: .cache)
      let query = try stage.floats(rows * heads * headDim)
      let bases = try stage.integers([Int64](repeating: 0, count: rows))
      let positions = try stage.integers((0..<Int32(rows)).map { Int32(context - rows) + $0 })
      let out = try stage.reserve(4 * rows * heads * headDim, in: .scratch)
      return [
        .i64(out), .i64(query), .i64(bases), .i64(positions), .i64(UInt64(0)), .i64(UInt64(plane)), .n(chunk), .i64(UInt64(stride)),
        .n(rows), .n(heads), .n(keyValueHeads), .n(headDim), .n(1), .f(0.125), .n(0), .f(0),
      ]
    }
  }

  // MARK: Elements

  private static let elementCount = 1 << 17

  /// - Parameter inputs: how many vectors are read.
  private static func elementwise(_ operation: String, inputs: Int, factor: Float? = nil) -> KernelCase {
    KernelCase(
      operation: operation, shape: "\(elementCount)", bytes: Double(4 * (inputs + 1) * elementCount),
      written: Double(4 * elementCount), flops: Double(elementCount)
    ) { stage in
      let vectors = try (0..<inputs).map { _ in Value.i64(try stage.floats(elementCount)) }
      let out = Value.i64(try stage.reserve(4 * elementCount, in: .scratch))
      return [out] + vectors + [.i64(UInt64(elementCount))] + (factor.map { [.f($0)] } ?? [])
    }
  }

  private static let elementwise: [KernelCase] =
    ["add", "mul", "silu_mul", "gelu_tanh_mul"].map { elementwise($0, inputs: 2) }
    + ["silu", "gelu", "gelu_tanh"].map { elementwise($0, inputs: 1) } + [elementwise("scale", inputs: 1, factor: 0.5)]

  private static let selection: [KernelCase] = [
    KernelCase(operation: "top_k", shape: "40 of 49152", bytes: 4 * 49152, written: 320, flops: 0) { stage in
      let x = try stage.floats(49152)
      let (values, ids) = (try stage.reserve(160, in: .scratch), try stage.reserve(160, in: .scratch))
      return [.i64(values), .i64(ids), .i64(x), .n(1), .n(49152), .n(40)]
    }
  ]
}

extension Value {
  fileprivate static func n(_ count: Int) -> Value { .i32(UInt32(count)) }
  fileprivate static func f(_ number: Float) -> Value { .f32(number.bitPattern) }
}
