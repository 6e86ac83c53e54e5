/// The module fields but functions: imports, tables, memories, globals, exports, segments, start.
extension ModuleTextParser {
  // MARK: Imports and exports

  /// What an import or export refers to, as the binary format numbers it.
  enum ExternalKind: UInt8 { case function, table, memory, global }

  mutating func parseImport() throws(TextFormatError) {
    let field = fieldToken
    let module = try cursor.expectName()
    let name = try cursor.expectName()
    guard cursor.take(.leftParenthesis) != nil, let keyword = cursor.take(.keyword) else { throw cursor.unexpected("an import") }
    _ = try cursor.takeIdentifier()
    switch cursor.text(keyword) {
    case "func": try addImport(.function, module, name, at: field, functionImportDescription())
    case "table":
      let is64 = parseAddressType()
      try addImport(.table, module, name, at: field, parseTableType(is64: is64))
    case "memory":
      let is64 = parseAddressType()
      try addImport(.memory, module, name, at: field, parseMemoryType(is64: is64))
    default: try addImport(.global, module, name, at: field, parseGlobalType())
    }
    try cursor.expectClose()
  }

  mutating func functionImportDescription() throws(TextFormatError) -> [UInt8] {
    let use = try parseTypeUse(namesAllowed: true)
    noteLocalNames(use.names, function: nextFunction)
    var writer = ByteWriter()
    writer.unsigned(use.index)
    return writer.bytes
  }

  mutating func addImport(
    _ kind: ExternalKind, _ module: String, _ name: String, at field: Token, _ description: [UInt8]
  ) throws(TextFormatError) {
    imports.mark(field)
    imports.name(module)
    imports.name(name)
    imports.byte(kind.rawValue)
    imports.raw(description)
    importCount += 1
    switch kind {
    case .function: nextFunction += 1
    case .table: nextTable += 1
    case .memory: nextMemory += 1
    case .global: nextGlobal += 1
    }
  }

  /// `(export "name")*` inside a definition.
  mutating func parseInlineExports(_ kind: ExternalKind, index: Int) throws(TextFormatError) {
    while cursor.isOpen("export") {
      let token = cursor.token()
      cursor.index += 2
      addExport(try cursor.expectName(), at: token, kind, index)
      try cursor.expectClose()
    }
  }

  private mutating func addExport(_ name: String, at token: Token, _ kind: ExternalKind, _ index: Int) {
    exports.mark(token)
    exports.name(name)
    exports.byte(kind.rawValue)
    exports.unsigned(index)
    exportCount += 1
  }

  /// `(import "module" "name")` inside a definition.
  mutating func takeInlineImport() throws(TextFormatError) -> (module: String, name: String)? {
    guard cursor.takeOpen("import") else { return nil }
    let module = try cursor.expectName()
    let name = try cursor.expectName()
    try cursor.expectClose()
    return (module, name)
  }

  mutating func parseExport() throws(TextFormatError) {
    let field = fieldToken
    let name = try cursor.expectName()
    guard cursor.take(.leftParenthesis) != nil, let keyword = cursor.take(.keyword) else { throw cursor.unexpected("an export") }
    switch cursor.text(keyword) {
    case "func": addExport(name, at: field, .function, try parseIndex(functionSpace))
    case "table": addExport(name, at: field, .table, try parseIndex(tableSpace))
    case "memory": addExport(name, at: field, .memory, try parseIndex(memorySpace))
    case "global": addExport(name, at: field, .global, try parseIndex(globalSpace))
    default:
      throw cursor.notSupported(keyword)
        ?? cursor.error("unexpected token \(cursor.shown(keyword)): expected func, table, memory or global", at: keyword)
    }
    try cursor.expectClose()
  }

  mutating func parseStart() throws(TextFormatError) {
    guard start == nil else { throw cursor.error("multiple start sections", at: cursor.token()) }
    var section = ByteWriter()
    section.mark(fieldToken)
    section.unsigned(try parseIndex(functionSpace))
    start = section
  }

  // MARK: Tables, memories, globals

