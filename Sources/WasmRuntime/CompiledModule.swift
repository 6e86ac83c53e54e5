import CInterpreter
import WebAssembly

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A module that has been parsed, validated and translated to register code.
///
/// Immutable: instances in several stores and threads share it. Translation is eager; validating and translating takes about
/// 0.2 µs a byte.
@safe
public final class CompiledModule: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): nothing is written after init, and the code is freed by deinit only.

  public let engine: Engine
  public let module: Module
  let exportsByName: [Name: Export]
  private let types: ModuleTypeNumbers
  /// The engine's number of each function type: equal types have equal numbers.
  var typeNumbers: [UInt32] { types.numbers }
  /// One per function that the module defines.
  let code: UnsafeMutableBufferPointer<bindery_code>
  let words: UnsafeMutableBufferPointer<UInt64>
  private let constants: UnsafeMutableBufferPointer<V128Bits>
  /// Where each function's words begin, and one past the last.
  let functionStarts: [Int]
  /// By instruction: the word where it starts, counted from its function's first, and the offset in the module it comes from.
  let starts: UnsafeMutableBufferPointer<UInt32>
  let offsets: UnsafeMutableBufferPointer<UInt32>
  /// Where each function's instructions begin in these lists, and one past the last.
  let instructionStarts: [Int]
  /// What the module's memory was charged to; gives it back when the module is gone.
  private let charge: CompilationCharge
  /// By function, where its name stands in the module's bytes; see `Module.readFunctionNameOffsets`.
  private let nameOffsets: [UInt32]
  let moduleName: String?
  /// Steps that translation took for the operand stack, beside one for each instruction.
  package let translationStepCount: Int

  /// Parses, validates and translates. Time is linear in the number of bytes; what the code takes is bounded by 64 times the
  /// bytes and 1 MiB.
  /// - Parameters:
  ///   - budget: pays for the module and its code, until the module is gone; nil: one of its own, with the default maximum.
  ///   - stop: asked about every 64 KiB, on this thread: a trap ends the work, say `deadlineExceeded`.
  /// - Throws: `.malformed`, `.invalid`, `.limit` where the module is beyond a limit or the budget, or the trap of `stop`.
  public convenience init(
    engine: Engine, bytes: [UInt8], budget: ResourceBudget? = nil, stop: @escaping () -> TrapKind? = { nil }
  ) throws(WasmError) {
    let work = CompilationWork(budget: budget ?? ResourceBudget(), stop: stop)
    guard work.charge.take(bytes.count) else { throw work.outOfMemory() }
    let module: Module
    do {
      module = try Module.parse(bytes, features: engine.configuration.features, supervision: work.supervision)
    } catch { throw work.error(error) }
    do {
      let byteCount = try Validator.validate(module, features: engine.configuration.features, supervision: work.supervision)
      work.charge.giveBack(byteCount)
    } catch { throw work.error(error) }
    try self.init(engine: engine, validated: module, work: work)
  }

  /// Translates a module that has been validated.
  package convenience init(engine: Engine, validated module: Module) throws(WasmError) {
    try self.init(engine: engine, validated: module, work: CompilationWork(budget: ResourceBudget(), stop: { nil }))
  }

  private init(engine: Engine, validated module: Module, work: CompilationWork) throws(WasmError) {
    let functionCount = module.functionBodies.count
    // Beside the code itself: its record, two starts, a name's place; exports by name, of which a dictionary holds up to three.
    let recordByteCount = unsafe MemoryLayout<bindery_code>.stride + 2 * MemoryLayout<Int>.stride + MemoryLayout<UInt32>.stride
    let exportByteCount = 3 * (MemoryLayout<Name>.stride + MemoryLayout<Export>.stride)
    // The engine's table of types holds up to three places for each.
    let typeByteCount = MemoryLayout<UInt32>.stride + 3 * (MemoryLayout<FunctionType>.stride + 16)
    guard
      work.charge.take(
        functionCount * recordByteCount + module.exports.count * exportByteCount + module.types.count * typeByteCount)
    else { throw work.outOfMemory() }
    let types = try ModuleTypeNumbers(engine: engine, types: module.types, work: work)
    // SAFETY: of malloc, freed by deinit or below; every record is filled before anyone runs the code.
    guard let memory = unsafe malloc(max(1, functionCount * MemoryLayout<bindery_code>.stride)) else { throw work.outOfMemory() }
    let code = unsafe UnsafeMutableBufferPointer(
      start: memory.bindMemory(to: bindery_code.self, capacity: functionCount), count: functionCount)
    var functions: [TranslatedFunction] = []
    var translator = unsafe FunctionTranslator(context: ModuleContext(module, engine.configuration, types.numbers, code, work))
    do throws(WasmError) {
      guard work.charge.take(functionCount * MemoryLayout<TranslatedFunction>.stride) else { throw work.outOfMemory() }
      functions.reserveCapacity(functionCount)
      for index in module.functionBodies.indices { functions.append(try translator.translate(definedIndex: index)) }
    } catch {
      unsafe free(memory)
      throw error
    }
    let capacity = translator.byteCapacity
    translationStepCount = translator.stack.stepCount
    let lists = translator.take()
    work.charge.giveBack(functionCount * MemoryLayout<TranslatedFunction>.stride + capacity - lists.byteCount)
    self.engine = engine
    self.module = module
    self.exportsByName = Dictionary(module.exports.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.types = types
    (self.moduleName, self.nameOffsets) = module.readFunctionNameOffsets()
    self.charge = work.charge
    unsafe self.code = code
    unsafe self.words = lists.words
    unsafe self.constants = lists.constants
    unsafe self.starts = lists.starts
    unsafe self.offsets = lists.offsets
    self.functionStarts = functions.map(\.wordStart) + [unsafe lists.words.count]
    self.instructionStarts = functions.map(\.instructionStart) + [unsafe lists.starts.count]
    let handlers = unsafe engine.handlers
    for (index, function) in functions.enumerated() {
      // SAFETY: starts and words are those that the translator has written for this function.
      for instruction in function.instructionStart..<instructionStarts[index + 1] {
        let place = unsafe function.wordStart + Int(starts[instruction])
        unsafe words[place] = UInt64(UInt(bitPattern: handlers[Int(words[place])]))
      }
      if let constantWord = function.constantWord {
        unsafe words[constantWord] = UInt64(UInt(bitPattern: constants.baseAddress! + function.constantStart))
      }
      unsafe code.initializeElement(
        at: index,
        to: bindery_code(
          entry: unsafe UnsafePointer(words.baseAddress! + function.wordStart), slot_count: UInt32(function.slotCount),
          function_index: UInt32(module.importedFunctionCount + index)))
    }
  }

  deinit {
    // SAFETY: instances retain the module they run; all of them are of malloc, or nil.
    unsafe free(code.baseAddress)
    unsafe free(words.baseAddress)
    unsafe free(constants.baseAddress)
    unsafe free(starts.baseAddress)
    unsafe free(offsets.baseAddress)
  }

  /// Bytes that the module and its code were charged with.
  public var byteCount: UInt64 { charge.byteCount }

  /// The name of a function in the name section; nil where it has none. For backtraces: it is read anew each time.
  func functionName(_ index: Int) -> String? {
    guard index < nameOffsets.count, nameOffsets[index] > 0 else { return nil }
    return module.name(at: Int(nameOffsets[index]))
  }

  /// The offset in the module of the instruction at an address of the register code. A return address belongs to the call
  /// before it.
  func codeOffset(of pc: UnsafePointer<UInt64>?, functionIndex: Int, isReturnAddress: Bool) -> Int? {
    let index = functionIndex - module.importedFunctionCount
    // SAFETY: addresses are compared, not read.
    guard let pc = unsafe pc, index >= 0, index < module.functionBodies.count, let base = unsafe words.baseAddress else { return nil }
    var word = unsafe (pc - UnsafePointer(base)) - functionStarts[index]
    if isReturnAddress { word -= 1 }
    guard word >= 0, word < functionStarts[index + 1] - functionStarts[index] else { return nil }
    var (low, high) = (instructionStarts[index], instructionStarts[index + 1])
    guard low < high else { return nil }
    while low + 1 < high {
      let middle = (low + high) / 2
      if unsafe Int(starts[middle]) <= word { low = middle } else { high = middle }
    }
    return unsafe Int(offsets[low])
  }
}

