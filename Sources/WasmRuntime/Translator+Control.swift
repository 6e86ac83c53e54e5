import WebAssembly

// Blocks, branches, calls, and code that cannot be reached.
extension FunctionTranslator {
  // MARK: Blocks

  func types(of block: BlockType) -> (parameters: [ValueType], results: [ValueType]) {
    switch block {
    case .empty: ([], [])
    case .value(let type): ([], [type])
    case .type(let index): (module.types[Int(index)].parameters, module.types[Int(index)].results)
    }
  }

  mutating func openBlock(_ kind: Control.Kind, _ type: BlockType) {
    let (parameters, results) = types(of: type)
    var elsePatch: Int?
    if kind == .if {
      elsePatch = branchOnCondition(taken: false)
      // The `else` finds the parameters in their slots, whatever the other branch takes from an accumulator.
      keepSlots()
    }
    settleLocals()
    settleTop(parameters.count)
    // For an `if` this has been done before its branch: see settleBelowCondition.
    var control = Control(
      kind: kind, height: stack.count - parameters.count, parameters: parameters, results: results, elsePatch: elsePatch)
    if kind == .loop {
      closeFuel()
      forgetAccumulators()
      control.start = words.count
      loopDepth += 1
      openFuel()
    }
    controls.append(control)
  }

  /// Before the condition of an `if` is used: everything below it goes where both branches find it.
  mutating func settleBelowCondition(_ type: BlockType) {
    let parameterCount = types(of: type).parameters.count
    for position in 0..<(stack.count - 1) {
      switch stack[position].place {
      case .local, .deferred: settle(position)
      case .constant where position >= stack.count - 1 - parameterCount: settle(position)
      default: break
      }
    }
  }

  mutating func openElse() {
    let index = controls.count - 1
    if isReachable {
      settleTop(controls[index].results.count)
      controls[index].patches.append(emitJump())
    }
    closeFuel()
    if let patch = controls[index].elsePatch { bind(patch) }
    controls[index].elsePatch = nil
    controls[index].kind = .else
    stack.removeSubrange(controls[index].height...)
    pushTemporaries(controls[index].parameters)
    forgetAccumulators()
    isReachable = true
    openFuel()
  }

  mutating func closeBlock() {
    let control = controls[controls.count - 1]
    if control.kind == .function {
      closeFunction()
      return
    }
    controls.removeLast()
    if control.kind == .loop { loopDepth -= 1 }
    if isReachable { settleTop(control.results.count) }
    let isLabel = !control.patches.isEmpty || control.elsePatch != nil
    if isLabel {
      closeFuel()
      if let patch = control.elsePatch { bind(patch) }
      for patch in control.patches { bind(patch) }
      forgetAccumulators()
    }
    let isReached = isReachable || isLabel
    stack.removeSubrange(control.height...)
    pushTemporaries(control.results)
    isReachable = isReached
    if isLabel { openFuel() }
  }

