/// Precedence, loosest first: conditional, or, and, not, comparison and `in`, + -, ~, * / // %, **, unary, then postfix, filters
/// and tests. As in Jinja, whose order differs from Python's in ~ and in ** binding to the left.
extension TemplateParser {
  /// `a, b` is a tuple.
  mutating func tupleOrExpression(allowsConditional: Bool = true) throws(TemplateFailure) -> TemplateExpression {
    let offset = token.offset
    let first = try expression(allowsConditional: allowsConditional)
    guard token.kind == .symbol(.comma) else { return first }
    var elements = [first]
    while take(.comma) {
      switch token.kind {
      case .printEnd, .statementEnd, .symbol(.rightParenthesis): break
      default:
        elements.append(try expression(allowsConditional: allowsConditional))
        continue
      }
      break
    }
    return try Self.made(depthMax, .list(elements, isTuple: true), offset: offset)
  }

  mutating func expression(allowsConditional: Bool = true) throws(TemplateFailure) -> TemplateExpression {
    try nested { (parser) throws(TemplateFailure) in
      allowsConditional ? try parser.conditional() : try parser.or()
    }
  }

  private mutating func conditional() throws(TemplateFailure) -> TemplateExpression {
    var value = try or()
    var chain = 0
    while take(word: "if") {
      try countLink(&chain)
      let condition = try or()
      let otherwise = take(word: "else") ? try expression() : nil
      value = try Self.made(depthMax, .conditional(condition: condition, then: value, otherwise: otherwise), offset: value.offset)
    }
    return value
  }

  /// An expression that is not nested deeper than it may be, however its levels come about: chains within brackets within chains.
  private static func made(
    _ depthMax: Int, _ kind: TemplateExpression.Kind, offset: Int
  ) throws(TemplateFailure) -> TemplateExpression {
    let expression = TemplateExpression(kind: kind, offset: offset)
    guard expression.depth <= depthMax else {
      throw TemplateFailure(.limitExceeded, "an expression nested deeper than \(depthMax) levels", at: offset)
    }
    return expression
  }

  /// Left-associative chains nest to the left when they are evaluated: they are as long as nesting is deep.
  private func countLink(_ chain: inout Int) throws(TemplateFailure) {
    chain += 1
    guard chain <= depthMax else {
      throw TemplateFailure(.limitExceeded, "an expression of more than \(depthMax) links", at: token.offset)
    }
  }

  private mutating func or() throws(TemplateFailure) -> TemplateExpression {
    var left = try and()
    var chain = 0
    while take(word: "or") {
      try countLink(&chain)
      left = try Self.made(depthMax, .or(left, try and()), offset: left.offset)
    }
    return left
  }

  private mutating func and() throws(TemplateFailure) -> TemplateExpression {
    var left = try not()
    var chain = 0
    while take(word: "and") {
      try countLink(&chain)
      left = try Self.made(depthMax, .and(left, try not()), offset: left.offset)
    }
    return left
  }

  private mutating func not() throws(TemplateFailure) -> TemplateExpression {
    let offset = token.offset
    guard take(word: "not") else { return try comparison() }
    return try Self.made(depthMax, .not(try nested { (parser) throws(TemplateFailure) in try parser.not() }), offset: offset)
  }

  private mutating func comparison() throws(TemplateFailure) -> TemplateExpression {
    let left = try sum()
    var links: [(TemplateExpression.Comparison, TemplateExpression)] = []
    while let link = takeComparison() { links.append((link, try sum())) }
    return links.isEmpty ? left : try Self.made(depthMax, .comparison(left, links), offset: left.offset)
  }

  private mutating func takeComparison() -> TemplateExpression.Comparison? {
    switch token.kind {
    case .symbol(.equal): advance(); return .equal
    case .symbol(.notEqual): advance(); return .notEqual
    case .symbol(.less): advance(); return .less
    case .symbol(.lessOrEqual): advance(); return .lessOrEqual
    case .symbol(.greater): advance(); return .greater
    case .symbol(.greaterOrEqual): advance(); return .greaterOrEqual
    case .name("in"): advance(); return .contained
    case .name("not") where position + 1 < tokens.count && tokens[position + 1].kind == .name("in"):
      advance()
      advance()
      return .notContained
    default: return nil
    }
  }

