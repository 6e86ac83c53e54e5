/// Tokens to statements. What it does not know it names, and where.
struct TemplateParser {
  var tokens: [TemplateToken]
  var position = 0
  var depth = 0
  let depthMax: Int
  private var loopDepth = 0

  static func parse(_ tokens: [TemplateToken], depthMax: Int) throws(TemplateFailure) -> [TemplateStatement] {
    var parser = TemplateParser(tokens: tokens, depthMax: depthMax)
    let (statements, _) = try parser.statements(until: [], opened: nil)
    return statements
  }

  private init(tokens: [TemplateToken], depthMax: Int) {
    self.tokens = tokens
    self.depthMax = depthMax
  }

  // MARK: - Tokens

  var token: TemplateToken { tokens[position] }

  /// The last token is `end`, and is never passed.
  mutating func advance() { if position + 1 < tokens.count { position += 1 } }

  mutating func take(_ symbol: TemplateToken.Symbol) -> Bool {
    guard token.kind == .symbol(symbol) else { return false }
    advance()
    return true
  }

  mutating func take(word: String) -> Bool {
    guard token.kind == .name(word) else { return false }
    advance()
    return true
  }

  mutating func expect(_ symbol: TemplateToken.Symbol) throws(TemplateFailure) {
    guard take(symbol) else { throw unexpected("\"\(symbol.rawValue)\"") }
  }

  mutating func expect(word: String) throws(TemplateFailure) {
    guard take(word: word) else { throw unexpected("\"\(word)\"") }
  }

  mutating func expectName(_ what: String) throws(TemplateFailure) -> String {
    guard case .name(let name) = token.kind else { throw unexpected(what) }
    advance()
    return name
  }

  private mutating func expectStatementEnd() throws(TemplateFailure) {
    guard token.kind == .statementEnd else { throw unexpected("\"%}\"") }
    advance()
  }

  func unexpected(_ expected: String) -> TemplateFailure {
    let found: String
    switch token.kind {
    case .text: found = "text"
    case .printBegin: found = "\"{{\""
    case .printEnd: found = "\"}}\""
    case .statementBegin: found = "\"{%\""
    case .statementEnd: found = "\"%}\""
    case .name(let name): found = "\"\(name)\""
    case .string: found = "a string"
    case .int, .float: found = "a number"
    case .symbol(let symbol): found = "\"\(symbol.rawValue)\""
    case .end: found = "the end of the template"
    }
    return TemplateFailure(.syntax, "expected \(expected), found \(found)", at: token.offset)
  }

  /// Counts a level of nesting while `body` runs.
  mutating func nested<Result>(
    _ body: (inout TemplateParser) throws(TemplateFailure) -> Result
  ) throws(TemplateFailure) -> Result {
    guard depth < depthMax else {
      throw TemplateFailure(.limitExceeded, "nested deeper than \(depthMax) levels", at: token.offset)
    }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }

  // MARK: - Statements

  /// Statements up to a tag that is one of `endWords`, which is consumed up to and including its word.
  private mutating func statements(
    until endWords: Set<String>, opened: (word: String, offset: Int)?
  ) throws(TemplateFailure) -> ([TemplateStatement], endWord: String) {
    var list: [TemplateStatement] = []
    while true {
      let offset = token.offset
      switch token.kind {
      case .text(let text):
        advance()
        list.append(.init(kind: .text(TemplateString(template: text)), offset: offset))
      case .printBegin:
        advance()
        list.append(.init(kind: .print(try tupleOrExpression()), offset: offset))
        guard token.kind == .printEnd else { throw unexpected("\"}}\"") }
        advance()
      case .statementBegin:
        advance()
        let word = try expectName("a statement")
        if endWords.contains(word) { return (list, word) }
        if let statement = try statement(word, at: offset) { list += statement }
      case .end:
        guard let opened else { return (list, "") }
        let words = endWords.sorted().joined(separator: "\" or \"")
        throw TemplateFailure(
          .syntax, "the block \"\(opened.word)\" is not closed: expected \"{% \(words) %}\"", at: opened.offset)
      default: throw unexpected("text or a tag")
      }
    }
  }

  private mutating func statement(_ word: String, at offset: Int) throws(TemplateFailure) -> [TemplateStatement]? {
    switch word {
    case "if": return [.init(kind: try nested { (p) throws(TemplateFailure) in try p.ifStatement(offset) }, offset: offset)]
    case "for": return [.init(kind: try nested { (p) throws(TemplateFailure) in try p.forStatement(offset) }, offset: offset)]
    case "set": return [.init(kind: try nested { (p) throws(TemplateFailure) in try p.setStatement(offset) }, offset: offset)]
    case "macro": return [.init(kind: try nested { (p) throws(TemplateFailure) in try p.macroStatement(offset) }, offset: offset)]
    case "with": return [.init(kind: try nested { (p) throws(TemplateFailure) in try p.withStatement(offset) }, offset: offset)]
    case "generation":
      // Hugging Face's mark of what the assistant said, for training: the text is the same.
      try expectStatementEnd()
      let (body, _) = try nested { (p) throws(TemplateFailure) in
        try p.statements(until: ["endgeneration"], opened: ("generation", offset))
      }
      try expectStatementEnd()
      return body
    case "break", "continue":
      guard loopDepth > 0 else { throw TemplateFailure(.syntax, "\"\(word)\" outside a loop", at: offset) }
      try expectStatementEnd()
      return [.init(kind: word == "break" ? .break : .continue, offset: offset)]
    case "include", "import", "from", "extends", "block", "call", "filter", "autoescape", "do", "trans":
      throw TemplateFailure(.unsupported, "the statement \"\(word)\" is not supported", at: offset)
    default:
      throw TemplateFailure(.syntax, "unknown statement \"\(word)\"", at: offset)
    }
  }

