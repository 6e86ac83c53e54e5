import WebAssembly

// Writing instructions, and knowing where values are.
extension FunctionTranslator {
  /// Makes room for what comes next: asks for its memory, within what the module may expand to.
  @inline(__always)
  mutating func makeRoom(for wordCount: Int) throws(WasmError) {
    if words.capacity - words.count < wordCount || starts.capacity - starts.count < wordCount { try grow(wordCount) }
    guard (words.count + starts.count) * Self.instructionByteCount <= context.codeByteCountMax else {
      throw .limit(
        "function \(functionIndex) expands too much: the module's code may take \(ModuleContext.expansionMax) bytes for each of "
          + "its own, and 1 MiB")
    }
  }

  /// Bytes of a word; also what is kept of where an instruction starts and where it comes from.
  private static let instructionByteCount = 8

  private mutating func grow(_ wordCount: Int) throws(WasmError) {
    func capacity(_ count: Int, _ old: Int) -> Int { max(count + wordCount, min(2 * old, old + (1 << 22)), 1024) }
    let wordCapacity = max(words.capacity, capacity(words.count, words.capacity))
    let startCapacity = max(starts.capacity, capacity(starts.count, starts.capacity))
    let byteCount = (wordCapacity - words.capacity + startCapacity - starts.capacity) * Self.instructionByteCount
    guard context.work.charge.take(byteCount), words.reserve(wordCapacity), starts.reserve(startCapacity),
      offsets.reserve(startCapacity)
    else { throw context.work.outOfMemory() }
  }

  func slotField(_ slot: Int) -> UInt16 { UInt16(truncatingIfNeeded: slot * 2) }

  func temporarySlot(_ position: Int) -> Int { temporaryBase + position }

  /// Writes the first two words of an instruction. `variant`: its place among the instruction's handlers.
  @discardableResult
  mutating func emit(
    _ operation: RegisterOpcode, _ variant: Int, _ f0: UInt16 = 0, _ f1: UInt16 = 0, _ f2: UInt16 = 0, _ f3: UInt16 = 0
  ) -> Int {
    let position = words.count
    starts.append(UInt32(position - wordStart))
    offsets.append(UInt32(currentOffset))
    words.append(UInt64(RegisterTable.firstHandler[Int(operation.rawValue)]) + UInt64(variant))
    if operation.wordCount > 1 {
      words.append(UInt64(f0) | UInt64(f1) << 16 | UInt64(f2) << 32 | UInt64(f3) << 48)
    }
    return position
  }

  /// The same with a 32-bit number in the upper half of word 1.
  @discardableResult
  mutating func emit(_ operation: RegisterOpcode, _ variant: Int, _ f0: UInt16, _ f1: UInt16, upper: UInt32) -> Int {
    emit(operation, variant, f0, f1, UInt16(truncatingIfNeeded: upper), UInt16(upper >> 16))
  }

  /// The last instruction, if it is one that may be replaced.
  var last: Record? {
    guard let record = records.last, record.position == lastPosition else { return nil }
    return record
  }

  /// Where the function's last instruction begins; -1 when it has none.
  var lastPosition: Int { starts.count > instructionStart ? wordStart + Int(starts[starts.count - 1]) : -1 }

  /// Notes an instruction that may still be replaced. Only the last ones can be, so long code keeps only those.
  mutating func note(_ record: Record) {
    if records.count == Self.recordCountMax { records.removeFirst(Self.recordCountMax / 2) }
    records.append(record)
  }

  private static let recordCountMax = 256

  func localType(_ index: Int) -> ValueType {
    guard let type = locals[UInt32(index)] else { preconditionFailure("the validator has checked the index") }
    return type
  }

  /// Takes the last instruction back, and what it did to the accumulators.
  mutating func removeLast() {
    let start = wordStart + Int(starts.removeLast())
    offsets.removeLast()
    words.truncate(to: start)
    if let record = records.last, record.position == start {
      integerAccumulator = record.integer
      vectorAccumulator = record.vector
      records.removeLast()
    }
  }

  // MARK: The operand stack

