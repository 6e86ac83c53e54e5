import BinaryReading

/// Checks function bodies. One value serves all functions of a module, so that its stacks are allocated once.
struct FunctionValidator: ~Copyable {
  /// The type of an operand: the byte of a value type, or `unknown` in unreachable code.
  typealias OperandType = UInt8
  static let unknown: OperandType = 0

  /// A block that is open. Lists of types are numbers of `lists`.
  struct ControlFrame {
    enum Kind: UInt8 { case block, loop, `if`, `else`, function }

    let kind: Kind
    /// Set behind an unconditional branch: operands below `height` may then be assumed.
    var isUnreachable = false
    let parameters: Int32
    let results: Int32
    /// The number of operands below the block's own.
    let height: Int32

    /// What a branch to the block needs.
    var labelTypes: Int32 { kind == .loop ? parameters : results }
  }

  let module: Module
  let features: WasmFeatures
  let dataSegmentCount: Int
  var declaredFunctions: [Bool] = []
  private let table = OpcodeTable.shared.entries
  private let lists: TypeLists

  private(set) var operands: [OperandType] = []
  private(set) var frames: [ControlFrame] = []
  private var locals = LocalTypes()
  /// The position of the instruction being checked.
  private var offset = 0
  private var functionIndex = 0

  private let supervision: Supervision
  private(set) var grant: Grant
  /// Blocks that memory was granted for.
  private var frameCountGranted = 0
  /// Where it is asked next whether to go on.
  private var nextQuestion = 0
  /// Steps for lists of types, which cost more than the bytes of their instructions, until it is asked again.
  private var stepsLeft = Supervision.interval

  init(module: Module, features: WasmFeatures, lists: consuming TypeLists, supervision: Supervision, grant: Grant) {
    self.module = module
    self.features = features
    self.dataSegmentCount = Int(module.dataCount ?? UInt32(module.dataSegments.count))
    self.lists = lists
    self.supervision = supervision
    self.grant = grant
  }

  mutating func validate(_ body: FunctionBody, function index: Int) throws(ValidationError) {
    functionIndex = index
    offset = body.codeRange.lowerBound
    let typeIndex = Int(module.functionTypeIndices[index])
    operands.removeAll(keepingCapacity: true)
    frames.removeAll(keepingCapacity: true)
    locals.reset(parameters: module.types[typeIndex].parameters, groups: body.locals)
    // Operands and locals share the slots of a frame, which instructions address with 16 bits.
    let operandCountMax = ModuleLimits.slotCountMax - ModuleLimits.reservedSlotCount - locals.count
    guard operandCountMax >= 0 else { throw tooManySlots() }
    try appendFrame(
      ControlFrame(kind: .function, parameters: TypeLists.empty, results: lists.functionTypes[typeIndex].results, height: 0))
    var reader = module.instructions(of: body)
    while let instruction = try nextInstruction(&reader) {
      offset = instruction.offset
      if offset >= nextQuestion {
        nextQuestion = offset + Supervision.interval
        try ask()
      }
      try validate(instruction, &reader)
      guard operands.count <= operandCountMax else { throw tooManySlots() }
    }
    guard frames.isEmpty else { throw ValidationError("END opcode expected", at: body.codeRange.upperBound) }
  }

  @inline(__always)
  private mutating func validate(_ instruction: Instruction, _ reader: inout InstructionReader) throws(ValidationError) {
    guard !frames.isEmpty else { throw error("unexpected content after the end of the function") }
    guard let information = table[Int(instruction.opcode.rawValue)] else {
      preconditionFailure("the generated table has a row for every opcode")
    }
    if let signature = information.signature {
      try validateFixed(instruction, information, signature)
    } else {
      try validateOther(instruction, &reader)
    }
  }

  private func ask() throws(ValidationError) {
    if supervision.shouldStop() { throw ValidationError("checking the module was stopped", at: offset, reason: .stopped) }
  }

