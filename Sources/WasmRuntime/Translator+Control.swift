import WebAssembly

// Blocks, branches, calls, and code that cannot be reached.
extension FunctionTranslator {
  // MARK: Blocks

  /// Opens a block, its memory asked for.
  mutating func open(_ control: Control) throws(WasmError) {
    if controls.count == controls.capacity {
      let capacity = max(64, 2 * controls.capacity)
      guard context.work.charge.take((capacity - controls.capacity) * MemoryLayout<Control>.stride), controls.reserve(capacity) else {
        throw context.work.outOfMemory()
      }
    }
    controls.append(control)
  }

  /// The block that encloses everything translated now.
  private var innermost: Int { controls.count - 1 }

  func parameters(of control: Control) -> [ValueType] { control.isTypeIndex ? module.types[Int(control.type)].parameters : [] }

  func results(of control: Control) -> [ValueType] {
    if control.isTypeIndex { return module.types[Int(control.type)].results }
    return control.type == 0 ? [] : Self.singles[Int(control.type)]
  }

  /// How many values a branch to the block carries.
  func labelCount(of control: Control) -> Int {
    if control.isTypeIndex {
      let type = module.types[Int(control.type)]
      return control.kind == .loop ? type.parameters.count : type.results.count
    }
    return control.kind == .loop || control.type == 0 ? 0 : 1
  }

  /// Lists of one type, by its byte.
  private static let singles: [[ValueType]] = (UInt8.min...UInt8.max).map { byte in ValueType(rawValue: byte).map { [$0] } ?? [] }

  private func parameterCount(of block: BlockType) -> Int {
    if case .type(let index) = block { module.types[Int(index)].parameters.count } else { 0 }
  }

  mutating func openBlock(_ kind: Control.Kind, _ type: BlockType) throws(WasmError) {
    var place: Int32 = -1
    if kind == .if {
      let branch = branchOnCondition(taken: false)
      place = inFunction(branch)
      // The `else` finds the parameters in their slots, whatever the other branch takes from an accumulator.
      keepSlots()
    }
    let parameterCount = parameterCount(of: type)
    settleLocals()
    settleTop(parameterCount)
    if kind == .loop {
      closeFuel()
      forgetAccumulators()
      place = inFunction(words.count)
      loopDepth += 1
      openFuel()
    }
    // For an `if` the locals were settled before its branch: see settleBelowCondition.
    let (isTypeIndex, code): (Bool, UInt32) =
      switch type {
      case .empty: (false, 0)
      case .value(let type): (false, UInt32(type.rawValue))
      case .type(let index): (true, index)
      }
    try open(
      Control(kind: kind, isTypeIndex: isTypeIndex, type: code, height: Int32(stack.count - parameterCount), place: place))
  }

  /// A word index counted from the start of the function's code. A function has fewer words than 2^27: its body is bounded, and
  /// so is how much it may expand.
  private func inFunction(_ position: Int) -> Int32 { Int32(position - wordStart) }

  /// Before the condition of an `if` is used: everything below it goes where both branches find it.
  mutating func settleBelowCondition(_ type: BlockType) {
    let condition = stack.count - 1
    let parameters = condition - parameterCount(of: type)
    let start = min(stack.firstUser, stack.firstUnsettled(from: parameters))
    for index in start..<stack.unsettled.count {
      let position = Int(stack.unsettled[index])
      guard position < condition else { break }
      switch stack[position].place {
      case .local, .deferred: settle(position)
      case .constant where position >= parameters: settle(position)
      default: break
      }
    }
    stack.compact(from: start)
    stack.noteUsersSettled(below: condition)
  }

  mutating func openElse() {
    let index = innermost
    if isReachable {
      settleTop(results(of: controls[index]).count)
      addPatch(emitJump(), to: index)
    }
    closeFuel()
    var control = controls[index]
    if control.place >= 0 { bind(wordStart + Int(control.place)) }
    control.place = -1
    control.kind = .else
    controls[index] = control
    stack.truncate(to: Int(control.height))
    pushTemporaries(parameters(of: control))
    forgetAccumulators()
    isReachable = true
    openFuel()
  }

