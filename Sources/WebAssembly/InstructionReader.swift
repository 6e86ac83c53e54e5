import BinaryReading

/// Decodes the instructions of a function body or a constant expression, one after another.
///
/// The only decoder of the package: parser, validator, translator, encoder, lowering and disassembler all read through it. It
/// checks the binary format alone (opcodes, integers, flags); types, indices and nesting are the validator's business.
/// Nothing is allocated per instruction.
public struct InstructionReader: Sendable {
  public let bytes: [UInt8]
  public let features: WasmFeatures
  /// The position of the next instruction in `bytes`.
  public private(set) var offset: Int
  /// The position behind the last instruction.
  public let end: Int
  private let table: [OpcodeInformation?]

  /// - Parameters:
  ///   - bytes: the bytes of the whole module.
  ///   - range: those of the instructions, say `FunctionBody.codeRange`.
  public init(bytes: [UInt8], range: Range<Int>, features: WasmFeatures = .standard) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "the range lies within the bytes")
    self.bytes = bytes
    self.features = features
    self.offset = range.lowerBound
    self.end = range.upperBound
    self.table = OpcodeTable.shared.entries
  }

  /// The next instruction; nil behind the last one.
  @inline(__always)
  public mutating func next() throws(WasmParseError) -> Instruction? {
    guard offset < end else { return nil }
    var reader = BinaryReader(bytes.span, range: offset..<end)
    let instruction = try Self.decode(&reader, table: table, features: features)
    offset = reader.offset
    return instruction
  }

  /// The labels of a `br_table`, the default one last.
  public func labels(of table: LabelTable) -> [UInt32] {
    var labels: [UInt32] = []
    labels.reserveCapacity(Int(table.count) + 1)
    forEachLabel(of: table) { labels.append($0) }
    return labels
  }

  /// Calls `body` with each label of a `br_table`, the default one last.
  @inline(__always)
  public func forEachLabel<Failure: Error>(of table: LabelTable, _ body: (UInt32) throws(Failure) -> Void) throws(Failure) {
    var reader = BinaryReader(bytes.span, range: table.offset..<end)
    for _ in 0...table.count {
      guard let label = try? reader.readUInt32LEB128() else { preconditionFailure("the labels were decoded before") }
      try body(label)
    }
  }
}

// MARK: - Decoding

extension InstructionReader {
  /// Decodes one instruction at the cursor.
  @inline(__always)
  static func decode(
    _ reader: inout BinaryReader, table: [OpcodeInformation?], features: WasmFeatures
  ) throws(WasmParseError) -> Instruction {
    let offset = reader.offset
    var code = UInt16(try reader.byte())
    if code >= 0xFC { code = try decodePrefixed(code, &reader, at: offset) }
    guard let information = table[Int(code)], features.isSuperset(of: information.feature) else {
      throw unknownOpcode(code, at: offset)
    }
    let immediates =
      information.immediates == .none
      ? Immediates.none : try decodeImmediates(information.immediates, &reader, features: features)
    return Instruction(opcode: information.opcode, immediates: immediates, offset: offset)
  }

  /// The code of an instruction whose prefix byte has been read.
  private static func decodePrefixed(
    _ prefix: UInt16, _ reader: inout BinaryReader, at offset: Int
  ) throws(WasmParseError) -> UInt16 {
    guard prefix != 0xFF else { throw WasmParseError("illegal opcode ff", at: offset) }
    let number = try reader.u32()
    let (page, numberEnd): (UInt16, UInt32) =
      switch prefix {
      case 0xFC: (0x100, 0x100)
      case 0xFD: (0x200, 0x200)
      default: (0x400, 0x100)
      }
    guard number < numberEnd else {
      let digits = String(number, radix: 16)
      throw WasmParseError("illegal opcode \(String(prefix, radix: 16)) \(digits)", at: offset)
    }
    return page + UInt16(number)
  }

  /// The error for a code that no instruction of ours has: it may be one of a part of WebAssembly that this version does not
  /// have.
  private static func unknownOpcode(_ code: UInt16, at offset: Int) -> WasmParseError {
    let unsupported =
      switch code {
      case ..<0x100: UnsupportedPart.instruction(UInt8(code))
      case ..<0x200: UnsupportedPart.instruction(prefix: 0xFC, UInt32(code) - 0x100)
      case ..<0x400: UnsupportedPart.instruction(prefix: 0xFD, UInt32(code) - 0x200)
      default: nil as (part: String, name: String)?
      }
    if let unsupported { return .unsupported(unsupported.part, unsupported.name, at: offset) }
    return WasmParseError("illegal opcode " + name(ofCode: code), at: offset)
  }

