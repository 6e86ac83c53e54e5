import BinaryReading
import WebAssembly

/// Functions and expressions.
extension ModulePrinter {
  mutating func printFunction(_ body: FunctionBody, _ index: Int) throws(WasmParseError) {
    let type = module.functionTypeIndices[index]
    line("(func\(named(.function, index)) (type \(names.reference(.type, type)))\(parameters(ofFunction: index, type: type))")
    indentation += 1
    var local = Int(type) < module.types.count ? module.types[Int(type)].parameters.count : 0
    for group in body.locals where group.count > 0 {
      guard (local..<(local + Int(group.count))).contains(where: { names.localIdentifier(function: index, $0) != nil }) else {
        line("(local" + String(repeating: " \(group.type)", count: Int(group.count)) + ")")
        local += Int(group.count)
        continue
      }
      for _ in 0..<group.count {
        line("(local" + (names.localIdentifier(function: index, local).map { " \($0)" } ?? "") + " \(group.type))")
        local += 1
      }
    }
    var reader = module.instructions(of: body)
    let base = indentation
    while let instruction = try reader.next() {
      switch instruction.opcode {
      case .end:
        // The end of the body is the parenthesis.
        if indentation == base { continue }
        indentation -= 1
        line("end")
      case .else:
        indentation = max(base, indentation - 1)
        line("else")
        indentation += 1
      case .block, .loop, .if:
        line(describe(instruction, reader, function: index))
        indentation += 1
      default: line(describe(instruction, reader, function: index))
      }
    }
    indentation = base - 1
    line(")")
  }

  /// The instructions of an expression, each folded, without the `end`.
  func instructions(_ expression: ConstantExpression) throws(WasmParseError) -> String {
    var reader = module.instructions(of: expression)
    var parts: [String] = []
    while let instruction = try reader.next() {
      if instruction.opcode == .end { break }
      parts.append(describe(instruction, reader, function: -1))
    }
    return parts.joined(separator: " ")
  }

  func expression(_ expression: ConstantExpression) throws(WasmParseError) -> String { try instructions(expression) }

  /// One instruction with its immediates.
  func describe(_ instruction: Instruction, _ reader: InstructionReader, function: Int) -> String {
    let information = instruction.opcode.information
    let operands: String
    switch instruction.immediates {
    case .none: operands = ""
    case .block(let type): operands = blockType(type)
    case .label(let label): operands = "\(label)"
    case .labelTable(let table): operands = reader.labels(of: table).map { "\($0)" }.joined(separator: " ")
    case .index(let index): operands = self.index(index, information.immediates, function: function)
    case .callIndirect(let type, let table):
      operands = (table == 0 ? "" : names.reference(.table, table) + " ") + "(type \(names.reference(.type, type)))"
    case .pair(let destination, let source):
      let space: ModuleNames.Space = information.immediates == .tablePair ? .table : .memory
      operands = destination == 0 && source == 0 ? "" : "\(names.reference(space, destination)) \(names.reference(space, source))"
    case .segment(let segment, let destination):
      let isTable = information.immediates == .elementTable
      let target = destination == 0 ? "" : names.reference(isTable ? .table : .memory, destination) + " "
      operands = target + names.reference(isTable ? .element : .data, segment)
    case .memoryArgument(let argument): operands = memoryArgument(argument, information)
    case .memoryArgumentLane(let argument, let lane):
      let prefix = memoryArgument(argument, information)
      operands = prefix + (prefix.isEmpty ? "" : " ") + "\(lane)"
    case .memoryProtection(let memory, let protection):
      operands = memoryPrefix(memory) + ["none", "read", "readwrite"][Int(min(protection, 2))]
    case .lane(let lane): operands = "\(lane)"
    case .shuffle(let lanes): operands = (0..<16).map { "\(lanes.byte(at: $0))" }.joined(separator: " ")
    case .i32(let value): operands = "\(value)"
    case .i64(let value): operands = "\(value)"
    case .f32(let bits): operands = Self.float(Float(bitPattern: bits), payload: UInt64(bits & 0x7F_FFFF), canonical: 0x40_0000)
    case .f64(let bits):
      operands = Self.float(Double(bitPattern: bits), payload: bits & 0xF_FFFF_FFFF_FFFF, canonical: 0x8_0000_0000_0000)
    case .v128(let bits):
      let lanes = [bits.low, bits.low >> 32, bits.high, bits.high >> 32].map { "0x" + String($0 & 0xFFFF_FFFF, radix: 16) }
      operands = "i32x4 " + lanes.joined(separator: " ")
    case .referenceType(let type): operands = type == .funcref ? "func" : type == .memref ? "mem" : "extern"
    case .selectTypes(let count, let first):
      operands =
        count == 1 ? "(result \(first))" : "(result\(selectTypes(count, at: instruction.offset).map { " \($0)" }.joined()))"
    }
    return operands.isEmpty ? information.mnemonic : "\(information.mnemonic) \(operands)"
  }

  /// The types of a `select` that has not one of them, which no valid one has.
  private func selectTypes(_ count: UInt32, at offset: Int) -> [ValueType] {
    var reader = BinaryReader(module.bytes.span, range: offset..<module.bytes.count)
    // The instruction was decoded before: its opcode, the count, a byte for each type.
    guard (try? reader.readByte()) != nil, (try? reader.readUInt32LEB128()) == count else { return [] }
    return (0..<count).compactMap { _ in (try? reader.readByte()).flatMap(ValueType.init(rawValue:)) }
  }

  private func index(_ index: UInt32, _ kind: ImmediatesKind, function: Int) -> String {
    switch kind {
    case .function: names.reference(.function, index)
    case .global: names.reference(.global, index)
    case .table: index == 0 ? "" : names.reference(.table, index)
    case .memory: index == 0 ? "" : names.reference(.memory, index)
    case .element: names.reference(.element, index)
    case .data: names.reference(.data, index)
    case .local: names.localIdentifier(function: function, Int(index)) ?? "\(index)"
    default: "\(index)"
    }
  }

  private func memoryPrefix(_ memory: UInt32) -> String { memory == 0 ? "" : names.reference(.memory, memory) + " " }

  private func memoryArgument(_ argument: MemoryArgument, _ information: OpcodeInformation) -> String {
    var parts: [String] = argument.isReference ? ["memref"] : []
    if argument.memory != 0 { parts.append(names.reference(.memory, argument.memory)) }
    if argument.offset != 0 { parts.append("offset=\(argument.offset)") }
    if argument.alignmentLog2 != information.naturalAlignmentLog2 {
      parts.append("align=\(UInt64(1) << UInt64(min(argument.alignmentLog2, 63)))")
    }
    return parts.joined(separator: " ")
  }

  private func blockType(_ type: BlockType) -> String {
    switch type {
    case .empty: ""
    case .value(let type): "(result \(type))"
    case .type(let index):
      "(type \(names.reference(.type, index)))" + (Int(index) < module.types.count ? signature(module.types[Int(index)]) : "")
    }
  }

  /// The shortest decimal that reads back to the same bits; NaNs with their payload.
  private static func float<Value: BinaryFloatingPoint & CustomStringConvertible>(
    _ value: Value, payload: UInt64, canonical: UInt64
  ) -> String {
    let sign = value.sign == .minus ? "-" : ""
    if value.isNaN { return payload == canonical ? sign + "nan" : sign + "nan:0x" + String(payload, radix: 16) }
    if value.isInfinite { return sign + "inf" }
    return value.description
  }
}