  mutating func closeBlock() {
    let control = controls[innermost]
    if control.kind == .function {
      closeFunction()
      return
    }
    controls.removeLast()
    if control.kind == .loop { loopDepth -= 1 }
    let results = results(of: control)
    if isReachable { settleTop(results.count) }
    let hasElsePatch = control.kind == .if && control.place >= 0
    let isLabel = control.patches >= 0 || hasElsePatch
    if isLabel {
      closeFuel()
      if hasElsePatch { bind(wordStart + Int(control.place)) }
      bindPatches(of: control)
      forgetAccumulators()
    }
    // Where code falls through, the results lie settled on the block's height, and nothing else.
    if !isReachable {
      stack.truncate(to: Int(control.height))
      pushTemporaries(results)
    }
    isReachable = isReachable || isLabel
    if isLabel { openFuel() }
  }

  private mutating func closeFunction() {
    let control = controls.removeLast()
    if control.patches >= 0 {
      // Branches to the function's label leave their values at the bottom of the operand stack.
      if isReachable { settleTop(type.results.count) }
      bindPatches(of: control)
      forgetAccumulators()
      stack.truncate(to: 0)
      pushTemporaries(type.results)
      isReachable = true
    }
    if isReachable { emitReturn() }
    closeFuel()
    isReachable = false
  }

  /// In code that cannot be reached only the nesting counts.
  mutating func skip(_ instruction: Instruction) throws(WasmError) {
    switch instruction.opcode {
    case .block, .loop, .if: skippedBlockCount += 1
    case .else where skippedBlockCount == 0: openElse()
    case .end:
      if skippedBlockCount > 0 { skippedBlockCount -= 1 } else { closeBlock() }
    default: break
    }
  }

  mutating func endReachableCode() {
    closeFuel()
    isReachable = false
    skippedBlockCount = 0
    records.removeAll(keepingCapacity: true)
  }

  // MARK: Branches

  /// Sets the distance of a branch to here.
  mutating func bind(_ position: Int) { setDistance(at: position, to: words.count) }

  mutating func setDistance(at position: Int, to target: Int) {
    setUpperHalf(at: position, UInt32(bitPattern: Int32((target - position) * 8)))
  }

  private mutating func setUpperHalf(at position: Int, _ half: UInt32) {
    words[position + 1] = words[position + 1] & 0xFFFF_FFFF | UInt64(half) << 32
  }

  /// Leaves the distance of a branch to the end of a block.
  private mutating func addPatch(_ position: Int, to index: Int) {
    setUpperHalf(at: position, UInt32(bitPattern: controls[index].patches))
    controls[index].patches = inFunction(position)
  }

  /// Binds all branches to the end of a block to here.
  private mutating func bindPatches(of control: Control) {
    var place = control.patches
    while place >= 0 {
      let position = wordStart + Int(place)
      place = Int32(truncatingIfNeeded: words[position + 1] >> 32)
      bind(position)
    }
  }

  @discardableResult
  mutating func emitJump() -> Int { emit(.jump, 0) }

  /// Whether the values a branch carries already lie where the label wants them.
  private mutating func isInPlace(_ control: Control) -> Bool {
    let count = labelCount(of: control)
    return count == 0 || stack.count - count == control.height && stack.isSettled(from: Int(control.height))
  }

  /// Copies the values that a branch carries to where the label wants them.
  private mutating func moveValues(_ control: Control, isLastUse: Bool) throws(WasmError) {
    let count = labelCount(of: control)
    let first = stack.count - count
    guard first != control.height else {
      for index in stack.firstUnsettled(from: first)..<stack.unsettled.count {
        let position = Int(stack.unsettled[index])
        if case .temporary = stack[position].place { continue }
        copy(position, to: temporarySlot(position), isLastUse: isLastUse)
      }
      return
    }
    try makeRoom(for: (count + stack.unsettled.count) * Self.movingWordCountMax + Self.movingWordCountMax)
    for index in 0..<count { copy(first + index, to: temporarySlot(Int(control.height) + index), isLastUse: isLastUse) }
  }

  /// Words that move a value, or jump.
  private static let movingWordCountMax = 4

