import CInterpreter
import WebAssembly

/// Translates one function body to register code.
///
/// One pass over the validated instructions. The operand stack exists only here: each entry says where its value is. A local or
/// a constant is not moved until something needs it elsewhere; a computed value has the slot of its position on the stack. So
/// `local.get` and most constants cost nothing, and `local.set` of a fresh result only changes where that result is written.
///
///     slots:   | parameters, locals | constants of loops | operand stack, by position |
///
/// Results of one instruction often feed the next. The translator knows which slot's value still is in an accumulator; such an
/// operand is read from there, and if it was the only use the producer is changed not to write its slot at all.
struct FunctionTranslator {
  /// A value on the operand stack.
  struct Entry {
    enum Place {
      /// In the slot of its stack position.
      case temporary
      case local(Int)
      case constant(V128Bits)
      /// Not computed yet: the instruction that uses it may do so on the way.
      case deferred(Deferred)
    }
    var place: Place
    var type: ValueType
  }

  /// A cheap operation on locals and constants, which cannot trap.
  struct Deferred {
    var operation: RegisterOpcode
    /// Slots of the operands; the second is -1 for the immediate.
    var a: Int
    var b: Int
    var immediate: UInt32 = 0
  }

  /// An instruction that may still be replaced, together with one that follows it.
  struct Record {
    var operation: RegisterOpcode
    /// Which of the places of its operands.
    var kind: Int
    var position: Int
    /// The accumulators before it.
    var integer: AccumulatorState
    var vector: AccumulatorState
  }

  /// An enclosing block.
  struct Control {
    enum Kind { case function, block, loop, `if`, `else` }
    var kind: Kind
    /// Entries below the block's parameters.
    var height: Int
    var parameters: [ValueType]
    var results: [ValueType]
    /// Word index of the first instruction of a loop.
    var start = 0
    /// Word indices of branches to the end.
    var patches: [Int] = []
    /// The branch of an `if` to its `else`.
    var elsePatch: Int?
    /// Whether the code before the block could be reached: not translated otherwise.
    var isReachable = true

    var labelTypes: [ValueType] { kind == .loop ? parameters : results }
  }

  /// Whose value an accumulator holds: a slot, -1 for nobody's.
  struct AccumulatorState {
    var slot = -1
    /// Word index of the instruction that set it.
    var position = 0
    /// Whether that instruction may stop writing the slot once the value has been used.
    var isElidable = false
  }

  let context: ModuleContext
  let module: Module
  let functionIndex: Int
  let type: FunctionType
  var reader: InstructionReader

  var words: [UInt64] = []
  /// Word index of each instruction, and where in the module it comes from.
  var starts: [UInt32] = []
  var offsets: [UInt32] = []
  var currentOffset = 0

  var localTypes: [ValueType] = []
  var stack: [Entry] = []
  var heightMax = 0
  var controls: [Control] = []
  var isReachable = true
  /// Blocks opened in code that is not reachable.
  var skippedBlockCount = 0
  var loopDepth = 0

  /// Constants that loops use, in slots of their own: filled in when the function is entered.
  var constantSlots: [V128Bits: Int] = [:]
  var constants: [V128Bits] = []
  var constantSlotCount = 0
  /// Slot of the operand stack's first position.
  var temporaryBase = 0

  /// Integers, then vectors and floats.
  var integerAccumulator = AccumulatorState()
  var vectorAccumulator = AccumulatorState()
  /// Instructions since the last label that may still be replaced, in order.
  var records: [Record] = []

  /// Where the fuel of the current stretch of code is written; nil without fuel.
  var fuelPosition: Int?
  var fuelCount: UInt64 = 0
  /// Register instructions up to and with the one that takes that fuel.
  var fuelStart = 0

  /// Slots of a frame must fit the 16-bit fields of instructions, which hold twice the index.
  static let slotCountMax = 32_767

  init(context: ModuleContext, definedIndex: Int) {
    self.context = context
    self.module = context.module
    self.functionIndex = context.module.importedFunctionCount + definedIndex
    self.type = context.module.functionType(at: functionIndex)
    self.reader = context.module.instructions(of: context.module.functionBodies[definedIndex])
  }

