extension TemplateEvaluator {
  func filter(
    _ value: TemplateValue, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    try charge(value.weight, at: offset)
    switch name {
    case "trim": return try string(TemplateText.strip(value.text, arguments.string(0, "chars")), at: offset)
    case "upper": return try string(value.text.uppercased(), at: offset)
    case "lower": return try string(value.text.lowercased(), at: offset)
    case "capitalize": return try string(TemplateText.capitalize(value.text), at: offset)
    case "title": return try string(titleFilter(value.text), at: offset)
    case "string": return try string(value.text, at: offset)
    case "safe": return value
    case "replace": return try replace(value.text, arguments, at: offset)
    case "indent": return try indent(value.text, arguments, at: offset)
    case "escape", "e": return try string(escaped(value.text), at: offset)
    case "tojson": return try tojson(value, arguments, at: offset)
    case "default", "d":
      let isAbsent = if case .undefined = value { true } else { arguments.value(1, "boolean")?.isTrue == true && !value.isTrue }
      return isAbsent ? arguments.value(0, "default_value") ?? .string("") : value
    case "length", "count": return .int(try length(value, at: offset))
    case "int": return .int(integer(value) ?? arguments.integer(0, "default") ?? 0)
    case "float":
      return .float(value.number ?? Double(TemplateText.strip(value.text, nil)) ?? arguments.value(0, "default")?.number ?? 0)
    case "abs":
      if case .int(let number) = value, number != .min { return .int(abs(number)) }
      return .float(abs(try number(value, at: offset)))
    case "round": return try round(value, arguments, at: offset)
    default: return try sequenceFilter(value, name, arguments, at: offset)
    }
  }

  private func sequenceFilter(
    _ value: TemplateValue, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch name {
    case "first", "last":
      let elements = try elements(value, at: offset)
      return (name == "first" ? elements.first : elements.last) ?? .undefined("the \(name) of an empty sequence")
    case "list": return try list(try elements(value, at: offset), at: offset)
    case "join":
      var parts = try elements(value, at: offset)
      if let key = arguments.value(1, "attribute") { parts = try mapAttribute(parts, key, nil, at: offset) }
      let separator = try arguments.value(0, "d").map { (d) throws(TemplateFailure) in try text(d, at: offset) } ?? ""
      try chargeProduct(parts.count, separator.utf8.count / 8, at: offset)
      return try string(parts.map(\.text).joined(separator: separator), at: offset)
    case "reverse":
      if case .string(let text) = value {
        return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
      }
      return try list(try elements(value, at: offset).reversed(), at: offset)
    case "items":
      if case .undefined = value { return try list([], at: offset) }
      guard case .dictionary(let dictionary) = value else {
        throw TemplateFailure(.evaluation, "items needs a mapping, found \(value.kindName)", at: offset)
      }
      return try items(dictionary, at: offset)
    case "dictsort":
      guard case .dictionary(let dictionary) = value else {
        throw TemplateFailure(.evaluation, "dictsort needs a mapping, found \(value.kindName)", at: offset)
      }
      let pairs = try elements(try items(dictionary, at: offset), at: offset)
      return try list(try sorted(pairs, by: .int(0), ignoresCase: true, reverse: false, at: offset), at: offset)
    case "sort":
      return try list(
        try sorted(
          try elements(value, at: offset), by: arguments.value(2, "attribute"),
          ignoresCase: arguments.value(1, "case_sensitive")?.isTrue != true,
          reverse: arguments.value(0, "reverse")?.isTrue == true, at: offset), at: offset)
    case "unique":
      var seen: Set<TemplateValue> = []
      let kept = try elements(value, at: offset).filter { seen.insert(folded($0, true)).inserted }
      return try list(kept, at: offset)
    case "sum":
      var sum = TemplateValue.int(0)
      for element in try elements(value, at: offset) { sum = try binary(.plus, sum, element, at: offset) }
      return sum
    case "min", "max":
      let ordered = try sorted(try elements(value, at: offset), by: nil, ignoresCase: true, reverse: name == "max", at: offset)
      return ordered.first ?? .undefined("the \(name) of an empty sequence")
    case "map":
      let elements = try elements(value, at: offset)
      if let key = arguments.named["attribute"] {
        return try list(try mapAttribute(elements, key, arguments.named["default"], at: offset), at: offset)
      }
      guard let name = arguments.string(0, "") else {
        throw TemplateFailure(.evaluation, "map needs the name of a filter or an attribute", at: offset)
      }
      var rest = arguments
      rest.positional.removeFirst()
      var mapped: [TemplateValue] = []
      for element in elements { mapped.append(try filter(element, name, rest, at: offset)) }
      return try list(mapped, at: offset)
    case "select", "reject", "selectattr", "rejectattr":
      return try select(value, name, arguments, at: offset)
    default:
      throw TemplateFailure(.unsupported, "the filter \"\(name)\" is not known", at: offset)
    }
  }