  /// Jumps to a label, or leaves the patch to it.
  private mutating func jump(to index: Int) {
    if controls[index].kind == .loop {
      setDistance(at: emit(.jumpBack, 0), to: wordStart + Int(controls[index].place))
    } else {
      addPatch(emitJump(), to: index)
    }
  }

  mutating func branch(depth: Int) throws(WasmError) {
    let index = innermost - depth
    if controls[index].kind == .function {
      emitReturn()
    } else {
      try moveValues(controls[index], isLastUse: true)
      jump(to: index)
    }
    endReachableCode()
  }

  mutating func branchIf(depth: Int) throws(WasmError) {
    let index = innermost - depth
    let control = controls[index]
    let count = labelCount(of: control)
    let condition = stack[stack.count - 1]
    stack.removeLast()
    // Many values are put where the label wants them for good: the branches that follow have nothing to move then.
    if count >= Self.manyValues, stack.count - count == control.height { settleTop(count) }
    let isPlain = isInPlace(control) && (control.kind != .function || count == 0)
    push(condition.place, condition.type)
    if isPlain {
      let position = branchOnCondition(taken: true, isBack: control.kind == .loop)
      if control.kind == .loop {
        setDistance(at: position, to: wordStart + Int(control.place))
      } else {
        addPatch(position, to: index)
      }
      if count > 0 { keepSlots() }
    } else {
      let around = branchOnCondition(taken: false)
      keepSlots()
      try moveValues(control, isLastUse: false)
      jump(to: index)
      bind(around)
      forgetAccumulators()
    }
    splitFuel()
  }

  private static let manyValues = 8

  mutating func branchTable(_ table: LabelTable) throws(WasmError) {
    let indexField = slotOperand(stack.count - 1)
    stack.removeLast()
    try makeRoom(for: Int(table.count) + Self.movingWordCountMax * (stack.unsettled.count + 4))
    // All labels carry as many values; the default one stands last.
    var last: UInt32 = 0
    reader.forEachLabel(of: table) { last = $0 }
    // What is settled must be settled before the jump; the index may stand in the slot above.
    settleTop(labelCount(of: controls[innermost - Int(last)]))
    let position = emit(.jumpTable, 0, indexField)
    words.append(UInt64(table.count))
    let entries = words.count
    for _ in 0...table.count { words.append(0) }
    // Every label is reached through a jump of its own, which moves the values.
    var targets: [UInt32: Int32] = [:]
    var entry = entries
    let labels = reader
    try labels.forEachLabel(of: table) { (depth) throws(WasmError) in
      let target: Int
      if let known = targets[depth] {
        target = wordStart + Int(known)
      } else {
        target = try branchTarget(innermost - Int(depth))
        targets[depth] = inFunction(target)
      }
      words[entry] = UInt64(bitPattern: Int64((target - position) * 8))
      entry += 1
    }
    endReachableCode()
  }

  /// Where a `br_table` jumps for a label: the start of a loop that finds its values in place, or a piece of code here.
  private mutating func branchTarget(_ index: Int) throws(WasmError) -> Int {
    let control = controls[index]
    if control.kind == .loop, isInPlace(control) { return wordStart + Int(control.place) }
    try makeRoom(for: 4 * Self.movingWordCountMax)
    forgetAccumulators()
    let target = words.count
    if control.kind == .function {
      emitReturn()
    } else {
      try moveValues(control, isLastUse: false)
      jump(to: index)
    }
    return target
  }

