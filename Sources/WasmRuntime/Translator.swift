import CInterpreter
import WebAssembly

/// Translates function bodies to register code, one after another: its lists serve them all.
///
/// One pass over the validated instructions, linear in their length: nothing walks the operand stack (see ``OperandStack``), and
/// what a branch has to move is bounded by how much a module may expand. The operand stack exists only here: each entry says where its value is. A local or
/// a constant is not moved until something needs it elsewhere; a computed value has the slot of its position on the stack. So
/// `local.get` and most constants cost nothing, and `local.set` of a fresh result only changes where that result is written.
///
///     slots:   | parameters, locals | constants of loops | operand stack, by position |
///
/// Results of one instruction often feed the next. The translator knows which slot's value still is in an accumulator; such an
/// operand is read from there, and if it was the only use the producer is changed not to write its slot at all.
struct FunctionTranslator: ~Copyable {
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

  /// An enclosing block. Places in the code are word indices from the start of the function's code.
  struct Control: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable { case function, block, loop, `if`, `else` }
    var kind: Kind
    /// Whether `type` names a type of the module; else 0 stands for no result, and the byte of a value type for one.
    var isTypeIndex: Bool
    var type: UInt32
    /// Entries below the block's parameters.
    var height: Int32
    /// The first instruction of a loop; the branch of an `if` to its `else`, -1 when there is none or it was seen.
    var place: Int32 = -1
    /// The last branch to the end, -1 for none. Each one's distance holds the place of the one before, until they are bound.
    var patches: Int32 = -1
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
  private(set) var functionIndex = 0
  private(set) var type = FunctionType(parameters: [], results: [])
  var reader: InstructionReader

  /// The code of all functions so far: words, the word index of each instruction from its function's start, and where in the
  /// module each comes from.
  var words = CodeBuffer<UInt64>()
  var starts = CodeBuffer<UInt32>()
  var offsets = CodeBuffer<UInt32>()
  /// Constants of all functions so far.
  var allConstants = CodeBuffer<V128Bits>()
  /// Where the function's code begins in the lists above.
  private(set) var wordStart = 0
  private(set) var instructionStart = 0
  var currentOffset = 0

  var locals = LocalTypes()
  var stack = OperandStack()
  var heightMax = 0
  var controls = CodeBuffer<Control>()
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

  /// Where it is asked next whether to go on.
  private var nextQuestion = 0

  init(context: ModuleContext) {
    self.context = context
    self.module = context.module
    self.reader = InstructionReader(bytes: [], range: 0..<0)
  }

  /// Translates the body of a function that the module defines, behind those before it.
  mutating func translate(definedIndex: Int) throws(WasmError) -> TranslatedFunction {
    let body = module.functionBodies[definedIndex]
    begin(definedIndex, body)
    try makeRoom(for: 16)
    constantSlotCount = try loopConstantCount()
    temporaryBase = locals.count + constantSlotCount
    // The validator has counted.
    guard temporaryBase < ModuleLimits.slotCountMax else { throw tooManySlots() }
    let declaredCount = locals.count - type.parameters.count
    let needsEntry = declaredCount > 0 || constantSlotCount > 0
    if needsEntry {
      // Completed at the end, when the constants are known.
      emit(.enter, 0, slotField(type.parameters.count), UInt16(declaredCount), slotField(locals.count), 0)
      words.append(0)
    }
    try open(Control(kind: .function, isTypeIndex: true, type: module.functionTypeIndices[functionIndex], height: 0))
    openFuel()
    while let instruction = try next() {
      currentOffset = instruction.offset
      try makeRoom(for: Self.instructionWordCountMax + Self.settlingWordCountMax * stack.unsettled.count)
      if isReachable {
        fuelCount += 1
        try translate(instruction)
      } else {
        try skip(instruction)
      }
      guard temporaryBase + heightMax < ModuleLimits.slotCountMax else { throw tooManySlots() }
    }
    let slotCount = max(temporaryBase + heightMax, type.results.count) + 1
    if needsEntry { words[wordStart + 1] |= UInt64(constants.count) << 48 }
    let constantStart = allConstants.count
    if allConstants.capacity - constantStart < constants.count {
      let capacity = max(64, 2 * allConstants.capacity, constantStart + constants.count)
      guard context.work.charge.take((capacity - allConstants.capacity) * MemoryLayout<V128Bits>.stride),
        allConstants.reserve(capacity)
      else { throw context.work.outOfMemory() }
    }
    for bits in constants { allConstants.append(bits) }
    return TranslatedFunction(
      wordStart: wordStart, instructionStart: instructionStart, constantStart: constantStart,
      constantWord: needsEntry && !constants.isEmpty ? wordStart + 2 : nil, slotCount: slotCount)
  }

