import BinaryReading

/// Bodies, expressions and segments.
extension ModuleParser {
  /// Steps over a constant expression, checking its format. Which instructions are constant is the validator's business.
  mutating func parseConstantExpression(_ reader: inout BinaryReader) throws(WasmParseError) -> ConstantExpression {
    let start = reader.offset
    try checkInstructions(&reader)
    return ConstantExpression(codeRange: start..<reader.offset)
  }

  /// Decodes instructions up to the `end` that closes the expression.
  private mutating func checkInstructions(_ reader: inout BinaryReader) throws(WasmParseError) {
    openBlocks.removeAll(keepingCapacity: true)
    while true {
      guard !reader.isAtEnd else { throw WasmParseError("unexpected end of section or function", at: reader.offset) }
      try checkProgress(reader)
      let instruction = try InstructionReader.decode(&reader, table: table, features: features)
      switch instruction.opcode {
      case .block, .loop: try openBlock(isIf: false, reader)
      case .if: try openBlock(isIf: true, reader)
      case .else:
        guard openBlocks.last == true else { throw WasmParseError("END opcode expected", at: instruction.offset) }
        openBlocks[openBlocks.count - 1] = false
      case .end: if openBlocks.popLast() == nil { return }
      case .memoryInit, .dataDrop:
        guard module.dataCount != nil else { throw WasmParseError("data count section required", at: instruction.offset) }
      default: break
      }
    }
  }

  private mutating func openBlock(isIf: Bool, _ reader: BinaryReader) throws(WasmParseError) {
    if openBlocks.count == openBlockCountGranted {
      openBlockCountGranted = max(64, openBlockCountGranted * 2)
      try take(openBlockCountGranted, at: reader.offset)
    }
    openBlocks.append(isIf)
  }

  mutating func parseCode(_ reader: inout BinaryReader) throws(WasmParseError) {
    let count = try reader.count("functions", atMost: ModuleLimits.functionCountMax)
    try reserve(\Module.functionBodies, count, reader)
    for _ in 0..<count {
      let byteCount = Int(try reader.u32())
      let start = reader.offset
      guard byteCount <= ModuleLimits.functionByteCountMax || byteCount > reader.remainingByteCount else {
        throw WasmParseError(
          "function body too large: \(byteCount) bytes, at most \(ModuleLimits.functionByteCountMax)", at: start, reason: .overLimit)
      }
      let locals = try parseLocals(&reader)
      let codeStart = reader.offset
      try checkInstructions(&reader)
      guard reader.offset == start + byteCount else { throw WasmParseError("section size mismatch", at: reader.offset) }
      module.functionBodies.append(FunctionBody(locals: locals, codeRange: codeStart..<reader.offset))
    }
  }

  private mutating func parseLocals(_ reader: inout BinaryReader) throws(WasmParseError) -> [FunctionBody.LocalGroup] {
    let groupCount = try reader.count()
    var groups: [FunctionBody.LocalGroup] = []
    // Groups may be empty, so there may be more of them than locals. They do not lie: each has two bytes at least.
    try take(min(groupCount, reader.remainingByteCount) * 2 * MemoryLayout<FunctionBody.LocalGroup>.stride, at: reader.offset)
    var total: UInt64 = 0
    for _ in 0..<groupCount {
      let start = reader.offset
      let count = try reader.u32()
      total += UInt64(count)
      guard total <= UInt64(ModuleLimits.localCountMax) else {
        // Beyond 2^32 - 1 the binary format forbids it, below that only we do.
        throw WasmParseError(
          "too many locals: a function declares at most \(ModuleLimits.localCountMax)", at: start,
          reason: total <= UInt64(UInt32.max) ? .overLimit : .malformed)
      }
      groups.append(FunctionBody.LocalGroup(count: count, type: try reader.valueType(features)))
    }
    return groups
  }

  /// The flags of an element segment: bit 0 not active; bit 1 explicit table, or declarative; bit 2 expressions.
  mutating func parseElementSegments(_ reader: inout BinaryReader) throws(WasmParseError) {
    let count = try reader.count("element segments", atMost: ModuleLimits.elementSegmentCountMax)
    try reserve(\Module.elementSegments, count, reader)
    for _ in 0..<count {
      try checkProgress(reader)
      let start = reader.offset
      let flags = try reader.u32()
      guard flags <= (features.contains(.bulkMemory) ? 7 : 0) else {
        throw WasmParseError("malformed elements segment kind", at: start)
      }
      let mode: ElementSegment.Mode
      if flags & 1 == 0 {
        let table = flags & 2 != 0 ? try reader.u32() : 0
        mode = .active(table: table, offset: try parseConstantExpression(&reader))
      } else {
        mode = flags & 2 != 0 ? .declarative : .passive
      }
      let usesExpressions = flags & 4 != 0
      var type = ValueType.funcref
      if flags & 3 != 0 {
        if usesExpressions {
          type = try reader.referenceType(features)
        } else {
          let kindOffset = reader.offset
          guard try reader.byte() == 0 else { throw WasmParseError("malformed element kind", at: kindOffset) }
        }
      }
      let items = try parseItems(usesExpressions: usesExpressions, &reader)
      module.elementSegments.append(ElementSegment(mode: mode, type: type, items: items, offset: start))
    }
  }

  private mutating func parseItems(
    usesExpressions: Bool, _ reader: inout BinaryReader
  ) throws(WasmParseError) -> ElementSegment.Items {
    let count = try reader.count()
    if usesExpressions {
      var expressions: [ConstantExpression] = []
      try reserve(&expressions, count, reader)
      for _ in 0..<count { expressions.append(try parseConstantExpression(&reader)) }
      return .expressions(expressions)
    }
    var functions: [UInt32] = []
    try reserve(&functions, count, reader)
    for _ in 0..<count {
      try checkProgress(reader)
      functions.append(try reader.u32())
    }
    return .functions(functions)
  }

  mutating func parseDataSegments(_ reader: inout BinaryReader) throws(WasmParseError) {
    let countOffset = reader.offset
    let count = try reader.count("data segments", atMost: ModuleLimits.dataSegmentCountMax)
    if let dataCount = module.dataCount, Int(dataCount) != count {
      throw WasmParseError("data count and data section have inconsistent lengths", at: countOffset)
    }
    try reserve(\Module.dataSegments, count, reader)
    for _ in 0..<count {
      try checkProgress(reader)
      let start = reader.offset
      let flags = try reader.u32()
      let mode: DataSegment.Mode
      switch flags {
      case 0: mode = .active(memory: 0, offset: try parseConstantExpression(&reader))
      case 1 where features.contains(.bulkMemory): mode = .passive
      case 2 where features.contains(.bulkMemory):
        let memory = try reader.u32()
        mode = .active(memory: memory, offset: try parseConstantExpression(&reader))
      default: throw WasmParseError("malformed data segment kind", at: start)
      }
      let lengthOffset = reader.offset
      let byteCount = Int(try reader.u32())
      guard byteCount <= reader.remainingByteCount else {
        throw WasmParseError("unexpected end of section or function", at: lengthOffset)
      }
      module.dataSegments.append(DataSegment(mode: mode, range: try reader.range(byteCount: byteCount), offset: start))
    }
  }
}
