extension TemplateEvaluator {
  static let globalNames: Set<String> = ["range", "namespace", "dict", "raise_exception"]

  func call(
    _ callee: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch callee {
    case .function(let function):
      switch function.body {
      case .global(let name): return try callGlobal(name, arguments, at: offset)
      case .method(let name, let owner): return try callMethod(name, owner.value, arguments, at: offset)
      case .macro(let macro): return try call(macro, arguments, at: offset)
      }
    case .undefined(let name):
      throw TemplateFailure(.evaluation, "\"\(name)\" is no function or method that is known here", at: offset)
    default: throw TemplateFailure(.evaluation, "cannot call \(callee.kindName)", at: offset)
    }
  }

  private func callGlobal(
    _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch name {
    case "raise_exception":
      let message = try text(arguments.value(0, "message") ?? "the template refuses the conversation", at: offset)
      throw TemplateFailure(.raised, message, at: offset)
    case "namespace", "dict":
      var dictionary = TemplateDictionary()
      if case .dictionary(let initial)? = arguments.positional.first { dictionary = initial }
      for (key, value) in arguments.named.sorted(by: { $0.key < $1.key }) { dictionary[.string(key)] = value }
      for entry in dictionary.entries {
        if case .namespace = entry.value { throw TemplateFailure(.evaluation, "a namespace cannot be an element", at: offset) }
      }
      try requireSize(.dictionary(dictionary), at: offset)
      guard name == "namespace" else { return .dictionary(dictionary) }
      let namespace = TemplateNamespace()
      for entry in dictionary.entries { namespace[try text(entry.key, at: offset)] = entry.value }
      return .namespace(namespace)
    default: return try range(arguments, at: offset)
    }
  }

  private func range(_ arguments: EvaluatedArguments, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    let bounds = arguments.positional.compactMap(\.integer)
    guard (1...3).contains(bounds.count), bounds.count == arguments.positional.count else {
      throw TemplateFailure(.evaluation, "range() takes one to three integers", at: offset)
    }
    let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
    let step = bounds.count == 3 ? bounds[2] : 1
    guard step != 0 else { throw TemplateFailure(.evaluation, "the step of range() cannot be 0", at: offset) }
    let (distance, overflow) = stop.subtractingReportingOverflow(start)
    guard !overflow, step != .min else { throw TemplateFailure(.limitExceeded, "the range is too long", at: offset) }
    try charge(max(0, min(distance / step, limits.stepCountMax)), at: offset)
    return try list(stride(from: start, to: stop, by: step).map { .int($0) }, at: offset)
  }

  // MARK: - Methods

  private static let stringMethods: Set<String> = [
    "strip", "lstrip", "rstrip", "startswith", "endswith", "split", "rsplit", "splitlines", "upper", "lower", "title",
    "capitalize", "replace", "find", "count", "join", "isdigit", "isalpha", "isspace", "isupper", "islower", "removeprefix",
    "removesuffix",
  ]
  private static let dictionaryMethods: Set<String> = ["get", "items", "keys", "values"]
  private static let listMethods: Set<String> = ["index", "count"]

  static func methodNames(_ value: TemplateValue) -> Set<String> {
    switch value {
    case .string: stringMethods
    case .dictionary: dictionaryMethods
    case .list: listMethods
    default: []
    }
  }

  private func callMethod(
    _ name: String, _ owner: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch owner {
    case .string(let text): return try callStringMethod(name, text, arguments, at: offset)
    case .dictionary(let dictionary):
      try charge(dictionary.entries.count + (arguments.value(0, "key")?.weight ?? 0), at: offset)
      switch name {
      case "get": return dictionary[arguments.value(0, "key") ?? .none] ?? arguments.value(1, "default") ?? .none
      case "keys": return try list(dictionary.entries.map(\.key), at: offset)
      case "values": return try list(dictionary.entries.map(\.value), at: offset)
      default: return try items(dictionary, at: offset)
      }
    case .list(let elements):
      let wanted = arguments.value(0, "value") ?? .none
      try charge(elements.weight, at: offset)
      if name == "count" { return .int(elements.elements.count { $0 == wanted }) }
      guard let index = elements.elements.firstIndex(of: wanted) else {
        throw TemplateFailure(.evaluation, "\(wanted.representation) is not in the list", at: offset)
      }
      return .int(index)
    case .int(let index):
      // `loop.cycle`: the method's owner is the loop's index.
      guard !arguments.positional.isEmpty else { throw TemplateFailure(.evaluation, "cycle() takes values", at: offset) }
      return arguments.positional[index % arguments.positional.count]
    default: throw TemplateFailure(.evaluation, "\(owner.kindName) has no method \"\(name)\"", at: offset)
    }
  }

