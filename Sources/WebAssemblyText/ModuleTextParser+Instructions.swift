import WebAssembly

/// Instructions, plain and folded. Source: WebAssembly specification, section 6.5.
///
/// Nothing here recurses: what is open at the place of reading lies on a stack of its own, so that the depth of a text is bounded
/// by its length alone.
extension ModuleTextParser {
  private enum BlockWord { case block, loop, `if` }

  /// Plain and folded instructions up to the closing parenthesis of what holds them.
  /// - Parameter isOneFolded: one folded instruction and no more, the cursor at its opening parenthesis.
  mutating func parseInstructions(_ body: inout FunctionTextBody, isOneFolded: Bool = false) throws(TextFormatError) {
    while true {
      let token = cursor.token()
      switch token.kind {
      case .leftParenthesis: try openParenthesis(&body)
      case .rightParenthesis:
        guard !body.openConstructs.isEmpty else { return }
        try closeParenthesis(&body)
        if isOneFolded, body.openConstructs.isEmpty { return }
      case .keyword where body.openConstructs.last?.holdsInstructions ?? true: try parseKeyword(token, &body)
      case .endOfText where body.openConstructs.isEmpty: return
      default: throw cursor.unexpected(body.openConstructs.last?.expectation ?? "an instruction")
      }
    }
  }

  /// An instruction that is not folded.
  private mutating func parseKeyword(_ token: Token, _ body: inout FunctionTextBody) throws(TextFormatError) {
    if let word = takeBlockWord() {
      try beginBlock(word, &body)
      body.openConstructs.append(.plainBlock(takesElse: word == .if))
    } else if cursor.takeKeyword("else") {
      guard case .plainBlock(takesElse: true) = body.openConstructs.last else {
        throw cursor.error("unexpected token else: there is no if to it", at: token)
      }
      body.openConstructs[body.openConstructs.count - 1] = .plainBlock(takesElse: false)
      try checkLabel(body.labels.innermost)
      body.code.mark(token)
      body.code.byte(0x05)
    } else if cursor.takeKeyword("end") {
      guard case .plainBlock = body.openConstructs.last else {
        throw cursor.error("unexpected token end: there is no block to it", at: token)
      }
      body.openConstructs.removeLast()
      try checkLabel(body.labels.pop())
      body.code.mark(token)
      body.code.byte(0x0B)
    } else {
      try parsePlain(&body)
    }
  }

  private mutating func takeBlockWord() -> BlockWord? {
    if cursor.takeKeyword("block") { return .block }
    if cursor.takeKeyword("loop") { return .loop }
    if cursor.takeKeyword("if") { return .if }
    return nil
  }

  /// The label repeated at `else` or `end`.
  private mutating func checkLabel(_ expected: Name?) throws(TextFormatError) {
    let token = cursor.token()
    guard let name = try cursor.takeIdentifier() else { return }
    guard expected?.string.utf8.elementsEqual(name.utf8) == true else {
      throw cursor.error("mismatching label \(cursor.shown(token))", at: token)
    }
  }

  private mutating func beginBlock(_ word: BlockWord, _ body: inout FunctionTextBody) throws(TextFormatError) {
    body.code.mark(cursor.tokens[cursor.index - 1])
    body.labels.push(try cursor.takeIdentifier().map { Name($0) })
    let type = try parseBlockType()
    switch word {
    case .block: body.code.byte(0x02)
    case .loop: body.code.byte(0x03)
    case .if: body.code.byte(0x04)
    }
    body.code.raw(type)
  }

  private mutating func parseBlockType() throws(TextFormatError) -> [UInt8] {
    let isExplicit = cursor.isOpen("type")
    let use = try parseBlockTypeUse()
    if !isExplicit, use.signature.parameters.isEmpty, use.signature.results.count <= 1 {
      var writer = ByteWriter()
      if let result = use.signature.results.first { writer.valueType(result) } else { writer.byte(0x40) }
      return writer.bytes
    }
    var writer = ByteWriter()
    writer.signed(Int64(isExplicit ? use.index : typeIndex(of: use.signature)))
    return writer.bytes
  }

