import TensorOperations
import TensorStore
import WasmRuntime
import WebAssembly

/// A model program in a store of its own, with its memories, behind calls with Swift types. Used by one thread at a time.
final class ProgramInstance {
  let memories: ProgramMemories
  let store: Store
  private let instance: Instance
  private let memory: Memory
  private let functions: Functions
  // Used again by every call and pass: decoding a token allocates nothing here.
  private var arguments: [Value] = []
  private var results: [Value] = []
  private var request: [Int32] = []

  let vocabularySize: Int
  let contextLength: Int
  let embeddingSize: Int

  private struct Functions {
    let errorAddress, errorByteCount, sequenceOpen, sequenceTrim, sequenceClose, passBegin, forward: Function
  }

  /// The version of the program interface that this host speaks.
  static let abiVersion: UInt32 = 1
  /// Pages of the cache and of the scratch memory: 64 GiB of addresses each, so that a thousand sessions fit a process.
  private static let pageCountMax: UInt64 = 1 << 20

  init(model: Model) throws(BinderyError) {
    let options = model.host.options
    var limits = MemoryLimits()
    if let byteCountMax = options.sessionMemoryByteCountMax { limits.mappedByteCountMax = byteCountMax }
    do {
      memories = ProgramMemories(
        weights: model.weights.memory,
        cache: try Memory(
          type: MemoryType(
            addressType: .i64, limits: Limits(minimum: 0, maximum: Self.pageCountMax),
            attributes: MemoryAttributes(isVirtual: true)),
          limits: limits),
        scratch: try Memory(
          type: MemoryType(addressType: .i64, limits: Limits(minimum: 0, maximum: Self.pageCountMax)), limits: limits))
    } catch {
      throw BinderyError(.environment, "the memories of a session cannot be made: \(error)", cause: error)
    }
    var resources = ResourceLimits()
    resources.memoryByteCountMax = min(1 << 30, options.sessionMemoryByteCountMax ?? .max)
    store = Store(engine: model.host.engine, limits: resources)
    if model.host.engine.configuration.consumesFuel { store.fuel = .max }
    do {
      var imports = Imports()
      for name in TensorOperation.MemoryName.allCases {
        imports.define(module: "bindery", name: name.rawValue, .memory(memories[name]))
      }
      imports.define(module: "bindery", name: "log", .function(Self.logFunction(store, options.log)))
      try TensorModule.define(
        in: &imports, store: store, memories: memories, provider: try model.host.tensorProvider(), workers: model.host.workers,
        log: options.log)
      instance = try Instance(store: store, module: model.program, imports: imports)
    } catch let error as BinderyError { throw error } catch let error as WasmError {
      throw BinderyError(error, doing: "\(model.programDescription) cannot be instantiated")
    } catch {
      throw BinderyError(.malformedInput, "\(model.programDescription) cannot be instantiated: \(error)", cause: error)
    }
    let exports = ProgramExports(instance, of: model.programDescription)
    memory = try exports.memory()
    let version = try Self.call(try exports.function("program_abi", [], .i32), "program_abi").i32 ?? 0
    guard version == Self.abiVersion else {
      throw BinderyError(
        .malformedInput,
        "\(model.programDescription) speaks version \(version) of the program interface, expected \(Self.abiVersion)")
    }
    functions = Functions(
      errorAddress: try exports.function("error_address", [], .i32),
      errorByteCount: try exports.function("error_byte_count", [], .i32),
      sequenceOpen: try exports.function("sequence_open", [.i32], .i32),
      sequenceTrim: try exports.function("sequence_trim", [.i32, .i32], .i32),
      sequenceClose: try exports.function("sequence_close", [.i32], .i32),
      passBegin: try exports.function("pass_begin", [.i32, .i32], .i64), forward: try exports.function("forward", [], .i64))
    try Self.configure(exports, memory: memory, functions: functions, model: model)
    vocabularySize = Int(
      Int32(bitPattern: try Self.call(try exports.function("vocabulary_size", [], .i32), "vocabulary_size").i32 ?? 0))
    contextLength = Int(
      Int32(bitPattern: try Self.call(try exports.function("context_length", [], .i32), "context_length").i32 ?? 0))
    embeddingSize = Int(
      Int32(bitPattern: try Self.call(try exports.function("embedding_size", [], .i32), "embedding_size").i32 ?? 0))
    guard vocabularySize > 0, contextLength > 0, embeddingSize > 0 else {
      throw BinderyError(
        .malformedInput,
        "\(model.programDescription) reports a vocabulary of \(vocabularySize), a context of \(contextLength) and a "
          + "width of \(embeddingSize): all must be above 0")
    }
  }