  mutating func parseTable() throws(TextFormatError) {
    let field = fieldToken
    _ = try cursor.takeIdentifier()
    let index = nextTable
    try parseInlineExports(.table, index: index)
    if let (module, name) = try takeInlineImport() {
      let is64 = parseAddressType()
      return try addImport(.table, module, name, at: field, parseTableType(is64: is64))
    }
    let is64 = parseAddressType()
    nextTable += 1
    tableCount += 1
    tables.mark(field)
    guard cursor.kind() != .number else {
      let type = try parseTableType(is64: is64)
      guard cursor.kind() != .rightParenthesis else {
        tables.raw(type)
        return
      }
      // An initial value for every element.
      tables.raw([0x40, 0x00] + type)
      tables.raw(try parseConstantExpression())
      return
    }
    // `reftype (elem ...)`: the table's size is the number of its elements.
    let element = try expectReferenceType()
    try cursor.expectOpen("elem")
    var items = ByteWriter()
    let areIndices = cursor.isIndex
    let count = areIndices ? try parseFunctionIndices(into: &items) : try parseElementExpressions(into: &items)
    try cursor.expectClose()
    tables.raw(Self.tableType(element: element, is64: is64, (UInt64(count), UInt64(count))))
    let offset: [UInt8] = [is64 ? 0x42 : 0x41, 0, 0x0B]
    if areIndices || (count == 0 && element == .funcref) {
      writeActiveElements(at: field, table: index, offset: offset, kind: .indices, count: count, items)
    } else {
      writeActiveElements(at: field, table: index, offset: offset, kind: .expressions(element), count: count, items)
    }
  }

  mutating func parseMemory() throws(TextFormatError) {
    let field = fieldToken
    _ = try cursor.takeIdentifier()
    let index = nextMemory
    try parseInlineExports(.memory, index: index)
    if let (module, name) = try takeInlineImport() {
      let is64 = parseAddressType()
      return try addImport(.memory, module, name, at: field, parseMemoryType(is64: is64))
    }
    let is64 = parseAddressType()
    nextMemory += 1
    memoryCount += 1
    memories.mark(field)
    let pageSize = cursor.isOpen("pagesize") ? try parsePageSize() : nil
    guard pageSize != nil || cursor.isOpen("data") else {
      memories.raw(try parseMemoryType(is64: is64))
      return
    }
    // `(data "...")`: the memory is as large as the data, in whole pages.
    try cursor.expectOpen("data")
    let bytes = try parseStrings()
    try cursor.expectClose()
    let pageByteCount = UInt64(1) << UInt64(pageSize ?? 16)
    let pageCount = (UInt64(bytes.count) + pageByteCount - 1) / pageByteCount
    var type = MemoryTypeText(is64: is64)
    type.minimum = pageCount
    type.maximum = pageCount
    type.pageByteCountLog2 = pageSize
    memories.raw(type.encoded)
    writeActiveData(at: field, memory: index, offset: ByteWriter(bytes: [is64 ? 0x42 : 0x41, 0, 0x0B]), bytes)
  }

  mutating func parseGlobal() throws(TextFormatError) {
    let field = fieldToken
    _ = try cursor.takeIdentifier()
    try parseInlineExports(.global, index: nextGlobal)
    if let (module, name) = try takeInlineImport() { return try addImport(.global, module, name, at: field, parseGlobalType()) }
    nextGlobal += 1
    globalCount += 1
    globals.mark(field)
    globals.raw(try parseGlobalType())
    globals.raw(try parseConstantExpression())
  }

  // MARK: Element segments

  private enum ElementKind { case indices, expressions(ValueTypeText) }

  mutating func parseElement() throws(TextFormatError) {
    let field = fieldToken
    _ = try cursor.takeIdentifier()
    if cursor.takeKeyword("declare") {
      return try parseElementList(at: field, flagsForIndices: 3, prefix: ByteWriter(), isActive: false)
    }
    var table: Int?
    if cursor.takeOpen("table") {
      table = try parseIndex(tableSpace)
      try cursor.expectClose()
    } else if cursor.isIndex && cursor.kind(1) == .leftParenthesis && cursor.kind() == .number {
      table = try parseIndex(tableSpace)
    }
    let isOffset = cursor.kind() == .leftParenthesis && !cursor.isOpen("item") && !cursor.isOpen("ref")
    guard table != nil || isOffset else {
      return try parseElementList(at: field, flagsForIndices: 1, prefix: ByteWriter(), isActive: false)
    }
    let offset = try parseOffset()
    var prefix = ByteWriter()
    // A table that was written stays written, table 0 too.
    if let table { prefix.unsigned(table) }
    let hasTable = table != nil
    prefix.raw(offset)
    try parseElementList(at: field, flagsForIndices: hasTable ? 2 : 0, prefix: prefix, isActive: true)
  }