  func items(_ dictionary: TemplateDictionary, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    var pairs: [TemplateValue] = []
    for entry in dictionary.entries { pairs.append(try list([entry.key, entry.value], isTuple: true, at: offset)) }
    return try list(pairs, at: offset)
  }

  private func callStringMethod(
    _ name: String, _ text: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    try charge(arguments.positional.reduce(text.utf8.count / 8 + 1) { $0 + $1.weight }, at: offset)
    func argument(_ what: String) throws(TemplateFailure) -> String {
      guard let text = arguments.string(0, what) else {
        throw TemplateFailure(.evaluation, "\(name)() takes a string", at: offset)
      }
      return text
    }
    switch name {
    case "strip", "lstrip", "rstrip":
      return .string(
        TemplateText.strip(text, arguments.string(0, "chars"), left: name != "rstrip", right: name != "lstrip"))
    case "startswith", "endswith":
      var candidates: [TemplateValue] = []
      if case .list(let list)? = arguments.value(0, "prefix") {
        candidates = list.elements
      } else {
        candidates = [.string(try argument("prefix"))]
      }
      return .bool(
        candidates.contains {
          name == "startswith" ? TemplateText.hasPrefix(text, $0.text) : TemplateText.hasSuffix(text, $0.text)
        })
    case "split", "rsplit":
      let separator = arguments.string(0, "sep")
      if separator == "" { throw TemplateFailure(.evaluation, "the separator is empty", at: offset) }
      let limit = arguments.integer(1, "maxsplit") ?? -1
      let parts = TemplateText.split(text, separator, limit: limit < 0 ? .max : limit, fromEnd: name == "rsplit")
      return try list(parts.map { .string($0) }, at: offset)
    case "splitlines": return try list(TemplateText.lines(text).map { .string($0) }, at: offset)
    case "upper": return try string(text.uppercased(), at: offset)
    case "lower": return try string(text.lowercased(), at: offset)
    case "title": return try string(TemplateText.title(text), at: offset)
    case "capitalize": return try string(TemplateText.capitalize(text), at: offset)
    case "replace": return try replace(text, arguments, at: offset)
    case "find":
      let found = TemplateText.find(Array(try argument("sub").utf8), in: Array(text.utf8), from: 0)
      return .int(found.map { String(decoding: Array(text.utf8)[..<$0], as: UTF8.self).unicodeScalars.count } ?? -1)
    case "count":
      let part = try argument("sub")
      if part.isEmpty { return .int(text.unicodeScalars.count + 1) }
      return .int(TemplateText.split(text, part, limit: .max, fromEnd: false).count - 1)
    case "join":
      let iterable = arguments.value(0, "iterable") ?? .none
      try charge(iterable.weight, at: offset)
      let parts = try elements(iterable, at: offset)
      try chargeProduct(parts.count, text.utf8.count / 8, at: offset)
      return try string(parts.map(\.text).joined(separator: text), at: offset)
    case "removeprefix":
      let prefix = try argument("prefix")
      guard TemplateText.hasPrefix(text, prefix) else { return .string(text) }
      return .string(String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self))
    case "removesuffix":
      let suffix = try argument("suffix")
      guard TemplateText.hasSuffix(text, suffix) else { return .string(text) }
      return .string(String(decoding: text.utf8.dropLast(suffix.utf8.count), as: UTF8.self))
    default:
      let scalars = text.unicodeScalars
      switch name {
      case "isdigit": return .bool(!scalars.isEmpty && scalars.allSatisfy { TemplateText.isDigit($0) })
      case "isalpha": return .bool(!scalars.isEmpty && scalars.allSatisfy { TemplateText.isLetter($0) })
      case "isspace": return .bool(!scalars.isEmpty && scalars.allSatisfy { isSpace($0) })
      case "isupper": return .bool(scalars.contains { $0.properties.isCased } && !scalars.contains { $0.properties.isLowercase })
      default: return .bool(scalars.contains { $0.properties.isCased } && !scalars.contains { $0.properties.isUppercase })
      }
    }
  }

  func replace(_ text: String, _ arguments: EvaluatedArguments, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    guard let old = arguments.string(0, "old"), let new = arguments.string(1, "new") else {
      throw TemplateFailure(.evaluation, "replace() takes two strings", at: offset)
    }
    let limit = arguments.integer(2, "count") ?? -1
    // The most that can come out is counted before it is made.
    let placeCount = old.isEmpty ? text.utf8.count + 1 : text.utf8.count / old.utf8.count
    let (grown, overflow) = placeCount.multipliedReportingOverflow(by: new.utf8.count)
    try charge(overflow ? limits.stepCountMax : min(grown / 8, limits.stepCountMax), at: offset)
    return try string(TemplateText.replace(text, old, new, limit: limit < 0 ? .max : limit), at: offset)
  }
}
