import BinaryReading

extension Module {
  /// Parses a module in the binary format.
  ///
  /// Checks the whole binary format, function bodies included (opcodes, integers, nesting of blocks); types and indices are
  /// left to ``Validator``. One pass over the bytes; the module keeps them and refers to bodies and segments by range.
  /// - Throws: the first error in the order of the bytes, in the wording of the official suite.
  public static func parse(_ bytes: [UInt8], features: WasmFeatures = .standard) throws(WasmParseError) -> Module {
    var parser = ModuleParser(bytes: bytes, features: features)
    var reader = BinaryReader(bytes.span)
    try parser.parse(&reader)
    return parser.module
  }
}

/// The sections in the order that a module must have them; custom sections may stand anywhere.
enum SectionOrder: Int {
  case none, type, `import`, function, table, memory, global, export, start, element, dataCount, code, data

  init?(sectionID: UInt8) {
    switch sectionID {
    case 1...9: self.init(rawValue: Int(sectionID))
    case 10: self = .code
    case 11: self = .data
    case 12: self = .dataCount
    default: return nil
    }
  }
}

/// Fills a module, section by section.
struct ModuleParser {
  var module: Module
  let features: WasmFeatures
  let table = OpcodeTable.shared.entries
  var definedFunctionCount = 0
  /// The blocks open in the body being checked, one bit each: whether an `else` may follow. Kept to reuse its storage.
  var openBlocks: [Bool] = []

  init(bytes: [UInt8], features: WasmFeatures) {
    self.module = Module(bytes: bytes, features: features)
    self.features = features
  }

  mutating func parse(_ reader: inout BinaryReader) throws(WasmParseError) {
    try parseHeader(&reader)
    var last = SectionOrder.none
    var lastID: UInt8 = 0
    while !reader.isAtEnd {
      let start = reader.offset
      let id = try reader.byte()
      let byteCount = Int(try reader.u32())
      guard byteCount <= reader.remainingByteCount else { throw WasmParseError("length out of bounds", at: start + 1) }
      let sectionEnd = reader.offset + byteCount
      if id == 0 {
        let moduleEnd = reader.limit(toEnd: sectionEnd)
        let name = try reader.name()
        module.customSections.append(
          CustomSection(name: name, range: try reader.range(byteCount: reader.remainingByteCount), precedingSection: lastID))
        _ = reader.limit(toEnd: moduleEnd)
      } else {
        guard let section = SectionOrder(sectionID: id) else { throw WasmParseError("malformed section id", at: start) }
        guard section.rawValue > last.rawValue else { throw WasmParseError("unexpected content after last section", at: start) }
        last = section
        lastID = id
        // A section that lies about its length is read as if it went on, as the suite expects, and judged by where it ended.
        do {
          try parseSection(section, &reader)
        } catch where error.offset >= sectionEnd && error.message.hasPrefix("illegal opcode") {
          throw WasmParseError("unexpected end of section or function", at: sectionEnd)
        }
      }
      guard reader.offset == sectionEnd else { throw WasmParseError("section size mismatch", at: reader.offset) }
    }
    guard module.functionBodies.count == definedFunctionCount else {
      throw WasmParseError("function and code section have inconsistent lengths", at: reader.offset)
    }
    if let dataCount = module.dataCount, Int(dataCount) != module.dataSegments.count {
      throw WasmParseError("data count and data section have inconsistent lengths", at: reader.offset)
    }
  }

  private func parseHeader(_ reader: inout BinaryReader) throws(WasmParseError) {
    guard reader.remainingByteCount >= 4 else { throw WasmParseError("unexpected end", at: 0) }
    guard try reader.fixed32() == 0x6D73_6100 else { throw WasmParseError("magic header not detected", at: 0) }
    guard reader.remainingByteCount >= 4 else { throw WasmParseError("unexpected end", at: 4) }
    guard try reader.fixed32() == 1 else { throw WasmParseError("unknown binary version", at: 4) }
  }

  private mutating func parseSection(_ section: SectionOrder, _ reader: inout BinaryReader) throws(WasmParseError) {
    switch section {
    case .none: break
    case .type: try parseTypes(&reader)
    case .import: try parseImports(&reader)
    case .function: try parseFunctions(&reader)
    case .table: try parseTables(&reader)
    case .memory: try parseMemories(&reader)
    case .global: try parseGlobals(&reader)
    case .export: try parseExports(&reader)
    case .start:
      module.startOffset = reader.offset
      module.startFunction = try reader.u32()
    case .element: try parseElementSegments(&reader)
    case .dataCount:
      let start = reader.offset
      guard features.contains(.bulkMemory) else { throw WasmParseError("malformed section id", at: start) }
      module.dataCount = try reader.u32()
    case .code: try parseCode(&reader)
    case .data: try parseDataSegments(&reader)
    }
  }
}

