import WebAssembly

/// Writes a module in the text format, one instruction a line, so that reading it back gives the same binary.
///
/// Custom sections become `@custom` annotations; the name section becomes identifiers, and an annotation only where these do not
/// say all of it. What a text cannot say is lost: see the room's page.
struct ModulePrinter {
  /// A text is at most this long: a few bytes of binary can declare fifty thousand locals.
  private static let byteCountMax = 1 << 30
  private static let localCountMax = 50_000

  let module: Module
  private let withCustomSections: Bool
  let names: ModuleNames
  private(set) var text = ""
  var indentation = 0

  static func print(_ module: Module, withCustomSections: Bool) throws(WasmParseError) -> String {
    var printer = ModulePrinter(module: module, withCustomSections: withCustomSections)
    try printer.printModule()
    return printer.text
  }

  private init(module: Module, withCustomSections: Bool) {
    self.module = module
    self.withCustomSections = withCustomSections
    names = ModuleNames(module)
  }

  mutating func line(_ content: String) {
    for _ in 0..<indentation { text += "  " }
    text += content
    text += "\n"
  }

  // MARK: The module

  private mutating func printModule() throws(WasmParseError) {
    line("(module" + (names.module.map { " " + ModuleNames.identifier($0) } ?? ""))
    indentation += 1
    for (index, type) in module.types.enumerated() {
      line("(type\(named(.type, index)) (func\(signature(type))))")
    }
    printImports()
    for (offset, initializer) in module.tableInitializers.enumerated() {
      let index = module.importedTableCount + offset
      // The initial value of every element, where it is not null.
      let value = try initializer.map { initializer throws(WasmParseError) in try instructions(initializer) } ?? ""
      line("(table\(named(.table, index)) \(tableType(module.tables[index]))\(value.isEmpty ? "" : " " + value))")
    }
    for index in module.importedMemoryCount..<module.memories.count {
      line("(memory\(named(.memory, index)) \(Self.memoryType(module.memories[index])))")
    }
    for (offset, initializer) in module.globalInitializers.enumerated() {
      let index = module.importedGlobalCount + offset
      line("(global\(named(.global, index)) \(globalType(module.globals[index])) \(try expression(initializer)))")
    }
    for export in module.exports { line("(export \(Self.quoted(export.name.string)) \(externalReference(export)))") }
    if let start = module.startFunction { line("(start \(names.reference(.function, start)))") }
    for (index, segment) in module.elementSegments.enumerated() { try printElement(segment, index) }
    for (offset, body) in module.functionBodies.enumerated() {
      guard body.localCount <= Self.localCountMax else {
        throw WasmParseError(
          "too many locals: \(body.localCount), a text lists at most \(Self.localCountMax)", at: body.codeRange.lowerBound)
      }
      guard text.utf8.count < Self.byteCountMax else {
        throw WasmParseError("the text would be longer than 1 GiB", at: body.codeRange.lowerBound)
      }
      try printFunction(body, module.importedFunctionCount + offset)
    }
    for (index, segment) in module.dataSegments.enumerated() { try printData(segment, index) }
    if withCustomSections { printCustomSections() }
    indentation -= 1
    line(")")
  }

  func named(_ space: ModuleNames.Space, _ index: Int) -> String { names.identifier(space, index).map { " \($0)" } ?? "" }

  private mutating func printImports() {
    var function = 0, table = 0, memory = 0, global = 0
    for entry in module.imports {
      let description: String
      switch entry.kind {
      case .function(let type):
        description =
          "(func\(named(.function, function)) (type \(names.reference(.type, type)))\(parameters(ofFunction: function, type: type)))"
        function += 1
      case .table(let type):
        description = "(table\(named(.table, table)) \(tableType(type)))"
        table += 1
      case .memory(let type):
        description = "(memory\(named(.memory, memory)) \(Self.memoryType(type)))"
        memory += 1
      case .global(let type):
        description = "(global\(named(.global, global)) \(globalType(type)))"
        global += 1
      }
      line("(import \(Self.quoted(entry.module.string)) \(Self.quoted(entry.name.string)) \(description))")
    }
  }

  private func externalReference(_ export: Export) -> String {
    switch export.kind {
    case .function: "(func \(names.reference(.function, export.index)))"
    case .table: "(table \(names.reference(.table, export.index)))"
    case .memory: "(memory \(names.reference(.memory, export.index)))"
    case .global: "(global \(names.reference(.global, export.index)))"
    }
  }

  // MARK: Types

  func signature(_ type: FunctionType) -> String {
    let parameters = type.parameters.isEmpty ? "" : " (param \(list(type.parameters)))"
    return parameters + (type.results.isEmpty ? "" : " (result \(list(type.results)))")
  }

  private func list(_ types: [ValueType]) -> String { types.map(\.description).joined(separator: " ") }