  private mutating func ifStatement(_ offset: Int) throws(TemplateFailure) -> TemplateStatement.Kind {
    var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
    var otherwise: [TemplateStatement] = []
    var word = "if"
    while word == "if" || word == "elif" {
      let condition = try tupleOrExpression()
      try expectStatementEnd()
      let (body, next) = try statements(until: ["elif", "else", "endif"], opened: ("if", offset))
      branches.append((condition, body))
      word = next
    }
    if word == "else" {
      try expectStatementEnd()
      (otherwise, _) = try statements(until: ["endif"], opened: ("if", offset))
    }
    try expectStatementEnd()
    return .if(branches, otherwise: otherwise)
  }

  private mutating func forStatement(_ offset: Int) throws(TemplateFailure) -> TemplateStatement.Kind {
    let target = try target()
    try expect(word: "in")
    // An `if` here is the loop's condition, not a conditional expression.
    let sequence = try tupleOrExpression(allowsConditional: false)
    let condition = take(word: "if") ? try expression() : nil
    if case .name("recursive") = token.kind {
      throw TemplateFailure(.unsupported, "recursive loops are not supported", at: token.offset)
    }
    try expectStatementEnd()
    loopDepth += 1
    var (body, word) = try statements(until: ["else", "endfor"], opened: ("for", offset))
    loopDepth -= 1
    var otherwise: [TemplateStatement] = []
    if word == "else" {
      try expectStatementEnd()
      (otherwise, word) = try statements(until: ["endfor"], opened: ("for", offset))
    }
    try expectStatementEnd()
    return .for(.init(target: target, sequence: sequence, condition: condition, body: body, otherwise: otherwise))
  }

  private mutating func setStatement(_ offset: Int) throws(TemplateFailure) -> TemplateStatement.Kind {
    let target = try target()
    if take(.assign) {
      let value = try tupleOrExpression()
      try expectStatementEnd()
      return .set(target, value)
    }
    var filters: [(String, TemplateArguments)] = []
    while take(.pipe) {
      let name = try expectName("a filter")
      filters.append((name, take(.leftParenthesis) ? try arguments() : .init()))
    }
    try expectStatementEnd()
    let (body, _) = try statements(until: ["endset"], opened: ("set", offset))
    try expectStatementEnd()
    return .setBlock(target, body, filters: filters)
  }

  private mutating func macroStatement(_ offset: Int) throws(TemplateFailure) -> TemplateStatement.Kind {
    let name = try expectName("a macro's name")
    try expect(.leftParenthesis)
    var parameters: [(name: String, defaultValue: TemplateExpression?)] = []
    while !take(.rightParenthesis) {
      if !parameters.isEmpty { try expect(.comma) }
      let name = try expectName("a parameter")
      parameters.append((name, take(.assign) ? try expression() : nil))
    }
    try expectStatementEnd()
    let outerLoopDepth = loopDepth
    loopDepth = 0
    let (body, _) = try statements(until: ["endmacro"], opened: ("macro", offset))
    loopDepth = outerLoopDepth
    if case .name = token.kind { advance() }  // `endmacro name`
    try expectStatementEnd()
    return .macro(MacroDefinition(name: name, parameters: parameters, body: body))
  }

  private mutating func withStatement(_ offset: Int) throws(TemplateFailure) -> TemplateStatement.Kind {
    var bindings: [(TemplateTarget, TemplateExpression)] = []
    while token.kind != .statementEnd {
      if !bindings.isEmpty { try expect(.comma) }
      let target = TemplateTarget.name(try expectName("a name"))
      try expect(.assign)
      bindings.append((target, try expression()))
    }
    try expectStatementEnd()
    let (body, _) = try statements(until: ["endwith"], opened: ("with", offset))
    try expectStatementEnd()
    return .with(bindings, body)
  }

  /// `name`, `name.attribute`, `a, b`, `(a, b)`, and these within each other: `a, (b, c)`.
  private mutating func target() throws(TemplateFailure) -> TemplateTarget {
    let first = try singleTarget()
    guard token.kind == .symbol(.comma) else { return first }
    var targets = [first]
    while take(.comma) {
      switch token.kind {
      case .name("in"), .symbol(.assign), .symbol(.rightParenthesis), .symbol(.rightBracket), .statementEnd: break
      default:
        targets.append(try singleTarget())
        continue
      }
      break
    }
    return .tuple(targets)
  }

  private mutating func singleTarget() throws(TemplateFailure) -> TemplateTarget {
    if take(.leftParenthesis) {
      let inner = try nested { (p) throws(TemplateFailure) in try p.target() }
      try expect(.rightParenthesis)
      return inner
    }
    let name = try expectName("a name to assign to")
    return take(.dot) ? .attribute(of: name, try expectName("an attribute")) : .name(name)
  }
}