  private static func name(ofCode code: UInt16) -> String {
    func hexadecimal(_ number: UInt16) -> String { (number < 16 ? "0" : "") + String(number, radix: 16) }
    return switch code {
    case ..<0x100: hexadecimal(code)
    case ..<0x200: "fc " + hexadecimal(code - 0x100)
    case ..<0x400: "fd " + hexadecimal(code - 0x200)
    default: "fe " + hexadecimal(code - 0x400)
    }
  }

  private static func decodeImmediates(
    _ kind: ImmediatesKind, _ reader: inout BinaryReader, features: WasmFeatures
  ) throws(WasmParseError) -> Immediates {
    switch kind {
    case .none: return .none
    case .block: return .block(try decodeBlockType(&reader, features: features))
    case .label: return .label(try reader.u32())
    case .labelTable: return .labelTable(try decodeLabelTable(&reader))
    case .function, .local, .global, .table, .memory, .element, .data: return .index(try reader.u32())
    case .callIndirect:
      let type = try reader.u32()
      return .callIndirect(type: type, table: try reader.u32())
    case .tablePair, .memoryPair:
      let destination = try reader.u32()
      return .pair(destination: destination, source: try reader.u32())
    case .elementTable, .dataMemory:
      let segment = try reader.u32()
      return .segment(segment: segment, destination: try reader.u32())
    case .memoryArgument: return .memoryArgument(try decodeMemoryArgument(&reader, features: features))
    case .memoryArgumentLane:
      let argument = try decodeMemoryArgument(&reader, features: features)
      return .memoryArgumentLane(argument, lane: try reader.byte())
    case .memoryProtection:
      let memory = try reader.u32()
      let start = reader.offset
      let protection = try reader.byte()
      guard protection <= 2 else { throw WasmParseError("malformed memory protection", at: start) }
      return .memoryProtection(memory: memory, protection: protection)
    case .lane: return .lane(try reader.byte())
    case .shuffle: return .shuffle(try reader.v128())
    case .i32: return .i32(try reader.s32())
    case .i64: return .i64(try reader.s64())
    case .f32: return .f32(try reader.fixed32())
    case .f64: return .f64(try reader.fixed64())
    case .v128: return .v128(try reader.v128())
    case .referenceType: return .referenceType(try reader.referenceType(features))
    case .selectTypes: return try decodeSelectTypes(&reader, features: features)
    case .zeroByte:
      let start = reader.offset
      guard try reader.byte() == 0 else { throw WasmParseError("zero byte expected", at: start) }
      return .none
    }
  }

  /// A block type: one byte for the negative numbers that stand for nothing or a value type, else the index of a type as a
  /// signed integer of 33 bits, which must not be negative. A negative number in more than one byte is malformed.
  private static func decodeBlockType(_ reader: inout BinaryReader, features: WasmFeatures) throws(WasmParseError) -> BlockType {
    let start = reader.offset
    // Bit 7: more bytes follow. Bit 6 of a last byte: the sign.
    if let first = reader.peekByte(), first & 0xC0 == 0x40 {
      _ = try reader.byte()
      if first == 0x40 { return .empty }
      if let type = ValueType(rawValue: first), type.isKnown(to: features) { return .value(type) }
      throw BinaryReader.typeError(first, "malformed block type", at: start)
    }
    guard let index = UInt32(exactly: try reader.s33()) else { throw WasmParseError("malformed block type", at: start) }
    return .type(index)
  }

  private static func decodeLabelTable(_ reader: inout BinaryReader) throws(WasmParseError) -> LabelTable {
    let count = try reader.count()
    let offset = reader.offset
    for _ in 0...count { _ = try reader.u32() }
    return LabelTable(count: UInt32(count), offset: offset)
  }

  private static func decodeSelectTypes(_ reader: inout BinaryReader, features: WasmFeatures) throws(WasmParseError) -> Immediates {
    let count = try reader.count()
    var first = ValueType.i32
    for index in 0..<count {
      let type = try reader.valueType(features)
      if index == 0 { first = type }
    }
    return .selectTypes(count: UInt32(count), first: first)
  }

  private static func decodeMemoryArgument(
    _ reader: inout BinaryReader, features: WasmFeatures
  ) throws(WasmParseError) -> MemoryArgument {
    let start = reader.offset
    let flags = try reader.u32()
    // Bit 8 says that the memory is an operand; else bit 6 says that a memory index follows.
    let isReference = features.contains(.memoryReferences) && flags & 0x100 != 0
    let hasMemory = features.contains(.multiMemory) && !isReference && flags & 0x40 != 0
    let alignmentLog2 = isReference ? flags & ~0x100 : hasMemory ? flags & ~0x40 : flags
    guard alignmentLog2 < 64 else { throw WasmParseError("malformed memop flags", at: start) }
    let memory = hasMemory ? try reader.u32() : 0
    let offset = features.contains(.memory64) ? try reader.u64() : UInt64(try reader.u32())
    return MemoryArgument(offset: offset, memory: memory, alignmentLog2: UInt8(alignmentLog2), isReference: isReference)
  }
}