  /// The signature beside a type use; parameters one by one where any has a name.
  func parameters(ofFunction function: Int, type: UInt32) -> String {
    guard Int(type) < module.types.count else { return "" }
    let type = module.types[Int(type)]
    guard type.parameters.indices.contains(where: { names.localIdentifier(function: function, $0) != nil }) else {
      return signature(type)
    }
    let parameters = type.parameters.enumerated().map { index, type in
      " (param" + (names.localIdentifier(function: function, index).map { " \($0)" } ?? "") + " \(type))"
    }
    return parameters.joined() + (type.results.isEmpty ? "" : " (result \(list(type.results)))")
  }

  private func tableType(_ type: TableType) -> String {
    (type.addressType == .i64 ? "i64 " : "") + Self.limits(type.limits) + " \(type.elementType)"
  }

  private static func limits(_ limits: Limits) -> String { "\(limits.minimum)" + (limits.maximum.map { " \($0)" } ?? "") }

  /// `i64 virtual 16 1024 shared (pagesize 1) (readonly 4)`, without what is the default.
  static func memoryType(_ type: MemoryType) -> String {
    var text = type.addressType == .i64 ? "i64 " : ""
    if type.attributes.isVirtual { text += "virtual " }
    text += limits(type.limits)
    if type.isShared { text += " shared" }
    if type.pageByteCountLog2 != 16 { text += " (pagesize \(UInt64(1) << UInt64(min(type.pageByteCountLog2, 63))))" }
    for (word, count) in [
      ("noaccess", type.attributes.noAccess), ("readonly", type.attributes.readOnly), ("mappable", type.attributes.mappable),
    ] { text += count.map { " (\(word) \($0))" } ?? "" }
    return text
  }

  private func globalType(_ type: GlobalType) -> String { type.isMutable ? "(mut \(type.valueType))" : "\(type.valueType)" }

  // MARK: Segments

  private mutating func printElement(_ segment: ElementSegment, _ index: Int) throws(WasmParseError) {
    var parts = "(elem\(named(.element, index))"
    switch segment.mode {
    case .passive: break
    case .declarative: parts += " declare"
    case .active(let table, let offset):
      if isTableWritten(segment) { parts += " (table \(names.reference(.table, table)))" }
      parts += " (offset \(try instructions(offset)))"
    }
    switch segment.items {
    case .functions(let functions): parts += " func" + functions.map { " " + names.reference(.function, $0) }.joined()
    case .expressions(let expressions):
      parts += " \(segment.type)"
      for item in expressions { parts += " (item \(try instructions(item)))" }
    }
    line(parts + ")")
  }

  /// The short forms (flags 0 and 4) leave table 0 unsaid.
  private func isTableWritten(_ segment: ElementSegment) -> Bool {
    segment.offset < module.bytes.count && module.bytes[segment.offset] & 2 != 0
  }

  private mutating func printData(_ segment: DataSegment, _ index: Int) throws(WasmParseError) {
    var parts = "(data\(named(.data, index))"
    if case .active(let memory, let offset) = segment.mode {
      if memory != 0 { parts += " (memory \(names.reference(.memory, memory)))" }
      parts += " (offset \(try instructions(offset)))"
    }
    line(parts + " " + Self.quoted(Array(module.contents(of: segment))) + ")")
  }

  // MARK: Custom sections

  private func printedCustomSections() -> [CustomSection] {
    let nameSections = module.customSections.filter { $0.name == "name" }
    // The identifiers say all: one name section, behind the known sections, no different from what they give.
    guard nameSections.count == 1, let section = nameSections.first, precedingSection(section) == lastKnownSection,
      let encoded = names.encoded, module.bytes[section.range].elementsEqual(encoded)
    else { return module.customSections }
    return module.customSections.filter { $0.name != "name" }
  }

  private mutating func printCustomSections() {
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
      line("(@custom \(Self.quoted(section.name))\(place) \(Self.quoted(Array(module.bytes[section.range]))))")
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

  // MARK: Strings

  static func quoted(_ text: String) -> String {
    let bytes = Array(text.utf8)
    // Names stay readable: only what a string cannot hold is escaped.
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += escape(UInt8(scalar.value))
      default: result.unicodeScalars.append(scalar)
      }
    }
    return bytes.isEmpty ? "\"\"" : result + "\""
  }

  /// Bytes as a string of printable ASCII and escapes.
  static func quoted(_ bytes: [UInt8]) -> String {
    var result = "\""
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""): result += "\\\""
      case UInt8(ascii: "\\"): result += "\\\\"
      case 0x20..<0x7F: result.unicodeScalars.append(Unicode.Scalar(byte))
      default: result += escape(byte)
      }
    }
    return result + "\""
  }

  private static func escape(_ byte: UInt8) -> String {
    let digits = Array("0123456789abcdef")
    return "\\\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
  }
}
