/// Arguments of a call, evaluated.
struct EvaluatedArguments {
  var positional: [TemplateValue] = []
  var named: [String: TemplateValue] = [:]

  /// The argument at a position or of a name.
  func value(_ index: Int, _ name: String) -> TemplateValue? { index < positional.count ? positional[index] : named[name] }

  /// The argument at a position.
  func value(_ index: Int) -> TemplateValue? {
    guard positional.indices.contains(index) else { return Optional.none }
    return positional[index]
  }

  /// The same, where none, or an explicit `none`, means the default.
  func integer(_ index: Int, _ name: String) -> Int? { value(index, name)?.integer }
  func string(_ index: Int, _ name: String) -> TemplateString? {
    if case .string(let text)? = value(index, name) { text } else { nil }
  }
  func isTrue(_ index: Int, _ name: String, default isTrue: Bool = false) -> Bool { value(index, name)?.isTrue ?? isTrue }

  /// What walking all of them costs.
  var weight: Int {
    var sum = 0
    for value in positional { sum = min(sum + value.weight, 1 << 60) }
    for value in named.values { sum = min(sum + value.weight, 1 << 60) }
    return sum
  }
}

extension TemplateEvaluator {
  /// Fails for arguments that a filter, test, method or function does not have: a template that asks for something is not
  /// rendered without it.
  func require(
    _ arguments: EvaluatedArguments, fit parameters: [String], of callee: @autoclosure () -> String, at offset: Int
  ) throws(TemplateFailure) {
    guard arguments.positional.count <= parameters.count else {
      throw TemplateFailure(
        .evaluation,
        "\(callee()) takes \(parameters.isEmpty ? "no arguments" : "at most \(parameters.count)"), found \(arguments.positional.count)",
        at: offset)
    }
    for name in arguments.named.keys.sorted() {
      guard let index = parameters.firstIndex(of: name) else {
        let known = parameters.isEmpty ? "none" : parameters.joined(separator: ", ")
        throw TemplateFailure(.evaluation, "\(callee()) has no argument \"\(name)\": it takes \(known)", at: offset)
      }
      guard index >= arguments.positional.count else {
        throw TemplateFailure(.evaluation, "\(callee()) is given the argument \"\(name)\" twice", at: offset)
      }
    }
  }

  /// The parameters of each filter in their order; those that take any number are left out.
  ///
  /// Source: jinja2.filters 3.1; `tojson` as transformers defines it for chat templates.
  static let filterParameters: [String: [String]] = [
    "abs": [], "attr": ["name"], "batch": ["linecount", "fill_with"], "capitalize": [], "center": ["width"], "count": [],
    "d": ["default_value", "boolean"], "default": ["default_value", "boolean"],
    "dictsort": ["case_sensitive", "by", "reverse"], "e": [], "escape": [], "first": [], "float": ["default"],
    "indent": ["width", "first", "blank"], "int": ["default", "base"], "items": [], "join": ["d", "attribute"], "last": [],
    "length": [], "list": [], "lower": [], "max": ["case_sensitive", "attribute"], "min": ["case_sensitive", "attribute"],
    "replace": ["old", "new", "count"], "reverse": [], "round": ["precision", "method"], "safe": [],
    "slice": ["slices", "fill_with"], "sort": ["reverse", "case_sensitive", "attribute"], "string": [],
    "sum": ["attribute", "start"], "title": [], "tojson": ["ensure_ascii", "indent", "separators", "sort_keys"],
    "trim": ["chars"], "truncate": ["length", "killwords", "end", "leeway"], "unique": ["case_sensitive", "attribute"],
    "upper": [], "wordcount": [],
  ]

  /// The parameters of the methods of strings, of dictionaries and of lists. (Python gives most of them no names.)
  static let stringMethods: [String: [String]] = [
    "strip": ["chars"], "lstrip": ["chars"], "rstrip": ["chars"], "startswith": ["prefix", "start", "end"],
    "endswith": ["suffix", "start", "end"], "split": ["sep", "maxsplit"], "rsplit": ["sep", "maxsplit"],
    "splitlines": ["keepends"], "upper": [], "lower": [], "title": [], "capitalize": [], "casefold": [], "swapcase": [],
    "replace": ["old", "new", "count"], "find": ["sub", "start", "end"], "rfind": ["sub", "start", "end"],
    "index": ["sub", "start", "end"], "rindex": ["sub", "start", "end"], "count": ["sub", "start", "end"],
    "join": ["iterable"], "isdigit": [], "isalpha": [], "isalnum": [], "isspace": [], "isupper": [], "islower": [],
    "removeprefix": ["prefix"], "removesuffix": ["suffix"], "partition": ["sep"], "rpartition": ["sep"],
    "center": ["width", "fillchar"], "ljust": ["width", "fillchar"], "rjust": ["width", "fillchar"], "zfill": ["width"],
  ]
  static let dictionaryMethods: [String: [String]] = ["get": ["key", "default"], "items": [], "keys": [], "values": []]
  static let listMethods: [String: [String]] = ["index": ["value", "start", "end"], "count": ["value"]]

  /// Methods that take any arguments.
  static let variadicStringMethods: Set<String> = ["format"]

  static func hasMethod(_ value: TemplateValue, _ name: String) -> Bool {
    switch value {
    case .string: stringMethods[name] != nil || variadicStringMethods.contains(name)
    case .dictionary: dictionaryMethods[name] != nil
    case .list: listMethods[name] != nil
    default: false
    }
  }
}