  /// Counts steps that the length of the code does not show.
  private mutating func count(steps: Int) throws(ValidationError) {
    stepsLeft -= steps
    guard stepsLeft < 0 else { return }
    stepsLeft = Supervision.interval
    try ask()
  }

  private mutating func appendFrame(_ frame: ControlFrame) throws(ValidationError) {
    if frames.count == frameCountGranted {
      frameCountGranted = max(64, 2 * frameCountGranted)
      guard grant.take(frameCountGranted * MemoryLayout<ControlFrame>.stride) else {
        throw ValidationError("the module needs more memory than is granted", at: offset, reason: .outOfMemory)
      }
    }
    frames.append(frame)
  }

  private func tooManySlots() -> ValidationError {
    ValidationError(
      "function \(functionIndex) needs more than \(ModuleLimits.slotCountMax) slots for parameters, locals and operands",
      at: offset, reason: .overLimit)
  }

  func error(_ message: String) -> ValidationError { ValidationError(message, at: offset) }
}

// MARK: - Stacks

extension FunctionValidator {
  private func mismatch(expected: OperandType, found: OperandType?) -> ValidationError {
    let expectedName = ValueType(rawValue: expected)?.description ?? "a value"
    let foundName = found.map { ValueType(rawValue: $0)?.description ?? "unknown" } ?? "nothing"
    return error("type mismatch: expected \(expectedName), found \(foundName)")
  }

  @inline(__always)
  mutating func push(_ type: ValueType) { operands.append(type.rawValue) }
  @inline(__always)
  mutating func push(_ type: OperandType) { operands.append(type) }

  mutating func push(list: Int32) {
    let range = lists.range(of: list)
    switch range.count {
    case 0: return
    case 1: operands.append(lists.bytes[range.lowerBound])
    default: operands.append(contentsOf: lists.bytes[range])
    }
  }

  /// Pops an operand of any type.
  @inline(__always)
  mutating func pop() throws(ValidationError) -> OperandType {
    let frame = frames.count - 1
    if operands.count == frames[frame].height {
      guard frames[frame].isUnreachable else { throw mismatch(expected: Self.unknown, found: nil) }
      return Self.unknown
    }
    return operands.removeLast()
  }

  @inline(__always)
  mutating func pop(_ type: ValueType) throws(ValidationError) {
    let frame = frames.count - 1
    if operands.count == frames[frame].height {
      guard frames[frame].isUnreachable else { throw mismatch(expected: type.rawValue, found: nil) }
      return
    }
    let found = operands.removeLast()
    guard found == type.rawValue || found == Self.unknown else { throw mismatch(expected: type.rawValue, found: found) }
  }

  /// Whether the topmost operands are those of a list, and all known.
  private func isOnTop(_ range: Range<Int>) -> Bool {
    operands.count - Int(frames[frames.count - 1].height) >= range.count
      && bytesAreEqual(operands, from: operands.count - range.count, lists.bytes, in: range)
  }

  mutating func pop(list: Int32) throws(ValidationError) {
    let range = lists.range(of: list)
    if range.isEmpty { return }
    if isOnTop(range) {
      operands.removeLast(range.count)
      return
    }
    try count(steps: range.count)
    let frame = frames[frames.count - 1]
    for index in range.reversed() {
      let type = lists.bytes[index]
      if operands.count == frame.height {
        guard frame.isUnreachable else { throw mismatch(expected: type, found: nil) }
        return
      }
      let found = operands.removeLast()
      guard found == type || found == Self.unknown else { throw mismatch(expected: type, found: found) }
    }
  }

  /// Checks the topmost operands without popping them: what a `br_table` does with each of its labels.
  private func checkTop(_ list: Int32) throws(ValidationError) {
    let range = lists.range(of: list)
    if range.isEmpty || isOnTop(range) { return }
    let frame = frames[frames.count - 1]
    var position = operands.count
    for index in range.reversed() {
      let type = lists.bytes[index]
      if position == frame.height {
        guard frame.isUnreachable else { throw mismatch(expected: type, found: nil) }
        return
      }
      position -= 1
      let found = operands[position]
      guard found == type || found == Self.unknown else { throw mismatch(expected: type, found: found) }
    }
  }

