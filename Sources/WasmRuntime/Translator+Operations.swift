import CInterpreter
import WebAssembly

// One WebAssembly instruction at a time.
extension FunctionTranslator {
  mutating func translate(_ instruction: Instruction) throws(WasmError) {
    let code = Int(instruction.opcode.rawValue)
    if let operation = Self.simple[code] {
      try translateSimple(operation, instruction)
      return
    }
    switch (instruction.opcode, instruction.immediates) {
    case (.nop, _): break
    case (.unreachable, _):
      emit(.unreachable, 0)
      endReachableCode()
    case (.block, .block(let type)): try openBlock(.block, type)
    case (.loop, .block(let type)): try openBlock(.loop, type)
    case (.if, .block(let type)):
      settleBelowCondition(type)
      try openBlock(.if, type)
      splitFuel()
    case (.else, _): openElse()
    case (.end, _): closeBlock()
    case (.br, .label(let depth)): try branch(depth: Int(depth))
    case (.brIf, .label(let depth)): try branchIf(depth: Int(depth))
    case (.brTable, .labelTable(let table)): try branchTable(table)
    case (.return, _):
      emitReturn()
      endReachableCode()
    case (.call, .index(let index)): call(function: Int(index))
    case (.callIndirect, .callIndirect(let type, let table)): callIndirect(type: type, table: table)
    case (.returnCall, .index(let index)): returnCall(function: Int(index))
    case (.returnCallIndirect, .callIndirect(let type, let table)): returnCallIndirect(type: type, table: table)
    case (.drop, _): stack.removeLast()
    case (.select, _), (.selectTyped, _): select()
    case (.localGet, .index(let index)): push(.local(Int(index)), localType(Int(index)))
    case (.localSet, .index(let index)): setLocal(Int(index))
    case (.localTee, .index(let index)):
      setLocal(Int(index))
      push(.local(Int(index)), localType(Int(index)))
    case (.i32Const, _), (.i64Const, _), (.f32Const, _), (.f64Const, _), (.v128Const, _):
      push(.constant(instruction.constantBits!), Self.constantType(instruction.opcode))
    case (.globalGet, .index(let index)):
      let type = module.globals[Int(index)].valueType
      emitOperation(Self.globalGet(type), result: type, upper: index)
    case (.globalSet, .index(let index)): setGlobal(index)
    case (.i64ExtendI32U, _): stack.setType(stack.count - 1, .i64)  // An i32 is kept zero-extended.
    case (.refNull, .referenceType(let type)): push(.constant(V128Bits(low: 0, high: 0)), type)
    case (.refIsNull, _):
      stack.setType(stack.count - 1, .i64)
      emitOperation(.i64Eqz, result: .i32)
    case (.refFunc, .index(let index)): emitOperation(.refFunc, result: .funcref, upper: index)
    default: try translateTableOrMemory(instruction)
    }
  }

  /// The instructions whose translation is one register instruction of the same meaning, by opcode.
  static let simple: [RegisterOpcode?] = {
    var table = [RegisterOpcode?](repeating: nil, count: 0x500)
    for index in stride(from: 0, to: RegisterTable.translation.count, by: 2) {
      table[Int(RegisterTable.translation[index])] = RegisterOpcode(rawValue: RegisterTable.translation[index + 1])
    }
    return table
  }()

  private static func constantType(_ opcode: Opcode) -> ValueType {
    switch opcode {
    case .i32Const: .i32
    case .i64Const: .i64
    case .f32Const: .f32
    case .f64Const: .f64
    default: .v128
    }
  }

  private static func globalGet(_ type: ValueType) -> RegisterOpcode {
    switch type {
    case .f32: .globalGetF32
    case .f64: .globalGetF64
    case .v128: .globalGetV128
    default: .globalGetI64
    }
  }

