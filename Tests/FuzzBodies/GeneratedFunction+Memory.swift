import WebAssembly

extension GeneratedFunction {
  /// Pushes an address and gives the memory: mostly one in bounds.
  mutating func address(_ depth: Int) -> UInt64 {
    let memory = UInt64(module.input.chance(70) ? 1 : 0)
    let type: ValueType = memory == 0 ? .i32 : .i64
    expression(type, depth - 1)
    if !module.input.chance(24) {
      constant(type, module.input.bool() ? 0xFFFF : 0x1FF)
      emit(type == .i32 ? .i32And : .i64And)
    }
    return memory
  }

  mutating func memoryArgument(_ memory: UInt64, alignmentMax: UInt8) {
    let alignment = module.input.byte() % (alignmentMax + 1)
    let offset: UInt64 =
      module.input.chance(12) ? (memory == 0 ? module.input.border() & 0xFFFF_FFFF : module.input.border()) : UInt64(module.input.byte())
    emit(Bytes.unsigned(UInt64(alignment | (memory == 0 ? 0 : 0x40))) + (memory == 0 ? [] : Bytes.unsigned(memory)) + Bytes.unsigned(offset))
  }

  mutating func load(_ type: ValueType, _ depth: Int) {
    let choice = module.input.element(of: InstructionChoices.loads[type] ?? [])
    let memory = address(depth)
    emit(choice.opcode)
    memoryArgument(memory, alignmentMax: choice.naturalAlignmentLog2)
  }

  mutating func store(_ depth: Int) {
    let choice = module.input.element(of: InstructionChoices.stores)
    guard let type = choice.signature?.operand1.valueType(address: .i32) else { return }
    let memory = address(depth)
    expression(type, depth - 1)
    if type == .f32 || type == .f64 { canonicalize(type) }
    emit(choice.opcode)
    memoryArgument(memory, alignmentMax: choice.naturalAlignmentLog2)
  }

  mutating func storeLane(_ depth: Int) {
    let choice = module.input.element(of: InstructionChoices.laneStores)
    let memory = address(depth)
    expression(.v128, depth - 1)
    emit(choice.opcode)
    memoryArgument(memory, alignmentMax: choice.naturalAlignmentLog2)
    emit([module.input.byte() % UInt8(16 >> choice.naturalAlignmentLog2)])
  }

  /// A count of a bulk instruction: mostly small.
  private mutating func length(_ type: ValueType, _ depth: Int) {
    expression(type, depth - 1)
    guard !module.input.chance(16) else { return }
    constant(type, 63)
    emit(type == .i32 ? .i32And : .i64And)
  }

  mutating func bulk(_ depth: Int) {
    switch module.input.byte() & 3 {
    case 0:
      let memory = address(depth)
      expression(.i32, depth - 1)
      length(memory == 0 ? .i32 : .i64, depth)
      emit(.memoryFill, memory)
    case 1:
      let destination = address(depth)
      let source = address(depth)
      length(destination == 1 && source == 1 ? .i64 : .i32, depth)
      emit(.memoryCopy, destination)
      emit(Bytes.unsigned(source))
    case 2:
      let memory = address(depth)
      length(.i32, depth)
      constant(.i32, UInt64(module.input.byte() & 7))
      emit(.memoryInit, UInt64(module.input.chance(40) ? 0 : 1))
      emit(Bytes.unsigned(memory))
    default:
      if module.input.chance(30) { emit(.dataDrop, 1) } else { store(depth) }
    }
  }

  mutating func tableStatement(_ depth: Int) {
    let function = Bytes.unsigned(UInt64(module.input.integer(0...module.functions.count - 1)))
    switch module.input.byte() % 7 {
    case 0:
      constant(.i32, UInt64(module.input.byte() % 12))
      emit([0xD2] + function)
      emit(.tableSet, 0)
    case 1:
      constant(.i32, UInt64(module.input.byte() % 12))
      constant(.i32, UInt64(module.input.byte() % 12))
      emit(.tableGet, 0)
      emit(.tableSet, 0)
    case 2:
      emit([0xD0, 0x70])
      constant(.i32, UInt64(module.input.byte() & 3))
      emit(.tableGrow, 0)
      emit(.localSet, local(.i32))
    case 3:
      for _ in 0..<3 { constant(.i32, UInt64(module.input.byte() & 3)) }
      emit(.tableCopy, 0)
      emit([0])
    case 4:
      for _ in 0..<3 { constant(.i32, UInt64(module.input.byte() & 3)) }
      emit(.tableInit, 1)
      emit([0])
    case 5:
      constant(.i32, UInt64(module.input.byte() & 7))
      emit([0xD2] + function)
      length(.i32, depth)
      emit(.tableFill, 0)
    default:
      constant(.i32, UInt64(module.functions.count + 1))
      emit(.tableGet, 0)
      emit([0xD1])
      emit(.localSet, local(.i32))
    }
  }

