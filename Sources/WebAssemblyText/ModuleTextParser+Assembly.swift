/// The last step: sections, names and custom sections become a module.
extension ModuleTextParser {
  func assemble() -> ByteWriter {
    var module = ByteWriter(bytes: [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00])
    func custom(_ place: CustomSectionText.Place) {
      for section in customSections where section.place == place { module.customSection(section.name, section.contents) }
    }
    func section(_ identifier: UInt8, _ content: ByteWriter?) {
      custom(.before(identifier))
      if let content {
        module.byte(identifier)
        module.vector(content)
      }
      custom(.after(identifier))
    }
    func list(_ identifier: UInt8, count: Int, _ items: ByteWriter) {
      var content = ByteWriter()
      content.unsigned(count)
      content.raw(items)
      section(identifier, count > 0 ? content : nil)
    }
    var typeSection = ByteWriter()
    for (type, token) in zip(types, typeTokens) {
      typeSection.mark(token)
      typeSection.byte(0x60)
      typeSection.valueTypes(type.parameters)
      typeSection.valueTypes(type.results)
    }
    custom(.beforeFirst)
    list(1, count: types.count, typeSection)
    list(2, count: importCount, imports)
    list(3, count: functionCount, functions)
    list(4, count: tableCount, tables)
    list(5, count: memoryCount, memories)
    list(6, count: globalCount, globals)
    list(7, count: exportCount, exports)
    section(8, start)
    list(9, count: elementCount, elements)
    var dataCountSection = ByteWriter()
    dataCountSection.unsigned(dataCount)
    section(12, needsDataCount ? dataCountSection : nil)
    list(10, count: functionCount, codes)
    list(11, count: dataCount, data)
    // A name section that was written as such stands for the one that the identifiers give.
    if !customSections.contains(where: { $0.name == "name" }), let names = names.encoded { module.customSection("name", names) }
    custom(.afterLast)
    return module
  }

  /// Everything that has an identifier.
  private var names: NameSectionText {
    func list(_ space: IndexSpace) -> [NameSectionText.Entry] {
      space.names.sorted { $0.key < $1.key }.map { NameSectionText.Entry(index: $0.key, name: Array($0.value.utf8)[...]) }
    }
    return NameSectionText(
      module: moduleName.map { Array($0.utf8)[...] },
      locals: localNames.map {
        (function: $0.function, names: $0.names.map { NameSectionText.Entry(index: $0.index, name: Array($0.name.utf8)[...]) })
      },
      spaces: [
        .function: list(functionSpace), .type: list(typeSpace), .table: list(tableSpace), .memory: list(memorySpace),
        .global: list(globalSpace), .element: list(elementSpace), .data: list(dataSpace),
      ])
  }

  // MARK: Custom sections

  /// `(@custom "name" place? "contents"*)`, the cursor at it. Source: specification, appendix "Custom Annotations".
  mutating func parseCustomSection() throws(TextFormatError) {
    cursor.index += 1
    let name = try cursor.expectName()
    var place = CustomSectionText.Place.afterLast
    if cursor.isOpen("before") || cursor.isOpen("after") {
      let isBefore = cursor.isOpen("before")
      cursor.index += 2
      let token = cursor.token()
      if isBefore, cursor.takeKeyword("first") {
        place = .beforeFirst
      } else if !isBefore, cursor.takeKeyword("last") {
        place = .afterLast
      } else {
        guard token.kind == .keyword, let identifier = CustomSectionText.sectionIdentifiers[cursor.text(token)] else {
          throw cursor.unexpected("the name of a section")
        }
        cursor.index += 1
        place = isBefore ? .before(identifier) : .after(identifier)
      }
      try cursor.expectClose()
    }
    var contents: [UInt8] = []
    while cursor.kind() == .string { contents += try cursor.expectString() }
    try cursor.expectClose()
    customSections.append(CustomSectionText(name: name, place: place, contents: contents))
  }
}

/// A custom section as an annotation has it.
struct CustomSectionText {
  enum Place: Hashable {
    case beforeFirst, afterLast
    /// Relative to the known section of this identifier, whether the module has it or not.
    case before(UInt8), after(UInt8)
  }

  var name: String
  var place: Place
  var contents: [UInt8]

  static let sectionIdentifiers: [String: UInt8] = [
    "type": 1, "import": 2, "func": 3, "table": 4, "memory": 5, "global": 6, "export": 7, "start": 8, "elem": 9, "datacount": 12,
    "code": 10, "data": 11,
  ]
}

extension ByteWriter {
  mutating func customSection(_ name: String, _ contents: [UInt8]) {
    var content = ByteWriter()
    content.name(name)
    content.raw(contents)
    byte(0)
    vector(content)
  }
}