  /// Bytes that the lists were asked for, constants and open blocks included.
  var byteCapacity: Int {
    words.capacity * MemoryLayout<UInt64>.stride + starts.capacity * 2 * MemoryLayout<UInt32>.stride
      + controls.capacity * MemoryLayout<Control>.stride + allConstants.capacity * MemoryLayout<V128Bits>.stride
  }

  /// The lists of all functions; the translator is used up.
  consuming func take() -> TranslatedLists {
    unsafe TranslatedLists(words: words.take(), starts: starts.take(), offsets: offsets.take(), constants: allConstants.take())
  }

  private mutating func begin(_ definedIndex: Int, _ body: FunctionBody) {
    functionIndex = module.importedFunctionCount + definedIndex
    type = module.functionType(at: functionIndex)
    reader = module.instructions(of: body)
    wordStart = words.count
    instructionStart = starts.count
    currentOffset = body.codeRange.lowerBound
    locals.reset(parameters: type.parameters, groups: body.locals)
    stack.reset(localCount: locals.count)
    heightMax = 0
    controls.truncate(to: 0)
    isReachable = true
    skippedBlockCount = 0
    loopDepth = 0
    constantSlots.removeAll(keepingCapacity: true)
    constants.removeAll(keepingCapacity: true)
    integerAccumulator = AccumulatorState()
    vectorAccumulator = AccumulatorState()
    records.removeAll(keepingCapacity: true)
    fuelPosition = nil
    fuelCount = 0
    fuelStart = 0
  }

  private mutating func next() throws(WasmError) -> Instruction? {
    if reader.offset >= nextQuestion {
      nextQuestion = reader.offset + Self.questionInterval
      try context.work.checkProgress()
    }
    do { return try reader.next() } catch { throw .malformed(error) }
  }

  /// Bytes of the module between two questions whether to go on.
  private static let questionInterval = 1 << 16
  /// Words of the longest instruction, with its operands' constants and with what takes fuel.
  private static let instructionWordCountMax = 64
  /// Words that settle an entry of the operand stack.
  private static let settlingWordCountMax = 4

  func tooManySlots() -> WasmError {
    .limit("function \(functionIndex) needs more than \(ModuleLimits.slotCountMax) slots for parameters, locals and operands")
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

  /// With the slot above the operands and one for what a call of the engine leaves: `ModuleLimits.reservedSlotCount`.
  private static let constantSlotCountMax = ModuleLimits.reservedSlotCount - 3
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

/// Where the register code of a function lies in the lists of its translator.
struct TranslatedFunction {
  let wordStart: Int
  let instructionStart: Int
  let constantStart: Int
  /// The word that takes the address of the constants.
  let constantWord: Int?
  let slotCount: Int
}

/// The register code of a module, before its handlers' addresses are put in. Each list is of malloc.
@safe
struct TranslatedLists {
  let words: UnsafeMutableBufferPointer<UInt64>
  let starts: UnsafeMutableBufferPointer<UInt32>
  let offsets: UnsafeMutableBufferPointer<UInt32>
  let constants: UnsafeMutableBufferPointer<V128Bits>

  var byteCount: Int {
    unsafe words.count * MemoryLayout<UInt64>.stride + starts.count * 2 * MemoryLayout<UInt32>.stride
      + constants.count * MemoryLayout<V128Bits>.stride
  }
}

extension ValueType {
  var isInteger: Bool { self == .i32 || self == .i64 || isReference }
}