  /// Instructions with immediates of their own.
  mutating func special(_ type: ValueType, _ depth: Int) {
    switch type {
    case .i32:
      switch module.input.byte() & 3 {
      case 0: emit(.memorySize, 0)
      case 1:
        constant(.i32, UInt64(module.input.byte() & 3))
        emit(.memoryGrow, 0)
      case 2: emit(.tableSize, 0)
      default: lane(type, depth)
      }
    case .i64:
      switch module.input.byte() & 3 {
      case 0: emit(.memorySize, 1)
      case 1:
        constant(.i64, UInt64(module.input.byte() & 3))
        emit(.memoryGrow, 1)
      default: lane(type, depth)
      }
    case .v128:
      switch module.input.byte() & 3 {
      case 0:
        expression(.v128, depth - 1)
        expression(.v128, depth - 1)
        emit(.i8x16Shuffle)
        emit((0..<16).map { _ in module.input.byte() & 31 })
      case 1:
        let choice = module.input.element(of: InstructionChoices.laneLoads)
        let memory = address(depth)
        expression(.v128, depth - 1)
        emit(choice.opcode)
        memoryArgument(memory, alignmentMax: choice.naturalAlignmentLog2)
        emit([module.input.byte() % UInt8(16 >> choice.naturalAlignmentLog2)])
      default: lane(type, depth)
      }
    default: lane(type, depth)
    }
  }

  private mutating func lane(_ type: ValueType, _ depth: Int) {
    let choice = module.input.element(of: InstructionChoices.lanes[type] ?? [])
    guard let signature = choice.signature else { return }
    for operand in [signature.operand0, signature.operand1] {
      if let operandType = operand.valueType(address: .i32) { expression(operandType, depth - 1) }
    }
    emit(choice.opcode)
    let count: [String: UInt8] = ["i8x16": 16, "i16x8": 8, "i32x4": 4, "i64x2": 2, "f32x4": 4, "f64x2": 2]
    emit([module.input.byte() % (count[String(choice.mnemonic.prefix(5))] ?? 2)])
    if type == .v128, let lanes = InstructionChoices.floatLanes(choice.mnemonic) { canonicalize(.v128, lanes: lanes) }
  }
}

/// The instruction table, sorted by what generated code needs.
enum InstructionChoices {
  private static let features: WasmFeatures = [.signExtension, .saturatingConversion, .simd, .bulkMemory]
  private static let all = Opcode.allCases.map(\.information).filter { $0.signature != nil && features.isSuperset(of: $0.feature) }

  private static func byResult(_ kind: ImmediatesKind) -> [ValueType: [OpcodeInformation]] {
    var found: [ValueType: [OpcodeInformation]] = [:]
    for information in all where information.immediates == kind {
      guard let result = information.signature?.result.valueType(address: .i32) else { continue }
      found[result, default: []].append(information)
    }
    return found
  }

  static let operations = byResult(.none)
  static let loads = byResult(.memoryArgument)
  static let lanes = byResult(.lane)
  static let stores = all.filter { $0.immediates == .memoryArgument && $0.signature?.result == StackType.none }
  static let laneLoads = all.filter { $0.immediates == .memoryArgumentLane && $0.signature?.result != StackType.none }
  static let laneStores = all.filter { $0.immediates == .memoryArgumentLane && $0.signature?.result == StackType.none }

  /// The type of the lanes, where an instruction gives lanes of floats, not a mask.
  static func floatLanes(_ name: String) -> ValueType? {
    guard name.hasPrefix("f32x4.") || name.hasPrefix("f64x2.") else { return nil }
    for comparison in ["eq", "ne", "lt", "gt", "le", "ge"] where name.hasSuffix("." + comparison) { return nil }
    return name.hasPrefix("f32x4.") ? .f32 : .f64
  }
}
