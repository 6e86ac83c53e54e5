import WebAssembly

// The instructions of the threads proposal: atomic accesses, wait and notify.
extension FunctionTranslator {
  mutating func translateAtomic(_ opcode: Opcode, _ argument: MemoryArgument) throws(WasmError) {
    let view = try viewField(argument.memory)
    switch opcode {
    case .memoryAtomicNotify: waitOrNotify(.memoryNotify, argument, view, operandCount: 2)
    case .memoryAtomicWait32: waitOrNotify(.memoryWait32, argument, view, operandCount: 3)
    case .memoryAtomicWait64: waitOrNotify(.memoryWait64, argument, view, operandCount: 3)
    default: atomicAccess(AtomicAccess(opcode), argument, view)
    }
  }

  /// All operands and the result in slots: what an atomic access costs hides where they are.
  private mutating func atomicAccess(_ access: AtomicAccess, _ argument: MemoryArgument, _ view: UInt16) {
    let address = stack.count - access.operandCount
    var fields = (address..<stack.count).map { slotOperand($0) }
    while fields.count < 3 { fields.append(0) }
    stack.removeLast(access.operandCount)
    guard access.kind != .store else {
      emit(access.operation, 0, fields[1], fields[0], view)
      words.append(argument.offset)
      return
    }
    let slot = temporarySlot(address)
    let position = emit(access.operation, 0, slotField(slot), fields[0], view, fields[1])
    words.append(argument.offset)
    if access.kind == .compareExchange { words.append(UInt64(fields[2])) }
    push(.temporary, access.type)
    didWrite(slot, access.type, at: position)
  }

  private mutating func waitOrNotify(
    _ operation: RuntimeOperation, _ argument: MemoryArgument, _ view: UInt16, operandCount: Int
  ) {
    settleTop(operandCount)
    let position = stack.count - operandCount
    emit(.atomicWait, 0, slotField(temporarySlot(position)), UInt16(operation.rawValue), view)
    words.append(argument.offset)
    stack.removeLast(operandCount)
    push(.temporary, .i32)
    forgetAccumulators()
  }
}

extension Opcode {
  var isAtomic: Bool { rawValue >= 0x400 }
}

/// An atomic access by its opcode: groups of seven widths, in the same order.
private struct AtomicAccess {
  enum Kind: Int { case load, store, add, sub, and, or, xor, exchange, compareExchange }
  let kind: Kind
  let type: ValueType
  let operation: RegisterOpcode

  init(_ opcode: Opcode) {
    let (group, width) = (Int(opcode.rawValue) - 0x410).quotientAndRemainder(dividingBy: 7)
    guard let kind = Kind(rawValue: group) else { preconditionFailure("the decoder knows no other atomic opcodes") }
    let widths: [(type: ValueType, log2: Int)] = [(.i32, 2), (.i64, 3), (.i32, 0), (.i32, 1), (.i64, 0), (.i64, 1), (.i64, 2)]
    let first: [RegisterOpcode] = [
      .atomicLoad8, .atomicStore8, .atomicAdd8, .atomicSub8, .atomicAnd8, .atomicOr8, .atomicXor8, .atomicExchange8,
      .atomicCompareExchange8,
    ]
    self.kind = kind
    self.type = widths[width].type
    self.operation = first[group].advanced(by: widths[width].log2)
  }

  var operandCount: Int {
    switch kind {
    case .load: 1
    case .compareExchange: 3
    default: 2
    }
  }
}
