import WebAssembly

/// Writes a module in the text format, one instruction a line, so that reading it back gives the same binary.
///
/// Custom sections become `@custom` annotations; the name section becomes identifiers, and an annotation only where these do not
/// say all of it. What a text cannot say is lost: see the room's page. The text goes out as it is made, see ``TextOutput``.
struct ModulePrinter {
  /// The longest text, besides 64 bytes for each byte of the module: a few bytes can declare fifty thousand locals.
  private static let byteCountMax = 1 << 30
  private static let localCountMax = 50_000
  /// Blocks may nest a hundred thousand deep. Each level is indented against the one around it up to this; the next one begins at
  /// the left again, so that indentation costs a bounded number of bytes a line.
  private static let indentationPeriod = 24
  private static let blanks = [UInt8](repeating: UInt8(ascii: " "), count: 2 * indentationPeriod)

  let module: Module
  private let withCustomSections: Bool
  let names: ModuleNames
  var output: TextOutput
  var indentation = 0
  /// The names of the parameters and locals of the function that is printed.
  var locals: [ModuleNames.Entry] = []

  static func print(_ module: Module, withCustomSections: Bool, to sink: @escaping ([UInt8]) throws -> Void) throws {
    var printer = ModulePrinter(module: module, withCustomSections: withCustomSections, sink)
    try printer.printModule()
    try printer.output.flush(at: module.bytes.count)
  }

  private init(module: Module, withCustomSections: Bool, _ sink: @escaping ([UInt8]) throws -> Void) {
    self.module = module
    self.withCustomSections = withCustomSections
    names = ModuleNames(module)
    output = TextOutput(byteCountMax: Self.byteCountMax + 64 * module.bytes.count, sink: sink)
  }

  mutating func beginLine() { output.raw(Self.blanks[..<(2 * (indentation % Self.indentationPeriod))]) }

  /// - Parameter offset: where in the binary this line comes from.
  mutating func endLine(at offset: Int) throws {
    output.byte(0x0A)
    try output.drain(at: offset)
  }

  // MARK: The module

  private mutating func printModule() throws {
    for body in module.functionBodies where body.localCount > Self.localCountMax {
      throw WasmParseError(
        "too many locals: \(body.localCount), a text lists at most \(Self.localCountMax)", at: body.codeRange.lowerBound)
    }
    output.text("(module")
    if let name = names.module {
      output.byte(UInt8(ascii: " "))
      try identifier(name)
    }
    try endLine(at: 0)
    indentation += 1
    for (index, type) in module.types.enumerated() {
      beginLine()
      output.text("(type")
      try identifier(.type, index)
      output.text(" (func")
      try signature(type, at: 0)
      output.text("))")
      try endLine(at: 0)
    }
    try printImports()
    try printDefinitions()
    for export in module.exports { try printExport(export) }
    if let start = module.startFunction {
      beginLine()
      output.text("(start")
      try reference(.function, start)
      output.byte(UInt8(ascii: ")"))
      try endLine(at: 0)
    }
    for (index, segment) in module.elementSegments.enumerated() { try printElement(segment, index) }
    for (offset, body) in module.functionBodies.enumerated() { try printFunction(body, module.importedFunctionCount + offset) }
    for (index, segment) in module.dataSegments.enumerated() { try printData(segment, index) }
    if withCustomSections { try printCustomSections() }
    indentation -= 1
    output.byte(UInt8(ascii: ")"))
    try endLine(at: module.bytes.count)
  }

  /// Tables, memories and globals.
  private mutating func printDefinitions() throws {
    for (offset, initializer) in module.tableInitializers.enumerated() {
      let index = module.importedTableCount + offset
      beginLine()
      output.text("(table")
      try identifier(.table, index)
      output.text(" \(Self.tableType(module.tables[index]))")
      // The initial value of every element, where it is not null.
      if let initializer { try printExpression(initializer) }
      output.byte(UInt8(ascii: ")"))
      try endLine(at: 0)
    }
    for index in module.importedMemoryCount..<module.memories.count {
      beginLine()
      output.text("(memory")
      try identifier(.memory, index)
      output.text(" \(Self.memoryType(module.memories[index])))")
      try endLine(at: 0)
    }
    for (offset, initializer) in module.globalInitializers.enumerated() {
      let index = module.importedGlobalCount + offset
      beginLine()
      output.text("(global")
      try identifier(.global, index)
      output.text(" \(Self.globalType(module.globals[index]))")
      try printExpression(initializer)
      output.byte(UInt8(ascii: ")"))
      try endLine(at: 0)
    }
  }

  private mutating func printImports() throws {
    var function = 0, table = 0, memory = 0, global = 0
    for entry in module.imports {
      beginLine()
      output.text("(import ")
      try output.quotedName(entry.module.string, at: entry.offset)
      output.byte(UInt8(ascii: " "))
      try output.quotedName(entry.name.string, at: entry.offset)
      switch entry.kind {
      case .function(let type):
        locals = names.locals(ofFunction: function)
        output.text(" (func")
        try identifier(.function, function)
        try typeUse(type)
        try parameters(ofType: type, at: entry.offset)
        locals = []
        function += 1
      case .table(let type):
        output.text(" (table")
        try identifier(.table, table)
        output.text(" \(Self.tableType(type))")
        table += 1
      case .memory(let type):
        output.text(" (memory")
        try identifier(.memory, memory)
        output.text(" \(Self.memoryType(type))")
        memory += 1
      case .global(let type):
        output.text(" (global")
        try identifier(.global, global)
        output.text(" \(Self.globalType(type))")
        global += 1
      }
      output.text("))")
      try endLine(at: entry.offset)
    }
  }

