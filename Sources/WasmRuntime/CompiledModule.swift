import CInterpreter
import Synchronization
import WebAssembly

/// A module that has been parsed, validated and translated to register code.
///
/// Immutable: instances in several stores and threads share it. Translation is eager; validating and translating takes about
/// 0.2 µs a byte.
@safe
public final class CompiledModule: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): nothing is written after init, and the code is freed by deinit only.

  public let engine: Engine
  public let module: Module
  let names: NameSection
  let exportsByName: [Name: Export]
  /// The engine's number of each function type: equal types have equal numbers.
  let typeNumbers: [UInt32]
  /// One per function that the module defines.
  let code: UnsafeMutableBufferPointer<bindery_code>
  let words: UnsafeMutableBufferPointer<UInt64>
  private let constants: UnsafeMutableBufferPointer<bindery_slot>
  /// Where each function's words begin, and one past the last.
  let functionStarts: [Int]
  /// By function: the words where instructions start, and the offsets in the module they come from.
  let sourceMaps: [(starts: [UInt32], offsets: [UInt32])]

  /// Parses, validates and translates.
  /// - Throws: `.malformed`, `.invalid`, or `.limit` where a function is larger than the register code can express.
  public convenience init(engine: Engine, bytes: [UInt8]) throws(WasmError) {
    let module: Module
    do { module = try Module.parse(bytes, features: engine.configuration.features) } catch { throw .malformed(error) }
    do { try Validator.validate(module, features: engine.configuration.features) } catch { throw .invalid(error) }
    try self.init(engine: engine, validated: module)
  }

  /// Translates a module that has been validated.
  package init(engine: Engine, validated module: Module) throws(WasmError) {
    let types = module.types.map { engine.number(of: $0) }
    let code = UnsafeMutableBufferPointer<bindery_code>.allocate(capacity: module.functionBodies.count)
    let context = unsafe ModuleContext(
      module: module, typeNumbers: types, consumesFuel: engine.configuration.consumesFuel,
      fuelCountsRegisterInstructions: engine.configuration.fuelCountsRegisterInstructions,
      combinesInstructions: engine.configuration.combinesInstructions, code: code)
    var functions: [TranslatedFunction] = []
    functions.reserveCapacity(module.functionBodies.count)
    do throws(WasmError) {
      for index in module.functionBodies.indices {
        var translator = FunctionTranslator(context: context, definedIndex: index)
        functions.append(try translator.translate())
      }
    } catch {
      unsafe code.deallocate()
      throw error
    }
    self.engine = engine
    self.module = module
    self.names = module.readNames()
    self.exportsByName = Dictionary(module.exports.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.typeNumbers = types
    unsafe self.code = code
    self.sourceMaps = functions.map { ($0.starts, $0.offsets) }

    // SAFETY: each buffer is as large as the sum of what is copied into it.
    let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: functions.reduce(0) { $0 + $1.words.count })
    let constants = UnsafeMutableBufferPointer<bindery_slot>.allocate(capacity: functions.reduce(0) { $0 + $1.constants.count })
    let handlers = unsafe engine.handlers
    var (wordStart, constantStart) = (0, 0)
    var functionStarts: [Int] = []
    for (index, function) in functions.enumerated() {
      functionStarts.append(wordStart)
      for (offset, word) in function.words.enumerated() { unsafe words[wordStart + offset] = word }
      for start in function.starts {
        let place = wordStart + Int(start)
        unsafe words[place] = UInt64(UInt(bitPattern: handlers[Int(words[place])]))
      }
      if let constantWord = function.constantWord {
        for (offset, bits) in function.constants.enumerated() {
          unsafe constants[constantStart + offset] = bindery_slot(words: (bits.low, bits.high))
        }
        unsafe words[wordStart + constantWord] = UInt64(UInt(bitPattern: constants.baseAddress! + constantStart))
      }
      unsafe code.initializeElement(
        at: index,
        to: bindery_code(
          entry: unsafe UnsafePointer(words.baseAddress! + wordStart), slot_count: UInt32(function.slotCount),
          function_index: UInt32(module.importedFunctionCount + index)))
      wordStart += function.words.count
      constantStart += function.constants.count
    }
    functionStarts.append(wordStart)
    unsafe self.words = words
    unsafe self.constants = constants
    self.functionStarts = functionStarts
  }

  deinit {
    // SAFETY: instances retain the module they run.
    unsafe code.deallocate()
    unsafe words.deallocate()
    unsafe constants.deallocate()
  }

  /// The offset in the module of the instruction at an address of the register code. A return address belongs to the call
  /// before it.
  func codeOffset(of pc: UnsafePointer<UInt64>?, functionIndex: Int, isReturnAddress: Bool) -> Int? {
    let index = functionIndex - module.importedFunctionCount
    // SAFETY: addresses are compared, not read.
    guard let pc = unsafe pc, index >= 0, index < sourceMaps.count, let base = unsafe words.baseAddress else { return nil }
    var word = unsafe (pc - UnsafePointer(base)) - functionStarts[index]
    if isReturnAddress { word -= 1 }
    guard word >= 0, word < functionStarts[index + 1] - functionStarts[index] else { return nil }
    let map = sourceMaps[index]
    var (low, high) = (0, map.starts.count)
    while low + 1 < high {
      let middle = (low + high) / 2
      if Int(map.starts[middle]) <= word { low = middle } else { high = middle }
    }
    return map.starts.isEmpty ? nil : Int(map.offsets[low])
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

  /// The address of a defined function's code record, which is filled in later.
  func codeAddress(_ definedIndex: Int) -> UInt64 {
    // SAFETY: the index is of a function body, one record each.
    unsafe UInt64(UInt(bitPattern: code.baseAddress! + definedIndex))
  }
}
