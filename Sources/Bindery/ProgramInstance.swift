import BinaryReading
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
  private let passes: TensorPasses
  // Used again by every call and pass: decoding a token allocates nothing here.
  private var arguments: [Value] = []
  private var results: [Value] = []
  private var request: [Int32] = []
  private let buffers: BufferAccount
  private var attachment: CancellationAttachment?

  let vocabularySize: Int
  let contextLength: Int
  let embeddingSize: Int

  private struct Functions {
    let errorAddress, errorByteCount, sequenceOpen, sequenceTrim, sequenceClose, passBegin, forward: Function
  }

  /// The version of the program interface that this host speaks.
  static let abiVersion: UInt32 = 1
  /// The most tokens that a vocabulary may have: sixteen times that of the largest model. What the host does for each token it does in
  /// one go, some nanoseconds for each of these.
  static let vocabularySizeMax = 1 << 22
  /// Addresses that a memory of the program itself may have.
  private static let ownMemoryByteCountMax: UInt64 = 1 << 30

  /// Instantiates and sets up the program, under the limits of `use`, which it has begun: they hold from the first instruction.
  init(model: Model, budget: ResourceBudget, log: SessionLog, use: SessionUse) throws(BinderyError) {
    // Prompts and answers are in these: no core dump gets them.
    var limits = MemoryLimits()
    limits.isExcludedFromDumps = true
    do {
      memories = ProgramMemories(
        weights: model.weights.memory,
        cache: try Memory(
          type: MemoryType(
            addressType: .i64, limits: Limits(minimum: 0, maximum: model.addresses.cachePageCount),
            attributes: MemoryAttributes(isVirtual: true)),
          limits: limits, budget: budget),
        scratch: try Memory(
          type: MemoryType(addressType: .i64, limits: Limits(minimum: 0, maximum: model.addresses.scratchPageCount)), limits: limits,
          budget: budget))
    } catch {
      throw BinderyError(.environment, "the memories of a session cannot be made: \(error)", cause: error)
    }
    var resources = ResourceLimits()
    resources.memoryByteCountMax = Self.ownMemoryByteCountMax
    resources.memoryLimits.isExcludedFromDumps = true
    resources.memoryLimits.reservationByteCountMax = Self.ownMemoryByteCountMax
    store = Store(engine: model.host.engine, limits: resources, budget: budget)
    if model.host.engine.configuration.consumesFuel { store.fuel = .max }
    buffers = BufferAccount(budget)
    // Tokens, positions, sequences and rows of a pass, each padded.
    try buffers.charge(4 * (4 * model.host.options.prefillRowCountMax + 64), for: "requests")
    attachment = CancellationAttachment(use.cancellation, store.interruptHandle)
    store.setTimeLimit(use.timeLeft)
    do {
      var imports = Imports()
      for name in TensorOperation.MemoryName.allCases {
        imports.define(module: "bindery", name: name.rawValue, .memory(memories[name]))
      }
      imports.define(module: "bindery", name: "log", .function(Self.logFunction(store, log)))
      passes = try TensorModule.define(
        in: &imports, store: store, memories: memories, provider: try model.host.tensorProvider(), workers: model.host.workers,
        log: { log.write($0) })
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
    vocabularySize = try Self.number(exports, "vocabulary_size", atMost: Self.vocabularySizeMax, of: model)
    contextLength = try Self.number(exports, "context_length", atMost: Int(Int32.max), of: model)
    embeddingSize = try Self.number(exports, "embedding_size", atMost: Int(Int32.max), of: model)
  }

  deinit { end() }

  // MARK: Uses

  /// From now on, the program is stopped by what stops `use`.
  func begin(_ use: SessionUse) {
    attachment = CancellationAttachment(use.cancellation, store.interruptHandle)
    store.setTimeLimit(use.timeLeft)
  }

  /// The use is over: what comes later than this does not reach the next one.
  func end() {
    guard attachment != nil else { return }
    attachment = nil
    store.interruptHandle.reset()
    store.setTimeLimit(nil)
  }

  /// Instructions executed so far, where the engine counts them; 0 elsewhere.
  var instructionCount: Int64 { store.engine.configuration.consumesFuel ? .max - store.fuel - store.fuelTakenByHost : 0 }

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
      throw BinderyError(
        .programInterface, "the model program gave a request block outside its scratch memory: \(error)", cause: error)
    }
    passes.begin()
    defer { passes.end() }
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
    // At most as many rows as a pass has, of 2^22 logits each.
    let (offset, overflow) = address.addingReportingOverflow(UInt64(row) * UInt64(vocabularySize) * 4)
    do {
      return try memories.scratch.withFloats(address: overflow ? .max : offset, count: vocabularySize) { body($0) }
    } catch {
      throw BinderyError(
        .programInterface,
        "the model program gave no \(vocabularySize) logits in its scratch memory at address \(offset): \(error)", cause: error)
    }
  }

  // MARK: Parts

  private static func configure(
    _ exports: ProgramExports, memory: Memory, functions: Functions, model: Model
  ) throws(BinderyError) {
    let catalog = try model.programCatalog()
    guard catalog.count <= Int32.max else {
      throw BinderyError(
        .malformedInput, "'\(model.path)' has \(catalog.count) bytes of names and metadata: a program can be told of 2 GiB")
    }
    let allocate = try exports.function("allocate", [.i32], .i32)
    let configure = try exports.function("configure", [.i32, .i32], .i32)
    let address = try call(allocate, "allocate", .i32(Int32(catalog.count))).i32 ?? 0
    guard address != 0 else {
      throw BinderyError(
        .environment, "\(model.programDescription) has no memory for the catalog of \(catalog.count) bytes")
    }
    do { try memory.write(catalog, address: UInt64(address)) } catch {
      throw BinderyError(
        .programInterface,
        "\(model.programDescription) allocated \(catalog.count) bytes at address \(address), where it has no memory: \(error)",
        cause: error)
    }
    let status = try call(configure, "configure", .i32(address), .i32(Int32(clamping: catalog.count))).i32 ?? 0
    guard status == 0 else {
      throw BinderyError(
        .malformedInput, "'\(model.path)' does not suit its model program: \(errorText(functions, memory) ?? "error \(status)")")
    }
  }

  /// A size that the program reports.
  private static func number(
    _ exports: ProgramExports, _ name: String, atMost maximum: Int, of model: Model
  ) throws(BinderyError) -> Int {
    let value = Int(Int32(bitPattern: try call(try exports.function(name, [], .i32), name).i32 ?? 0))
    guard 1...maximum ~= value else {
      throw BinderyError(
        .programInterface, "\(model.programDescription) reports a \(name) of \(value): expected a number from 1 to \(maximum)")
    }
    return value
  }

  private static func logFunction(_ store: Store, _ log: SessionLog) -> Function {
    Function(store: store, type: FunctionType(parameters: [.i32, .i32], results: []), name: "bindery.log") {
      caller, arguments, _ in
      guard let memory = caller.instance?.memory("memory") else { return }
      try log.write(memory, address: UInt64(arguments.i32(0)), byteCount: UInt64(arguments.i32(1)))
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
      byteCount > 0, let bytes = try? memory.read(address: UInt64(address), byteCount: min(UInt64(byteCount), errorByteCountMax))
    else { return nil }
    return bytes.escapedForTerminal + (UInt64(byteCount) > errorByteCountMax ? " ..." : "")
  }

  /// A sentence; what is longer is cut.
  private static let errorByteCountMax: UInt64 = 1 << 10
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