  private mutating func printExport(_ export: Export) throws {
    beginLine()
    output.text("(export ")
    try output.quotedName(export.name.string, at: export.offset)
    let (word, space): (String, ModuleNames.Space) =
      switch export.kind {
      case .function: (" (func", .function)
      case .table: (" (table", .table)
      case .memory: (" (memory", .memory)
      case .global: (" (global", .global)
      }
    output.text(word)
    try reference(space, export.index)
    output.text("))")
    try endLine(at: export.offset)
  }

  // MARK: Segments

  private mutating func printElement(_ segment: ElementSegment, _ index: Int) throws {
    beginLine()
    output.text("(elem")
    try identifier(.element, index)
    switch segment.mode {
    case .passive: break
    case .declarative: output.text(" declare")
    case .active(let table, let offset):
      if isTableWritten(segment) {
        output.text(" (table")
        try reference(.table, table)
        output.byte(UInt8(ascii: ")"))
      }
      output.text(" (offset")
      try printExpression(offset)
      output.byte(UInt8(ascii: ")"))
    }
    switch segment.items {
    case .functions(let functions):
      output.text(" func")
      for function in functions {
        try reference(.function, function)
        try output.drain(at: segment.offset)
      }
    case .expressions(let expressions):
      output.text(" \(segment.type)")
      for item in expressions {
        output.text(" (item")
        try printExpression(item)
        output.byte(UInt8(ascii: ")"))
        try output.drain(at: segment.offset)
      }
    }
    output.byte(UInt8(ascii: ")"))
    try endLine(at: segment.offset)
  }

  /// The short forms (flags 0 and 4) leave table 0 unsaid.
  private func isTableWritten(_ segment: ElementSegment) -> Bool {
    segment.offset < module.bytes.count && module.bytes[segment.offset] & 2 != 0
  }

  private mutating func printData(_ segment: DataSegment, _ index: Int) throws {
    beginLine()
    output.text("(data")
    try identifier(.data, index)
    if case .active(let memory, let offset) = segment.mode {
      if memory != 0 {
        output.text(" (memory")
        try reference(.memory, memory)
        output.byte(UInt8(ascii: ")"))
      }
      output.text(" (offset")
      try printExpression(offset)
      output.byte(UInt8(ascii: ")"))
    }
    output.byte(UInt8(ascii: " "))
    try output.quoted(module.contents(of: segment), at: segment.offset)
    output.byte(UInt8(ascii: ")"))
    try endLine(at: segment.offset)
  }

  // MARK: Custom sections

  private func printedCustomSections() -> [CustomSection] {
    let nameSections = module.customSections.filter { $0.name == "name" }
    // The identifiers say all: one name section, behind the known sections, no different from what they give.
    guard nameSections.count == 1, let section = nameSections.first, precedingSection(section) == lastKnownSection,
      let encoded = names.encoded(in: module), module.bytes[section.range].elementsEqual(encoded)
    else { return module.customSections }
    return module.customSections.filter { $0.name != "name" }
  }

  private mutating func printCustomSections() throws {
    let last = lastKnownSection
    let words = Dictionary(uniqueKeysWithValues: CustomSectionText.sectionIdentifiers.map { ($1, $0) })
    let printed = printedCustomSections()
    let nameRange = printed.contains { $0.name == "name" } ? nil : module.customSections.first { $0.name == "name" }?.range
    for section in printed {
      let preceding = precedingSection(section)
      let place: String
      if preceding != last {
        place = words[preceding].map { " (after \($0))" } ?? " (before first)"
      } else if let nameRange, section.range.lowerBound < nameRange.lowerBound {
        // In front of the name section, which stands behind the known ones.
        place = words[last].map { " (after \($0))" } ?? " (before first)"
      } else {
        place = ""
      }
      beginLine()
      output.text("(@custom ")
      try output.quotedName(section.name, at: section.range.lowerBound)
      output.text("\(place) ")
      try output.quoted(module.bytes[section.range], at: section.range.lowerBound)
      output.byte(UInt8(ascii: ")"))
      try endLine(at: section.range.lowerBound)
    }
  }

  /// The known sections in their order, and whether the module has entries of them.
  private var knownSections: [(identifier: UInt8, hasEntries: Bool)] {
    [
      (1, !module.types.isEmpty), (2, !module.imports.isEmpty), (3, !module.functionBodies.isEmpty),
      (4, module.tables.count > module.importedTableCount), (5, module.memories.count > module.importedMemoryCount),
      (6, module.globals.count > module.importedGlobalCount), (7, !module.exports.isEmpty), (8, module.startFunction != nil),
      (9, !module.elementSegments.isEmpty), (12, module.dataCount != nil), (10, !module.functionBodies.isEmpty),
      (11, !module.dataSegments.isEmpty),
    ]
  }

  private var lastKnownSection: UInt8 { knownSections.last { $0.hasEntries }?.identifier ?? 0 }

  /// The section in front of a custom one, those without entries aside; 0 for none.
  private func precedingSection(_ section: CustomSection) -> UInt8 {
    guard let index = knownSections.firstIndex(where: { $0.identifier == section.precedingSection }) else { return 0 }
    return knownSections[...index].last { $0.hasEntries }?.identifier ?? 0
  }
}
