/// Runs a template. One per rendering; counts what it costs.
final class TemplateEvaluator {
  /// Names visible at a place: those of the block, then of the blocks around it.
  final class Scope {
    var variables: [String: TemplateValue]
    let parent: Scope?

    init(_ variables: [String: TemplateValue] = [:], parent: Scope?) {
      self.variables = variables
      self.parent = parent
    }

    func find(_ name: String) -> TemplateValue? {
      var scope: Scope? = self
      while let current = scope {
        if let value = current.variables[name] { return value }
        scope = current.parent
      }
      return nil
    }
  }

  /// What a statement leaves behind.
  enum Flow { case next, `break`, `continue` }

  let limits: ChatTemplateLimits
  /// What `strftime_now` says; nil: there is no clock.
  let time: TemplateTime?
  private let globals: Scope
  private let isStopped: (() -> Bool)?
  /// The scopes that macros were defined in: values name them by number.
  private var macroScopes: [Scope] = []
  private var stepCount = 0
  private var nextStopCheck = 0
  private var outputByteCount = 0
  private var output = TemplateString.empty
  private var depth = 0

  init(_ variables: [String: TemplateValue], limits: ChatTemplateLimits, time: TemplateTime?, isStopped: (() -> Bool)?) {
    self.limits = limits
    self.time = time
    self.isStopped = isStopped
    globals = Scope(variables, parent: nil)
  }

  func render(_ statements: [TemplateStatement]) throws(TemplateFailure) -> TemplateString {
    _ = try run(statements, globals)
    return output
  }

  // MARK: - Costs

  /// Counts steps before they are taken; see `ChatTemplateLimits.stepCountMax`.
  func charge(_ count: Int, at offset: Int) throws(TemplateFailure) {
    guard count <= limits.stepCountMax - stepCount else {
      throw TemplateFailure(.limitExceeded, "rendering takes more than \(limits.stepCountMax) steps", at: offset)
    }
    stepCount += count
    // A few thousand steps take about a millisecond.
    guard stepCount >= nextStopCheck, let isStopped else { return }
    nextStopCheck = stepCount + 4096
    if isStopped() { throw TemplateFailure(.stopped, "rendering was stopped before it was done", at: offset) }
  }

  /// Counts before anything is made.
  func chargeProduct(_ count: Int, _ factor: Int, at offset: Int) throws(TemplateFailure) {
    guard factor > 0, count > 0 else { return }
    let (product, overflow) = count.multipliedReportingOverflow(by: factor)
    try charge(overflow ? .max : product, at: offset)
  }

  /// One level of statements, expressions, macros or filters within each other: each takes native stack.
  /// - Parameter levels: how much of it, in units of a plain expression.
  func enter(_ levels: Int = 1, at offset: Int) throws(TemplateFailure) {
    guard depth <= limits.evaluationDepthMax - levels else {
      throw TemplateFailure(
        .limitExceeded, "macros and blocks are evaluated more than \(limits.evaluationDepthMax) levels deep", at: offset)
    }
    depth += levels
  }

  func leave(_ levels: Int = 1) { depth -= levels }

  /// A list, when it is neither too long nor too deep.
  func list(_ elements: [TemplateValue], isTuple: Bool = false, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    try charge(elements.count, at: offset)
    let list = TemplateList(elements, isTuple: isTuple)
    try requireSize(.list(list), at: offset)
    for case .namespace in elements { throw TemplateFailure(.evaluation, "a namespace cannot be an element", at: offset) }
    return .list(list)
  }

  func requireSize(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) {
    guard value.depth <= limits.nestingDepthMax else {
      throw TemplateFailure(.limitExceeded, "values are nested deeper than \(limits.nestingDepthMax) levels", at: offset)
    }
    guard value.weight <= limits.stepCountMax else {
      throw TemplateFailure(.limitExceeded, "a value holds more than \(limits.stepCountMax) others", at: offset)
    }
  }

