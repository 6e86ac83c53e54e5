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
    try addParameters(use.names, to: &body)
    var locals: [(type: ValueTypeText, count: Int)] = []
    while cursor.takeOpen("local") {
      func add(_ type: ValueTypeText) {
        if locals.last?.type == type { locals[locals.count - 1].count += 1 } else { locals.append((type, 1)) }
      }
      if cursor.kind() == .identifier {
        let token = cursor.token()
        let name = try cursor.takeIdentifier()
        guard body.locals.add(name) else { throw cursor.error("duplicate local \(cursor.text(token))", at: token) }
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

  private func addParameters(_ names: [String?], to body: inout FunctionTextBody) throws(TextFormatError) {
    for name in names {
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
    try parseFolded(&body)
    body.code.mark(cursor.tokens[cursor.index - 1])
    body.code.byte(0x0B)
    return body.code
  }
}

/// The body being written: its code, the names of its locals, the labels around the place of writing.
struct FunctionTextBody {
  var code = ByteWriter()
  var locals = IndexSpace("local")
  /// From the outermost block to the innermost; nil for a block without a name.
  var labels: [Name?] = []
}
