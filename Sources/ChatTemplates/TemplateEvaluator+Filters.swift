extension TemplateEvaluator {
  func filter(
    _ value: TemplateValue, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    // Filters call filters (`map`), by names that a template may list by the thousand.
    try enter(4, at: offset)
    defer { leave(4) }
    try charge(value.weight + arguments.weight, at: offset)
    if let parameters = Self.filterParameters[name] {
      try require(arguments, fit: parameters, of: "the filter \"\(name)\"", at: offset)
    }
    switch name {
    case "trim":
      return try string(TemplateText.stripped(value.printed, arguments.string(0, "chars")?.text), at: offset)
    case "upper": return try string(TemplateText.uppercased(value.printed), at: offset)
    case "lower": return try string(TemplateText.lowercased(value.printed), at: offset)
    case "capitalize": return try string(TemplateText.capitalized(value.printed), at: offset)
    case "title": return try string(TemplateText.titledByFilter(value.printed), at: offset)
    case "string": return try string(value.printed, at: offset)
    case "safe": return value
    case "replace": return try replace(value.printed, arguments, at: offset)
    case "indent": return try indent(value.printed, arguments, at: offset)
    case "escape", "e": return try string(TemplateText.escaped(value.printed), at: offset)
    case "tojson": return try tojson(value, arguments, at: offset)
    case "center": return try padded(value.printed, arguments.integer(0, "width") ?? 80, .empty, .center, at: offset)
    case "truncate": return try truncate(value.printed, arguments, at: offset)
    case "wordcount": return .int(try words(value, at: offset))
    case "format":
      guard case .string(let format) = value else {
        throw TemplateFailure(.evaluation, "format needs a string, found \(value.kindName)", at: offset)
      }
      return try percentFormat(format, arguments.positional, named: arguments.named, at: offset)
    case "attr": return try attr(value, arguments, at: offset)
    case "default", "d":
      let isAbsent = if case .undefined = value { true } else { arguments.isTrue(1, "boolean") && !value.isTrue }
      return isAbsent ? arguments.value(0, "default_value") ?? .content("") : value
    case "length", "count": return .int(try length(value, at: offset))
    case "int": return .int(integer(value, base: arguments.integer(1, "base") ?? 10) ?? arguments.integer(0, "default") ?? 0)
    case "float":
      let stripped = TemplateText.stripped(value.printed, nil).text
      return .float(value.number ?? Self.float(stripped) ?? arguments.value(0, "default")?.number ?? 0)
    case "abs":
      if case .int(let number) = value, number != .min { return .int(abs(number)) }
      return .float(abs(try number(value, at: offset)))
    case "round": return try round(value, arguments, at: offset)
    default: return try sequenceFilter(value, name, arguments, at: offset)
    }
  }

  func length(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> Int {
    switch value {
    case .undefined: return 0
    case .string(let text):
      try charge(text.byteCount / 8, at: offset)
      return text.text.unicodeScalars.count
    case .list(let list): return list.elements.count
    case .dictionary(let dictionary): return dictionary.entries.count
    default: throw TemplateFailure(.evaluation, "\(value.kindName) has no length", at: offset)
    }
  }

  /// `attr`: a key is no attribute.
  private func attr(
    _ value: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    guard let name = arguments.string(0, "name")?.text else {
      throw TemplateFailure(.evaluation, "attr needs a name", at: offset)
    }
    if case .dictionary = value, !Self.hasMethod(value, name) { return .undefined(name) }
    return try attribute(value, name, at: offset)
  }

  // MARK: - Numbers

  private func number(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> Double {
    guard let number = value.number else {
      throw TemplateFailure(.evaluation, "expected a number, found \(value.kindName)", at: offset)
    }
    return number
  }

  /// Python's `int()`, which takes a base for text only, and then Jinja's `int(float())`.
  private func integer(_ value: TemplateValue, base: Int) -> Int? {
    if let integer = value.integer { return integer }
    if case .float(let number) = value { return Int(exactly: number.rounded(.towardZero)) }
    guard case .string(let text) = value else { return nil }
    let stripped = TemplateText.stripped(text, nil).text
    return Self.integer(stripped, base: base) ?? Self.float(stripped).flatMap { Int(exactly: $0.rounded(.towardZero)) }
  }

  /// Python's `float()` of a text: decimal digits, or infinity, or what is not a number.
  private static func float(_ text: String) -> Double? {
    let word = text.lowercased().drop { $0 == "-" || $0 == "+" }
    guard text.utf8.allSatisfy({ "0123456789+-.eE_".utf8.contains($0) }) || ["inf", "infinity", "nan"].contains(word) else { return nil }
    return Double(text.filter { $0 != "_" })
  }

  /// With the prefix of its base, if it has one; base 0 is told by the prefix.
  private static func integer(_ text: String, base: Int) -> Int? {
    var digits = Substring(text)
    let sign = digits.first.map { $0 == "-" || $0 == "+" } == true ? String(digits.removeFirst()) : ""
    var base = base
    for (prefix, value) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.lowercased().hasPrefix(prefix) {
      guard base == value || base == 0 else { continue }
      base = value
      digits = digits.dropFirst(2)
    }
    if base == 0 { base = 10 }
    guard (2...36).contains(base), let first = digits.first, first != "-", first != "+" else { return nil }
    return Int(sign + digits.filter { $0 != "_" }, radix: base)
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
    switch arguments.string(1, "method")?.text ?? "common" {
    case "ceil": return .float(scaled.rounded(.up) / factor)
    case "floor": return .float(scaled.rounded(.down) / factor)
    case "common":
      // What looks like a tie may be none: the product was rounded. Its error, which fused arithmetic gives, decides.
      let error = (-scaled).addingProduct(number, factor)
      let isTie = abs(scaled - scaled.rounded(.towardZero)) == 0.5
      let rounded = isTie && error != 0 ? scaled.rounded(error > 0 ? .up : .down) : scaled.rounded(.toNearestOrEven)
      return .float(rounded / factor)
    default: throw TemplateFailure(.evaluation, "round knows the methods common, ceil and floor", at: offset)
    }
  }

  // MARK: - Text

  private func tojson(
    _ value: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    var layout = TemplateValue.JSONLayout()
    layout.escapesNonASCII = arguments.isTrue(0, "ensure_ascii")
    layout.sortsKeys = arguments.isTrue(3, "sort_keys")
    switch arguments.value(1, "indent") {
    case nil, .some(.none): break
    case .string(let indent)?: layout.indent = indent
    case let indent?:
      guard let count = indent.integer, count <= 1000 else {
        throw TemplateFailure(.evaluation, "indent must be a string, or a number of at most 1000", at: offset)
      }
      layout.indent = TemplateString(content: String(repeating: " ", count: max(0, count)))
    }
    // With line breaks nothing follows a comma.
    if layout.indent != nil { layout.itemSeparator = TemplateString(content: ",") }
    switch arguments.value(2, "separators") {
    case nil, .some(.none): break
    case .list(let list)?:
      guard list.elements.count == 2, case .string(let item) = list.elements[0], case .string(let key) = list.elements[1] else {
        throw TemplateFailure(.evaluation, "separators must be two strings", at: offset)
      }
      (layout.itemSeparator, layout.keySeparator) = (item, key)
    default: throw TemplateFailure(.evaluation, "separators must be two strings", at: offset)
    }
    // Every element may stand on a line of its own, indented by its depth, between separators.
    let perElement = (layout.indent?.byteCount ?? 0) * value.depth + layout.itemSeparator.byteCount + layout.keySeparator.byteCount
    try chargeProduct(value.weight, 1 + perElement / 8, at: offset)
    guard let text = value.json(layout) else {
      throw TemplateFailure(.evaluation, "JSON cannot hold \(value.kindName), or something in it", at: offset)
    }
    return try string(text, at: offset)
  }

  private func indent(
    _ text: TemplateString, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let prefix: TemplateString
    if let text = arguments.string(0, "width") {
      prefix = text
    } else {
      let width = arguments.integer(0, "width") ?? 4
      guard (0...1000).contains(width) else { throw TemplateFailure(.evaluation, "indent must be 0...1000", at: offset) }
      prefix = TemplateString(template: String(repeating: " ", count: width))
    }
    let indentsFirst = arguments.isTrue(1, "first")
    let indentsBlank = arguments.isTrue(2, "blank")
    let lineBreak = TemplateString(content: "\n")
    let lines = TemplateText.lines(text + lineBreak)
    try chargeProduct(lines.count, prefix.byteCount / 8 + 1, at: offset)
    var indented: [TemplateString] = []
    for (index, line) in lines.enumerated() {
      let isIndented = index == 0 ? indentsFirst : indentsBlank || !line.isEmpty
      indented.append(isIndented ? prefix + line : line)
    }
    return try string(.joined(indented, separator: lineBreak), at: offset)
  }

  /// Jinja's `truncate`: whole words, unless `killwords`, and an end that counts.
  private func truncate(
    _ text: TemplateString, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let length = arguments.integer(0, "length") ?? 255
    let end = arguments.string(2, "end") ?? TemplateString(template: "...")
    let leeway = arguments.integer(3, "leeway") ?? 5
    let endCount = end.text.unicodeScalars.count
    guard length >= endCount, leeway >= 0 else {
      throw TemplateFailure(.evaluation, "truncate needs a length of at least \(endCount), and a leeway of at least 0", at: offset)
    }
    let scalars = text.text.unicodeScalars
    guard scalars.count - length > leeway else { return .string(text) }
    var kept = text.slice(0..<scalars.prefix(length - endCount).reduce(0) { $0 + UTF8.width($1) })
    if !arguments.isTrue(1, "killwords") {
      // Up to the last space, if there is one.
      let bytes = kept.bytes
      if let space = bytes.lastIndex(of: 0x20) { kept = kept.slice(0..<space) }
    }
    return try string(kept + end, at: offset)
  }

  private func words(_ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> Int {
    var (count, isInWord) = (0, false)
    for scalar in value.text.unicodeScalars {
      let isLetter = scalar == "_" || TemplateText.isLetter(scalar) || scalar.properties.numericType != nil
      if isLetter, !isInWord { count += 1 }
      isInWord = isLetter
    }
    return count
  }

  enum Alignment { case left, right, center }

  /// Python's `center`, `ljust`, `rjust`.
  func padded(
    _ text: TemplateString, _ width: Int, _ fill: TemplateString, _ alignment: Alignment, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let fill = fill.isEmpty ? TemplateString(template: " ") : fill
    let count = text.text.unicodeScalars.count
    guard width > count else { return .string(text) }
    try charge(min(width, limits.stepCountMax), at: offset)
    let padding = width - count
    let left =
      switch alignment {
      case .left: 0
      case .right: padding
      case .center: padding / 2 + (padding & width & 1)
      }
    var result = TemplateString.empty
    for _ in 0..<left { result.append(fill) }
    result.append(text)
    for _ in 0..<padding - left { result.append(fill) }
    return try string(result, at: offset)
  }
}