  private mutating func sum() throws(TemplateFailure) -> TemplateExpression {
    var left = try concatenation()
    var chain = 0
    while true {
      guard case .symbol(let symbol) = token.kind, symbol == .plus || symbol == .minus else { return left }
      advance()
      try countLink(&chain)
      left = try Self.made(depthMax, .binary(symbol, left, try concatenation()), offset: left.offset)
    }
  }

  private mutating func concatenation() throws(TemplateFailure) -> TemplateExpression {
    let first = try product()
    var parts = [first]
    while take(.concatenate) { parts.append(try product()) }
    return parts.count == 1 ? first : try Self.made(depthMax, .concatenation(parts), offset: first.offset)
  }

  private mutating func product() throws(TemplateFailure) -> TemplateExpression {
    var left = try power()
    var chain = 0
    while true {
      guard case .symbol(let symbol) = token.kind, [.times, .divide, .floorDivide, .modulo].contains(symbol) else { return left }
      advance()
      try countLink(&chain)
      left = try Self.made(depthMax, .binary(symbol, left, try power()), offset: left.offset)
    }
  }

  private mutating func power() throws(TemplateFailure) -> TemplateExpression {
    var left = try unary()
    var chain = 0
    while take(.power) {
      try countLink(&chain)
      left = try Self.made(depthMax, .binary(.power, left, try unary()), offset: left.offset)
    }
    return left
  }

  private mutating func unary(withFilters: Bool = true) throws(TemplateFailure) -> TemplateExpression {
    let offset = token.offset
    var value: TemplateExpression
    if take(.minus) {
      let operand = try nested { (parser) throws(TemplateFailure) in try parser.unary(withFilters: false) }
      value = try Self.made(depthMax, .negate(operand), offset: offset)
    } else if take(.plus) {
      let operand = try nested { (parser) throws(TemplateFailure) in try parser.unary(withFilters: false) }
      value = try Self.made(depthMax, .plus(operand), offset: offset)
    } else {
      value = try primary()
    }
    var chain = 0
    while true {
      var isLonger = try postfix(&value)
      if !isLonger, withFilters { isLonger = try filterOrTest(&value) }
      guard isLonger else { return value }
      try countLink(&chain)
    }
  }