  /// How a value is printed, counted before it is made.
  func text(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> TemplateString {
    try charge(value.weight, at: offset)
    return value.printed
  }

  /// A string, its length counted: an eighth of a step for each byte.
  func string(_ text: TemplateString, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    try charge(text.byteCount / 8 + text.templateRanges.count + 1, at: offset)
    return .string(text)
  }

  private func write(_ text: TemplateString, at offset: Int) throws(TemplateFailure) {
    guard text.byteCount <= limits.outputByteCountMax - outputByteCount else {
      throw TemplateFailure(.limitExceeded, "the output has more than \(limits.outputByteCountMax) bytes", at: offset)
    }
    outputByteCount += text.byteCount
    output.append(text)
  }

  /// What `body` writes, as a string instead.
  private func captured(_ body: () throws(TemplateFailure) -> Void) throws(TemplateFailure) -> TemplateString {
    let outer = output
    output = .empty
    defer { output = outer }
    try body()
    return output
  }

  // MARK: - Statements

  func run(_ statements: [TemplateStatement], _ scope: Scope) throws(TemplateFailure) -> Flow {
    for statement in statements {
      let flow = try run(statement, scope)
      if flow != .next { return flow }
    }
    return .next
  }

  private func run(_ statement: TemplateStatement, _ scope: Scope) throws(TemplateFailure) -> Flow {
    try charge(1, at: statement.offset)
    try enter(at: statement.offset)
    defer { leave() }
    switch statement.kind {
    case .text(let text): try write(text, at: statement.offset)
    case .print(let expression): try print(expression, scope, at: statement.offset)
    case .if(let branches, let otherwise):
      for branch in branches where try evaluate(branch.condition, scope).isTrue { return try run(branch.body, scope) }
      return try run(otherwise, scope)
    case .for(let loop): try run(loop, scope, at: statement.offset)
    case .set, .setBlock: try set(statement, scope)
    case .macro(let macro):
      scope.variables[macro.name] = .function(TemplateFunction(body: .macro(macro, scope: macroScopes.count)))
      macroScopes.append(scope)
    case .with(let bindings, let body): return try with(bindings, body, scope, at: statement.offset)
    case .break: return .break
    case .continue: return .continue
    }
    return .next
  }

  @inline(never)
  private func print(_ expression: TemplateExpression, _ scope: Scope, at offset: Int) throws(TemplateFailure) {
    try write(try text(try evaluate(expression, scope), at: offset), at: offset)
  }

  @inline(never)
  private func set(_ statement: TemplateStatement, _ scope: Scope) throws(TemplateFailure) {
    switch statement.kind {
    case .set(let target, let expression): try assign(target, try evaluate(expression, scope), scope, at: statement.offset)
    case .setBlock(let target, let body, let filters):
      let inner = Scope(parent: scope)
      let text = try captured { () throws(TemplateFailure) in _ = try run(body, inner) }
      var value = try string(text, at: statement.offset)
      for (name, arguments) in filters {
        value = try filter(value, name, try evaluate(arguments, scope), at: statement.offset)
      }
      try assign(target, value, scope, at: statement.offset)
    default: preconditionFailure("run() sends two kinds here")
    }
  }

  @inline(never)
  private func with(
    _ bindings: [(TemplateTarget, TemplateExpression)], _ body: [TemplateStatement], _ scope: Scope, at offset: Int
  ) throws(TemplateFailure) -> Flow {
    let inner = Scope(parent: scope)
    for (target, expression) in bindings { try assign(target, try evaluate(expression, scope), inner, at: offset) }
    return try run(body, inner)
  }

  @inline(never)
  private func run(_ loop: TemplateLoop, _ scope: Scope, at offset: Int) throws(TemplateFailure) {
    var elements = try self.elements(try evaluate(loop.sequence, scope), at: loop.sequence.offset)
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for element in elements {
        let inner = Scope(parent: scope)
        try assign(loop.target, element, inner, at: offset)
        if try evaluate(condition, inner).isTrue { kept.append(element) }
      }
      elements = kept
    }
    for index in elements.indices {
      try charge(8, at: offset)
      let inner = Scope(parent: scope)
      try assign(loop.target, elements[index], inner, at: offset)
      inner.variables["loop"] = Self.loopVariable(elements, index)
      if try run(loop.body, inner) == .break { return }
    }
    if elements.isEmpty { _ = try run(loop.otherwise, Scope(parent: scope)) }
  }