  mutating func push(_ place: Entry.Place, _ type: ValueType) {
    stack.push(place, type)
    if stack.count > heightMax { heightMax = stack.count }
  }

  mutating func pushTemporaries(_ types: [ValueType]) {
    stack.pushTemporaries(types)
    if stack.count > heightMax { heightMax = stack.count }
  }

  // MARK: Accumulators

  func accumulator(of type: ValueType) -> AccumulatorState { type.isInteger ? integerAccumulator : vectorAccumulator }

  /// Forgets both: at labels, and after instructions that do not keep them.
  mutating func forgetAccumulators() {
    integerAccumulator.slot = -1
    vectorAccumulator.slot = -1
    records.removeAll(keepingCapacity: true)
  }

  /// Nothing that is in a slot now may be taken out of it later: a branch may need it there.
  mutating func keepSlots() {
    integerAccumulator.isElidable = false
    vectorAccumulator.isElidable = false
    records.removeAll(keepingCapacity: true)
  }

  /// Records that the instruction at `position` put its result into `slot` and the accumulator of the type's class.
  mutating func didWrite(_ slot: Int, _ type: ValueType, at position: Int) {
    guard context.combinesInstructions else { return }
    let state = AccumulatorState(slot: slot, position: position, isElidable: slot >= temporaryBase)
    if type.isInteger {
      integerAccumulator = state
      if vectorAccumulator.slot == slot { vectorAccumulator.slot = -1 }
    } else {
      vectorAccumulator = state
      if integerAccumulator.slot == slot { integerAccumulator.slot = -1 }
    }
  }

  // MARK: Operands

  /// The slot of an entry that has one: constants and deferred operations get theirs from `place`.
  func slot(of position: Int) -> Int {
    switch stack[position].place {
    case .temporary: temporarySlot(position)
    case .local(let index): index
    case .constant(let bits): constantSlots[bits] ?? -1
    case .deferred: -1
    }
  }

  func isInAccumulator(_ position: Int) -> Bool {
    switch stack[position].place {
    case .constant, .deferred: return false
    case .temporary, .local: break
    }
    return accumulator(of: stack[position].type).slot == slot(of: position)
  }

  /// The value of an integer constant, if it fits the immediate of an instruction.
  func immediate(_ position: Int) -> UInt32? {
    guard case .constant(let bits) = stack[position].place else { return nil }
    switch stack[position].type {
    case .i32: return UInt32(truncatingIfNeeded: bits.low)
    case .i64: return Int32(exactly: Int64(bitPattern: bits.low)).map { UInt32(bitPattern: $0) }
    default: return nil
    }
  }

  /// Uses the value from the accumulator. If it was a computed value, this is its only use, and its slot is not written at all.
  mutating func takeFromAccumulator(_ position: Int) {
    guard case .temporary = stack[position].place else { return }
    let state = accumulator(of: stack[position].type)
    if state.isElidable { words[state.position] += 1 }
    if stack[position].type.isInteger { integerAccumulator.slot = -1 } else { vectorAccumulator.slot = -1 }
  }

  /// Gives a constant or a deferred operation a slot: one of the loop constants, or the slot of its own position.
  mutating func place(_ position: Int) {
    switch stack[position].place {
    case .temporary, .local: return
    case .constant(let bits):
      if keepConstant(bits) { return }
      load(bits, stack[position].type, to: temporarySlot(position))
    case .deferred(let deferred): perform(deferred, stack[position].type, to: temporarySlot(position))
    }
    stack.setTemporary(position)
  }

  /// Whether a constant has a slot among the loop constants, or gets one now.
  mutating func keepConstant(_ bits: V128Bits) -> Bool {
    if constantSlots[bits] != nil { return true }
    guard loopDepth > 0, constants.count < constantSlotCount else { return false }
    constantSlots[bits] = locals.count + constants.count
    constants.append(bits)
    return true
  }

  /// Whether an entry can be an operand without an instruction of its own.
  mutating func isPlaced(_ position: Int) -> Bool {
    switch stack[position].place {
    case .temporary, .local: true
    case .constant(let bits): keepConstant(bits)
    case .deferred: false
    }
  }

