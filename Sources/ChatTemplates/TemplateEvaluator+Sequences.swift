extension TemplateEvaluator {
  func sequenceFilter(
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
      let separator = try arguments.value(0, "d").map { (d) throws(TemplateFailure) in try text(d, at: offset) } ?? .empty
      return try joined(parts, separator, at: offset)
    case "reverse":
      if case .string(let text) = value { return try string(.joined(text.characters.reversed()), at: offset) }
      return try list(try elements(value, at: offset).reversed(), at: offset)
    case "items":
      if case .undefined = value { return try list([], at: offset) }
      return try items(try dictionary(value, name, at: offset), at: offset)
    case "dictsort": return try dictsort(try dictionary(value, name, at: offset), arguments, at: offset)
    case "sort":
      return try list(
        try sorted(
          try elements(value, at: offset), by: arguments.value(2, "attribute"),
          ignoresCase: !arguments.isTrue(1, "case_sensitive"), reverse: arguments.isTrue(0, "reverse"), at: offset), at: offset)
    case "unique": return try unique(value, arguments, at: offset)
    case "sum":
      var elements = try elements(value, at: offset)
      if let key = arguments.value(0, "attribute")?.unlessNone { elements = try mapAttribute(elements, key, nil, at: offset) }
      var sum = arguments.value(1, "start") ?? .int(0)
      for element in elements { sum = try binary(.plus, sum, element, at: offset) }
      return sum
    case "min", "max":
      let ordered = try sorted(
        try elements(value, at: offset), by: arguments.value(1, "attribute"),
        ignoresCase: !arguments.isTrue(0, "case_sensitive"), reverse: name == "max", at: offset)
      return ordered.first ?? .undefined("the \(name) of an empty sequence")
    case "batch", "slice": return try pieces(value, name, arguments, at: offset)
    case "map": return try map(value, arguments, at: offset)
    case "select", "reject", "selectattr", "rejectattr": return try select(value, name, arguments, at: offset)
    default: throw TemplateFailure(.unsupported, "the filter \"\(name)\" is not known", at: offset)
    }
  }

  private func dictionary(
    _ value: TemplateValue, _ name: String, at offset: Int
  ) throws(TemplateFailure) -> TemplateDictionary {
    guard case .dictionary(let dictionary) = value else {
      throw TemplateFailure(.evaluation, "\(name) needs a mapping, found \(value.kindName)", at: offset)
    }
    return dictionary
  }

  /// Parts with a separator between, all counted before it is made.
  func joined(
    _ parts: [TemplateValue], _ separator: TemplateString, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    try chargeProduct(parts.count, separator.byteCount / 8 + separator.templateRanges.count, at: offset)
    return try string(.joined(parts.map(\.printed), separator: separator), at: offset)
  }

  private func dictsort(
    _ dictionary: TemplateDictionary, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let key: TemplateValue
    switch arguments.string(1, "by")?.text ?? "key" {
    case "key": key = .int(0)
    case "value": key = .int(1)
    default: throw TemplateFailure(.evaluation, "dictsort sorts by \"key\" or by \"value\"", at: offset)
    }
    let pairs = try elements(try items(dictionary, at: offset), at: offset)
    return try list(
      try sorted(
        pairs, by: key, ignoresCase: !arguments.isTrue(0, "case_sensitive"), reverse: arguments.isTrue(2, "reverse"), at: offset),
      at: offset)
  }

  private func unique(
    _ value: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let elements = try elements(value, at: offset)
    let ignoresCase = !arguments.isTrue(0, "case_sensitive")
    var keys = elements
    if let key = arguments.value(1, "attribute")?.unlessNone { keys = try mapAttribute(elements, key, nil, at: offset) }
    var seen: Set<TemplateValue> = []
    var kept: [TemplateValue] = []
    for (key, element) in zip(keys, elements) where seen.insert(folded(key, ignoresCase)).inserted { kept.append(element) }
    return try list(kept, at: offset)
  }

  /// `batch(n)`: lists of n; `slice(n)`: n lists.
  private func pieces(
    _ value: TemplateValue, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let elements = try elements(value, at: offset)
    guard let count = arguments.integer(0, name == "batch" ? "linecount" : "slices"), count > 0 else {
      throw TemplateFailure(.evaluation, "\(name) needs a number above 0", at: offset)
    }
    let fill = arguments.value(1, "fill_with")?.unlessNone
    var pieces: [TemplateValue] = []
    if name == "batch" {
      var start = 0
      while start < elements.count {
        let end = count < elements.count - start ? start + count : elements.count
        var piece = Array(elements[start..<end])
        if let fill, piece.count < count {
          try charge(min(count, limits.stepCountMax), at: offset)
          piece += Array(repeating: fill, count: count - piece.count)
        }
        pieces.append(try list(piece, at: offset))
        start = end
      }
    } else {
      try charge(min(count, limits.stepCountMax), at: offset)
      let (perSlice, longer) = (elements.count / count, elements.count % count)
      var start = 0
      for index in 0..<count {
        let end = start + perSlice + (index < longer ? 1 : 0)
        var piece = Array(elements[start..<end])
        if let fill, index >= longer { piece.append(fill) }
        pieces.append(try list(piece, at: offset))
        start = end
      }
    }
    return try list(pieces, at: offset)
  }

  private func map(
    _ value: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    // Jinja looks at the truth of the sequence first: nothing comes of none.
    let elements = value.isTrue ? try elements(value, at: offset) : []
    if arguments.positional.isEmpty, let key = arguments.named["attribute"] {
      for name in arguments.named.keys.sorted() where name != "attribute" && name != "default" {
        throw TemplateFailure(.evaluation, "the filter \"map\" has no argument \"\(name)\": it takes attribute, default", at: offset)
      }
      return try list(try mapAttribute(elements, key, arguments.named["default"], at: offset), at: offset)
    }
    guard let name = arguments.string(0, "")?.text else {
      throw TemplateFailure(.evaluation, "map needs the name of a filter or an attribute", at: offset)
    }
    var rest = arguments
    rest.positional.removeFirst()
    var mapped: [TemplateValue] = []
    for element in elements { mapped.append(try filter(element, name, rest, at: offset)) }
    return try list(mapped, at: offset)
  }

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
    for element in value.isTrue ? try elements(value, at: offset) : [] {
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
    for part in text.text.split(separator: ".") {
      try charge(1, at: offset)
      let index: TemplateValue = Int(part).map { .int($0) } ?? .content(String(part))
      value = try element(of: value, index, at: offset)
    }
    return value
  }

  private func mapAttribute(
    _ elements: [TemplateValue], _ key: TemplateValue, _ defaultValue: TemplateValue?, at offset: Int
  ) throws(TemplateFailure) -> [TemplateValue] {
    var mapped: [TemplateValue] = []
    for element in elements {
      try charge(key.weight, at: offset)
      let value = try path(element, key, at: offset)
      if case .undefined = value, let defaultValue { mapped.append(defaultValue) } else { mapped.append(value) }
    }
    return mapped
  }

  private func folded(_ value: TemplateValue, _ ignoresCase: Bool) -> TemplateValue {
    if ignoresCase, case .string(let text) = value { return .string(TemplateText.lowercased(text)) }
    return value
  }

  /// Stable.
  private func sorted(
    _ elements: [TemplateValue], by key: TemplateValue?, ignoresCase: Bool, reverse: Bool, at offset: Int
  ) throws(TemplateFailure) -> [TemplateValue] {
    let key = key?.unlessNone
    var keyed: [(key: TemplateValue, value: TemplateValue)] = []
    for element in elements {
      let sortKey = try key.map { (key) throws(TemplateFailure) in try path(element, key, at: offset) } ?? element
      keyed.append((folded(sortKey, ignoresCase), element))
    }
    var failure: TemplateFailure?
    let ordered = keyed.enumerated().sorted { a, b in
      // After a failure the order does not matter, only that sorting ends soon.
      guard failure == nil else { return false }
      do throws(TemplateFailure) {
        if try isLess(a.element.key, b.element.key, at: offset) { return !reverse }
        if try isLess(b.element.key, a.element.key, at: offset) { return reverse }
      } catch { failure = error }
      return a.offset < b.offset
    }
    if let failure { throw failure }
    return ordered.map(\.element.value)
  }
}