  private mutating func translateSimple(_ operation: RegisterOpcode, _ instruction: Instruction) throws(WasmError) {
    switch instruction.immediates {
    case .none:
      if operation == .i32Eqz, invertComparison() { return }
      if deferOperation(operation) { return }
      emitOperation(operation, result: resultType(instruction.opcode))
    case .lane(let lane):
      emitOperation(operation, result: resultType(instruction.opcode), lane: UInt16(lane))
    case .memoryArgument(let argument):
      try translateAccess(operation, argument, instruction.opcode, lane: 0)
    case .memoryArgumentLane(let argument, let lane):
      try translateAccess(operation, argument, instruction.opcode, lane: UInt16(lane))
    default: preconditionFailure("the description gives no other immediates to simple instructions")
    }
  }

  private func resultType(_ opcode: Opcode) -> ValueType {
    guard let type = opcode.information.signature?.result.valueType(address: .i32) else {
      preconditionFailure("the instruction table gives simple instructions a result")
    }
    return type
  }

  /// `eqz` of a comparison that was just emitted: the inverse comparison.
  private mutating func invertComparison() -> Bool {
    let position = stack.count - 1
    guard let last, case .temporary = stack[position].place, integerAccumulator.slot == temporarySlot(position),
      integerAccumulator.position == last.position, integerAccumulator.isElidable,
      let inverse = last.operation.inverseComparison
    else { return false }
    words[last.position] =
      UInt64(RegisterTable.firstHandler[Int(inverse.rawValue)]) + UInt64(last.kind * 2)
    records[records.count - 1].operation = inverse
    return true
  }

  // MARK: Memory accesses

  func viewField(_ memory: UInt32) throws(WasmError) -> UInt16 {
    guard let field = UInt16(exactly: bindery_view_field(memory)) else {
      throw .limit("memory \(memory): an instance has at most 3800 memories")
    }
    return field
  }

  /// Turns the instance's view for references to the memory that lies below the operands of an access, and takes it away there.
  private mutating func selectReference(_ operation: RegisterOpcode) {
    let count = operation.shape == .load ? 2 : 3
    let types = (stack.count - count + 1..<stack.count).map { stack[$0].type }
    runtime(.selectMemory, UInt32(count), operandCount: count)
    for type in types { push(.temporary, type) }
  }

  private mutating func translateAccess(
    _ operation: RegisterOpcode, _ argument: MemoryArgument, _ opcode: Opcode, lane: UInt16
  ) throws(WasmError) {
    if argument.isReference { selectReference(operation) }
    let view = try viewField(argument.isReference ? UInt32(module.memories.count) : argument.memory)
    let is64 = argument.isReference || module.memories[Int(argument.memory)].addressType == .i64
    let operation = is64 ? operation.advanced(by: 1) : operation
    let address = stack.count - 2
    let (integer, vector) = (integerAccumulator, vectorAccumulator)
    switch operation.shape {
    case .load:
      let address = stack.count - 1
      let operand = addressOperand(address, is64: is64, offset: argument.offset)
      stack.removeLast()
      let slot = temporarySlot(address)
      let kind = operand.form.rawValue
      let position = emit(operation, kind * 2, slotField(slot), operand.field, view, operand.second)
      words.append(argument.offset | UInt64(operand.immediate) << 32)
      finishLoad(operation, kind, position, slot, resultType(opcode), integer, vector)
    case .loadLane:
      // The vector lies on top of the address.
      let lanes = slotOperand(stack.count - 1)
      place(address)
      let field = slotField(slot(of: address))
      var kind = 0
      if isInAccumulator(address) {
        takeFromAccumulator(address)
        kind = 1
      }
      stack.removeLast(2)
      let slot = temporarySlot(address)
      let position = emit(operation, kind * 2, slotField(slot), field, view, lanes)
      words.append(argument.offset)
      words.append(UInt64(lane))
      finishLoad(operation, kind, position, slot, .v128, integer, vector)
    default:
      let value = stack.count - 1
      place(value)
      let operand = addressOperand(address, is64: is64, offset: argument.offset, mayTake: false)
      let field = slotField(slot(of: value))
      let valueIsHeld = isInAccumulator(value)
      let kinds = operation.shape == .storeVector ? 4 : 3
      var kind = 0
      switch operand.form {
      case .slot, .accumulator:
        let addressIsHeld = operand.form == .accumulator
        if valueIsHeld, addressIsHeld, operation.shape == .storeVector {
          takeFromAccumulator(address)
          kind = 3
        } else if valueIsHeld {
          kind = 1
        } else if addressIsHeld {
          takeFromAccumulator(address)
          kind = 2
        }
      case .sum: kind = kinds + (valueIsHeld ? 1 : 0)
      case .immediate: kind = kinds + 2 + (valueIsHeld ? 1 : 0)
      }
      if valueIsHeld { takeFromAccumulator(value) }
      stack.removeLast(2)
      emit(operation, kind, field, operand.field, view, operation.shape == .storeLane ? lane : operand.second)
      words.append(argument.offset | UInt64(operand.immediate) << 32)
    }
  }