  /// What follows the offset: `func index*`, a reference type with expressions, or (old form) indices alone.
  ///
  /// - Parameter flagsForIndices: 0 active, 1 passive, 2 active with a table index, 3 declarative; plus 4 for expressions.
  private mutating func parseElementList(
    at field: Token, flagsForIndices: UInt8, prefix: ByteWriter, isActive: Bool
  ) throws(TextFormatError) {
    var items = ByteWriter()
    elementCount += 1
    elements.mark(field)
    if cursor.isKeyword("func") || (isActive && (cursor.isIndex || cursor.kind() == .rightParenthesis)) {
      _ = cursor.takeKeyword("func")
      let count = try parseFunctionIndices(into: &items)
      elements.byte(flagsForIndices)
      elements.raw(prefix)
      if flagsForIndices != 0 { elements.byte(0) }
      elements.unsigned(count)
      elements.raw(items)
      return
    }
    let type = try expectReferenceType()
    let count = try parseElementExpressions(into: &items)
    // Flag 4 (table 0, no type) can only hold funcref.
    if flagsForIndices == 0 && type != .funcref {
      elements.byte(6)
      elements.byte(0)
    } else {
      elements.byte(flagsForIndices | 4)
    }
    elements.raw(prefix)
    if flagsForIndices != 0 || type != .funcref { elements.valueType(type) }
    elements.unsigned(count)
    elements.raw(items)
  }

  private mutating func writeActiveElements(
    at field: Token, table: Int, offset: [UInt8], kind: ElementKind, count: Int, _ items: ByteWriter
  ) {
    elementCount += 1
    elements.mark(field)
    switch kind {
    case .indices:
      elements.byte(2)
      elements.unsigned(table)
      elements.raw(offset)
      elements.byte(0)
    case .expressions(let type):
      elements.byte(6)
      elements.unsigned(table)
      elements.raw(offset)
      elements.valueType(type)
    }
    elements.unsigned(count)
    elements.raw(items)
  }

  private mutating func parseFunctionIndices(into items: inout ByteWriter) throws(TextFormatError) -> Int {
    var count = 0
    while cursor.isIndex {
      items.mark(cursor.token())
      items.unsigned(try parseIndex(functionSpace))
      count += 1
    }
    return count
  }

  /// `(item expr)` or one folded instruction each.
  private mutating func parseElementExpressions(into items: inout ByteWriter) throws(TextFormatError) -> Int {
    var count = 0
    while cursor.kind() == .leftParenthesis {
      if cursor.takeOpen("item") {
        items.raw(try parseConstantExpression())
        try cursor.expectClose()
      } else {
        items.raw(try parseFoldedConstant())
      }
      count += 1
    }
    return count
  }

  // MARK: Data segments

  mutating func parseData() throws(TextFormatError) {
    let field = fieldToken
    _ = try cursor.takeIdentifier()
    var memory: Int?
    if cursor.takeOpen("memory") {
      memory = try parseIndex(memorySpace)
      try cursor.expectClose()
    } else if cursor.isIndex {
      memory = try parseIndex(memorySpace)
    }
    guard memory != nil || cursor.kind() == .leftParenthesis else {
      let bytes = try parseStrings()
      dataCount += 1
      data.mark(field)
      data.byte(1)
      data.vector(bytes)
      return
    }
    let offset = try parseOffset()
    writeActiveData(at: field, memory: memory ?? 0, offset: offset, try parseStrings())
  }

  private mutating func writeActiveData(at field: Token, memory: Int, offset: ByteWriter, _ bytes: [UInt8]) {
    dataCount += 1
    data.mark(field)
    data.byte(memory == 0 ? 0 : 2)
    if memory != 0 { data.unsigned(memory) }
    data.raw(offset)
    data.vector(bytes)
  }

  private mutating func parseStrings() throws(TextFormatError) -> [UInt8] {
    var bytes: [UInt8] = []
    while cursor.kind() == .string { bytes += try cursor.expectString() }
    return bytes
  }

  /// `(offset expr)`, or one folded instruction.
  private mutating func parseOffset() throws(TextFormatError) -> ByteWriter {
    guard cursor.takeOpen("offset") else { return try parseFoldedConstant() }
    let bytes = try parseConstantExpression()
    try cursor.expectClose()
    return bytes
  }
}