  // MARK: - Sequences

  private func select(
    _ value: TemplateValue, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    var rest = arguments
    var key: TemplateValue?
    if name.hasSuffix("attr") {
      guard !rest.positional.isEmpty else { throw TemplateFailure(.evaluation, "\(name) needs an attribute", at: offset) }
      key = rest.positional.removeFirst()
    }
    let testName = rest.positional.isEmpty ? nil : rest.positional.removeFirst().text
    var kept: [TemplateValue] = []
    for element in try elements(value, at: offset) {
      try charge(1, at: offset)
      let subject = try key.map { (key) throws(TemplateFailure) in try path(element, key, at: offset) } ?? element
      let holds =
        try testName.map { (name) throws(TemplateFailure) in try test(subject, name, rest, at: offset) } ?? subject.isTrue
      if holds == name.hasPrefix("select") { kept.append(element) }
    }
    return try list(kept, at: offset)
  }

  /// `attribute='a.b.0'`: attributes of attributes.
  private func path(_ value: TemplateValue, _ key: TemplateValue, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    guard case .string(let text) = key else { return try element(of: value, key, at: offset) }
    var value = value
    for part in text.split(separator: ".") {
      let index: TemplateValue = Int(part).map { .int($0) } ?? .string(String(part))
      value = try element(of: value, index, at: offset)
    }
    return value
  }

  private func mapAttribute(
    _ elements: [TemplateValue], _ key: TemplateValue, _ defaultValue: TemplateValue?, at offset: Int
  ) throws(TemplateFailure) -> [TemplateValue] {
    var mapped: [TemplateValue] = []
    for element in elements {
      let value = try path(element, key, at: offset)
      if case .undefined = value, let defaultValue { mapped.append(defaultValue) } else { mapped.append(value) }
    }
    return mapped
  }

  private func folded(_ value: TemplateValue, _ ignoresCase: Bool) -> TemplateValue {
    if ignoresCase, case .string(let text) = value { return .string(text.lowercased()) }
    return value
  }

  /// Stable.
  private func sorted(
    _ elements: [TemplateValue], by key: TemplateValue?, ignoresCase: Bool, reverse: Bool, at offset: Int
  ) throws(TemplateFailure) -> [TemplateValue] {
    var keyed: [(key: TemplateValue, value: TemplateValue)] = []
    for element in elements {
      let sortKey = try key.map { (key) throws(TemplateFailure) in try path(element, key, at: offset) } ?? element
      keyed.append((folded(sortKey, ignoresCase), element))
    }
    var failure: TemplateFailure?
    let ordered = keyed.enumerated().sorted { a, b in
      do throws(TemplateFailure) {
        if try isLess(a.element.key, b.element.key, at: offset) { return !reverse }
        if try isLess(b.element.key, a.element.key, at: offset) { return reverse }
      } catch { failure = failure ?? error }
      return a.offset < b.offset
    }
    if let failure { throw failure }
    return ordered.map(\.element.value)
  }