  private mutating func pushFrame(_ kind: ControlFrame.Kind, parameters: Int32, results: Int32) throws(ValidationError) {
    try appendFrame(ControlFrame(kind: kind, parameters: parameters, results: results, height: Int32(operands.count)))
    push(list: parameters)
  }

  private mutating func popFrame() throws(ValidationError) -> ControlFrame {
    guard let frame = frames.last else { throw error("unexpected end") }
    try pop(list: frame.results)
    guard operands.count == frame.height else { throw error("type mismatch: values remain on the stack at the end of the block") }
    frames.removeLast()
    return frame
  }

  private mutating func markUnreachable() {
    operands.removeLast(operands.count - Int(frames[frames.count - 1].height))
    frames[frames.count - 1].isUnreachable = true
  }

  private func label(_ depth: UInt32) throws(ValidationError) -> Int32 {
    guard Int(depth) < frames.count else { throw error("unknown label \(depth)") }
    return frames[frames.count - 1 - Int(depth)].labelTypes
  }
}

// MARK: - Instructions with a fixed signature

extension FunctionValidator {
  private mutating func validateFixed(
    _ instruction: Instruction, _ information: OpcodeInformation, _ signature: Signature
  ) throws(ValidationError) {
    var address = ValueType.i32
    if information.immediates != .none { address = try validateImmediates(instruction, information) }
    if let type = signature.operand2.valueType(address: address) { try pop(type) }
    if let type = signature.operand1.valueType(address: address) { try pop(type) }
    if let type = signature.operand0.valueType(address: address) { try pop(type) }
    if address == .i64, instruction.immediates.isReferenceAccess { try pop(.memref) }
    if let type = signature.result.valueType(address: address) { push(type) }
  }

  /// Checks the immediates of an instruction with a fixed signature. Returns the address type of its memory, if it has one.
  private func validateImmediates(
    _ instruction: Instruction, _ information: OpcodeInformation
  ) throws(ValidationError) -> ValueType {
    switch instruction.immediates {
    case .memoryArgument(let argument):
      return try validate(argument, information)
    case .memoryArgumentLane(let argument, let lane):
      let address = try validate(argument, information)
      guard Int(lane) < 16 >> Int(information.naturalAlignmentLog2) else { throw error("invalid lane index") }
      return address
    case .memoryProtection(let memory, _):
      return try mappableMemory(memory)
    case .segment(let segment, let memory):
      let address = try self.memory(memory).addressType.valueType
      try checkDataSegment(segment)
      return address
    case .index(let index):
      switch information.immediates {
      case .memory:
        return instruction.opcode == .memoryUnmap ? try mappableMemory(index) : try memory(index).addressType.valueType
      case .data: try checkDataSegment(index)
      case .element: try checkElementSegment(index)
      default: preconditionFailure("no other index has a fixed signature")
      }
    case .lane(let lane):
      guard lane < information.opcode.laneCount else { throw error("invalid lane index") }
    case .shuffle(let lanes):
      for index in 0..<16 where lanes.byte(at: index) >= 32 { throw error("invalid lane index") }
    default: break
    }
    return .i32
  }

  private func validate(_ argument: MemoryArgument, _ information: OpcodeInformation) throws(ValidationError) -> ValueType {
    if argument.isReference { return try validateReference(argument, information) }
    let type = try memory(argument.memory)
    if information.feature == .threads {
      guard argument.alignmentLog2 == information.naturalAlignmentLog2 else { throw error("atomic alignment must be natural") }
    } else {
      guard argument.alignmentLog2 <= information.naturalAlignmentLog2 else {
        throw error("alignment must not be larger than natural")
      }
    }
    guard type.addressType == .i64 || argument.offset <= UInt64(UInt32.max) else { throw error("offset out of range") }
    return type.addressType.valueType
  }