  /// Translates the whole body.
  mutating func translate() throws(WasmError) -> TranslatedFunction {
    let body = module.functionBodies[functionIndex - module.importedFunctionCount]
    guard type.parameters.count + body.localCount < Self.slotCountMax else { throw tooManySlots() }
    localTypes = type.parameters
    for group in body.locals { localTypes.append(contentsOf: repeatElement(group.type, count: Int(group.count))) }
    constantSlotCount = try loopConstantCount()
    temporaryBase = localTypes.count + constantSlotCount
    let declaredCount = localTypes.count - type.parameters.count
    let needsEntry = declaredCount > 0 || constantSlotCount > 0
    if needsEntry {
      // Completed at the end, when the constants are known.
      emit(.enter, 0, slotField(type.parameters.count), UInt16(declaredCount), slotField(localTypes.count), 0)
      words.append(0)
    }
    controls = [Control(kind: .function, height: 0, parameters: [], results: type.results)]
    openFuel()
    do {
      while let instruction = try reader.next() {
        currentOffset = instruction.offset
        if isReachable {
          fuelCount += 1
          try translate(instruction)
        } else {
          try skip(instruction)
        }
      }
    } catch let error as WasmParseError {
      throw .malformed(error)
    } catch let error as WasmError {
      throw error
    } catch {
      preconditionFailure("the translator throws nothing else")
    }
    let slotCount = max(temporaryBase + heightMax, type.results.count) + 1
    guard slotCount <= Self.slotCountMax else { throw tooManySlots() }
    if needsEntry { words[1] |= UInt64(constants.count) << 48 }
    return TranslatedFunction(
      words: words, starts: starts, offsets: offsets, constants: constants, constantWord: needsEntry && !constants.isEmpty ? 2 : nil,
      slotCount: slotCount)
  }

  func tooManySlots() -> WasmError {
    .limit("function \(functionIndex) needs more than \(Self.slotCountMax) registers")
  }

  /// Distinct constants inside loops, up to a limit: how many slots to keep for them.
  private func loopConstantCount() throws(WasmError) -> Int {
    var reader = reader
    var seen = Set<V128Bits>()
    var isLoop: [Bool] = []
    var loopCount = 0
    do {
      while let instruction = try reader.next() {
        switch instruction.opcode {
        case .block, .if: isLoop.append(false)
        case .loop:
          isLoop.append(true)
          loopCount += 1
        case .end:
          if let wasLoop = isLoop.popLast(), wasLoop { loopCount -= 1 }
        default:
          guard loopCount > 0, let bits = instruction.constantBits else { continue }
          seen.insert(bits)
          if seen.count == Self.constantSlotCountMax { return seen.count }
        }
      }
    } catch { throw .malformed(error) }
    return seen.count
  }

  private static let constantSlotCountMax = 64
}

extension Instruction {
  /// The value of a constant instruction as a slot holds it.
  var constantBits: V128Bits? {
    switch (opcode, immediates) {
    case (.i32Const, .i32(let value)): V128Bits(low: UInt64(UInt32(bitPattern: value)), high: 0)
    case (.i64Const, .i64(let value)): V128Bits(low: UInt64(bitPattern: value), high: 0)
    case (.f32Const, .f32(let bits)): V128Bits(low: UInt64(bits), high: 0)
    case (.f64Const, .f64(let bits)): V128Bits(low: bits, high: 0)
    case (.v128Const, .v128(let bits)): bits
    default: nil
    }
  }
}

/// A function body in register code, before its handlers' addresses are put in.
struct TranslatedFunction {
  let words: [UInt64]
  let starts: [UInt32]
  let offsets: [UInt32]
  let constants: [V128Bits]
  /// The word that takes the address of the constants.
  let constantWord: Int?
  let slotCount: Int
}

extension ValueType {
  var isInteger: Bool { self == .i32 || self == .i64 || isReference }
}