  /// As a type use, but an inline signature that has a short form makes no type.
  private mutating func parseBlockTypeUse() throws(TextFormatError) -> (index: Int, signature: Signature) {
    if cursor.isOpen("type") {
      let use = try parseTypeUse(namesAllowed: false)
      return (use.index, use.signature)
    }
    return (0, try parseSignature(namesAllowed: false).0)
  }

  // MARK: Folded

  /// `(instruction`, `(block`, `(then` or `(else`, by what is open here.
  private mutating func openParenthesis(_ body: inout FunctionTextBody) throws(TextFormatError) {
    switch body.openConstructs.last {
    case .foldedCondition(let label, let deferred) where cursor.isOpen("then"):
      cursor.index += 2
      body.undefer(from: deferred)
      body.labels.push(label)
      body.openConstructs[body.openConstructs.count - 1] = .foldedArms(hasElse: false)
      body.openConstructs.append(.foldedArm)
      return
    case .foldedArms(hasElse: false) where cursor.isOpen("else"):
      body.code.mark(cursor.token())
      cursor.index += 2
      body.code.byte(0x05)
      body.openConstructs[body.openConstructs.count - 1] = .foldedArms(hasElse: true)
      body.openConstructs.append(.foldedArm)
      return
    case .foldedArms: throw cursor.unexpected("`)`")
    default: break
    }
    cursor.index += 1
    switch takeBlockWord() {
    case .if?:
      let keyword = cursor.tokens[cursor.index - 1]
      let label = try cursor.takeIdentifier().map { Name($0) }
      let start = body.code.place
      body.code.mark(keyword)
      body.code.byte(0x04)
      body.code.raw(try parseBlockType())
      body.openConstructs.append(.foldedCondition(label: label, deferred: body.deferCode(from: start)))
    case let word?:
      try beginBlock(word, &body)
      body.openConstructs.append(.foldedBlock)
    case nil:
      guard cursor.kind() == .keyword else { throw cursor.unexpected("an instruction") }
      // The operands come first in the code; the instruction itself is kept aside.
      let start = body.code.place
      try parsePlain(&body)
      body.openConstructs.append(.foldedOperator(deferred: body.deferCode(from: start)))
    }
  }

  private mutating func closeParenthesis(_ body: inout FunctionTextBody) throws(TextFormatError) {
    switch body.openConstructs.last {
    case .foldedOperator(let deferred): body.undefer(from: deferred)
    case .foldedBlock, .foldedArms:
      body.labels.pop()
      body.code.mark(cursor.token())
      body.code.byte(0x0B)
    case .foldedArm: break
    case .foldedCondition, .plainBlock, nil: throw cursor.unexpected(body.openConstructs.last?.expectation ?? "an instruction")
    }
    body.openConstructs.removeLast()
    cursor.index += 1
  }

  // MARK: Plain

  mutating func parsePlain(_ body: inout FunctionTextBody) throws(TextFormatError) {
    let token = cursor.token()
    let mnemonic = cursor.text(token)
    guard var opcode = Opcode.byMnemonic[mnemonic], mnemonic != "else", mnemonic != "end" else {
      if Self.structuralWords.contains(mnemonic) { throw cursor.unexpected("an instruction") }
      throw cursor.unknown(token)
    }
    cursor.index += 1
    if opcode == .select, cursor.isOpen("result") { opcode = .selectTyped }
    body.code.mark(token)
    writeOpcode(opcode, &body.code)
    try parseImmediates(of: opcode.information, token, &body)
  }

  private func writeOpcode(_ opcode: Opcode, _ code: inout ByteWriter) {
    let raw = opcode.rawValue
    switch raw {
    case ..<0x100: code.byte(UInt8(raw))
    case ..<0x200:
      code.byte(0xFC)
      code.unsigned(raw - 0x100)
    case ..<0x400:
      code.byte(0xFD)
      code.unsigned(raw - 0x200)
    default:
      code.byte(0xFE)
      code.unsigned(raw - 0x400)
    }
  }