  /// Where an access takes its address from.
  private struct AddressOperand {
    /// In the order of the variants of a load.
    enum Form: Int { case slot, accumulator, sum, immediate }
    var form: Form
    var field: UInt16
    var second: UInt16 = 0
    var immediate: UInt32 = 0
  }

  /// `mayTake`: whether a value in the accumulator is used from there, for good.
  private mutating func addressOperand(
    _ position: Int, is64: Bool, offset: UInt64, mayTake: Bool = true
  ) -> AddressOperand {
    if case .deferred(let sum) = stack[position].place, sum.operation == (is64 ? .i64Add : .i32Add),
      sum.b >= 0 ? offset <= UInt32.max : offset == 0
    {
      return sum.b < 0
        ? AddressOperand(form: .immediate, field: slotField(sum.a), immediate: sum.immediate)
        : AddressOperand(form: .sum, field: slotField(sum.a), second: slotField(sum.b))
    }
    place(position)
    let field = slotField(slot(of: position))
    guard isInAccumulator(position) else { return AddressOperand(form: .slot, field: field) }
    if mayTake { takeFromAccumulator(position) }
    return AddressOperand(form: .accumulator, field: field)
  }

  private mutating func finishLoad(
    _ operation: RegisterOpcode, _ kind: Int, _ position: Int, _ slot: Int, _ result: ValueType,
    _ integer: AccumulatorState, _ vector: AccumulatorState
  ) {
    push(.temporary, result)
    didWrite(slot, result, at: position)
    note(Record(operation: operation, kind: kind, position: position, integer: integer, vector: vector))
  }

  /// Puts off an operation on locals that an address, or a dot product, can do on the way.
  private mutating func deferOperation(_ operation: RegisterOpcode) -> Bool {
    let second = stack.count - 1
    guard context.combinesInstructions, second >= 1 else { return false }
    var deferred: Deferred
    switch operation {
    case .i32Add, .i64Add:
      switch (stack[second - 1].place, stack[second].place) {
      case (.local(let a), .local(let b)): deferred = Deferred(operation: operation, a: a, b: b)
      case (.local(let a), .constant):
        guard let immediate = immediate(second) else { return false }
        deferred = Deferred(operation: operation, a: a, b: -1, immediate: immediate)
      case (.constant, .local(let b)):
        guard let immediate = immediate(second - 1) else { return false }
        deferred = Deferred(operation: operation, a: b, b: -1, immediate: immediate)
      default: return false
      }
    case .v128And, .i8x16ShrU:
      guard case .local(let a) = stack[second - 1].place else { return false }
      switch stack[second].place {
      case .local(let b): deferred = Deferred(operation: operation, a: a, b: b)
      case .constant(let bits):
        guard keepConstant(bits), let slot = constantSlots[bits] else { return false }
        deferred = Deferred(operation: operation, a: a, b: slot)
      default: return false
      }
    default: return false
    }
    let type: ValueType =
      switch operation {
      case .i32Add: .i32
      case .i64Add: .i64
      default: .v128
      }
    stack.removeLast(2)
    push(.deferred(deferred), type)
    return true
  }

  // MARK: Variables