  /// Emits a branch that is taken if the top entry is not zero (or if it is), removes the entry, and returns the branch's
  /// position. A comparison that was just emitted becomes part of it.
  mutating func branchOnCondition(taken sense: Bool, isBack: Bool = false) -> Int {
    let condition = stack.count - 1
    let outcome = isBack ? 1 : 0
    if let last, case .temporary = stack[condition].place,
      integerAccumulator.slot == temporarySlot(condition), integerAccumulator.position == last.position,
      integerAccumulator.isElidable
    {
      if let comparison = Comparison(last.operation) {
        let operands = words[last.position + 1]
        removeLast()
        stack.removeLast()
        let chosen = sense ? comparison : comparison.inverse
        if isBack, let position = stepBranch(chosen, last, operands) { return position }
        let operation = chosen.branch
        let isImmediate = last.kind >= (operation.shape == .compareBranch ? 3 : 2)
        let a = UInt16(truncatingIfNeeded: operands >> 16)
        let b = isImmediate ? 0 : UInt16(truncatingIfNeeded: operands >> 32)
        let position = emit(operation, last.kind * 2 + outcome, a, b)
        if isImmediate { words.append(UInt64(bitPattern: Int64(Int32(bitPattern: UInt32(operands >> 32))))) }
        return position
      }
      if last.operation == .i32Eqz {
        let operand = UInt16(truncatingIfNeeded: words[last.position + 1] >> 16)
        removeLast()
        stack.removeLast()
        return emit(sense ? .branchUnless : .branchIf, last.kind * 2 + outcome, operand)
      }
    }
    place(condition)
    let field = slotField(slot(of: condition))
    var kind = 0
    if isInAccumulator(condition) {
      if isBack, case .local(let index) = stack[condition].place, let position = countdown(index, isNot: sense) {
        stack.removeLast()
        return position
      }
      takeFromAccumulator(condition)
      kind = 1
    }
    stack.removeLast()
    return emit(sense ? .branchIf : .branchUnless, kind * 2 + outcome, field)
  }

  /// The comparison at the end of a counting loop, whose last step was `local += immediate`: one instruction for both.
  /// `comparison` was emitted as `record` with these fields, and has been removed.
  private mutating func stepBranch(_ comparison: Comparison, _ record: Record, _ fields: UInt64) -> Int? {
    let isCommutative = comparison.index < 2
    let isImmediate = record.kind >= (isCommutative ? 2 : 3)
    let a = UInt16(truncatingIfNeeded: fields >> 16)
    guard isImmediate || record.kind < 2, let step = step(a, isI64: comparison.isI64) else { return nil }
    let b = UInt16(truncatingIfNeeded: fields >> 32)
    guard isImmediate || b != a else { return nil }
    return emitStep(comparison, a, step, bound: isImmediate ? nil : b, immediate: UInt32(truncatingIfNeeded: fields >> 32))
  }

  /// A loop that ends when a local it has just counted is zero (or is not).
  private mutating func countdown(_ local: Int, isNot: Bool) -> Int? {
    guard localType(local) == .i32, let step = step(slotField(local), isI64: false) else { return nil }
    return emitStep(Comparison(isI64: false, index: isNot ? 1 : 0), slotField(local), step, bound: nil, immediate: 0)
  }

  /// The immediate that the last instruction added to a local in place.
  private func step(_ local: UInt16, isI64: Bool) -> UInt32? {
    guard let last, last.operation == (isI64 ? .i64Add : .i32Add), last.kind >= 2 else { return nil }
    let fields = words[last.position + 1]
    guard UInt16(truncatingIfNeeded: fields) == local, UInt16(truncatingIfNeeded: fields >> 16) == local,
      Int(local / 2) < locals.count
    else { return nil }
    return UInt32(fields >> 32)
  }

  private mutating func emitStep(
    _ comparison: Comparison, _ local: UInt16, _ step: UInt32, bound: UInt16?, immediate: UInt32
  ) -> Int {
    removeLast()
    let operation = (comparison.isI64 ? RegisterOpcode.stepBranchI64Eq : .stepBranchI32Eq).advanced(by: comparison.index)
    let position = emit(operation, bound == nil ? 1 : 0, local, bound ?? 0)
    words.append(UInt64(step) | UInt64(bound == nil ? immediate : 0) << 32)
    didWrite(Int(local / 2), comparison.isI64 ? .i64 : .i32, at: position)
    return position
  }

  // MARK: Returning and calling

  mutating func emitReturn() {
    let count = type.results.count
    let first = stack.count - count
    switch count {
    case 0: emit(.returnVoid, 0)
    case 1:
      place(first)
      let operation: RegisterOpcode =
        switch type.results[0] {
        case .f32: .returnF32
        case .f64: .returnF64
        case .v128: .returnV128
        default: .returnI64
        }
      if isInAccumulator(first) {
        takeFromAccumulator(first)
        emit(operation, 1)
      } else {
        emit(operation, 0, slotField(slot(of: first)))
      }
    default:
      settleTop(count)
      emit(.returnMany, 0, slotField(temporarySlot(first)), UInt16(count))
    }
  }