  private mutating func closeFunction() {
    let control = controls.removeLast()
    if !control.patches.isEmpty {
      // Branches to the function's label leave their values at the bottom of the operand stack.
      if isReachable { settleTop(control.results.count) }
      for patch in control.patches { bind(patch) }
      forgetAccumulators()
      stack.removeAll()
      pushTemporaries(control.results)
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
    let distance = UInt32(bitPattern: Int32((target - position) * 8))
    words[position + 1] = words[position + 1] & 0xFFFF_FFFF | UInt64(distance) << 32
  }

  @discardableResult
  mutating func emitJump() -> Int { emit(.jump, 0) }

  /// Whether the values a branch carries already lie where the label wants them.
  private func isInPlace(_ control: Control) -> Bool {
    let count = control.labelTypes.count
    guard count > 0 else { return true }
    let first = stack.count - count
    return first == control.height
      && stack[first...].allSatisfy {
        if case .temporary = $0.place { true } else { false }
      }
  }

  /// Copies the values that a branch carries to where the label wants them.
  private mutating func moveValues(_ control: Control, isLastUse: Bool) {
    let count = control.labelTypes.count
    let first = stack.count - count
    for index in 0..<count {
      if case .temporary = stack[first + index].place, first == control.height { continue }
      copy(first + index, to: temporarySlot(control.height + index), isLastUse: isLastUse)
    }
  }

  /// Jumps to a label, or leaves the patch to it.
  private mutating func jump(to index: Int) {
    if controls[index].kind == .loop {
      setDistance(at: emit(.jumpBack, 0), to: controls[index].start)
    } else {
      controls[index].patches.append(emitJump())
    }
  }

  mutating func branch(depth: Int) {
    let index = controls.count - 1 - depth
    if controls[index].kind == .function {
      emitReturn()
    } else {
      moveValues(controls[index], isLastUse: true)
      jump(to: index)
    }
    endReachableCode()
  }

  mutating func branchIf(depth: Int) {
    let index = controls.count - 1 - depth
    let control = controls[index]
    let condition = stack[stack.count - 1]
    stack.removeLast()
    let isPlain = isInPlace(control) && (control.kind != .function || control.results.isEmpty)
    stack.append(condition)
    if isPlain {
      let position = branchOnCondition(taken: true, isBack: control.kind == .loop)
      if control.kind == .loop { setDistance(at: position, to: control.start) } else { controls[index].patches.append(position) }
      if !control.labelTypes.isEmpty { keepSlots() }
    } else {
      let around = branchOnCondition(taken: false)
      keepSlots()
      moveValues(control, isLastUse: false)
      jump(to: index)
      bind(around)
      forgetAccumulators()
    }
    splitFuel()
  }

  mutating func branchTable(_ table: LabelTable) {
    let indexField = slotOperand(stack.count - 1)
    stack.removeLast()
    let depths = reader.labels(of: table).map { Int($0) }
    let arity = controls[controls.count - 1 - depths[depths.count - 1]].labelTypes.count
    // What is settled must be settled before the jump; the index may stand in the slot above.
    settleTop(arity)
    let position = emit(.jumpTable, 0, indexField)
    words.append(UInt64(table.count))
    let entries = words.count
    for _ in depths { words.append(0) }
    func distance(to target: Int) -> UInt64 { UInt64(bitPattern: Int64((target - position) * 8)) }
    // Every label is reached through a jump of its own, which moves the values.
    var targets: [Int: Int] = [:]
    for (entry, depth) in depths.enumerated() {
      let index = controls.count - 1 - depth
      if let target = targets[index] {
        words[entries + entry] = distance(to: target)
        continue
      }
      if controls[index].kind == .loop, isInPlace(controls[index]) {
        words[entries + entry] = distance(to: controls[index].start)
        targets[index] = controls[index].start
        continue
      }
      forgetAccumulators()
      targets[index] = words.count
      words[entries + entry] = distance(to: words.count)
      if controls[index].kind == .function {
        emitReturn()
      } else {
        moveValues(controls[index], isLastUse: false)
        jump(to: index)
      }
    }
    endReachableCode()
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
    guard localTypes[local] == .i32, let step = step(slotField(local), isI64: false) else { return nil }
    return emitStep(Comparison(isI64: false, index: isNot ? 1 : 0), slotField(local), step, bound: nil, immediate: 0)
  }

  /// The immediate that the last instruction added to a local in place.
  private func step(_ local: UInt16, isI64: Bool) -> UInt32? {
    guard let last, last.operation == (isI64 ? .i64Add : .i32Add), last.kind >= 2 else { return nil }
    let fields = words[last.position + 1]
    guard UInt16(truncatingIfNeeded: fields) == local, UInt16(truncatingIfNeeded: fields >> 16) == local,
      Int(local / 2) < localTypes.count
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
    for argument in (position - callee.parameters.count)..<position { settle(argument) }
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
    for argument in (position - callee.parameters.count)..<position { settle(argument) }
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