  /// Emits a deferred operation.
  mutating func perform(_ deferred: Deferred, _ type: ValueType, to slot: Int) {
    let state = accumulator(of: type)
    let isHeld = state.slot == deferred.a
    let (integer, vector) = (integerAccumulator, vectorAccumulator)
    let position: Int
    let kind: Int
    if deferred.b < 0 {
      kind = (deferred.operation.shape == .integer ? 3 : 2) + (isHeld ? 1 : 0)
      position = emit(deferred.operation, kind * 2, slotField(slot), slotField(deferred.a), upper: deferred.immediate)
    } else {
      kind = isHeld ? 1 : 0
      position = emit(deferred.operation, kind * 2, slotField(slot), slotField(deferred.a), slotField(deferred.b))
    }
    didWrite(slot, type, at: position)
    note(Record(operation: deferred.operation, kind: kind, position: position, integer: integer, vector: vector))
  }

  /// Writes a constant to a slot.
  mutating func load(_ bits: V128Bits, _ type: ValueType, to slot: Int) {
    let operation: RegisterOpcode =
      switch type {
      case .f32: .constF32
      case .f64: .constF64
      case .v128: .constV128
      default: .constI64
      }
    let position = emit(operation, 0, slotField(slot))
    words.append(bits.low)
    if type == .v128 { words.append(bits.high) }
    didWrite(slot, type, at: position)
  }

  /// The slot field of an operand that must be in a slot.
  mutating func slotOperand(_ position: Int) -> UInt16 {
    place(position)
    return slotField(slot(of: position))
  }

  /// Moves an entry's value to any slot. Does not change the entry.
  mutating func copy(_ position: Int, to slot: Int, isLastUse: Bool = true) {
    let type = stack[position].type
    switch stack[position].place {
    case .constant(let bits) where constantSlots[bits] == nil:
      load(bits, type, to: slot)
      return
    case .deferred(let deferred):
      perform(deferred, type, to: slot)
      return
    default: break
    }
    let operation: RegisterOpcode =
      switch type {
      case .f32: .copyF32
      case .f64: .copyF64
      case .v128: .copyV128
      default: .copyI64
      }
    if isInAccumulator(position), isLastUse {
      takeFromAccumulator(position)
      let start = emit(operation, 2, slotField(slot))
      didWrite(slot, type, at: start)
    } else {
      let start = emit(operation, 0, slotField(slot), slotField(self.slot(of: position)))
      didWrite(slot, type, at: start)
    }
  }

  /// Makes an entry's value lie in the slot of its position.
  mutating func settle(_ position: Int) {
    if case .temporary = stack[position].place { return }
    copy(position, to: temporarySlot(position), isLastUse: false)
    stack.setTemporary(position)
  }

  mutating func settleTop(_ count: Int) {
    let first = stack.count - count
    if stack.isSettled(from: first) { return }
    let start = stack.firstUnsettled(from: first)
    for index in start..<stack.unsettled.count { settle(Int(stack.unsettled[index])) }
    stack.compact(from: start)
  }

  /// The same for entries below the top one, `top`.
  mutating func settle(_ count: Int, below top: Int) {
    let start = stack.firstUnsettled(from: top - count)
    for index in start..<stack.unsettled.count {
      let position = Int(stack.unsettled[index])
      if position < top { settle(position) }
    }
    stack.compact(from: start)
  }

  /// Settles every entry that stands for a local: before code that may set locals on some paths only.
  mutating func settleLocals() {
    let start = stack.firstUser
    for index in start..<stack.unsettled.count {
      let position = Int(stack.unsettled[index])
      if stack[position].usesLocals { settle(position) }
    }
    stack.compact(from: start)
    stack.noteUsersSettled(below: stack.count)
  }

  // MARK: Operations

