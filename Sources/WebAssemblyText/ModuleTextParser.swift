/// Turns the text of one module into its binary form.
///
/// Two passes over the tokens. The first finds the fields and gives every definition its index, so that names may be used
/// before they are defined; the second, in the order of the text, writes the sections. Names of functions, locals and the
/// module go into a name section. Nothing is validated here: a well-formed text of an invalid module gives its binary.
/// Source: WebAssembly specification, chapter 6; memory types of memory control: `(memory i64 virtual 16 1024)`.
struct ModuleTextParser {
  struct Signature: Hashable {
    var parameters: [ValueTypeText] = []
    var results: [ValueTypeText] = []
  }

  enum FieldKind { case `import`, function, table, memory, global, export, start, element, data }

  struct Field {
    var kind: FieldKind
    /// The token after the keyword.
    var tokenIndex: Int
  }

  var cursor: TokenCursor
  var fields: [Field] = []

  var typeSpace = IndexSpace("type")
  var functionSpace = IndexSpace("func")
  var tableSpace = IndexSpace("table")
  var memorySpace = IndexSpace("memory")
  var globalSpace = IndexSpace("global")
  var elementSpace = IndexSpace("elem")
  var dataSpace = IndexSpace("data")

  var types: [Signature] = []
  /// Where each type is written; of one that only an inline use makes, the field of the use.
  var typeTokens: [Token] = []
  /// The first index of each signature: inline uses refer to it.
  var typeIndices: [Signature: Int] = [:]

  // The sections, as they are written, and how many entries each has.
  var imports = ByteWriter(), functions = ByteWriter(), tables = ByteWriter(), memories = ByteWriter()
  var globals = ByteWriter(), exports = ByteWriter(), elements = ByteWriter(), codes = ByteWriter(), data = ByteWriter()
  var importCount = 0, functionCount = 0, tableCount = 0, memoryCount = 0, globalCount = 0, exportCount = 0
  var elementCount = 0, dataCount = 0
  var start: ByteWriter?
  /// memory.init and data.drop need the data count section.
  var needsDataCount = false
  /// Names of the parameters and locals of each function that has any.
  var localNames: [(function: Int, names: [(index: Int, name: String)])] = []
  var moduleName: String?

  /// The keyword of the field that the second pass is at.
  var fieldToken = Token(kind: .endOfText, start: 0, end: 0)
  /// Sections of `@custom` annotations.
  var customSections: [CustomSectionText] = []
  // Where the second pass is in each index space of definitions.
  var nextFunction = 0, nextTable = 0, nextMemory = 0, nextGlobal = 0

  /// Parses a text that is one module: `(module ...)`, its fields alone, or a module in strings.
  static func translate(_ text: [UInt8]) throws(TextFormatError) -> TranslatedModule {
    var cursor = try TokenCursor(bytes: text)
    if let quoted = try QuotedModule(&cursor) { return try quoted.translate() }
    return try translatePlain(cursor)
  }

  /// Parses a text that is one module and no strings.
  static func translatePlain(_ start: TokenCursor) throws(TextFormatError) -> TranslatedModule {
    var cursor = start
    let isWrapped = cursor.isOpen("module")
    if isWrapped { _ = cursor.takeOpen("module") }
    let name = isWrapped ? try cursor.takeIdentifier() : nil
    var parser = ModuleTextParser(cursor: cursor, moduleName: name)
    let module = try parser.parseFields()
    if isWrapped { try parser.cursor.expectClose() }
    guard parser.cursor.kind() == .endOfText else { throw parser.cursor.unexpected("the end of the text") }
    return module
  }

  init(cursor: TokenCursor, moduleName: String?) {
    self.cursor = cursor
    self.moduleName = moduleName
  }

  /// Parses fields up to the closing parenthesis of the module, or the end of the text, and leaves the cursor there.
  mutating func parseFields() throws(TextFormatError) -> TranslatedModule {
    try collectFields()
    let end = cursor.index
    // Names resolve from here on. The parser moves back and forth between fields by token index.
    for field in fields {
      cursor.index = field.tokenIndex
      fieldToken = cursor.tokens[field.tokenIndex - 1]
      switch field.kind {
      case .import: try parseImport()
      case .function: try parseFunction()
      case .table: try parseTable()
      case .memory: try parseMemory()
      case .global: try parseGlobal()
      case .export: try parseExport()
      case .start: try parseStart()
      case .element: try parseElement()
      case .data: try parseData()
      }
      try cursor.expectClose()
    }
    cursor.index = end
    let module = assemble()
    return TranslatedModule(bytes: module.bytes, sourceMap: SourceMap(text: cursor.bytes, marks: module.marks))
  }