  private mutating func primary() throws(TemplateFailure) -> TemplateExpression {
    let offset = token.offset
    func literal(_ value: TemplateValue) -> TemplateExpression { TemplateExpression(literal: value, offset: offset) }
    switch token.kind {
    case .string(var text):
      advance()
      // Strings beside each other are one.
      while case .string(let more) = token.kind {
        text += more
        advance()
      }
      return literal(.template(text))
    case .int(let value):
      advance()
      return literal(.int(value))
    case .float(let value):
      advance()
      return literal(.float(value))
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return literal(.bool(true))
      case "false", "False": return literal(.bool(false))
      case "none", "None": return literal(.none)
      case "if", "else", "elif", "and", "or", "not", "in", "is":
        throw TemplateFailure(.syntax, "expected an expression, found \"\(name)\"", at: offset)
      default: return try Self.made(depthMax, .name(name), offset: offset)
      }
    case .symbol(.leftParenthesis):
      advance()
      if take(.rightParenthesis) { return try Self.made(depthMax, .list([], isTuple: true), offset: offset) }
      let value = try nested { (parser) throws(TemplateFailure) in try parser.tupleOrExpression() }
      try expect(.rightParenthesis)
      return value
    case .symbol(.leftBracket):
      advance()
      var elements: [TemplateExpression] = []
      while !take(.rightBracket) {
        if !elements.isEmpty {
          try expect(.comma)
          if take(.rightBracket) { break }
        }
        elements.append(try expression())
      }
      return try Self.made(depthMax, .list(elements, isTuple: false), offset: offset)
    case .symbol(.leftBrace):
      advance()
      var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
      while !take(.rightBrace) {
        if !entries.isEmpty {
          try expect(.comma)
          if take(.rightBrace) { break }
        }
        let key = try expression()
        try expect(.colon)
        entries.append((key, try expression()))
      }
      return try Self.made(depthMax, .dictionary(entries), offset: offset)
    default: throw unexpected("an expression")
    }
  }

  /// `.name`, `[index]`, `[a:b:c]`, `(arguments)`.
  private mutating func postfix(_ value: inout TemplateExpression) throws(TemplateFailure) -> Bool {
    let offset = token.offset
    if take(.dot) {
      if case .int(let index) = token.kind {
        advance()
        value = try Self.made(depthMax, .subscript_(value, TemplateExpression(literal: .int(index), offset: offset)), offset: offset)
      } else {
        value = try Self.made(depthMax, .attribute(value, try expectName("an attribute")), offset: offset)
      }
      return true
    }
    if take(.leftBracket) {
      value = try Self.made(depthMax, try index(value), offset: offset)
      try expect(.rightBracket)
      return true
    }
    if take(.leftParenthesis) {
      value = try Self.made(depthMax, .call(value, try arguments()), offset: offset)
      return true
    }
    return false
  }

  private mutating func index(_ value: TemplateExpression) throws(TemplateFailure) -> TemplateExpression.Kind {
    var parts: [TemplateExpression?] = [nil]
    var isSlice = false
    while token.kind != .symbol(.rightBracket) {
      if take(.colon) {
        isSlice = true
        parts.append(nil)
      } else {
        guard parts[parts.count - 1] == nil else { throw unexpected("\"]\"") }
        parts[parts.count - 1] = try tupleOrExpression()
      }
    }
    guard isSlice else {
      guard let index = parts[0] else { throw unexpected("an index") }
      return .subscript_(value, index)
    }
    guard parts.count <= 3 else { throw unexpected("\"]\"") }
    return .slice(value, start: parts[0], stop: parts[1], step: parts.count == 3 ? parts[2] : nil)
  }

  /// After the parenthesis.
  mutating func arguments() throws(TemplateFailure) -> TemplateArguments {
    var arguments = TemplateArguments()
    var isFirst = true
    while !take(.rightParenthesis) {
      if !isFirst {
        try expect(.comma)
        if take(.rightParenthesis) { break }
      }
      isFirst = false
      if token.kind == .symbol(.times) || token.kind == .symbol(.power) {
        throw TemplateFailure(.unsupported, "unpacked arguments are not supported", at: token.offset)
      }
      if case .name(let name) = token.kind, position + 1 < tokens.count, tokens[position + 1].kind == .symbol(.assign) {
        advance()
        advance()
        arguments.named.append((name, try expression()))
      } else {
        guard arguments.named.isEmpty else { throw unexpected("a named argument") }
        arguments.positional.append(try expression())
      }
    }
    return arguments
  }

  private mutating func filterOrTest(_ value: inout TemplateExpression) throws(TemplateFailure) -> Bool {
    let offset = token.offset
    if take(.pipe) {
      let name = try expectName("a filter")
      value = try Self.made(depthMax, .filter(value, name, take(.leftParenthesis) ? try arguments() : .init()), offset: offset)
      return true
    }
    guard take(word: "is") else { return false }
    let isNegated = take(word: "not")
    let name = try expectName("a test")
    var arguments = TemplateArguments()
    if take(.leftParenthesis) {
      arguments = try self.arguments()
    } else {
      // `is divisibleby 3`, `is in list`: one operand without parentheses.
      switch token.kind {
      case .string, .int, .float, .symbol(.leftBracket), .symbol(.leftBrace):
        arguments.positional = [try testOperand()]
      case .name(let word) where !["else", "or", "and", "if", "is", "not", "in"].contains(word):
        arguments.positional = [try testOperand()]
      default: break
      }
    }
    let test = try Self.made(depthMax, .test(value, name, arguments), offset: offset)
    value = isNegated ? try Self.made(depthMax, .not(test), offset: offset) : test
    return true
  }

  private mutating func testOperand() throws(TemplateFailure) -> TemplateExpression {
    var value = try primary()
    var chain = 0
    while try postfix(&value) { try countLink(&chain) }
    return value
  }
}
