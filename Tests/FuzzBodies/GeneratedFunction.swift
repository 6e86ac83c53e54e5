import WebAssembly

/// The body of one function of a `GeneratedModule`. Every choice of 0 is the simplest, so an input that is used up ends it.
struct GeneratedFunction {
  var module: GeneratedModule
  let index: Int
  var code: [UInt8] = []
  /// What a branch to each label takes, the innermost last.
  var labels: [[ValueType]] = []
  /// Instructions that may still be written.
  var budget = 0
  var loopDepth = 0

  private let locals: [ValueType]
  private let type: FunctionType

  static let loopDepthMax = 3
  private static let extraLocals: [ValueType] = [.i32, .i32, .i32, .i64, .i64, .f32, .f32, .f64, .f64, .v128, .v128]
  /// Behind those: a scratch of each kind of float, and the counters of loops.
  private static let hiddenLocals: [ValueType] = [.f32, .f64, .v128] + [ValueType](repeating: .i32, count: loopDepthMax)

  init(module: GeneratedModule, index: Int) {
    self.module = module
    self.index = index
    type = module.functions[index]
    locals = type.parameters + Self.extraLocals
    budget = 40 + self.module.input.integer(0...160)
  }

  mutating func make() -> [UInt8] {
    labels = [type.results]
    takeFuel()
    for _ in 0..<(1 + module.input.integer(0...7)) { statement(4) }
    for result in type.results { expression(result, 4) }
    let declared = (Self.extraLocals + Self.hiddenLocals).map { [1, Bytes.type($0)] }
    return Bytes.vector(declared) + code + [0x0B]
  }

  // MARK: Emission

  mutating func emit(_ bytes: [UInt8]) { code += bytes }
  mutating func emit(_ opcode: Opcode) {
    code += Bytes.opcode(opcode)
    budget -= 1
  }
  mutating func emit(_ opcode: Opcode, _ index: UInt64) {
    emit(opcode)
    code += Bytes.unsigned(index)
  }

  mutating func constant(_ type: ValueType, _ bits: UInt64) {
    code += Bytes.constant(type, bits)
    budget -= 1
  }

  /// Ends the program where the counter is used up: at every entry and head of a loop.
  mutating func takeFuel() {
    emit([0x23, 0, 0x45, 0x04, 0x40, 0x00, 0x0B, 0x23, 0, 0x41, 1, 0x6B, 0x24, 0])
  }

  func scratchLocal(_ type: ValueType) -> UInt64 { UInt64(locals.count + (type == .f32 ? 0 : type == .f64 ? 1 : 2)) }
  func counterLocal(_ depth: Int) -> UInt64 { UInt64(locals.count + 3 + depth) }

  /// A local of the type: there is always one.
  mutating func local(_ type: ValueType) -> UInt64 {
    UInt64(module.input.element(of: locals.indices.filter { locals[$0] == type }))
  }

  /// The NaN on the stack, if it is one, gets the bits that all engines agree on.
  mutating func canonicalize(_ type: ValueType, lanes: ValueType = .f32) {
    let scratch = Bytes.unsigned(scratchLocal(type))
    switch type {
    case .f32: emit([0x22] + scratch + [0x43, 0, 0, 0xC0, 0x7F, 0x20] + scratch + [0x20] + scratch + [0x5B, 0x1B])
    case .f64: emit([0x22] + scratch + [0x44, 0, 0, 0, 0, 0, 0, 0xF8, 0x7F, 0x20] + scratch + [0x20] + scratch + [0x61, 0x1B])
    case .v128:
      let nan: [UInt8] = lanes == .f32 ? [0, 0, 0xC0, 0x7F] : [0, 0, 0, 0, 0, 0, 0xF8, 0x7F]
      let nans = (0..<16 / nan.count).flatMap { _ in nan }
      emit([0x22] + scratch + [0xFD, 12] + nans + [0x20] + scratch + [0x20] + scratch)
      emit(Bytes.opcode(lanes == .f32 ? .f32x4Eq : .f64x2Eq) + Bytes.opcode(.v128Bitselect))
    default: break
    }
  }

  // MARK: Constants

  mutating func anyConstant(_ type: ValueType) {
    let input = module.input.byte()
    switch type {
    case .f32:
      let bits: [UInt32] = [0, 0x3F80_0000, 0x8000_0000, 0xBFC0_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 1, 0x7F7F_FFFF, 0x4F00_0000, 0x5F00_0000, 0xCF00_0001]
      constant(type, UInt64(input < 240 ? bits[Int(input) % bits.count] : module.input.u32()))
    case .f64:
      let values: [Double] = [0, 1, -0.0, -1.5, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0x1p31, 0x1p63, -0x1.00001p31, 0x1p32]
      constant(type, input < 240 ? values[Int(input) % values.count].bitPattern : module.input.u64())
    default:
      switch input {
      case 0..<90: constant(type, UInt64(input % 17))
      case 90..<140: constant(type, UInt64(bitPattern: -Int64(input % 9)))
      case 140..<200: constant(type, module.input.border())
      case 200..<230: constant(type, 1 << UInt64(module.input.byte() & 63))
      default: constant(type, module.input.u64())
      }
    }
  }