  /// Instructions executed so far, where the engine counts them; 0 elsewhere.
  var instructionCount: Int64 { store.engine.configuration.consumesFuel ? .max - store.fuel : 0 }

  // MARK: Sequences

  /// Opens a sequence of up to `contextLength` positions. Reserves addresses in the cache; maps nothing.
  func openSequence(contextLength: Int) throws(BinderyError) -> Int32 {
    let result = try call(functions.sequenceOpen, "sequence_open", .i32(Int32(clamping: contextLength)))
    guard let number = result.i32.map({ Int32(bitPattern: $0) }), number >= 0 else { throw programError("sequence_open") }
    return number
  }

  /// Forgets positions from `position` on.
  func trimSequence(_ sequence: Int32, to position: Int) throws(BinderyError) {
    let result = try call(functions.sequenceTrim, "sequence_trim", .i32(sequence), .i32(Int32(clamping: position)))
    guard result.i32 == 0 else { throw programError("sequence_trim") }
  }

  func closeSequence(_ sequence: Int32) throws(BinderyError) {
    let result = try call(functions.sequenceClose, "sequence_close", .i32(sequence))
    guard result.i32 == 0 else { throw programError("sequence_close") }
  }

  // MARK: Passes

  /// Runs one pass: rows of tokens at consecutive positions of one sequence.
  /// - Parameter outputs: the rows whose logits are wanted.
  /// - Returns: the scratch address of the logits `[outputs.count, vocabularySize]`, valid until the scratch is discarded.
  func forward(
    tokens: ArraySlice<Int32>, firstPosition: Int, sequence: Int32, outputs: Range<Int>
  ) throws(BinderyError) -> UInt64 {
    let begin = try call(
      functions.passBegin, "pass_begin", .i32(Int32(clamping: tokens.count)), .i32(Int32(clamping: outputs.count)))
    guard let address = begin.i64, address != .max else { throw programError("pass_begin") }
    request.removeAll(keepingCapacity: true)
    request.append(contentsOf: tokens)
    padRequest()
    for row in 0..<tokens.count { request.append(Int32(truncatingIfNeeded: firstPosition + row)) }
    padRequest()
    for _ in 0..<tokens.count { request.append(sequence) }
    padRequest()
    for row in outputs { request.append(Int32(truncatingIfNeeded: row)) }
    do { try memories.scratch.write(elements: request, address: address) } catch {
      throw BinderyError(.trap, "the model program gave a request block outside its scratch memory: \(error)", cause: error)
    }
    guard let logits = try call(functions.forward, "forward").i64, logits != .max else { throw programError("forward") }
    return logits
  }

  /// The arrays of a request start at multiples of 64 bytes.
  private func padRequest() {
    while request.count % 16 != 0 { request.append(0) }
  }

  /// One row of logits, in place.
  func withLogits<Result>(
    _ address: UInt64, row: Int = 0, _ body: (Span<Float>) -> Result
  ) throws(BinderyError) -> Result {
    let (offset, overflow) = address.addingReportingOverflow(UInt64(row * vocabularySize * 4))
    do {
      return try memories.scratch.withFloats(address: overflow ? .max : offset, count: vocabularySize) { body($0) }
    } catch {
      throw BinderyError(.trap, "the model program gave logits outside its scratch memory: \(error)", cause: error)
    }
  }

  // MARK: Parts