  // MARK: First pass

  private mutating func collectFields() throws(TextFormatError) {
    var firstDefinition: String?
    while cursor.kind() == .leftParenthesis || cursor.kind() == .customAnnotation {
      if cursor.kind() == .customAnnotation {
        try parseCustomSection()
        continue
      }
      let opening = cursor.index
      let keyword = cursor.token(1)
      guard keyword.kind == .keyword else {
        cursor.index += 1
        throw cursor.unexpected("a module field")
      }
      cursor.index += 2
      let body = cursor.index
      switch cursor.text(keyword) {
      case "type": try parseTypeDefinition()
      case "import":
        if let firstDefinition { throw cursor.error("import after \(firstDefinition)", at: keyword) }
        fields.append(Field(kind: .import, tokenIndex: body))
        try collectImport()
      case "func": try collectDefinition(.function, \.functionSpace, word: "function", at: body, &firstDefinition)
      case "table": try collectDefinition(.table, \.tableSpace, word: "table", at: body, &firstDefinition)
      case "memory": try collectDefinition(.memory, \.memorySpace, word: "memory", at: body, &firstDefinition)
      case "global": try collectDefinition(.global, \.globalSpace, word: "global", at: body, &firstDefinition)
      case "export": fields.append(Field(kind: .export, tokenIndex: body))
      case "start": fields.append(Field(kind: .start, tokenIndex: body))
      case "elem":
        fields.append(Field(kind: .element, tokenIndex: body))
        try add(to: \.elementSpace)
      case "data":
        fields.append(Field(kind: .data, tokenIndex: body))
        try add(to: \.dataSpace)
      default:
        throw cursor.notSupported(keyword)
          ?? cursor.error("unexpected token \(cursor.shown(keyword)): expected a module field", at: keyword)
      }
      cursor.index = opening
      try cursor.skipNode()
    }
    guard cursor.kind() == .rightParenthesis || cursor.kind() == .endOfText else { throw cursor.unexpected("a module field") }
  }

  /// Takes an optional name and adds an entry of that name.
  private mutating func add(to space: WritableKeyPath<ModuleTextParser, IndexSpace>) throws(TextFormatError) {
    let token = cursor.token()
    let name = try cursor.takeIdentifier()
    if !self[keyPath: space].add(name) {
      throw cursor.error("duplicate \(self[keyPath: space].kind) \(cursor.shown(token))", at: token)
    }
  }

  private mutating func collectImport() throws(TextFormatError) {
    _ = try cursor.expectString()
    _ = try cursor.expectString()
    guard cursor.take(.leftParenthesis) != nil, let keyword = cursor.take(.keyword) else { throw cursor.unexpected("an import") }
    switch cursor.text(keyword) {
    case "func": try add(to: \.functionSpace)
    case "table": try add(to: \.tableSpace)
    case "memory": try add(to: \.memorySpace)
    case "global": try add(to: \.globalSpace)
    default:
      throw cursor.notSupported(keyword)
        ?? cursor.error("unexpected token \(cursor.shown(keyword)): expected func, table, memory or global", at: keyword)
    }
  }

  private mutating func collectDefinition(
    _ kind: FieldKind, _ space: WritableKeyPath<ModuleTextParser, IndexSpace>, word: String, at body: Int,
    _ firstDefinition: inout String?
  ) throws(TextFormatError) {
    fields.append(Field(kind: kind, tokenIndex: body))
    try add(to: space)
    while cursor.isOpen("export") { try cursor.skipNode() }
    if cursor.isOpen("import") {
      if let firstDefinition { throw cursor.error("import after \(firstDefinition)", at: cursor.token()) }
    } else {
      if firstDefinition == nil { firstDefinition = word }
      // Segments inside a table or memory have indices like any other.
      var scan = cursor
      var depth = 0
      while scan.kind() != .endOfText && depth >= 0 && (kind == .table || kind == .memory) {
        if scan.kind() == .leftParenthesis || scan.kind() == .customAnnotation {
          if depth == 0 && kind == .table && scan.isOpen("elem") { _ = elementSpace.add(nil) }
          if depth == 0 && kind == .memory && scan.isOpen("data") { _ = dataSpace.add(nil) }
          depth += 1
        } else if scan.kind() == .rightParenthesis {
          depth -= 1
        }
        scan.index += 1
      }
    }
  }
}
