import WebAssembly

/// Functions: their types, locals and bodies.
extension ModuleTextParser {
  mutating func parseFunction() throws(TextFormatError) {
    let field = fieldToken
    _ = try cursor.takeIdentifier()
    let index = nextFunction
    try parseInlineExports(.function, index: index)
    if let (module, name) = try takeInlineImport() {
      return try addImport(.function, module, name, at: field, functionImportDescription())
    }
    let use = try parseTypeUse(namesAllowed: true)
    nextFunction += 1
    functionCount += 1
    functions.mark(field)
    functions.unsigned(use.index)

    var body = FunctionTextBody()
    try addParameters(use, to: &body)
    var locals: [(type: ValueTypeText, count: Int)] = []
    while cursor.takeOpen("local") {
      func add(_ type: ValueTypeText) {
        if locals.last?.type == type { locals[locals.count - 1].count += 1 } else { locals.append((type, 1)) }
      }
      if cursor.kind() == .identifier {
        let token = cursor.token()
        let name = try cursor.takeIdentifier()
        guard body.locals.add(name) else { throw cursor.error("duplicate local \(cursor.shown(token))", at: token) }
        add(try expectValueType())
      } else {
        while cursor.kind() != .rightParenthesis {
          add(try expectValueType())
          _ = body.locals.add(nil)
        }
      }
      try cursor.expectClose()
    }
    if !body.locals.names.isEmpty {
      localNames.append((index, body.locals.names.sorted { $0.key < $1.key }.map { (index: $0.key, name: $0.value) }))
    }

    var code = ByteWriter()
    code.unsigned(locals.count)
    for group in locals {
      code.unsigned(group.count)
      code.valueType(group.type)
    }
    try parseInstructions(&body)
    code.raw(body.code)
    code.mark(cursor.token())
    code.byte(0x0B)
    codes.mark(field)
    codes.vector(code)
  }

  private func addParameters(_ use: TypeUse, to body: inout FunctionTextBody) throws(TextFormatError) {
    guard !use.names.isEmpty else { return body.locals.addUnnamed(use.signature.parameters.count) }
    for name in use.names {
      guard body.locals.add(name) else { throw cursor.error("duplicate local $\(name ?? "")", at: cursor.token()) }
    }
  }

  mutating func noteLocalNames(_ names: [String?], function: Int) {
    let named = names.enumerated().compactMap { index, name in name.map { (index: index, name: $0) } }
    if !named.isEmpty { localNames.append((function, named)) }
  }

  // MARK: Constant expressions

  /// Instructions up to the closing parenthesis, with their `end`.
  mutating func parseConstantExpression() throws(TextFormatError) -> ByteWriter {
    var body = FunctionTextBody()
    try parseInstructions(&body)
    body.code.mark(cursor.token())
    body.code.byte(0x0B)
    return body.code
  }

  /// One folded instruction as an expression.
  mutating func parseFoldedConstant() throws(TextFormatError) -> ByteWriter {
    guard cursor.kind() == .leftParenthesis else { throw cursor.unexpected("an expression") }
    var body = FunctionTextBody()
    try parseInstructions(&body, isOneFolded: true)
    body.code.mark(cursor.tokens[cursor.index - 1])
    body.code.byte(0x0B)
    return body.code
  }
}

/// The body being written: its code, the names of its locals, and what is open around the place of writing.
struct FunctionTextBody {
  /// Something that is not closed yet.
  enum OpenConstruct {
    /// `block`, `loop` or `if` up to `end`; `takesElse`: an `if` without `else` so far.
    case plainBlock(takesElse: Bool)
    /// `(instruction`: its operands follow, then its own code.
    case foldedOperator(deferred: ByteWriter.Place)
    /// `(block` and `(loop`.
    case foldedBlock
    /// `(if`: the condition follows, then the code of the `if`, then `(then`.
    case foldedCondition(label: Name?, deferred: ByteWriter.Place)
    /// Behind `(then ...)`, and perhaps `(else ...)`, of a folded `if`.
    case foldedArms(hasElse: Bool)
    /// Inside `(then` or `(else`.
    case foldedArm

    /// Whether instructions that are not folded may stand here.
    var holdsInstructions: Bool {
      switch self {
      case .plainBlock, .foldedBlock, .foldedArm: true
      case .foldedOperator, .foldedCondition, .foldedArms: false
      }
    }

    /// What an error says is missing.
    var expectation: String {
      switch self {
      case .plainBlock: "an instruction or end"
      case .foldedBlock, .foldedArm: "an instruction or `)`"
      case .foldedCondition: "(then"
      case .foldedOperator, .foldedArms: "`)`"
      }
    }
  }

  var code = ByteWriter()
  var locals = IndexSpace("local")
  var labels = LabelStack()
  /// From the outermost to the innermost.
  var openConstructs: [OpenConstruct] = []
  /// Code of folded instructions whose operands come first, that of the innermost one last.
  private var deferredCode = ByteWriter()

  /// Takes what was written from a place on out of the code, to be written later; where it is kept.
  mutating func deferCode(from start: ByteWriter.Place) -> ByteWriter.Place {
    defer { code.moveTail(from: start, to: &deferredCode) }
    return deferredCode.place
  }

  /// Writes the code that was deferred last.
  mutating func undefer(from start: ByteWriter.Place) { deferredCode.moveTail(from: start, to: &code) }
}