  private mutating func setLocal(_ index: Int) {
    let position = stack.count - 1
    let entry = stack[position]
    // Entries that stand for the local's old value get it now.
    let pending = stack.users(of: index, below: position)
    for other in pending { settle(other) }
    let slot = temporarySlot(position)
    let held = accumulator(of: entry.type)
    if pending.isEmpty, case .temporary = entry.place, held.slot == slot, held.isElidable, held.position == lastPosition {
      // The instruction just emitted writes the local instead. Every instruction with a result has it in field 0.
      words[held.position + 1] = words[held.position + 1] & ~0xFFFF | UInt64(slotField(index))
      stack.removeLast()
      didWrite(index, entry.type, at: held.position)
      return
    }
    if case .local(index) = entry.place {
      stack.removeLast()
      return
    }
    copy(position, to: index)
    stack.removeLast()
  }

  private mutating func setGlobal(_ index: UInt32) {
    let position = stack.count - 1
    let operation: RegisterOpcode =
      switch module.globals[Int(index)].valueType {
      case .f32: .globalSetF32
      case .f64: .globalSetF64
      case .v128: .globalSetV128
      default: .globalSetI64
      }
    place(position)
    let field = slotField(slot(of: position))
    var kind = 0
    if isInAccumulator(position) {
      takeFromAccumulator(position)
      kind = 1
    }
    stack.removeLast()
    emit(operation, kind, field, 0, upper: index)
  }

  private mutating func select() {
    let type = stack[stack.count - 2].type
    let operation: RegisterOpcode =
      switch type {
      case .f32: .selectF32
      case .f64: .selectF64
      case .v128: .selectV128
      default: .selectI64
      }
    emitOperation(operation, result: type)
  }

  // MARK: Tables, bulk operations, memory control

  private mutating func translateTableOrMemory(_ instruction: Instruction) throws(WasmError) {
    switch (instruction.opcode, instruction.immediates) {
    case (.tableGet, .index(let table)):
      emitOperation(.tableGet, result: module.tables[Int(table)].elementType, upper: table)
    case (.tableSet, .index(let table)):
      let (index, value) = (slotOperand(stack.count - 2), slotOperand(stack.count - 1))
      stack.removeLast(2)
      emit(.tableSet, 0, index, value, upper: table)
    case (.tableSize, .index(let table)):
      emitOperation(.tableSize, result: module.tables[Int(table)].addressType.valueType, upper: table)
    case (.tableGrow, .index(let table)):
      runtime(.tableGrow, table, operandCount: 2, result: module.tables[Int(table)].addressType.valueType)
    case (.tableFill, .index(let table)): runtime(.tableFill, table, operandCount: 3)
    case (.tableCopy, .pair(let destination, let source)): runtime(.tableCopy, destination, source, operandCount: 3)
    case (.tableInit, .segment(let segment, let table)): runtime(.tableInit, table, segment, operandCount: 3)
    case (.elemDrop, .index(let segment)): runtime(.elementDrop, segment, operandCount: 0)
    case (.memorySize, .index(let memory)):
      emitOperation(.memorySize, result: addressType(memory), view: try viewField(memory))
    case (.memoryGrow, .index(let memory)): runtime(.memoryGrow, memory, operandCount: 1, result: addressType(memory))
    case (.memoryFill, .index(let memory)):
      settleTop(3)
      emit(.memoryFill, 0, slotField(temporarySlot(stack.count - 3)), try viewField(memory))
      stack.removeLast(3)
      forgetAccumulators()
    case (.memoryCopy, .pair(let destination, let source)):
      settleTop(3)
      emit(
        .memoryCopy, 0, slotField(temporarySlot(stack.count - 3)), try viewField(destination), try viewField(source))
      stack.removeLast(3)
      forgetAccumulators()
    case (.memoryInit, .segment(let segment, let memory)): runtime(.memoryInit, memory, segment, operandCount: 3)
    case (.dataDrop, .index(let segment)): runtime(.dataDrop, segment, operandCount: 0)
    case (.memoryDiscard, .index(let memory)): runtime(.memoryDiscard, memory, operandCount: 2)
    case (.memoryTryDiscard, .index(let memory)): runtime(.memoryTryDiscard, memory, operandCount: 2, result: .i32)
    case (.memoryUnmap, .index(let memory)): runtime(.memoryUnmap, memory, operandCount: 2)
    case (.memoryMap, .memoryProtection(let memory, let protection)):
      runtime(.memoryMap, memory, UInt32(protection), operandCount: 2, result: addressType(memory))
    case (.memoryProtect, .memoryProtection(let memory, let protection)):
      runtime(.memoryProtect, memory, UInt32(protection), operandCount: 2)
    case (.atomicFence, _): emit(.atomicFence, 0)
    case (_, .memoryArgument(let argument)) where instruction.opcode.isAtomic:
      try translateAtomic(instruction.opcode, argument)
    case (.refMem, .index(let memory)): runtime(.memoryReference, memory, operandCount: 0, result: .memref)
    case (.memorySizeRef, _): runtime(.memorySizeByReference, 0, operandCount: 1, result: .i64)
    case (.memoryCopyRef, _): runtime(.memoryCopyByReference, 0, operandCount: 5)
    case (.i8x16Shuffle, .shuffle(let lanes)):
      // Two masks: the lanes from the first operand, and those from the second; 0x80 takes none.
      var masks: [UInt64] = [0, 0, 0, 0]
      for index in 0..<16 {
        let lane = lanes.byte(at: index)
        let shift = UInt64(index & 7) * 8
        masks[index / 8] |= UInt64(lane < 16 ? lane : 0x80) << shift
        masks[2 + index / 8] |= UInt64(lane < 16 ? 0x80 : lane - 16) << shift
      }
      emitOperation(.i8x16Shuffle, result: .v128, extra: masks)
    default:
      throw .limit("instruction \(instruction.opcode.mnemonic) is not supported")
    }
  }

