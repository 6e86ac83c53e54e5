import BinaryReading
import WebAssembly

/// Functions and expressions.
extension ModulePrinter {
  mutating func printFunction(_ body: FunctionBody, _ index: Int) throws {
    let type = module.functionTypeIndices[index]
    locals = names.locals(ofFunction: index)
    defer { locals = [] }
    beginLine()
    output.text("(func")
    try identifier(.function, index)
    try typeUse(type)
    try parameters(ofType: type, at: body.codeRange.lowerBound)
    try endLine(at: body.codeRange.lowerBound)
    indentation += 1
    try printLocals(body, first: Int(type) < module.types.count ? module.types[Int(type)].parameters.count : 0)
    var reader = module.instructions(of: body)
    let base = indentation
    while let instruction = try reader.next() {
      switch instruction.opcode {
      case .end:
        // The end of the body is the parenthesis.
        if indentation == base { continue }
        indentation -= 1
      case .else: indentation = max(base, indentation - 1)
      default: break
      }
      beginLine()
      try printInstruction(instruction, reader)
      try endLine(at: instruction.offset)
      switch instruction.opcode {
      case .block, .loop, .if, .else: indentation += 1
      default: break
      }
    }
    indentation = base - 1
    beginLine()
    output.byte(UInt8(ascii: ")"))
    try endLine(at: body.codeRange.upperBound)
  }

  private mutating func printLocals(_ body: FunctionBody, first: Int) throws {
    var local = first
    let offset = body.codeRange.lowerBound
    for group in body.locals where group.count > 0 {
      let type = Array(group.type.description.utf8)
      let end = local + Int(group.count)
      let areNamed = (local..<end).contains { localEntry($0) != nil }
      if !areNamed {
        beginLine()
        output.text("(local")
      }
      for index in local..<end {
        if areNamed {
          beginLine()
          output.text("(local")
          if let entry = localEntry(index) {
            output.byte(UInt8(ascii: " "))
            try identifier(entry)
          }
        }
        output.byte(UInt8(ascii: " "))
        output.raw(type)
        if areNamed {
          output.byte(UInt8(ascii: ")"))
          try endLine(at: offset)
        } else {
          try output.drain(at: offset)
        }
      }
      if !areNamed {
        output.byte(UInt8(ascii: ")"))
        try endLine(at: offset)
      }
      local = end
    }
  }

  /// The instructions of an expression, without the `end`, a blank in front of each.
  mutating func printExpression(_ expression: ConstantExpression) throws {
    var reader = module.instructions(of: expression)
    while let instruction = try reader.next() {
      if instruction.opcode == .end { break }
      output.byte(UInt8(ascii: " "))
      try printInstruction(instruction, reader)
      try output.drain(at: instruction.offset)
    }
  }

  /// One instruction with its immediates.
  private mutating func printInstruction(_ instruction: Instruction, _ reader: InstructionReader) throws {
    let row = Self.rows[Int(instruction.opcode.rawValue)]
    output.raw(row.mnemonic)
    switch instruction.immediates {
    case .none: break
    case .block(let type): try blockType(type, at: instruction.offset)
    case .label(let label): number(label)
    case .labelTable(let table):
      try reader.forEachLabel(of: table) { (label) throws in
        number(label)
        try output.drain(at: instruction.offset)
      }
    case .index(let index): try self.index(index, row.immediates)
    case .callIndirect(let type, let table):
      if table != 0 { try reference(.table, table) }
      try typeUse(type)
    case .pair(let destination, let source):
      guard destination != 0 || source != 0 else { break }
      let space: ModuleNames.Space = row.immediates == .tablePair ? .table : .memory
      try reference(space, destination)
      try reference(space, source)
    case .segment(let segment, let destination):
      let isTable = row.immediates == .elementTable
      if destination != 0 { try reference(isTable ? .table : .memory, destination) }
      try reference(isTable ? .element : .data, segment)
    case .memoryArgument(let argument): try memoryArgument(argument, row)
    case .memoryArgumentLane(let argument, let lane):
      try memoryArgument(argument, row)
      number(lane)
    case .memoryProtection(let memory, let protection):
      if memory != 0 { try reference(.memory, memory) }
      output.text([" none", " read", " readwrite"][Int(min(protection, 2))])
    case .lane(let lane): number(lane)
    case .shuffle(let lanes): for index in 0..<16 { number(lanes.byte(at: index)) }
    case .i32(let value):
      output.byte(UInt8(ascii: " "))
      output.decimal(value)
    case .i64(let value):
      output.byte(UInt8(ascii: " "))
      output.decimal(value)
    case .f32(let bits): float(Float(bitPattern: bits), payload: UInt64(bits & 0x7F_FFFF), canonical: 0x40_0000)
    case .f64(let bits):
      float(Double(bitPattern: bits), payload: bits & 0xF_FFFF_FFFF_FFFF, canonical: 0x8_0000_0000_0000)
    case .v128(let bits):
      output.text(" i32x4")
      for lane in [bits.low, bits.low >> 32, bits.high, bits.high >> 32] {
        output.byte(UInt8(ascii: " "))
        output.hexadecimal(lane & 0xFFFF_FFFF)
      }
    case .referenceType(let type): output.text(type == .funcref ? " func" : type == .memref ? " mem" : " extern")
    case .selectTypes(let count, let first): try selectTypes(count, first, at: instruction.offset)
    }
  }