  func length(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> Int {
    switch value {
    case .undefined: return 0
    case .string(let text):
      try charge(text.utf8.count / 8, at: offset)
      return text.unicodeScalars.count
    case .list(let list): return list.elements.count
    case .dictionary(let dictionary): return dictionary.entries.count
    default: throw TemplateFailure(.evaluation, "\(value.kindName) has no length", at: offset)
    }
  }

  // MARK: - Numbers

  private func number(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> Double {
    guard let number = value.number else {
      throw TemplateFailure(.evaluation, "expected a number, found \(value.kindName)", at: offset)
    }
    return number
  }

  private func integer(_ value: TemplateValue) -> Int? {
    if let integer = value.integer { return integer }
    if case .float(let number) = value { return Int(exactly: number.rounded(.towardZero)) }
    guard case .string(let text) = value else { return nil }
    let stripped = TemplateText.strip(text, nil)
    return Int(stripped) ?? Double(stripped).flatMap { Int(exactly: $0.rounded(.towardZero)) }
  }

  private func round(
    _ value: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let precision = arguments.integer(0, "precision") ?? 0
    guard (0...15).contains(precision) else {
      throw TemplateFailure(.unsupported, "round to \(precision) digits is not supported", at: offset)
    }
    let factor = (0..<precision).reduce(1.0) { product, _ in product * 10 }
    let number = try number(value, at: offset)
    let scaled = number * factor
    switch arguments.string(1, "method") ?? "common" {
    case "ceil": return .float(scaled.rounded(.up) / factor)
    case "floor": return .float(scaled.rounded(.down) / factor)
    default:
      // What looks like a tie may be none: the product was rounded. Its error, which fused arithmetic gives, decides.
      let error = (-scaled).addingProduct(number, factor)
      let isTie = abs(scaled - scaled.rounded(.towardZero)) == 0.5
      let rounded = isTie && error != 0 ? scaled.rounded(error > 0 ? .up : .down) : scaled.rounded(.toNearestOrEven)
      return .float(rounded / factor)
    }
  }

  // MARK: - Text

  private func tojson(
    _ value: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let indent = arguments.integer(0, "indent")
    guard (0...100).contains(indent ?? 0) else { throw TemplateFailure(.evaluation, "indent must be 0...100", at: offset) }
    // Indentation makes up to `indent` bytes a level of each.
    try chargeProduct(value.weight, 1 + (indent ?? 0) * value.depth / 8, at: offset)
    guard let text = value.json(indent: indent, sortKeys: arguments.named["sort_keys"]?.isTrue == true) else {
      throw TemplateFailure(.evaluation, "JSON cannot hold \(value.kindName), or something in it", at: offset)
    }
    return try string(text, at: offset)
  }

  private func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "'": result += "&#39;"
      case "\"": result += "&#34;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Jinja's own: words begin after white space, hyphens and opening brackets.
  private func titleFilter(_ text: String) -> String {
    var result = ""
    var isInWord = false
    for scalar in text.unicodeScalars {
      let isBreak = isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
      let cased = isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      result += isBreak ? String(Character(scalar)) : cased
      isInWord = !isBreak
    }
    return result
  }

  private func indent(_ text: String, _ arguments: EvaluatedArguments, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    let prefix: String
    if let text = arguments.string(0, "width") {
      prefix = text
    } else {
      let width = arguments.integer(0, "width") ?? 4
      guard (0...1000).contains(width) else { throw TemplateFailure(.evaluation, "indent must be 0...1000", at: offset) }
      prefix = String(repeating: " ", count: width)
    }
    let indentsFirst = arguments.value(1, "first")?.isTrue == true
    let indentsBlank = arguments.value(2, "blank")?.isTrue == true
    let lines = TemplateText.lines(text + "\n")
    try charge(lines.count * (prefix.utf8.count / 8 + 1), at: offset)
    let indented = lines.enumerated().map { index, line in
      index == 0 ? (indentsFirst ? prefix + line : line) : line.isEmpty && !indentsBlank ? line : prefix + line
    }
    return try string(indented.joined(separator: "\n"), at: offset)
  }
}