/// What translating a function needs of its module.
@safe
struct ModuleContext {
  let module: Module
  let typeNumbers: [UInt32]
  let consumesFuel: Bool
  let fuelCountsRegisterInstructions: Bool
  let combinesInstructions: Bool
  let code: UnsafeMutableBufferPointer<bindery_code>
  let work: CompilationWork
  /// The most bytes that the code of the module may take.
  let codeByteCountMax: Int

  /// Bytes of code for each byte of a module, beside 1 MiB.
  static let expansionMax = 64

  init(
    _ module: Module, _ configuration: EngineConfiguration, _ typeNumbers: [UInt32],
    _ code: UnsafeMutableBufferPointer<bindery_code>, _ work: CompilationWork
  ) {
    self.module = module
    self.typeNumbers = typeNumbers
    consumesFuel = configuration.consumesFuel
    fuelCountsRegisterInstructions = configuration.fuelCountsRegisterInstructions
    combinesInstructions = configuration.combinesInstructions
    unsafe self.code = code
    self.work = work
    codeByteCountMax = Self.expansionMax * module.bytes.count + (1 << 20)
  }

  /// The address of a defined function's code record, which is filled in later.
  func codeAddress(_ definedIndex: Int) -> UInt64 {
    // SAFETY: the index is of a function body, one record each.
    unsafe UInt64(UInt(bitPattern: code.baseAddress! + definedIndex))
  }
}
