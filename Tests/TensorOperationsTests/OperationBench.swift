import ModelPrograms
import TensorOperations
import Tensors
import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

/// Three memories and one provider: operands are put into the memories, an operation is called with addresses, results are read.
final class OperationBench {
  enum Provider: String, CaseIterable, Sendable {
    case native, nativeOnTwoThreads, wasm, wasmOnTwoThreads

    var threadCount: Int { self == .nativeOnTwoThreads || self == .wasmOnTwoThreads ? 2 : 1 }
    var isNative: Bool { self == .native || self == .nativeOnTwoThreads }
  }

  let memories: ProgramMemories
  let store: Store
  let passes: TensorPasses
  private let imports: Imports
  private var scratchEnd: UInt64 = 0
  private var weightsEnd: UInt64 = 0

  static let page: UInt64 = 65536

  /// - Parameters:
  ///   - threadCount: nil: the provider's.
  ///   - consumesFuel: the store starts with `.max`.
  init(
    _ provider: Provider, scratchPageCount: UInt64 = 512, weightsPageCount: UInt64 = 512, cachePageCount: UInt64 = 64,
    threadCount: Int? = nil, budget: ResourceBudget = .init(), limits: ResourceLimits = .init(), consumesFuel: Bool = false
  ) throws {
    func virtual(_ pages: UInt64) throws -> Memory {
      try Memory(
        type: MemoryType(
          addressType: .i64, limits: Limits(minimum: pages, maximum: pages), attributes: MemoryAttributes(isVirtual: true)))
    }
    memories = ProgramMemories(
      weights: try virtual(weightsPageCount), cache: try virtual(cachePageCount),
      scratch: try Memory(
        type: MemoryType(addressType: .i64, limits: Limits(minimum: scratchPageCount, maximum: scratchPageCount))))
    _ = try memories.weights.map(address: 0, byteCount: weightsPageCount * Self.page, protection: .readWrite)
    let kernels = consumesFuel ? Self.kernelsWithFuel : Self.kernels
    store = Store(engine: provider.isNative && !consumesFuel ? Engine() : kernels.engine, limits: limits, budget: budget)
    store.fuel = .max
    var imports = Imports()
    passes = try TensorModule.define(
      in: &imports, store: store, memories: memories, provider: provider.isNative ? .native : .wasm(try KernelModule(kernels)),
      workers: WorkerPool(threadCount: threadCount ?? provider.threadCount))
    self.imports = imports
  }

  /// The kernel module of this build, compiled once, without and with counting of fuel.
  private static let kernels = compileKernels(.init())
  private static let kernelsWithFuel: CompiledModule = {
    var configuration = EngineConfiguration()
    configuration.consumesFuel = true
    return compileKernels(configuration)
  }()

  private static func compileKernels(_ configuration: EngineConfiguration) -> CompiledModule {
    guard let bytes = ModelProgram.kernels.bytes,
      let module = try? CompiledModule(engine: Engine(configuration: configuration), bytes: bytes)
    else { preconditionFailure("this build has no kernel module: models/programs/kernels.wasm") }
    return module
  }

  /// Puts floats into scratch, at an address that is a multiple of 4 and often of nothing more.
  func scratch(_ values: [Float]) throws -> UInt64 {
    let address = place(UInt64(values.count) * 4, in: &scratchEnd, memories.scratch)
    try memories.scratch.write(elements: values, address: address)
    return address
  }

  func scratch(ids: [Int32]) throws -> UInt64 {
    let address = place(UInt64(ids.count) * 4, in: &scratchEnd, memories.scratch)
    try memories.scratch.write(elements: ids, address: address)
    return address
  }

  func scratch(bases: [Int64]) throws -> UInt64 {
    let address = place(UInt64(bases.count) * 8, in: &scratchEnd, memories.scratch, alignment: 8)
    try memories.scratch.write(elements: bases, address: address)
    return address
  }

  /// Room for `count` floats, filled with NaN, so that what an operation leaves out shows.
  func output(_ count: Int) throws -> UInt64 { try scratch([Float](repeating: .nan, count: count)) }

  /// Puts bytes into weights, at a multiple of 32 as in GGUF files.
  func weights(_ bytes: [UInt8]) throws -> UInt64 {
    let address = place(UInt64(bytes.count), in: &weightsEnd, memories.weights, alignment: 32)
    try memories.weights.write(bytes, address: address)
    return address
  }

  private func place(_ byteCount: UInt64, in end: inout UInt64, _ memory: Memory, alignment: UInt64 = 4) -> UInt64 {
    let address = (end + alignment - 1) / alignment * alignment
    // A gap of one element keeps operands from touching.
    end = address + byteCount + 4
    precondition(end <= memory.byteCount, "the test's operands fit its memories")
    return address
  }

  func floats(_ address: UInt64, _ count: Int) throws -> [Float] {
    try memories.scratch.read(Float.self, address: address, count: count)
  }

  /// Calls an import of module `tensor`, as a model program would. What the native provider refuses is thrown as it is.
  func call(_ name: String, _ arguments: Argument...) throws { try prepared(name, arguments)() }

  /// The same, to be called again and again: the call itself makes no arrays.
  func prepared(_ name: String, _ arguments: [Argument]) throws -> () throws -> Void {
    guard case .function(let function)? = imports["tensor", name] else { throw WasmError.argumentMismatch("no import \(name)") }
    let values: [Value] = zip(arguments, function.type.parameters).map { argument, type in
      switch type {
      case .i64: .i64(argument.bits)
      case .f32: .f32(UInt32(truncatingIfNeeded: argument.bits))
      default: .i32(UInt32(truncatingIfNeeded: argument.bits))
      }
    }
    return {
      do throws(WasmError) { try function(values) } catch {
        if case .trap(let trap) = error, let misuse = trap.cause as? OperationMisuse { throw misuse }
        throw error
      }
    }
  }

  struct Argument: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
    let bits: UInt64
    init(bits: UInt64) { self.bits = bits }
    init(integerLiteral value: Int64) { bits = UInt64(bitPattern: value) }
    init(floatLiteral value: Float) { bits = UInt64(value.bitPattern) }
  }
}

extension UInt64 { var at: OperationBench.Argument { .init(bits: self) } }
extension Int { var n: OperationBench.Argument { .init(bits: UInt64(bitPattern: Int64(self))) } }
extension Float { var f: OperationBench.Argument { .init(bits: UInt64(bitPattern)) } }
extension ElementType { var n: OperationBench.Argument { .init(bits: UInt64(rawValue)) } }

/// Random operands.
struct RandomOperands {
  var generator: SeededGenerator
  let seed: UInt64

  init(seed: UInt64) {
    self.seed = seed
    generator = SeededGenerator(seed: seed)
  }

  /// Roughly normal: the sum of four uniform numbers.
  mutating func floats(_ count: Int, scale: Float = 1) -> [Float] {
    (0..<count).map { _ in
      let sum = (0..<4).reduce(Float(0)) { sum, _ in sum + Float.random(in: -1...1, using: &generator) }
      return sum * scale
    }
  }

  mutating func weights(_ type: ElementType, rows: Int, columns: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<rows { bytes += try BlockEncoding.encode(floats(columns, scale: 0.3), as: type) }
    return bytes
  }

  mutating func integer(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
}
