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
  }

  private let memories: ProgramMemories
  private var imports: [Provider: Imports] = [:]
  private var ends: [TensorOperation.MemoryName: UInt64] = [:]

  /// - Parameter byteCount: of each memory; pages that nobody touches cost nothing.
  init(byteCount: UInt64, threadCount: Int) throws {
    let pageCount = byteCount >> 16
    let limits = Limits(minimum: pageCount, maximum: pageCount)
    let virtual = MemoryType(addressType: .i64, limits: limits, attributes: MemoryAttributes(isVirtual: true))
    memories = ProgramMemories(
      weights: try Memory(type: virtual), cache: try Memory(type: virtual),
      scratch: try Memory(type: MemoryType(addressType: .i64, limits: limits)))
    _ = try memories.weights.map(address: 0, byteCount: pageCount << 16, protection: .readWrite)
    _ = try memories.cache.map(address: 0, byteCount: pageCount << 16, protection: .readWrite)
    let workers = WorkerPool(threadCount: threadCount)
    let engine = Engine()
    guard let bytes = ModelProgram.kernels.bytes else {
      throw WorkerProcess.Failure(description: "this build has no kernel module: build it with models/build.sh, then build again")
    }
    let kernels = try KernelModule(CompiledModule(engine: engine, bytes: bytes))
    for provider in Provider.allCases {
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

  /// Something to call again and again.
  func call(_ name: String, _ provider: Provider, _ arguments: [Value]) throws -> () throws -> Void {
    guard case .function(let function)? = imports[provider]?["tensor", name] else {
      throw WorkerProcess.Failure(description: "the \(provider.rawValue) provider has no operation '\(name)'")
    }
    if provider == .plainC { return { try NativeKernels.withPlainC { _ = try function(arguments) } } }
    return { _ = try function(arguments) }
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