  // MARK: Expressions

  /// Pushes a value of the type.
  mutating func expression(_ type: ValueType, _ depth: Int) {
    guard depth > 0, budget > 0 else { return leaf(type) }
    switch module.input.byte() & 31 {
    case 0...5: leaf(type)
    case 6...16: operation(type, depth)
    case 17...20: load(type, depth)
    case 21:
      expression(type, depth - 1)
      expression(type, depth - 1)
      expression(.i32, depth - 1)
      if module.input.bool() { emit(.select) } else { emit([0x1C, 1, Bytes.type(type)]) }
    case 22:
      expression(.i32, depth - 1)
      emit([0x04, Bytes.type(type)])
      labels.append([type])
      expression(type, depth - 1)
      emit([0x05])
      if module.input.bool() { statement(depth - 1) }
      expression(type, depth - 1)
      endBlock()
    case 23:
      emit([0x02, Bytes.type(type)])
      labels.append([type])
      if module.input.bool() { statement(depth - 1) }
      expression(type, depth - 1)
      expression(.i32, depth - 1)
      branchIf([type])
      endBlock()
    case 24:
      expression(type, depth - 1)
      emit(.localTee, local(type))
    case 25, 26: call(for: type, depth)
    case 27: special(type, depth)
    case 28:
      let second = module.input.element(of: GeneratedModule.numberTypes)
      expression(type, depth - 1)
      expression(second, depth - 1)
      let block = module.typeIndex(FunctionType(parameters: [type, second], results: [type]))
      emit([0x02] + Bytes.signed(Int64(block)))
      labels.append([type])
      emit(.localSet, local(second))
      if module.input.bool() { statement(depth - 1) }
      endBlock()
    case 29:
      emit([0x03, Bytes.type(type)])
      labels.append([])
      takeFuel()
      if module.input.bool() { statement(depth - 1) }
      expression(type, depth - 1)
      endBlock()
    case 30: emit(.globalGet, global(type))
    default: operation(type, depth)
    }
  }

  mutating func endBlock() {
    emit([0x0B])
    labels.removeLast()
  }

  mutating func global(_ type: ValueType) -> UInt64 {
    UInt64((GeneratedModule.globalTypes.firstIndex(of: type) ?? 0) + 1)
  }

  private mutating func leaf(_ type: ValueType) {
    switch module.input.byte() & 7 {
    case 0...2: anyConstant(type)
    case 3: emit(.globalGet, global(type))
    default: emit(.localGet, local(type))
    }
  }

  /// `br_if` to a label that takes these, or to the innermost, which does.
  mutating func branchIf(_ types: [ValueType]) {
    let targets = labels.indices.filter { labels[$0] == types }
    let target = targets.isEmpty ? labels.count - 1 : module.input.element(of: targets.reversed())
    emit(.brIf, UInt64(labels.count - 1 - target))
  }

  private mutating func operation(_ type: ValueType, _ depth: Int) {
    let choice = module.input.element(of: InstructionChoices.operations[type] ?? [])
    guard let signature = choice.signature else { return leaf(type) }
    let name = choice.mnemonic
    for (place, operand) in [signature.operand0, signature.operand1, signature.operand2].enumerated() {
      guard let operandType = operand.valueType(address: .i32) else { break }
      expression(operandType, depth - 1)
      if name.contains("reinterpret") || (name.hasSuffix("copysign") && place == 1) { canonicalize(operandType) }
    }
    emit(choice.opcode)
    if type == .v128, let lanes = InstructionChoices.floatLanes(name) { canonicalize(.v128, lanes: lanes) }
  }

  private mutating func call(for type: ValueType, _ depth: Int) {
    guard let callee = callee(where: { $0.results.first == type }) else { return operation(type, depth) }
    call(callee, depth)
    for result in module.functions[callee].results.dropFirst().reversed() {
      if module.input.bool() { emit(.localSet, local(result)) } else { emit([0x1A]) }
    }
  }

  mutating func callee(where condition: (FunctionType) -> Bool) -> Int? {
    let callees = module.functions.indices.filter { condition(module.functions[$0]) }
    return callees.isEmpty ? nil : module.input.element(of: callees)
  }

  /// Arguments and a call, direct or through the table.
  mutating func call(_ callee: Int, _ depth: Int, isTail: Bool = false) {
    let type = module.functions[callee]
    for parameter in type.parameters { expression(parameter, depth - 1) }
    guard module.input.chance(80) else { return emit(isTail ? .returnCall : .call, UInt64(callee)) }
    if module.input.chance(220) { constant(.i32, UInt64(callee)) } else { expression(.i32, depth - 1) }
    emit(isTail ? .returnCallIndirect : .callIndirect, UInt64(module.typeIndex(type)))
    emit([0])
  }
}