  /// A load or store through a reference: the address is an i64 whatever the memory's type.
  private func validateReference(
    _ argument: MemoryArgument, _ information: OpcodeInformation
  ) throws(ValidationError) -> ValueType {
    guard information.feature != .threads else { throw error("atomic access through a memory reference") }
    guard argument.alignmentLog2 <= information.naturalAlignmentLog2 else {
      throw error("alignment must not be larger than natural")
    }
    return .i64
  }

  private func memory(_ index: UInt32) throws(ValidationError) -> MemoryType {
    guard Int(index) < module.memories.count else { throw error("unknown memory \(index)") }
    return module.memories[Int(index)]
  }

  private func mappableMemory(_ index: UInt32) throws(ValidationError) -> ValueType {
    let type = try memory(index)
    guard type.attributes.isMappable else { throw error("memory is not virtual") }
    return type.addressType.valueType
  }

  private func table(_ index: UInt32) throws(ValidationError) -> TableType {
    guard Int(index) < module.tables.count else { throw error("unknown table \(index)") }
    return module.tables[Int(index)]
  }

  private func checkDataSegment(_ index: UInt32) throws(ValidationError) {
    guard Int(index) < dataSegmentCount else { throw error("unknown data segment \(index)") }
  }

  private func checkElementSegment(_ index: UInt32) throws(ValidationError) {
    guard Int(index) < module.elementSegments.count else { throw error("unknown elem segment \(index)") }
  }
}

// MARK: - Control, variables, references, tables

extension FunctionValidator {
  private mutating func validateOther(_ instruction: Instruction, _ reader: inout InstructionReader) throws(ValidationError) {
    switch (instruction.opcode, instruction.immediates) {
    case (.localGet, .index(let index)): push(try local(index))
    case (.localSet, .index(let index)): try pop(try local(index))
    case (.localTee, .index(let index)):
      let type = try local(index)
      try pop(type)
      push(type)
    case (.globalGet, .index(let index)): push(try global(index).valueType)
    case (.globalSet, .index(let index)):
      let type = try global(index)
      guard type.isMutable else { throw error("immutable global \(index)") }
      try pop(type.valueType)
    case (.block, .block(let type)): try open(.block, type)
    case (.loop, .block(let type)): try open(.loop, type)
    case (.if, .block(let type)):
      try pop(.i32)
      try open(.if, type)
    case (.else, _):
      let frame = try popFrame()
      guard frame.kind == .if else { throw error("misplaced ELSE opcode") }
      try pushFrame(.else, parameters: frame.parameters, results: frame.results)
    case (.end, _): try close()
    case (.br, .label(let depth)):
      try pop(list: try label(depth))
      markUnreachable()
    case (.brIf, .label(let depth)):
      try pop(.i32)
      let types = try label(depth)
      try pop(list: types)
      push(list: types)
    case (.brTable, .labelTable(let labels)): try validateBranchTable(labels, reader)
    case (.return, _):
      try pop(list: frames[0].results)
      markUnreachable()
    case (.unreachable, _): markUnreachable()
    case (.call, .index(let index)): try call(type: try functionType(index), isTail: false)
    case (.returnCall, .index(let index)): try call(type: try functionType(index), isTail: true)
    case (.callIndirect, .callIndirect(let type, let table)): try callIndirect(type: type, table: table, isTail: false)
    case (.returnCallIndirect, .callIndirect(let type, let table)): try callIndirect(type: type, table: table, isTail: true)
    case (.drop, _): _ = try pop()
    case (.select, _): try validateSelect()
    case (.selectTyped, .selectTypes(let count, let type)):
      guard count == 1 else { throw error("invalid result arity") }
      try pop(.i32)
      try pop(type)
      try pop(type)
      push(type)
    case (.memoryCopy, .pair(let destination, let source)):
      let to = try memory(destination).addressType
      let from = try memory(source).addressType
      try popCopy(to, from)
    default: try validateTablesAndReferences(instruction)
    }
  }