  private func addressType(_ memory: UInt32) -> ValueType { module.memories[Int(memory)].addressType.valueType }

  private mutating func emitOperation(_ operation: RegisterOpcode, result: ValueType, view: UInt16) {
    let slot = temporarySlot(stack.count)
    let position = emit(operation, 0, slotField(slot), 0, view)
    push(.temporary, result)
    didWrite(slot, result, at: position)
  }

  /// An operation done in Swift, with its operands in the slots of their positions.
  private mutating func runtime(
    _ operation: RuntimeOperation, _ first: UInt32, _ second: UInt32 = 0, operandCount: Int, result: ValueType? = nil
  ) {
    settleTop(operandCount)
    let position = stack.count - operandCount
    emit(.runtime, 0, slotField(temporarySlot(position)), UInt16(operation.rawValue))
    words.append(UInt64(first) | UInt64(second) << 32)
    stack.removeLast(operandCount)
    if let result { push(.temporary, result) }
    if heightMax < position + 1 { heightMax = position + 1 }
    forgetAccumulators()
  }
}

extension RegisterOpcode {
  /// The comparison that is true when this one is not; nil for anything but comparisons of integers.
  var inverseComparison: RegisterOpcode? {
    let order = [1, 0, 8, 9, 6, 7, 4, 5, 2, 3]
    for first in [RegisterOpcode.i32Eq, .i64Eq] where rawValue >= first.rawValue && rawValue < first.rawValue + 10 {
      return first.advanced(by: order[Int(rawValue - first.rawValue)])
    }
    return nil
  }
}

extension Opcode {
  var isLaneLoad: Bool { (0x254...0x257).contains(rawValue) }
}

/// Instructions that are done in Swift, as the `runtime` instruction names them.
enum RuntimeOperation: UInt32 {
  case memoryGrow, memoryInit, dataDrop, memoryMap, memoryUnmap, memoryProtect, memoryDiscard, memoryTryDiscard
  case tableInit, elementDrop, tableCopy, tableGrow, tableFill
  case memoryNotify, memoryWait32, memoryWait64
  case memoryReference, memorySizeByReference, memoryCopyByReference, selectMemory
}