  // MARK: Immediates

  private mutating func number(_ value: some UnsignedInteger & FixedWidthInteger) {
    output.byte(UInt8(ascii: " "))
    output.decimal(value)
  }

  /// The types of a `select`: one, but for a module that is not valid.
  private mutating func selectTypes(_ count: UInt32, _ first: ValueType, at offset: Int) throws {
    output.text(" (result")
    if count == 1 {
      output.text(" \(first)")
    } else {
      let bytes = module.bytes
      var reader = BinaryReader(bytes.span, range: offset..<bytes.count)
      // The instruction was decoded before: its opcode, the count, a byte for each type.
      _ = try reader.readByte()
      for _ in 0..<(try reader.readUInt32LEB128()) {
        if let type = ValueType(rawValue: try reader.readByte()) { output.text(" \(type)") }
        try output.drain(at: offset)
      }
    }
    output.byte(UInt8(ascii: ")"))
  }

  private mutating func index(_ index: UInt32, _ kind: ImmediatesKind) throws {
    switch kind {
    case .function: try reference(.function, index)
    case .global: try reference(.global, index)
    case .table: if index != 0 { try reference(.table, index) }
    case .memory: if index != 0 { try reference(.memory, index) }
    case .element: try reference(.element, index)
    case .data: try reference(.data, index)
    case .local:
      guard let entry = localEntry(Int(index)) else { return number(index) }
      output.byte(UInt8(ascii: " "))
      try identifier(entry)
    default: number(index)
    }
  }

  private mutating func memoryArgument(_ argument: MemoryArgument, _ row: Row) throws {
    if argument.isReference { output.text(" memref") }
    if argument.memory != 0 { try reference(.memory, argument.memory) }
    if argument.offset != 0 {
      output.text(" offset=")
      output.decimal(argument.offset)
    }
    if argument.alignmentLog2 != row.naturalAlignmentLog2 {
      output.text(" align=")
      output.decimal(UInt64(1) << UInt64(min(argument.alignmentLog2, 63)))
    }
  }

  private mutating func blockType(_ type: BlockType, at offset: Int) throws {
    switch type {
    case .empty: break
    case .value(let type): output.text(" (result \(type))")
    case .type(let index):
      try typeUse(index)
      if Int(index) < module.types.count { try signature(module.types[Int(index)], at: offset) }
    }
  }

  /// The shortest decimal that reads back to the same bits; NaNs with their payload.
  private mutating func float(_ value: some BinaryFloatingPoint & CustomStringConvertible, payload: UInt64, canonical: UInt64) {
    output.byte(UInt8(ascii: " "))
    guard !value.isFinite else {
      output.text(value.description)
      return
    }
    if value.sign == .minus { output.byte(UInt8(ascii: "-")) }
    output.text(value.isNaN ? "nan" : "inf")
    guard value.isNaN, payload != canonical else { return }
    output.byte(UInt8(ascii: ":"))
    output.hexadecimal(payload)
  }

  // MARK: The instruction table

  /// What printing needs to know of an opcode.
  struct Row {
    var mnemonic: [UInt8] = []
    var immediates = ImmediatesKind.none
    var naturalAlignmentLog2: UInt8 = 0
  }

  /// By the opcode's raw value.
  private static let rows: [Row] = {
    var rows = [Row](repeating: Row(), count: Int(Opcode.allCases.map(\.rawValue).max() ?? 0) + 1)
    for opcode in Opcode.allCases {
      let information = opcode.information
      rows[Int(opcode.rawValue)] = Row(
        mnemonic: Array(information.mnemonic.utf8), immediates: information.immediates,
        naturalAlignmentLog2: information.naturalAlignmentLog2)
    }
    return rows
  }()
}