  @inline(never)
  private static func loopVariable(_ elements: [TemplateValue], _ index: Int) -> TemplateValue {
    .dictionary(
      TemplateDictionary([
        ("index", .int(index + 1)), ("index0", .int(index)),
        ("revindex", .int(elements.count - index)), ("revindex0", .int(elements.count - index - 1)),
        ("first", .bool(index == 0)), ("last", .bool(index == elements.count - 1)), ("length", .int(elements.count)),
        ("previtem", index > 0 ? elements[index - 1] : .undefined("loop.previtem")),
        ("nextitem", index + 1 < elements.count ? elements[index + 1] : .undefined("loop.nextitem")),
        ("cycle", .function(TemplateFunction(body: .method(name: "cycle", of: .init(.int(index)))))),
      ]))
  }

  @inline(never)
  func assign(
    _ target: TemplateTarget, _ value: TemplateValue, _ scope: Scope, at offset: Int
  ) throws(TemplateFailure) {
    switch target {
    case .name(let name): scope.variables[name] = value
    case .attribute(let owner, let name):
      guard case .namespace(let namespace)? = scope.find(owner) else {
        throw TemplateFailure(.evaluation, "\"\(owner)\" is no namespace: only their attributes can be set", at: offset)
      }
      if case .namespace = value { throw TemplateFailure(.evaluation, "a namespace cannot hold another", at: offset) }
      namespace[name] = value
    case .tuple(let targets):
      let elements = try elements(value, at: offset)
      guard elements.count == targets.count else {
        throw TemplateFailure(.evaluation, "expected \(targets.count) values to unpack, found \(elements.count)", at: offset)
      }
      for (target, element) in zip(targets, elements) { try assign(target, element, scope, at: offset) }
    }
  }

  // MARK: - Macros

  /// - Parameter definition: the number of the scope that the macro was defined in, whose names it sees as they are now.
  func call(
    _ macro: MacroDefinition, definedIn definition: Int, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    // A macro of another rendering is a variable's: its scope is gone.
    guard macroScopes.indices.contains(definition) else {
      throw TemplateFailure(.evaluation, "the macro \"\(macro.name)\" is of another rendering", at: offset)
    }
    let scope = Scope(parent: macroScopes[definition])
    guard arguments.positional.count <= macro.parameters.count else {
      throw TemplateFailure(
        .evaluation, "the macro \"\(macro.name)\" takes \(macro.parameters.count) arguments, found \(arguments.positional.count)",
        at: offset)
    }
    for (index, parameter) in macro.parameters.enumerated() {
      if index < arguments.positional.count {
        scope.variables[parameter.name] = arguments.positional[index]
      } else if let value = arguments.named[parameter.name] {
        scope.variables[parameter.name] = value
      } else if let defaultValue = parameter.defaultValue {
        scope.variables[parameter.name] = try evaluate(defaultValue, scope)
      } else {
        scope.variables[parameter.name] = .undefined(parameter.name)
      }
    }
    for name in arguments.named.keys where !macro.parameters.contains(where: { $0.name == name }) {
      throw TemplateFailure(.evaluation, "the macro \"\(macro.name)\" has no parameter \"\(name)\"", at: offset)
    }
    let text = try captured { () throws(TemplateFailure) in _ = try run(macro.body, scope) }
    return try string(text, at: offset)
  }
}
