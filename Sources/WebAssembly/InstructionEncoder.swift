extension ByteWriter {
  /// Writes an instruction.
  /// - Parameter labels: those of a `br_table`, the default one last; not used for others.
  mutating func instruction(_ instruction: Instruction, labels: @autoclosure () -> [UInt32]) {
    opcode(instruction.opcode)
    switch instruction.immediates {
    case .none: if instruction.opcode == .atomicFence { byte(0) }
    case .block(let type): blockType(type)
    case .label(let index), .index(let index): u32(index)
    case .labelTable:
      let labels = labels()
      count(labels.count - 1)
      for label in labels { u32(label) }
    case .callIndirect(let first, let second), .pair(let first, let second), .segment(let first, let second):
      u32(first)
      u32(second)
    case .memoryArgument(let argument): memoryArgument(argument)
    case .memoryArgumentLane(let argument, let lane):
      memoryArgument(argument)
      byte(lane)
    case .memoryProtection(let memory, let protection):
      u32(memory)
      byte(protection)
    case .lane(let lane): byte(lane)
    case .i32(let value): signed(Int64(value))
    case .i64(let value): signed(value)
    case .f32(let bits): fixed32(bits)
    case .f64(let bits): fixed64(bits)
    case .v128(let bits), .shuffle(let bits):
      fixed64(bits.low)
      fixed64(bits.high)
    case .referenceType(let type): byte(type.rawValue)
    case .selectTypes(let typeCount, let first):
      // A list of another length is not valid, and so never gets here.
      count(Int(typeCount))
      for _ in 0..<typeCount { byte(first.rawValue) }
    }
  }

  private mutating func opcode(_ opcode: Opcode) {
    let code = opcode.rawValue
    switch code {
    case ..<0x100: byte(UInt8(code))
    case ..<0x200:
      byte(0xFC)
      u32(UInt32(code) - 0x100)
    case ..<0x400:
      byte(0xFD)
      u32(UInt32(code) - 0x200)
    default:
      byte(0xFE)
      u32(UInt32(code) - 0x400)
    }
  }

  private mutating func blockType(_ type: BlockType) {
    switch type {
    case .empty: byte(0x40)
    case .value(let type): byte(type.rawValue)
    case .type(let index): signed(Int64(index))
    }
  }

  private mutating func memoryArgument(_ argument: MemoryArgument) {
    let hasMemory = argument.memory != 0 && !argument.isReference
    u32(UInt32(argument.alignmentLog2) | (argument.isReference ? 0x100 : hasMemory ? 0x40 : 0))
    if hasMemory { u32(argument.memory) }
    unsigned(argument.offset)
  }
}

// MARK: - Types

extension ByteWriter {
  mutating func functionType(_ type: FunctionType) {
    byte(0x60)
    for list in [type.parameters, type.results] {
      count(list.count)
      for type in list { byte(type.rawValue) }
    }
  }

  mutating func tableType(_ type: TableType) {
    byte(type.elementType.rawValue)
    byte((type.limits.maximum != nil ? 1 : 0) | (type.addressType == .i64 ? 4 : 0))
    limitValues(type.limits)
  }

  mutating func memoryType(_ type: MemoryType) {
    let attributes = type.attributes
    let hasAttributes = attributes != .none
    byte(
      (type.limits.maximum != nil ? 1 : 0) | (type.isShared ? 2 : 0) | (type.addressType == .i64 ? 4 : 0)
        | (type.pageByteCountLog2 != 16 ? 8 : 0) | (hasAttributes ? 0x20 : 0))
    limitValues(type.limits)
    if type.pageByteCountLog2 != 16 { u32(type.pageByteCountLog2) }
    guard hasAttributes else { return }
    byte(
      (attributes.noAccess != nil ? 1 : 0) | (attributes.readOnly != nil ? 2 : 0) | (attributes.isVirtual ? 4 : 0)
        | (attributes.mappable != nil ? 8 : 0))
    for count in [attributes.noAccess, attributes.readOnly, attributes.mappable] {
      if let count { unsigned(count) }
    }
  }

  private mutating func limitValues(_ limits: Limits) {
    unsigned(limits.minimum)
    if let maximum = limits.maximum { unsigned(maximum) }
  }

  mutating func globalType(_ type: GlobalType) {
    byte(type.valueType.rawValue)
    byte(type.isMutable ? 1 : 0)
  }
}