  private mutating func parseImmediates(
    of information: OpcodeInformation, _ token: Token, _ body: inout FunctionTextBody
  ) throws(TextFormatError) {
    switch information.immediates {
    case .none: break
    case .zeroByte: body.code.byte(0)
    case .block: preconditionFailure("blocks are parsed by parseKeyword and openParenthesis")
    case .label: body.code.unsigned(try parseLabel(body))
    case .labelTable: try parseLabelTable(&body)
    case .function: body.code.unsigned(try parseIndex(functionSpace))
    case .local: body.code.unsigned(try parseIndex(body.locals))
    case .global: body.code.unsigned(try parseIndex(globalSpace))
    case .table: body.code.unsigned(try takeIndex(tableSpace) ?? 0)
    case .memory: body.code.unsigned(try takeIndex(memorySpace) ?? 0)
    case .element: body.code.unsigned(try parseIndex(elementSpace))
    case .data:
      needsDataCount = true
      body.code.unsigned(try parseIndex(dataSpace))
    case .callIndirect:
      let table = try takeIndex(tableSpace) ?? 0
      body.code.unsigned(try parseTypeUse(namesAllowed: false).index)
      body.code.unsigned(table)
    case .tablePair: try parsePair(tableSpace, &body)
    case .memoryPair: try parsePair(memorySpace, &body)
    case .elementTable: try parseSegmentPair(elementSpace, tableSpace, &body)
    case .dataMemory:
      needsDataCount = true
      try parseSegmentPair(dataSpace, memorySpace, &body)
    case .memoryArgument: try parseMemoryArgument(information, hasLane: false, &body)
    case .memoryArgumentLane:
      try parseMemoryArgument(information, hasLane: true, &body)
      body.code.byte(try parseLane())
    case .memoryProtection:
      body.code.unsigned(try takeIndex(memorySpace) ?? 0)
      body.code.byte(try parseProtection())
    case .lane: body.code.byte(try parseLane())
    case .shuffle: try parseShuffle(&body)
    case .i32: body.code.signed(Int64(Int32(truncatingIfNeeded: try parseInteger(bitCount: 32))))
    case .i64: body.code.signed(Int64(bitPattern: try parseInteger(bitCount: 64)))
    case .f32: body.code.littleEndian(try parseFloat32())
    case .f64: body.code.littleEndian(try parseFloat64())
    case .v128: try parseVector(&body)
    case .referenceType:
      if let heapType = takeHeapType() {
        body.code.byte(heapType)
      } else {
        body.code.signed(Int64(try parseIndex(typeSpace)))
      }
    case .selectTypes:
      var types: [ValueTypeText] = []
      while cursor.takeOpen("result") {
        while cursor.kind() != .rightParenthesis { types.append(try expectValueType()) }
        try cursor.expectClose()
      }
      body.code.valueTypes(types)
    }
  }

  // MARK: Immediates

  private mutating func parseLabel(_ body: FunctionTextBody) throws(TextFormatError) -> Int {
    let token = cursor.token()
    if token.kind == .number { return Int(try cursor.expectUnsigned(bitCount: 32)) }
    guard let name = try cursor.takeIdentifier() else { throw cursor.unexpected("a label") }
    guard let depth = body.labels.depth(of: Name(name)) else {
      throw cursor.error("unknown label \(cursor.shown(token))", at: token)
    }
    return depth
  }

  private mutating func parseLabelTable(_ body: inout FunctionTextBody) throws(TextFormatError) {
    var labels = [try parseLabel(body)]
    while cursor.isIndex { labels.append(try parseLabel(body)) }
    body.code.unsigned(labels.count - 1)
    for label in labels { body.code.unsigned(label) }
  }

  /// Destination and source; both or neither.
  private mutating func parsePair(_ space: IndexSpace, _ body: inout FunctionTextBody) throws(TextFormatError) {
    let destination = try takeIndex(space)
    let source = destination == nil ? nil : try parseIndex(space)
    body.code.unsigned(destination ?? 0)
    body.code.unsigned(source ?? 0)
  }