  private mutating func validateTablesAndReferences(_ instruction: Instruction) throws(ValidationError) {
    switch (instruction.opcode, instruction.immediates) {
    case (.refNull, .referenceType(let type)): push(type)
    case (.refIsNull, _):
      let found = try pop()
      guard found == Self.unknown || ValueType(rawValue: found)?.isReference == true else {
        throw mismatch(expected: ValueType.funcref.rawValue, found: found)
      }
      push(.i32)
    case (.refFunc, .index(let index)):
      _ = try functionType(index)
      guard declaredFunctions[Int(index)] else { throw error("undeclared function reference \(index)") }
      push(.funcref)
    case (.refMem, .index(let index)):
      _ = try memory(index)
      push(.memref)
    case (.memorySizeRef, _):
      try pop(.memref)
      push(.i64)
    case (.memoryCopyRef, _):
      for type in [ValueType.i64, .i64, .memref, .i64, .memref] { try pop(type) }
    case (.tableGet, .index(let index)):
      let type = try table(index)
      try pop(type.addressType.valueType)
      push(type.elementType)
    case (.tableSet, .index(let index)):
      let type = try table(index)
      try pop(type.elementType)
      try pop(type.addressType.valueType)
    case (.tableSize, .index(let index)): push(try table(index).addressType.valueType)
    case (.tableGrow, .index(let index)):
      let type = try table(index)
      try pop(type.addressType.valueType)
      try pop(type.elementType)
      push(type.addressType.valueType)
    case (.tableFill, .index(let index)):
      let type = try table(index)
      try pop(type.addressType.valueType)
      try pop(type.elementType)
      try pop(type.addressType.valueType)
    case (.tableCopy, .pair(let destination, let source)):
      let to = try table(destination)
      let from = try table(source)
      guard to.elementType == from.elementType else {
        throw error("type mismatch: copy from a table of \(from.elementType) to a table of \(to.elementType)")
      }
      try popCopy(to.addressType, from.addressType)
    case (.tableInit, .segment(let segment, let destination)):
      let type = try table(destination)
      try checkElementSegment(segment)
      let segmentType = module.elementSegments[Int(segment)].type
      guard segmentType == type.elementType else {
        throw error("type mismatch: segment of \(segmentType), table of \(type.elementType)")
      }
      try pop(.i32)
      try pop(.i32)
      try pop(type.addressType.valueType)
    default: preconditionFailure("every instruction without a fixed signature has a rule: \(instruction.opcode)")
    }
  }

  /// The operands of a copy: destination, source, and a length of the smaller address type.
  private mutating func popCopy(_ destination: AddressType, _ source: AddressType) throws(ValidationError) {
    let length: AddressType = destination == .i64 && source == .i64 ? .i64 : .i32
    try pop(length.valueType)
    try pop(source.valueType)
    try pop(destination.valueType)
  }

  private func local(_ index: UInt32) throws(ValidationError) -> ValueType {
    guard let type = locals[index] else { throw error("unknown local \(index)") }
    return type
  }

  private func global(_ index: UInt32) throws(ValidationError) -> GlobalType {
    guard Int(index) < module.globals.count else { throw error("unknown global \(index)") }
    return module.globals[Int(index)]
  }

  /// The index of a function's type.
  private func functionType(_ index: UInt32) throws(ValidationError) -> UInt32 {
    guard Int(index) < module.functionTypeIndices.count else { throw error("unknown function \(index)") }
    return module.functionTypeIndices[Int(index)]
  }

