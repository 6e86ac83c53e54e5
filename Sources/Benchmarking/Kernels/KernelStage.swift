import ModelPrograms
import TensorOperations
import Tensors
import WasmRuntime
import WebAssembly

/// Three memories with operands, and the import module `tensor` of a provider to call on them.
final class KernelStage {
  enum Provider: String, CaseIterable, Codable, Sendable {
    /// The native provider as it runs on this machine.
    case native
    /// The native provider with kernels in plain C, at the compiler's default instructions.
    case plainC = "plain C"
    case wasm
    /// Products only, with weights in f32 whatever the type.
    case openBLAS = "OpenBLAS f32"

    /// Those that execute every operation.
    static let all: [Provider] = [.native, .plainC, .wasm]
  }

  let memories: ProgramMemories
  /// Bytes of weights that a product from memory goes through before it comes back to the first.
  let ringByteCount: Int
  private let threadCount: Int
  /// What OpenBLAS multiplies.
  private var denseWeights: [Float] = []
  private var imports: [Provider: Imports] = [:]
  private var ends: [TensorOperation.MemoryName: UInt64] = [:]

  /// The memories have room for the ring and 256 MB; pages that nobody touches cost nothing.
  init(ringByteCount: Int, workers: WorkerPool) throws {
    self.ringByteCount = ringByteCount
    threadCount = workers.threadCount
    func limits(_ byteCount: Int) -> Limits {
      Limits(minimum: UInt64(byteCount) >> 16, maximum: UInt64(byteCount) >> 16)
    }
    func mapped(_ byteCount: Int) throws -> Memory {
      let memory = try Memory(
        type: MemoryType(addressType: .i64, limits: limits(byteCount), attributes: MemoryAttributes(isVirtual: true)))
      _ = try memory.map(address: 0, byteCount: memory.byteCount, protection: .readWrite)
      return memory
    }
    let room = 256 << 20
    memories = ProgramMemories(
      weights: try mapped(ringByteCount + room), cache: try mapped(room),
      scratch: try Memory(type: MemoryType(addressType: .i64, limits: limits(room))))
    let engine = Engine()
    guard let bytes = ModelProgram.kernels.bytes else {
      throw WorkerProcess.Failure(description: "this build has no kernel module: build it with models/build.sh, then build again")
    }
    let kernels = try KernelModule(CompiledModule(engine: engine, bytes: bytes))
    for provider in Provider.all {
      var defined = Imports()
      try TensorModule.define(
        in: &defined, store: Store(engine: engine), memories: memories, provider: provider == .wasm ? .wasm(kernels) : .native,
        workers: workers)
      imports[provider] = defined
    }
  }

  /// Room for operands, at a multiple of 64.
  func reserve(_ byteCount: Int, in memory: TensorOperation.MemoryName) throws -> UInt64 {
    let address = ((ends[memory] ?? 0) + 63) & ~63
    ends[memory] = address + UInt64(byteCount)
    guard address + UInt64(byteCount) <= memories[memory].byteCount else {
      throw WorkerProcess.Failure(description: "the operands of the benchmark do not fit its memories")
    }
    return address
  }

  /// Forgets all operands.
  func reset() { ends = [:] }

  /// Random floats in scratch (or weights, for vectors of norms).
  func floats(_ count: Int, in memory: TensorOperation.MemoryName = .scratch) throws -> UInt64 {
    let address = try reserve(4 * count, in: memory)
    try memories[memory].write(elements: Self.randomFloats(count), address: address)
    return address
  }

  func integers<Element: BitwiseCopyable>(_ values: [Element]) throws -> UInt64 {
    let address = try reserve(values.count * MemoryLayout<Element>.size, in: .scratch)
    try memories.scratch.write(elements: values, address: address)
    return address
  }

  /// A weight [rows, columns] of a type. One block of rows is encoded, and repeated: its values do not change the time.
  func weight(_ type: ElementType, rows: Int, columns: Int) throws -> UInt64 {
    let distinct = min(rows, max(1, (1 << 16) / columns))
    let block = try BlockEncoding.encode(Self.randomFloats(distinct * columns), as: type)
    let rowByteCount = block.count / distinct
    let address = try reserve(rows * rowByteCount, in: .weights)
    var row = 0
    while row < rows {
      let count = min(distinct, rows - row)
      try memories.weights.write(Array(block[..<(count * rowByteCount)]), address: address + UInt64(row * rowByteCount))
      row += count
    }
    return address
  }

  /// Something to call again and again. Weights in a ring move on with each call.
  func call(
    _ entry: KernelCase, _ provider: Provider, _ arguments: [Value], position: RingPosition
  ) throws -> () throws -> Void {
    guard case .function(let function)? = imports[provider]?["tensor", entry.operation] else {
      throw WorkerProcess.Failure(description: "the \(provider.rawValue) provider has no operation '\(entry.operation)'")
    }
    let ring = entry.ring?(self)
    let execute = {
      guard let ring, case .i64(let first) = arguments[ring.parameter] else { return _ = try function(arguments) }
      var arguments = arguments
      arguments[ring.parameter] = .i64(first + UInt64(position.next(of: ring.count)) * ring.byteCount)
      _ = try function(arguments)
    }
    return provider == .plainC ? { try NativeKernels.withPlainC(execute) } : execute
  }

  /// The same product by OpenBLAS; nil in a build without it.
  func denseCall(_ product: KernelCase.Product, isFromMemory: Bool, position: RingPosition) -> (() -> Void)? {
    guard NativeKernels.hasOpenBLAS else { return nil }
    let count = product.columnsIn * product.columnsOut
    if denseWeights.count < count || isFromMemory && denseWeights.count < ringByteCount / 8 {
      denseWeights = [Float](repeating: 0.25, count: max(count, isFromMemory ? ringByteCount / 8 : 0))
    }
    let (weights, threadCount) = (denseWeights, threadCount)
    let x = [Float](repeating: 0.5, count: product.rows * product.columnsIn)
    var out = [Float](repeating: 0, count: product.rows * product.columnsOut)
    return {
      let first = isFromMemory ? position.next(of: weights.count / count) * count : 0
      _ = NativeKernels.openBLASProduct(
        out: &out, x: x, weights: weights, first: first, rows: product.rows, columnsIn: product.columnsIn,
        columnsOut: product.columnsOut, threadCount: threadCount)
    }
  }

  /// How far all who read a ring of weights have come, together.
  final class RingPosition {
    private var turn = -1

    func next(of count: Int) -> Int {
      turn += 1
      return turn % count
    }
  }

  private static func randomFloats(_ count: Int) -> [Float] {
    var state: UInt32 = 2_463_534_242
    return (0..<count).map { _ in
      state ^= state << 13
      state ^= state >> 17
      state ^= state << 5
      return Float(Int32(bitPattern: state)) / 2_147_483_648
    }
  }
}