  /// `table.init $table? $segment`: the binary format has the segment first.
  private mutating func parseSegmentPair(
    _ segments: IndexSpace, _ targets: IndexSpace, _ body: inout FunctionTextBody
  ) throws(TextFormatError) {
    guard cursor.isIndex else { throw cursor.unexpected("an index or a name") }
    let first = cursor.token()
    cursor.index += 1
    guard cursor.isIndex else {
      body.code.unsigned(try resolve(first, in: segments))
      body.code.unsigned(0)
      return
    }
    let target = try resolve(first, in: targets)
    body.code.unsigned(try parseIndex(segments))
    body.code.unsigned(target)
  }

  /// `memref offset=N? align=N?`: the memory is an operand. `$memory? offset=N? align=N?`; in front of a lane index a lone number is the lane, not the memory.
  private mutating func parseMemoryArgument(
    _ information: OpcodeInformation, hasLane: Bool, _ body: inout FunctionTextBody
  ) throws(TextFormatError) {
    var memory = 0
    let isReference = cursor.takeKeyword("memref")
    let isMemory: Bool
    switch cursor.kind() {
    case _ where isReference: isMemory = false
    case .identifier: isMemory = true
    case .number where hasLane:
      isMemory = cursor.kind(1) == .number || cursor.hasPrefix("offset=", 1) || cursor.hasPrefix("align=", 1)
    case .number: isMemory = true
    default: isMemory = false
    }
    if isMemory { memory = try parseIndex(memorySpace) }
    var offset: UInt64 = 0
    if cursor.hasPrefix("offset=") { offset = try parseAssignment("offset=", bitCount: 64) }
    var alignmentLog2 = Int(information.naturalAlignmentLog2)
    if cursor.hasPrefix("align=") {
      let token = cursor.token()
      let alignment = try parseAssignment("align=", bitCount: 64)
      guard alignment.nonzeroBitCount == 1 else { throw cursor.error("alignment must be a power of two", at: token) }
      alignmentLog2 = alignment.trailingZeroBitCount
    }
    body.code.unsigned(alignmentLog2 | (isReference ? 0x100 : memory == 0 ? 0 : 0x40))
    if memory != 0 { body.code.unsigned(memory) }
    body.code.unsigned(offset)
  }

  private mutating func parseAssignment(_ prefix: String, bitCount: Int) throws(TextFormatError) -> UInt64 {
    let token = cursor.token()
    cursor.index += 1
    return try cursor.unsigned(cursor.slice(token).dropFirst(prefix.utf8.count), bitCount: bitCount, at: token)
  }

  private mutating func parseProtection() throws(TextFormatError) -> UInt8 {
    if cursor.takeKeyword("none") { return 0 }
    if cursor.takeKeyword("read") { return 1 }
    if cursor.takeKeyword("readwrite") { return 2 }
    throw cursor.unexpected("none, read or readwrite")
  }

  private mutating func parseLane(isShuffle: Bool = false) throws(TextFormatError) -> UInt8 {
    let token = cursor.token()
    guard isLaneLike else { throw cursor.unexpected("a lane index") }
    guard let value = try? NumberLiteral.unsigned(cursor.slice(token), bitCount: 8) else {
      var isTooLarge = isShuffle
      do { isTooLarge = try isTooLarge || NumberLiteral.unsigned(cursor.slice(token), bitCount: 64) != nil } catch {
        isTooLarge = true
      }
      throw isTooLarge
        ? cursor.error("i8 constant out of range: \(cursor.shown(token)) is no lane index", at: token)
        : cursor.unexpected("a lane index")
    }
    cursor.index += 1
    return UInt8(value)
  }

  /// True at a number, whatever its form: `-1`, `0.5` and `nan` are numbers, but no lanes.
  private var isLaneLike: Bool { cursor.kind() == .number || isFloatKeyword }

  private mutating func parseShuffle(_ body: inout FunctionTextBody) throws(TextFormatError) {
    var lanes: [UInt8] = []
    while isLaneLike { lanes.append(try parseLane(isShuffle: true)) }
    guard lanes.count == 16 else {
      throw cursor.error("invalid lane length: \(lanes.count) lanes, expected 16", at: cursor.token())
    }
    body.code.raw(lanes)
  }
}
