#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension TemplateEvaluator {
  /// Each kind of expression has a function of its own that is not inlined: together they would take 2 KiB of stack for each level
  /// of nesting, which is what nesting costs.
  func evaluate(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> TemplateValue {
    try charge(1, at: expression.offset)
    try enter(at: expression.offset)
    defer { leave() }
    switch expression.kind {
    case .literal(let value): return value
    case .name(let name): return variable(name, scope)
    case .list, .dictionary, .concatenation: return try collection(expression, scope)
    case .attribute, .subscript_, .slice: return try member(expression, scope)
    case .call: return try call(expression, scope)
    case .filter, .test: return try filterOrTest(expression, scope)
    case .not(let operand): return .bool(!(try isTrue(operand, scope)))
    case .negate, .plus, .binary: return try arithmetic(expression, scope)
    case .and(let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? try evaluate(right, scope) : value
    case .or(let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? value : try evaluate(right, scope)
    case .comparison: return .bool(try comparison(expression, scope))
    case .conditional(let condition, let then, let otherwise):
      if try isTrue(condition, scope) { return try evaluate(then, scope) }
      guard let otherwise else { return .undefined("the conditional expression without else") }
      return try evaluate(otherwise, scope)
    }
  }

  @inline(never)
  private func isTrue(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> Bool {
    try evaluate(expression, scope).isTrue
  }

  @inline(never)
  private func variable(_ name: String, _ scope: Scope) -> TemplateValue {
    if let value = scope.find(name) { return value }
    return Self.globalNames.contains(name) ? .function(TemplateFunction(body: .global(name))) : .undefined(name)
  }

  @inline(never)
  private func collection(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> TemplateValue {
    let offset = expression.offset
    switch expression.kind {
    case .list(let elements, let isTuple):
      var values: [TemplateValue] = []
      for element in elements { values.append(try evaluate(element, scope)) }
      return try list(values, isTuple: isTuple, at: offset)
    case .concatenation(let parts):
      var text = TemplateString.empty
      for part in parts { text.append(try self.text(try evaluate(part, scope), at: offset)) }
      return try string(text, at: offset)
    case .dictionary(let entries):
      var dictionary = TemplateDictionary()
      for entry in entries {
        let key = try evaluate(entry.key, scope)
        try charge(key.weight, at: offset)
        let value = try evaluate(entry.value, scope)
        if case .namespace = value { throw TemplateFailure(.evaluation, "a namespace cannot be an element", at: offset) }
        dictionary[key] = value
      }
      try requireSize(.dictionary(dictionary), at: offset)
      return .dictionary(dictionary)
    default: preconditionFailure("evaluate() sends three kinds here")
    }
  }

  @inline(never)
  private func member(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> TemplateValue {
    let offset = expression.offset
    switch expression.kind {
    case .attribute(let owner, let name): return try attribute(try evaluate(owner, scope), name, at: offset)
    case .subscript_(let owner, let index):
      return try element(of: try evaluate(owner, scope), try evaluate(index, scope), at: offset)
    case .slice(let owner, let start, let stop, let step):
      return try slice(
        try evaluate(owner, scope), try bound(start, scope), try bound(stop, scope), try bound(step, scope), at: offset)
    default: preconditionFailure("evaluate() sends three kinds here")
    }
  }

  @inline(never)
  private func call(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> TemplateValue {
    guard case .call(let callee, let arguments) = expression.kind else { preconditionFailure("evaluate() sends calls here") }
    return try call(try evaluate(callee, scope), try evaluate(arguments, scope), at: expression.offset)
  }

  @inline(never)
  private func filterOrTest(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> TemplateValue {
    let offset = expression.offset
    switch expression.kind {
    case .filter(let operand, let name, let arguments):
      return try filter(try evaluate(operand, scope), name, try evaluate(arguments, scope), at: offset)
    case .test(let operand, let name, let arguments):
      return .bool(try test(try evaluate(operand, scope), name, try evaluate(arguments, scope), at: offset))
    default: preconditionFailure("evaluate() sends two kinds here")
    }
  }

  @inline(never)
  private func arithmetic(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> TemplateValue {
    let offset = expression.offset
    switch expression.kind {
    case .negate(let operand):
      let value = try evaluate(operand, scope)
      if case .float(let number) = value { return .float(-number) }
      return try binary(.minus, .int(0), value, at: offset)
    case .plus(let operand): return try binary(.plus, .int(0), try evaluate(operand, scope), at: offset)
    case .binary(let symbol, let left, let right):
      return try binary(symbol, try evaluate(left, scope), try evaluate(right, scope), at: offset)
    default: preconditionFailure("evaluate() sends three kinds here")
    }
  }

  @inline(never)
  private func comparison(_ expression: TemplateExpression, _ scope: Scope) throws(TemplateFailure) -> Bool {
    guard case .comparison(let first, let links) = expression.kind else {
      preconditionFailure("evaluate() sends comparisons here")
    }
    var left = try evaluate(first, scope)
    for (comparison, operand) in links {
      let right = try evaluate(operand, scope)
      guard try compare(left, comparison, right, at: expression.offset) else { return false }
      left = right
    }
    return true
  }

  @inline(never)
  func evaluate(_ arguments: TemplateArguments, _ scope: Scope) throws(TemplateFailure) -> EvaluatedArguments {
    var values = EvaluatedArguments()
    for argument in arguments.positional { values.positional.append(try evaluate(argument, scope)) }
    for argument in arguments.named { values.named[argument.name] = try evaluate(argument.value, scope) }
    return values
  }

  func undefined(_ name: String, at offset: Int) -> TemplateFailure {
    TemplateFailure(.evaluation, "\"\(name)\" is undefined", at: offset)
  }

  /// What a loop goes through: elements, keys, characters; nothing for undefined.
  func elements(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> [TemplateValue] {
    switch value {
    case .undefined: return []
    case .list(let list): return list.elements
    case .dictionary(let dictionary): return dictionary.entries.map(\.key)
    case .string(let text):
      try charge(text.byteCount, at: offset)
      return text.characters.map { .string($0) }
    case .none, .bool, .int, .float, .namespace, .function:
      throw TemplateFailure(.evaluation, "cannot iterate over \(value.kindName)", at: offset)
    }
  }

  // MARK: - Members

  /// `value.name`: methods come before keys, as in Python.
  @inline(never)
  func attribute(_ value: TemplateValue, _ name: String, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    switch value {
    case .undefined(let owner): throw undefined(owner, at: offset)
    case .namespace(let namespace): return namespace[name] ?? .undefined(name)
    case .dictionary(let dictionary):
      if !Self.hasMethod(value, name) { return dictionary[.content(name)] ?? .undefined(name) }
    default:
      if !Self.hasMethod(value, name) { return .undefined(name) }
    }
    return .function(TemplateFunction(body: .method(name: name, of: .init(value))))
  }

  /// `value[index]`: undefined where there is no such element.
  @inline(never)
  func element(of value: TemplateValue, _ index: TemplateValue, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    switch value {
    case .undefined(let owner): throw undefined(owner, at: offset)
    case .dictionary(let dictionary):
      try charge(index.weight, at: offset)
      if let found = dictionary[index] { return found }
    case .list(let list):
      if let position = index.integer {
        let position = position < 0 ? position + list.elements.count : position
        return list.elements.indices.contains(position) ? list.elements[position] : .undefined("index \(index.text)")
      }
    case .string(let text):
      if let position = index.integer {
        try charge(text.weight, at: offset)
        return text.character(at: position).map { .string($0) } ?? .undefined("index \(index.text)")
      }
    default: break
    }
    if case .string(let name) = index { return try attribute(value, name.text, at: offset) }
    return .undefined(index.text)
  }

  private func bound(_ expression: TemplateExpression?, _ scope: Scope) throws(TemplateFailure) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression, scope)
    if case .none = value { return nil }
    guard let integer = value.integer else {
      throw TemplateFailure(.evaluation, "expected an integer in a slice, found \(value.kindName)", at: expression.offset)
    }
    return integer
  }

  @inline(never)
  private func slice(
    _ value: TemplateValue, _ start: Int?, _ stop: Int?, _ step: Int?, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    func indices(_ count: Int) throws(TemplateFailure) -> [Int] {
      try charge(count, at: offset)
      let step = step ?? 1
      guard step != 0, step != .min else {
        throw TemplateFailure(.evaluation, "the step of a slice cannot be \(step)", at: offset)
      }
      // Bounds count from the end when negative, then are cut to what there is; -1 stands before the first backwards.
      func cut(_ bound: Int?, _ otherwise: Int, _ low: Int, _ high: Int) -> Int {
        guard let bound else { return otherwise }
        return min(max(bound < 0 ? (bound < -count ? low : bound + count) : bound, low), high)
      }
      return step > 0
        ? Array(stride(from: cut(start, 0, 0, count), to: cut(stop, count, 0, count), by: step))
        : Array(stride(from: cut(start, count - 1, -1, count - 1), to: cut(stop, -1, -1, count - 1), by: step))
    }
    switch value {
    case .undefined(let owner): throw undefined(owner, at: offset)
    case .list(let list):
      let chosen = try indices(list.elements.count).map { list.elements[$0] }
      return try self.list(chosen, isTuple: list.isTuple, at: offset)
    case .string(let text):
      try charge(text.byteCount / 8, at: offset)
      let chosen = try indices(text.text.unicodeScalars.count)
      guard let first = chosen.first, let last = chosen.last else { return .string(.empty) }
      // A part as it stands is cut out; anything else is put together from characters.
      if last - first == chosen.count - 1 { return try string(text.scalars(first..<last + 1), at: offset) }
      try charge(text.byteCount, at: offset)
      let characters = text.characters
      return try string(.joined(chosen.map { characters[$0] }), at: offset)
    default: throw TemplateFailure(.evaluation, "cannot slice \(value.kindName)", at: offset)
    }
  }

  // MARK: - Comparison

  @inline(never)
  func compare(
    _ left: TemplateValue, _ comparison: TemplateExpression.Comparison, _ right: TemplateValue, at offset: Int
  ) throws(TemplateFailure) -> Bool {
    try charge(min(left.weight, right.weight), at: offset)
    switch comparison {
    case .equal: return isEqual(left, right)
    case .notEqual: return !isEqual(left, right)
    case .contained: return try contains(right, left, at: offset)
    case .notContained: return !(try contains(right, left, at: offset))
    case .less: return try isLess(left, right, at: offset)
    case .greater: return try isLess(right, left, at: offset)
    case .lessOrEqual: return isEqual(left, right) ? true : try isLess(left, right, at: offset)
    case .greaterOrEqual: return isEqual(left, right) ? true : try isLess(right, left, at: offset)
    }
  }

  /// Within lists everything equals itself; by itself what is not a number does not.
  private func isEqual(_ left: TemplateValue, _ right: TemplateValue) -> Bool {
    if case .float(let number) = left, number.isNaN { return false }
    return left == right
  }

  func isLess(_ a: TemplateValue, _ b: TemplateValue, at offset: Int) throws(TemplateFailure) -> Bool {
    try charge(min(a.weight, b.weight), at: offset)
    if let x = a.integer, let y = b.integer { return x < y }
    if let x = a.number, let y = b.number { return x < y }
    switch (a, b) {
    case (.string(let x), .string(let y)): return x.text.utf8.lexicographicallyPrecedes(y.text.utf8)
    case (.list(let x), .list(let y)):
      for (i, j) in zip(x.elements, y.elements) where i != j { return try isLess(i, j, at: offset) }
      return x.elements.count < y.elements.count
    case (.undefined(let name), _), (_, .undefined(let name)): throw undefined(name, at: offset)
    default: throw TemplateFailure(.evaluation, "cannot compare \(a.kindName) with \(b.kindName)", at: offset)
    }
  }

  func contains(_ container: TemplateValue, _ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> Bool {
    switch container {
    case .dictionary(let dictionary):
      try charge(value.weight, at: offset)
      return dictionary[value] != nil
    case .string(let text):
      guard case .string(let part) = value else {
        throw TemplateFailure(.evaluation, "cannot look for \(value.kindName) in a string", at: offset)
      }
      try charge(text.byteCount / 8 + part.byteCount / 8, at: offset)
      return part.isEmpty || !TemplateText.occurrences(of: part.bytes, in: text.bytes, limit: 1).isEmpty
    default:
      let elements = try elements(container, at: offset)
      try charge(container.weight, at: offset)
      return elements.contains(value)
    }
  }

  // MARK: - Arithmetic

  @inline(never)
  func binary(
    _ symbol: TemplateToken.Symbol, _ left: TemplateValue, _ right: TemplateValue, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch (symbol, left, right) {
    case (_, .undefined(let name), _), (_, _, .undefined(let name)): throw undefined(name, at: offset)
    case (.plus, .string(let a), .string(let b)): return try string(a + b, at: offset)
    case (.plus, .list(let a), .list(let b)): return try list(a.elements + b.elements, isTuple: a.isTuple, at: offset)
    case (.times, .string(let text), .int(let count)), (.times, .int(let count), .string(let text)):
      try chargeProduct(text.byteCount / 8 + text.templateRanges.count + 1, count, at: offset)
      return try string(.joined(Array(repeating: text, count: max(0, count))), at: offset)
    case (.times, .list(let elements), .int(let count)), (.times, .int(let count), .list(let elements)):
      try chargeProduct(elements.elements.count, count, at: offset)
      return try list(
        (0..<max(0, count)).flatMap { _ in elements.elements }, isTuple: elements.isTuple, at: offset)
    case (.modulo, .string(let format), .list(let list)) where list.isTuple:
      return try percentFormat(format, list.elements, named: [:], at: offset)
    case (.modulo, .string(let format), _): return try percentFormat(format, [right], named: [:], at: offset)
    default: break
    }
    if let a = left.integer, let b = right.integer { return try integerBinary(symbol, a, b, at: offset) }
    guard let a = left.number, let b = right.number else {
      throw TemplateFailure(
        .evaluation, "cannot apply \"\(symbol.rawValue)\" to \(left.kindName) and \(right.kindName)", at: offset)
    }
    switch symbol {
    case .plus: return .float(a + b)
    case .minus: return .float(a - b)
    case .times: return .float(a * b)
    case .power: return .float(pow(a, b))
    default:
      guard b != 0 else { throw TemplateFailure(.evaluation, "division by zero", at: offset) }
      let quotient = (a / b).rounded(.down)
      return .float(symbol == .divide ? a / b : symbol == .floorDivide ? quotient : a - quotient * b)
    }
  }

  private func integerBinary(
    _ symbol: TemplateToken.Symbol, _ a: Int, _ b: Int, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let result: (partialValue: Int, overflow: Bool)
    switch symbol {
    case .plus: result = a.addingReportingOverflow(b)
    case .minus: result = a.subtractingReportingOverflow(b)
    case .times: result = a.multipliedReportingOverflow(by: b)
    case .power:
      guard b >= 0 else { return .float(pow(Double(a), Double(b))) }
      var product = (partialValue: 1, overflow: false)
      // Beyond 64 factors anything but -1, 0 and 1 has overflowed.
      if a == 0 || a == 1 { return .int(b == 0 ? 1 : a) }
      if a == -1 { return .int(b % 2 == 0 ? 1 : -1) }
      for _ in 0..<min(b, 64) where !product.overflow { product = product.partialValue.multipliedReportingOverflow(by: a) }
      result = product
    default:
      guard b != 0 else { throw TemplateFailure(.evaluation, "division by zero", at: offset) }
      if symbol == .divide { return .float(Double(a) / Double(b)) }
      let (quotient, overflow) = a.dividedReportingOverflow(by: b)
      if overflow { result = symbol == .modulo ? (0, false) : (0, true); break }
      let remainder = a % b
      let isBelow = remainder != 0 && (remainder < 0) != (b < 0)
      result = (symbol == .floorDivide ? (isBelow ? quotient - 1 : quotient) : (isBelow ? remainder + b : remainder), false)
    }
    guard !result.overflow else {
      throw TemplateFailure(.evaluation, "integers of more than 64 bits are not supported", at: offset)
    }
    return .int(result.partialValue)
  }
}
