extension TemplateEvaluator {
  static let globalNames: Set<String> = ["range", "namespace", "dict", "raise_exception", "strftime_now"]

  func call(
    _ callee: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch callee {
    case .function(let function):
      switch function.body {
      case .global(let name): return try callGlobal(name, arguments, at: offset)
      case .method(let name, let owner): return try callMethod(name, owner.value, arguments, at: offset)
      case .macro(let macro, let scope): return try call(macro, definedIn: scope, arguments, at: offset)
      }
    case .undefined(let name):
      throw TemplateFailure(.evaluation, "\"\(name)\" is no function or method that is known here", at: offset)
    default: throw TemplateFailure(.evaluation, "cannot call \(callee.kindName)", at: offset)
    }
  }

  @inline(never)
  private func callGlobal(
    _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch name {
    case "raise_exception":
      try require(arguments, fit: ["message"], of: "raise_exception()", at: offset)
      let message = try text(arguments.value(0, "message") ?? "the template refuses the conversation", at: offset).text
      throw TemplateFailure(.raised, message, at: offset)
    case "namespace", "dict":
      var dictionary = TemplateDictionary()
      try charge(arguments.weight, at: offset)
      if case .dictionary(let initial)? = arguments.positional.first { dictionary = initial }
      for (key, value) in arguments.named.sorted(by: { $0.key < $1.key }) { dictionary[.template(key)] = value }
      for entry in dictionary.entries {
        if case .namespace = entry.value { throw TemplateFailure(.evaluation, "a namespace cannot be an element", at: offset) }
      }
      try requireSize(.dictionary(dictionary), at: offset)
      guard name == "namespace" else { return .dictionary(dictionary) }
      let namespace = TemplateNamespace()
      for entry in dictionary.entries { namespace[try text(entry.key, at: offset).text] = entry.value }
      return .namespace(namespace)
    case "strftime_now":
      try require(arguments, fit: ["format"], of: "strftime_now()", at: offset)
      guard let format = arguments.string(0, "format") else {
        throw TemplateFailure(.evaluation, "strftime_now() takes a format", at: offset)
      }
      guard let time else {
        throw TemplateFailure(.unsupported, "strftime_now() needs a clock, and this rendering was given none", at: offset)
      }
      // Four bytes of format make at most some thirty of date.
      try charge(2 * format.byteCount, at: offset)
      return try string(time.formatted(format), at: offset)
    default: return try range(arguments, at: offset)
    }
  }

  private func range(_ arguments: EvaluatedArguments, at offset: Int) throws(TemplateFailure) -> TemplateValue {
    try require(arguments, fit: ["start", "stop", "step"], of: "range()", at: offset)
    let bounds = arguments.positional.compactMap(\.integer)
    guard (1...3).contains(bounds.count), bounds.count == arguments.positional.count else {
      throw TemplateFailure(.evaluation, "range() takes one to three integers", at: offset)
    }
    let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
    let step = bounds.count == 3 ? bounds[2] : 1
    guard step != 0 else { throw TemplateFailure(.evaluation, "the step of range() cannot be 0", at: offset) }
    let (distance, overflow) = stop.subtractingReportingOverflow(start)
    let (count, countOverflow) = distance.dividedReportingOverflow(by: step)
    guard !overflow, !countOverflow, step != .min else {
      throw TemplateFailure(.limitExceeded, "the range is too long", at: offset)
    }
    try charge(max(0, min(count, limits.stepCountMax)), at: offset)
    return try list(stride(from: start, to: stop, by: step).map { .int($0) }, at: offset)
  }

  // MARK: - Methods

  @inline(never)
  private func callMethod(
    _ name: String, _ owner: TemplateValue, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let what = "the method \"\(name)\""
    switch owner {
    case .string(let text):
      if let parameters = Self.stringMethods[name] { try require(arguments, fit: parameters, of: what, at: offset) }
      return try callStringMethod(name, text, arguments, at: offset)
    case .dictionary(let dictionary):
      try require(arguments, fit: Self.dictionaryMethods[name] ?? [], of: what, at: offset)
      try charge(dictionary.entries.count + arguments.weight, at: offset)
      switch name {
      case "get": return dictionary[arguments.value(0, "key") ?? .none] ?? arguments.value(1, "default") ?? .none
      case "keys": return try list(dictionary.entries.map(\.key), at: offset)
      case "values": return try list(dictionary.entries.map(\.value), at: offset)
      default: return try items(dictionary, at: offset)
      }
    case .list(let elements):
      try require(arguments, fit: Self.listMethods[name] ?? [], of: what, at: offset)
      let wanted = arguments.value(0, "value") ?? .none
      try charge(elements.weight, at: offset)
      if name == "count" { return .int(elements.elements.count { $0 == wanted }) }
      let range = Self.bounds(elements.elements.count, arguments.integer(1, "start"), arguments.integer(2, "end"))
      guard let index = elements.elements[range].firstIndex(of: wanted) else {
        throw TemplateFailure(.evaluation, "\(wanted.representation.text) is not in the list", at: offset)
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

  /// Python's start and end of a part: counted from the end when negative, then cut to what there is.
  static func bounds(_ count: Int, _ start: Int?, _ end: Int?) -> Range<Int> {
    func cut(_ bound: Int) -> Int { bound < 0 ? max(0, bound < -count ? 0 : bound + count) : min(bound, count) }
    let lower = cut(start ?? 0)
    return lower..<max(lower, cut(end ?? count))
  }
}