// MARK: - Types

extension ModuleParser {
  private mutating func parseTypes(_ reader: inout BinaryReader) throws(WasmParseError) {
    let count = try reader.count()
    module.types.reserveCapacity(min(count, reader.remainingByteCount))
    for _ in 0..<count {
      let start = reader.offset
      let form = try reader.byte()
      // The form is a signed LEB128 integer of 7 bits.
      guard form < 0x80 else { throw WasmParseError("integer representation too long", at: start) }
      guard form == 0x60 else { throw WasmParseError("malformed function type", at: start) }
      let parameters = try parseValueTypes(&reader)
      module.types.append(FunctionType(parameters: parameters, results: try parseValueTypes(&reader)))
    }
  }

  private func parseValueTypes(_ reader: inout BinaryReader) throws(WasmParseError) -> [ValueType] {
    let count = try reader.count()
    var types: [ValueType] = []
    types.reserveCapacity(min(count, reader.remainingByteCount))
    for _ in 0..<count { types.append(try reader.valueType(features)) }
    return types
  }

  private func parseLimitValues(
    hasMaximum: Bool, is64: Bool, _ reader: inout BinaryReader
  ) throws(WasmParseError) -> Limits {
    let wide = is64 || features.contains(.memory64)
    let minimum = wide ? try reader.u64() : UInt64(try reader.u32())
    guard hasMaximum else { return Limits(minimum: minimum) }
    return Limits(minimum: minimum, maximum: wide ? try reader.u64() : UInt64(try reader.u32()))
  }

  private func parseTableType(_ reader: inout BinaryReader) throws(WasmParseError) -> TableType {
    let elementType = try reader.referenceType(features)
    let start = reader.offset
    let flags = try reader.byte()
    // Bit 0: maximum; bit 2: 64-bit indices.
    let allowed: UInt8 = features.contains(.memory64) ? 0b101 : 0b001
    guard flags & ~allowed == 0 else { throw Self.flagsError(flags, at: start) }
    let is64 = flags & 4 != 0
    let limits = try parseLimitValues(hasMaximum: flags & 1 != 0, is64: is64, &reader)
    return TableType(elementType: elementType, limits: limits, addressType: is64 ? .i64 : .i32)
  }

  private func parseMemoryType(_ reader: inout BinaryReader) throws(WasmParseError) -> MemoryType {
    let start = reader.offset
    let flags = try reader.byte()
    // Bit 0: maximum, 1: shared, 2: 64-bit addresses, 3: page size, 5: attributes (memory control).
    var allowed: UInt8 = 0b0001
    if features.contains(.threads) { allowed |= 0b0010 }
    if features.contains(.memory64) { allowed |= 0b0100 }
    if features.contains(.customPageSizes) { allowed |= 0b1000 }
    if features.contains(.memoryControl) { allowed |= 0b10_0000 }
    guard flags & ~allowed == 0 else { throw Self.flagsError(flags, at: start) }
    let is64 = flags & 4 != 0
    let limits = try parseLimitValues(hasMaximum: flags & 1 != 0, is64: is64, &reader)
    var pageByteCountLog2: UInt32 = 16
    if flags & 8 != 0 {
      let start = reader.offset
      pageByteCountLog2 = try reader.u32()
      guard pageByteCountLog2 < 64 else { throw WasmParseError("invalid custom page size", at: start) }
    }
    let attributes = flags & 0x20 != 0 ? try parseMemoryAttributes(&reader) : .none
    return MemoryType(
      addressType: is64 ? .i64 : .i32, limits: limits, isShared: flags & 2 != 0, pageByteCountLog2: pageByteCountLog2,
      attributes: attributes)
  }

  private func parseMemoryAttributes(_ reader: inout BinaryReader) throws(WasmParseError) -> MemoryAttributes {
    let start = reader.offset
    let flags = try reader.byte()
    guard flags != 0, flags & ~0b1111 == 0 else { throw WasmParseError("malformed memory attributes", at: start) }
    return MemoryAttributes(
      noAccessPageCount: flags & 1 != 0 ? try reader.u64() : 0,
      readOnlyPageCount: flags & 2 != 0 ? try reader.u64() : 0,
      isVirtual: flags & 4 != 0,
      mappablePageCount: flags & 8 != 0 ? try reader.u64() : 0)
  }