  /// Emits an instruction of shape nullary to ternary on the top entries, and pushes its result.
  /// `lane`: for the field behind the operands. `extra`: words behind word 1.
  mutating func emitOperation(
    _ operation: RegisterOpcode, result: ValueType, lane: UInt16 = 0, upper: UInt32? = nil, extra: [UInt64] = []
  ) {
    if upper == nil, extra.isEmpty, emitFused(operation, result: result) { return }
    let shape = operation.shape
    let operandCount = shape.operandCount
    let first = stack.count - operandCount
    let destination = temporarySlot(first)
    var fields: (UInt16, UInt16, UInt16) = (0, 0, 0)
    var kind = 0
    var immediate: UInt32?
    switch shape {
    case .nullary: break
    case .unary:
      place(first)
      fields.0 = slotField(slot(of: first))
      if isInAccumulator(first) {
        takeFromAccumulator(first)
        kind = 1
      }
    case .ternary:
      for position in first..<(first + 3) { place(position) }
      fields = (slotField(slot(of: first)), slotField(slot(of: first + 1)), slotField(slot(of: first + 2)))
      for index in [2, 0, 1] where isInAccumulator(first + index) {
        takeFromAccumulator(first + index)
        kind = index + 1
        break
      }
    default:
      let operands = binaryOperands(shape, first)
      kind = operands.kind
      fields.0 = operands.a
      fields.1 = operands.b
      immediate = operands.immediate
    }
    let (integer, vector) = (integerAccumulator, vectorAccumulator)
    let f3 = shape == .ternary ? fields.2 : lane
    let position: Int
    if let upper = upper ?? immediate {
      position = emit(operation, kind * 2, slotField(destination), fields.0, upper: upper)
    } else if shape == .unary {
      position = emit(operation, kind * 2, slotField(destination), fields.0, lane)
    } else {
      position = emit(operation, kind * 2, slotField(destination), fields.0, fields.1, f3)
    }
    words.append(contentsOf: extra)
    stack.removeLast(operandCount)
    push(.temporary, result)
    didWrite(destination, result, at: position)
    note(Record(operation: operation, kind: kind, position: position, integer: integer, vector: vector))
  }

  /// Chooses the variant of an instruction with two operands and the fields of the operands, exchanging them where that helps.
  mutating func binaryOperands(
    _ shape: RegisterShape, _ first: Int
  ) -> (kind: Int, a: UInt16, b: UInt16, immediate: UInt32?) {
    let second = first + 1
    let isCommutative = [.commutative, .integerCommutative, .compareBranchCommutative].contains(shape)
    let takesImmediate = [.integer, .integerCommutative, .compareBranch, .compareBranchCommutative].contains(shape)
    if takesImmediate {
      var (value, other) = (immediate(second), first)
      if value == nil, isCommutative { (value, other) = (immediate(first), second) }
      if let value {
        place(other)
        let a = slotField(slot(of: other))
        if isInAccumulator(other) {
          takeFromAccumulator(other)
          return (isCommutative ? 3 : 4, a, 0, value)
        }
        return (isCommutative ? 2 : 3, a, 0, value)
      }
    }
    place(first)
    place(second)
    let a = slotField(slot(of: first))
    let b = slotField(slot(of: second))
    if isInAccumulator(first) {
      takeFromAccumulator(first)
      return (1, a, b, nil)
    }
    if isInAccumulator(second) {
      takeFromAccumulator(second)
      return isCommutative ? (1, b, a, nil) : (2, a, b, nil)
    }
    return (0, a, b, nil)
  }
}

extension FunctionTranslator.Entry {
  /// Whether the value is, or will be computed from, what locals hold now.
  var usesLocals: Bool {
    switch place {
    case .local, .deferred: true
    case .temporary, .constant: false
    }
  }
}

extension RegisterOpcode {
  var shape: RegisterShape { RegisterShape(rawValue: RegisterTable.shape[Int(rawValue)])! }
  var wordCount: Int { Int(RegisterTable.wordCount[Int(rawValue)]) }

  /// The one `count` places behind this in the table: variants for 64-bit addresses, rows of comparisons.
  func advanced(by count: Int) -> RegisterOpcode { RegisterOpcode(rawValue: UInt16(Int(rawValue) + count))! }
}

extension RegisterShape {
  var operandCount: Int {
    switch self {
    case .nullary, .special: 0
    case .unary, .load, .loadLane, .testBranch, .consumer: 1
    case .ternary: 3
    default: 2
    }
  }
}
