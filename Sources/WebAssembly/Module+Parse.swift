import BinaryReading

extension Module {
  /// Parses a module in the binary format.
  ///
  /// Checks the whole binary format, function bodies included (opcodes, integers, nesting of blocks); types and indices are
  /// left to ``Validator``. One pass over the bytes; the module keeps them and refers to bodies and segments by range.
  /// - Parameter supervision: is asked for memory and whether to go on. After an error, all that was charged is to be given back.
  /// - Throws: the first error in the order of the bytes, in the wording of the official suite. Numbers beyond ``ModuleLimits``
  ///   are errors too.
  public static func parse(
    _ bytes: [UInt8], features: WasmFeatures = .standard, supervision: Supervision = .none
  ) throws(WasmParseError) -> Module {
    guard bytes.count <= ModuleLimits.moduleByteCountMax else {
      throw WasmParseError(
        "module too large: \(bytes.count) bytes, at most \(ModuleLimits.moduleByteCountMax)", at: 0, reason: .overLimit)
    }
    var parser = ModuleParser(bytes: bytes, features: features, supervision: supervision)
    var reader = BinaryReader(bytes.span)
    try parser.parse(&reader)
    parser.module.chargedByteCount = parser.grant.byteCount
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

/// Fills a module, section by section. What an item takes is asked for before it is made: a list for all its items at once.
struct ModuleParser {
  var module: Module
  let features: WasmFeatures
  let supervision: Supervision
  var grant: Grant
  /// Where it is asked next whether to go on.
  var nextQuestion = Supervision.interval
  let table = OpcodeTable.shared.entries
  var definedFunctionCount = 0
  /// The blocks open in the body being checked, one bit each: whether an `else` may follow. Kept to reuse its storage.
  var openBlocks: [Bool] = []
  /// What was asked for that storage.
  var openBlockCountGranted = 0

  init(bytes: [UInt8], features: WasmFeatures, supervision: Supervision) {
    self.module = Module(bytes: bytes, features: features)
    self.features = features
    self.supervision = supervision
    self.grant = Grant(supervision)
  }

  /// Asks for memory.
  @inline(__always)
  mutating func take(_ byteCount: Int, at offset: Int) throws(WasmParseError) {
    guard grant.take(byteCount) else {
      throw WasmParseError("the module needs more memory than is granted", at: offset, reason: .outOfMemory)
    }
  }

  /// Asks for the memory of a list of `count` items that the reader stands before, each at least one byte long, and reserves it.
  mutating func reserve<Item>(_ list: inout [Item], _ count: Int, _ reader: BinaryReader) throws(WasmParseError) {
    let count = min(count, reader.remainingByteCount)
    try take(count * MemoryLayout<Item>.stride + (count > 0 ? Self.arrayOverhead : 0), at: reader.offset)
    list.reserveCapacity(list.count + count)
  }

  /// The same for a list of the module.
  mutating func reserve<Item>(
    _ path: WritableKeyPath<Module, [Item]>, _ count: Int, _ reader: BinaryReader
  ) throws(WasmParseError) {
    let count = min(count, reader.remainingByteCount)
    try take(count * MemoryLayout<Item>.stride + (count > 0 ? Self.arrayOverhead : 0), at: reader.offset)
    module[keyPath: path].reserveCapacity(module[keyPath: path].count + count)
  }

  /// What an array takes beside its elements.
  private static let arrayOverhead = 32

  /// Asks whether to go on, about every 64 KiB.
  @inline(__always)
  mutating func checkProgress(_ reader: BinaryReader) throws(WasmParseError) {
    if reader.offset >= nextQuestion { try ask(at: reader.offset) }
  }

  private mutating func ask(at offset: Int) throws(WasmParseError) {
    nextQuestion = offset + Supervision.interval
    if supervision.shouldStop() { throw WasmParseError("reading the module was stopped", at: offset, reason: .stopped) }
  }

  /// A name, its memory asked for.
  mutating func name(_ reader: inout BinaryReader) throws(WasmParseError) -> String {
    let start = reader.offset
    let name = try reader.name()
    // Up to 15 bytes lie in the string itself.
    if name.utf8.count > 15 { try take(name.utf8.count + Self.arrayOverhead, at: start) }
    return name
  }

  mutating func parse(_ reader: inout BinaryReader) throws(WasmParseError) {
    try parseHeader(&reader)
    var last = SectionOrder.none
    var lastID: UInt8 = 0
    while !reader.isAtEnd {
      try checkProgress(reader)
      let start = reader.offset
      let id = try reader.byte()
      let byteCount = Int(try reader.u32())
      guard byteCount <= reader.remainingByteCount else { throw WasmParseError("length out of bounds", at: start + 1) }
      let sectionEnd = reader.offset + byteCount
      if id == 0 {
        let moduleEnd = reader.limit(toEnd: sectionEnd)
        let name = try self.name(&reader)
        try take(2 * MemoryLayout<CustomSection>.stride, at: start)
        module.customSections.append(
          CustomSection(name: name, range: try reader.range(byteCount: reader.remainingByteCount), precedingSection: lastID))
        _ = reader.limit(toEnd: moduleEnd)
      } else {
        guard let section = SectionOrder(sectionID: id) else {
          if id == 13 { throw .unsupported(UnsupportedPart.exceptions, "tag section", at: start) }
          throw WasmParseError("malformed section id", at: start)
        }
        guard section.rawValue > last.rawValue else { throw WasmParseError("unexpected content after last section", at: start) }
        last = section
        lastID = id
        // A section that lies about its length is read as if it went on, as the suite expects, and judged by where it ended.
        do {
          try parseSection(section, &reader)
        } catch where error.offset >= sectionEnd && (error.isUnsupported || error.message.hasPrefix("illegal opcode")) {
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
    let version = try reader.fixed32()
    // The upper half says what the bytes are: 1 is a component.
    if version >> 16 == 1 {
      throw WasmParseError(
        "unknown binary version: not supported: component model (this is a component; expected a core module)", at: 4,
        reason: .unsupported)
    }
    guard version == 1 else { throw WasmParseError("unknown binary version", at: 4) }
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
    let count = try reader.count("types", atMost: ModuleLimits.typeCountMax)
    try reserve(\Module.types, count, reader)
    for _ in 0..<count {
      try checkProgress(reader)
      let start = reader.offset
      let form = try reader.byte()
      // The form is a signed LEB128 integer of 7 bits.
      guard form < 0x80 else { throw WasmParseError("integer representation too long", at: start) }
      guard form == 0x60 else { throw BinaryReader.typeError(form, "malformed function type", at: start) }
      let parameters = try parseValueTypes("parameters", atMost: ModuleLimits.parameterCountMax, &reader)
      let results = try parseValueTypes("results", atMost: ModuleLimits.resultCountMax, &reader)
      module.types.append(FunctionType(parameters: parameters, results: results))
    }
  }

  private mutating func parseValueTypes(
    _ what: String, atMost most: Int, _ reader: inout BinaryReader
  ) throws(WasmParseError) -> [ValueType] {
    let count = try reader.count(what, atMost: most)
    var types: [ValueType] = []
    try reserve(&types, count, reader)
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
      noAccessPageCount: flags & 1 != 0 ? try reader.u64() : nil,
      readOnlyPageCount: flags & 2 != 0 ? try reader.u64() : nil,
      isVirtual: flags & 4 != 0,
      mappablePageCount: flags & 8 != 0 ? try reader.u64() : nil)
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
    let count = try reader.count("imports", atMost: ModuleLimits.importCountMax)
    try reserve(\Module.imports, count, reader)
    for _ in 0..<count {
      try checkProgress(reader)
      let start = reader.offset
      let moduleName = Name(try self.name(&reader))
      let name = Name(try self.name(&reader))
      let kindOffset = reader.offset
      let kind: Import.Kind
      switch try reader.byte() {
      case 0:
        let type = try reader.u32()
        try take(Self.importByteCount(UInt32.self), at: start)
        module.functionTypeIndices.append(type)
        module.definitionOffsets.functions.append(kindOffset + 1)
        kind = .function(type)
      case 1:
        let type = try parseTableType(&reader)
        try take(Self.importByteCount(TableType.self), at: start)
        module.tables.append(type)
        module.definitionOffsets.tables.append(kindOffset + 1)
        kind = .table(type)
      case 2:
        let type = try parseMemoryType(&reader)
        try take(Self.importByteCount(MemoryType.self), at: start)
        module.memories.append(type)
        module.definitionOffsets.memories.append(kindOffset + 1)
        kind = .memory(type)
      case 3:
        let type = try parseGlobalType(&reader)
        try take(Self.importByteCount(GlobalType.self), at: start)
        module.globals.append(type)
        module.definitionOffsets.globals.append(kindOffset + 1)
        kind = .global(type)
      case 4: throw .unsupported(UnsupportedPart.exceptions, "import of a tag", at: kindOffset)
      case 0x20: throw .unsupported("custom descriptors", "import of an exact function", at: kindOffset)
      case 0x7E where name.string.isEmpty, 0x7F where name.string.isEmpty:
        throw .unsupported("compact imports", "an import that stands for several", at: kindOffset)
      default: throw WasmParseError("malformed import kind", at: kindOffset)
      }
      module.imports.append(Import(module: moduleName, name: name, kind: kind, offset: start))
    }
    module.importedFunctionCount = module.functionTypeIndices.count
    module.importedTableCount = module.tables.count
    module.importedMemoryCount = module.memories.count
    module.importedGlobalCount = module.globals.count
    try checkTotal(module.importedTableCount, "tables", atMost: ModuleLimits.tableCountMax, at: reader.offset)
    try checkTotal(module.importedMemoryCount, "memories", atMost: ModuleLimits.memoryCountMax, at: reader.offset)
  }

  /// What an imported item and its place take in lists that grow by doubling.
  private static func importByteCount<Item>(_ item: Item.Type) -> Int { 2 * (MemoryLayout<Item>.stride + MemoryLayout<Int>.stride) }

  /// Imported and defined items together.
  private func checkTotal(_ count: Int, _ what: String, atMost most: Int, at offset: Int) throws(WasmParseError) {
    guard count <= most else {
      throw WasmParseError("too many \(what): found \(count), at most \(most)", at: offset, reason: .overLimit)
    }
  }

  private mutating func parseFunctions(_ reader: inout BinaryReader) throws(WasmParseError) {
    definedFunctionCount = try reader.count("functions", atMost: ModuleLimits.functionCountMax - module.importedFunctionCount)
    try reserve(\Module.functionTypeIndices, definedFunctionCount, reader)
    try reserve(\Module.definitionOffsets.functions, definedFunctionCount, reader)
    for _ in 0..<definedFunctionCount {
      try checkProgress(reader)
      module.definitionOffsets.functions.append(reader.offset)
      module.functionTypeIndices.append(try reader.u32())
    }
  }

  private mutating func parseTables(_ reader: inout BinaryReader) throws(WasmParseError) {
    let count = try reader.count("tables", atMost: ModuleLimits.tableCountMax - module.importedTableCount)
    for _ in 0..<count {
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
    let count = try reader.count("memories", atMost: ModuleLimits.memoryCountMax - module.importedMemoryCount)
    for _ in 0..<count {
      module.definitionOffsets.memories.append(reader.offset)
      module.memories.append(try parseMemoryType(&reader))
    }
  }

  private mutating func parseGlobals(_ reader: inout BinaryReader) throws(WasmParseError) {
    let count = try reader.count("globals", atMost: ModuleLimits.globalCountMax - module.importedGlobalCount)
    try reserve(\Module.definitionOffsets.globals, count, reader)
    try reserve(\Module.globals, count, reader)
    try reserve(\Module.globalInitializers, count, reader)
    for _ in 0..<count {
      try checkProgress(reader)
      module.definitionOffsets.globals.append(reader.offset)
      module.globals.append(try parseGlobalType(&reader))
      module.globalInitializers.append(try parseConstantExpression(&reader))
    }
  }

  private mutating func parseExports(_ reader: inout BinaryReader) throws(WasmParseError) {
    let count = try reader.count("exports", atMost: ModuleLimits.exportCountMax)
    try reserve(\Module.exports, count, reader)
    for _ in 0..<count {
      try checkProgress(reader)
      let start = reader.offset
      let name = Name(try self.name(&reader))
      let kindOffset = reader.offset
      let code = try reader.byte()
      guard let kind = Export.Kind(rawValue: code) else {
        if code == 4 { throw .unsupported(UnsupportedPart.exceptions, "export of a tag", at: kindOffset) }
        throw WasmParseError("malformed export kind", at: kindOffset)
      }
      module.exports.append(Export(name: name, kind: kind, index: try reader.u32(), offset: start))
    }
  }
}