  private mutating func open(_ kind: ControlFrame.Kind, _ type: BlockType) throws(ValidationError) {
    switch type {
    case .empty: try pushFrame(kind, parameters: TypeLists.empty, results: TypeLists.empty)
    case .value(let type): try pushFrame(kind, parameters: TypeLists.empty, results: lists.single(type))
    case .type(let index):
      guard Int(index) < module.types.count else { throw error("unknown type \(index)") }
      let type = lists.functionTypes[Int(index)]
      if !features.contains(.multiValue) {
        guard type.parameters == TypeLists.empty, lists.range(of: type.results).count <= 1 else {
          throw error("invalid result arity")
        }
      }
      try pop(list: type.parameters)
      try pushFrame(kind, parameters: type.parameters, results: type.results)
    }
  }

  private mutating func close() throws(ValidationError) {
    let frame = try popFrame()
    // An `if` without `else` passes its parameters through.
    if frame.kind == .if, frame.parameters != frame.results {
      throw error("type mismatch: `if` without `else` must not change types")
    }
    push(list: frame.results)
  }

  /// Each list of types is checked once, however many labels need it: the operands do not change.
  private mutating func validateBranchTable(_ labels: LabelTable, _ reader: InstructionReader) throws(ValidationError) {
    try pop(.i32)
    var arity = -1
    var last: Int32 = -1
    var checked: Set<Int32> = []
    var steps = 0
    try reader.forEachLabel(of: labels) { (depth) throws(ValidationError) in
      let types = try label(depth)
      guard types != last else { return }
      last = types
      let count = lists.range(of: types).count
      if arity < 0 { arity = count }
      guard count == arity else { throw error("type mismatch: the labels of br_table take different numbers of values") }
      guard checked.insert(types).inserted else { return }
      try checkTop(types)
      steps += count
      if steps > Supervision.interval {
        steps = 0
        try ask()
      }
    }
    markUnreachable()
  }

  private mutating func call(type index: UInt32, isTail: Bool) throws(ValidationError) {
    let type = lists.functionTypes[Int(index)]
    try pop(list: type.parameters)
    if isTail {
      guard type.results == frames[0].results else {
        throw error("type mismatch: a tail call must return what the function returns")
      }
      markUnreachable()
    } else {
      push(list: type.results)
    }
  }

  private mutating func callIndirect(type: UInt32, table: UInt32, isTail: Bool) throws(ValidationError) {
    let tableType = try self.table(table)
    guard tableType.elementType == .funcref else { throw error("type mismatch: call_indirect needs a table of funcref") }
    guard Int(type) < module.types.count else { throw error("unknown type \(type)") }
    try pop(tableType.addressType.valueType)
    try call(type: type, isTail: isTail)
  }

  private mutating func validateSelect() throws(ValidationError) {
    try pop(.i32)
    let second = try pop()
    let first = try pop()
    for type in [first, second] where ValueType(rawValue: type)?.isReference == true {
      throw error("type mismatch: select without a type takes no references")
    }
    guard first == second || first == Self.unknown || second == Self.unknown else {
      throw mismatch(expected: first, found: second)
    }
    push(first == Self.unknown ? second : first)
  }
}

extension Opcode {
  /// The number of lanes of the vector that an `extract_lane` or `replace_lane` works on; 0 for other instructions.
  public var laneCount: UInt8 {
    switch self {
    case .i8x16ExtractLaneS, .i8x16ExtractLaneU, .i8x16ReplaceLane: 16
    case .i16x8ExtractLaneS, .i16x8ExtractLaneU, .i16x8ReplaceLane: 8
    case .i32x4ExtractLane, .i32x4ReplaceLane, .f32x4ExtractLane, .f32x4ReplaceLane: 4
    case .i64x2ExtractLane, .i64x2ReplaceLane, .f64x2ExtractLane, .f64x2ReplaceLane: 2
    default: 0
    }
  }
}

extension Immediates {
  /// A load or store whose memory is an operand.
  var isReferenceAccess: Bool {
    switch self {
    case .memoryArgument(let argument), .memoryArgumentLane(let argument, _): argument.isReference
    default: false
    }
  }
}