  private static func configure(
    _ exports: ProgramExports, memory: Memory, functions: Functions, model: Model
  ) throws(BinderyError) {
    let catalog = model.programCatalog
    let allocate = try exports.function("allocate", [.i32], .i32)
    let configure = try exports.function("configure", [.i32, .i32], .i32)
    let address = try call(allocate, "allocate", .i32(Int32(clamping: catalog.count))).i32 ?? 0
    guard address != 0 else {
      throw BinderyError(
        .environment, "\(model.programDescription) has no memory for the catalog of \(catalog.count) bytes")
    }
    do { try memory.write(catalog, address: UInt64(address)) } catch {
      throw BinderyError(.trap, "the model program allocated memory that it does not have: \(error)", cause: error)
    }
    let status = try call(configure, "configure", .i32(address), .i32(Int32(clamping: catalog.count))).i32 ?? 0
    guard status == 0 else {
      throw BinderyError(
        .malformedInput, "'\(model.path)' does not suit its model program: \(errorText(functions, memory) ?? "error \(status)")")
    }
  }

  private static func logFunction(_ store: Store, _ log: (@Sendable (String) -> Void)?) -> Function {
    Function(store: store, type: FunctionType(parameters: [.i32, .i32], results: []), name: "bindery.log") {
      caller, arguments, _ in
      guard let log, let memory = caller.instance?.memory("memory") else { return }
      let bytes = try memory.read(address: UInt64(arguments.i32(0)), byteCount: UInt64(arguments.i32(1)))
      log(String(decoding: bytes, as: UTF8.self))
    }
  }

  /// Calls a function that has one result. Allocates nothing.
  private func call(
    _ function: Function, _ name: StaticString, _ first: Value? = nil, _ second: Value? = nil
  ) throws(BinderyError) -> Value {
    arguments.removeAll(keepingCapacity: true)
    if let first { arguments.append(first) }
    if let second { arguments.append(second) }
    do throws(WasmError) {
      try function.call(arguments, results: &results)
      guard let result = results.first else { throw WasmError.argumentMismatch("\(name) has no result") }
      return result
    } catch { throw BinderyError(error, doing: "the model program failed in \(name)") }
  }

  /// The same while the program is being set up.
  private static func call(_ function: Function, _ name: String, _ arguments: Value...) throws(BinderyError) -> Value {
    do throws(WasmError) {
      guard let result = try function(arguments).first else {
        throw WasmError.argumentMismatch("\(name) has no result")
      }
      return result
    } catch { throw BinderyError(error, doing: "the model program failed in \(name)") }
  }

  /// What the program says about a call that it refused.
  private func programError(_ call: String) -> BinderyError {
    BinderyError(
      .trap, "the model program refused \(call): \(Self.errorText(functions, memory) ?? "it gives no reason")")
  }

  private static func errorText(_ functions: Functions, _ memory: Memory) -> String? {
    guard let address = try? functions.errorAddress().first?.i32, let byteCount = try? functions.errorByteCount().first?.i32,
      byteCount > 0, byteCount <= 1 << 16,
      let bytes = try? memory.read(address: UInt64(address), byteCount: UInt64(byteCount))
    else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Finds what a model program must export.
private struct ProgramExports {
  private let instance: Instance
  private let program: String

  init(_ instance: Instance, of program: String) {
    self.instance = instance
    self.program = program
  }

  func function(_ name: String, _ parameters: [ValueType], _ result: ValueType) throws(BinderyError) -> Function {
    let type = FunctionType(parameters: parameters, results: [result])
    guard let function = instance.function(name) else {
      throw BinderyError(.malformedInput, "\(program) exports no function '\(name)' \(type)")
    }
    guard function.type == type else {
      throw BinderyError(
        .malformedInput, "\(program) exports '\(name)' as \(function.type), expected \(type)")
    }
    return function
  }

  func memory() throws(BinderyError) -> Memory {
    guard let memory = instance.memory("memory") else {
      throw BinderyError(.malformedInput, "\(program) exports no memory 'memory'")
    }
    return memory
  }
}