  mutating func call(function: Int) {
    let callee = module.functionType(at: function)
    settleTop(callee.parameters.count)
    let base = slotField(temporarySlot(stack.count - callee.parameters.count))
    if function >= module.importedFunctionCount {
      emit(.call, 0, base)
      words.append(context.codeAddress(function - module.importedFunctionCount))
    } else {
      emit(.callImport, 0, base)
      words.append(UInt64(function))
    }
    finishCall(callee)
  }

  mutating func callIndirect(type index: UInt32, table: UInt32) {
    let callee = module.types[Int(index)]
    let entry = slotOperand(stack.count - 1)
    // The entry's slot must survive the settling of the arguments: they lie below it.
    let position = stack.count - 1
    settle(callee.parameters.count, below: position)
    stack.removeLast()
    emit(.callIndirect, 0, slotField(temporarySlot(stack.count - callee.parameters.count)), entry)
    words.append(UInt64(context.typeNumbers[Int(index)]) << 32 | UInt64(table))
    finishCall(callee)
  }

  private mutating func finishCall(_ callee: FunctionType) {
    stack.removeLast(callee.parameters.count)
    pushTemporaries(callee.results)
    forgetAccumulators()
    splitFuel()
  }

  mutating func returnCall(function: Int) {
    let callee = module.functionType(at: function)
    settleTop(callee.parameters.count)
    let base = slotField(temporarySlot(stack.count - callee.parameters.count))
    let count = UInt16(callee.parameters.count)
    if function >= module.importedFunctionCount {
      emit(.returnCall, 0, base, count)
      words.append(context.codeAddress(function - module.importedFunctionCount))
    } else {
      emit(.returnCallImport, 0, base, count)
      words.append(UInt64(function))
    }
    endReachableCode()
  }

  mutating func returnCallIndirect(type index: UInt32, table: UInt32) {
    let callee = module.types[Int(index)]
    let entry = slotOperand(stack.count - 1)
    let position = stack.count - 1
    settle(callee.parameters.count, below: position)
    stack.removeLast()
    emit(
      .returnCallIndirect, 0, slotField(temporarySlot(stack.count - callee.parameters.count)), UInt16(callee.parameters.count), entry)
    words.append(UInt64(context.typeNumbers[Int(index)]) << 32 | UInt64(table))
    endReachableCode()
  }

  // MARK: Fuel

  /// With fuel on, each stretch of code takes its number of instructions when it is entered.
  mutating func openFuel() {
    fuelCount = 0
    guard context.consumesFuel else { return }
    fuelPosition = emit(.fuel, 0) + 1
    words[fuelPosition!] = 0
    fuelStart = starts.count
  }

  mutating func closeFuel() {
    if let fuelPosition {
      words[fuelPosition] = context.fuelCountsRegisterInstructions ? UInt64(starts.count - fuelStart) : fuelCount
    }
    fuelPosition = nil
  }

  mutating func splitFuel() {
    guard context.consumesFuel else { return }
    closeFuel()
    openFuel()
  }
}

/// An integer comparison, which can be inverted and fused with a branch.
private struct Comparison {
  let isI64: Bool
  /// In the order of the opcodes: eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u.
  let index: Int

  init(isI64: Bool, index: Int) {
    self.isI64 = isI64
    self.index = index
  }

  init?(_ operation: RegisterOpcode) {
    let number = operation.rawValue
    switch number {
    case RegisterOpcode.i32Eq.rawValue...RegisterOpcode.i32GeU.rawValue:
      self.init(isI64: false, index: Int(number - RegisterOpcode.i32Eq.rawValue))
    case RegisterOpcode.i64Eq.rawValue...RegisterOpcode.i64GeU.rawValue:
      self.init(isI64: true, index: Int(number - RegisterOpcode.i64Eq.rawValue))
    default: return nil
    }
  }

  var inverse: Comparison { Comparison(isI64: isI64, index: [1, 0, 8, 9, 6, 7, 4, 5, 2, 3][index]) }

  var branch: RegisterOpcode { (isI64 ? RegisterOpcode.branchI64Eq : .branchI32Eq).advanced(by: index) }
}