  private static func flagsError(_ flags: UInt8, at offset: Int) -> WasmParseError {
    WasmParseError("malformed limits flags", at: offset)
  }

  private func parseGlobalType(_ reader: inout BinaryReader) throws(WasmParseError) -> GlobalType {
    let valueType = try reader.valueType(features)
    let start = reader.offset
    let mutability = try reader.byte()
    guard mutability <= 1 else { throw WasmParseError("malformed mutability", at: start) }
    return GlobalType(valueType: valueType, isMutable: mutability == 1)
  }
}

// MARK: - Imports, definitions, exports

extension ModuleParser {
  private mutating func parseImports(_ reader: inout BinaryReader) throws(WasmParseError) {
    for _ in 0..<(try reader.count()) {
      let start = reader.offset
      let moduleName = Name(try reader.name())
      let name = Name(try reader.name())
      let kindOffset = reader.offset
      let kind: Import.Kind
      switch try reader.byte() {
      case 0:
        let type = try reader.u32()
        module.functionTypeIndices.append(type)
        module.definitionOffsets.functions.append(kindOffset + 1)
        kind = .function(type)
      case 1:
        let type = try parseTableType(&reader)
        module.tables.append(type)
        module.definitionOffsets.tables.append(kindOffset + 1)
        kind = .table(type)
      case 2:
        let type = try parseMemoryType(&reader)
        module.memories.append(type)
        module.definitionOffsets.memories.append(kindOffset + 1)
        kind = .memory(type)
      case 3:
        let type = try parseGlobalType(&reader)
        module.globals.append(type)
        module.definitionOffsets.globals.append(kindOffset + 1)
        kind = .global(type)
      default: throw WasmParseError("malformed import kind", at: kindOffset)
      }
      module.imports.append(Import(module: moduleName, name: name, kind: kind, offset: start))
    }
    module.importedFunctionCount = module.functionTypeIndices.count
    module.importedTableCount = module.tables.count
    module.importedMemoryCount = module.memories.count
    module.importedGlobalCount = module.globals.count
  }

  private mutating func parseFunctions(_ reader: inout BinaryReader) throws(WasmParseError) {
    definedFunctionCount = try reader.count()
    module.functionTypeIndices.reserveCapacity(
      module.importedFunctionCount + min(definedFunctionCount, reader.remainingByteCount))
    for _ in 0..<definedFunctionCount {
      module.definitionOffsets.functions.append(reader.offset)
      module.functionTypeIndices.append(try reader.u32())
    }
  }

  private mutating func parseTables(_ reader: inout BinaryReader) throws(WasmParseError) {
    for _ in 0..<(try reader.count()) {
      module.definitionOffsets.tables.append(reader.offset)
      // 0x40 0x00 introduces a table with an initial value.
      let hasInitializer = reader.peekByte() == 0x40
      if hasInitializer {
        _ = try reader.byte()
        let start = reader.offset
        guard try reader.byte() == 0 else { throw WasmParseError("malformed table", at: start) }
      }
      module.tables.append(try parseTableType(&reader))
      module.tableInitializers.append(hasInitializer ? try parseConstantExpression(&reader) : nil)
    }
  }

  private mutating func parseMemories(_ reader: inout BinaryReader) throws(WasmParseError) {
    for _ in 0..<(try reader.count()) {
      module.definitionOffsets.memories.append(reader.offset)
      module.memories.append(try parseMemoryType(&reader))
    }
  }

  private mutating func parseGlobals(_ reader: inout BinaryReader) throws(WasmParseError) {
    for _ in 0..<(try reader.count()) {
      module.definitionOffsets.globals.append(reader.offset)
      module.globals.append(try parseGlobalType(&reader))
      module.globalInitializers.append(try parseConstantExpression(&reader))
    }
  }

  private mutating func parseExports(_ reader: inout BinaryReader) throws(WasmParseError) {
    let count = try reader.count()
    module.exports.reserveCapacity(min(count, reader.remainingByteCount))
    for _ in 0..<count {
      let start = reader.offset
      let name = Name(try reader.name())
      let kindOffset = reader.offset
      guard let kind = Export.Kind(rawValue: try reader.byte()) else {
        throw WasmParseError("malformed export kind", at: kindOffset)
      }
      module.exports.append(Export(name: name, kind: kind, index: try reader.u32(), offset: start))
    }
  }
}
