extension TemplateEvaluator {
  private static let testsWithOperand: Set<String> = [
    "divisibleby", "sameas", "in", "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=", "gt", "greaterthan", ">",
    "ge", ">=",
  ]
  private static let testsWithoutOperand: Set<String> = [
    "defined", "undefined", "none", "string", "mapping", "boolean", "integer", "float", "number", "true", "false", "callable",
    "iterable", "sequence", "odd", "even", "lower", "upper", "filter", "test", "escaped",
  ]
  private static let filterNames = Set(filterParameters.keys).union(
    ["format", "map", "select", "reject", "selectattr", "rejectattr"])

  /// `value is name(arguments)`.
  func test(
    _ value: TemplateValue, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> Bool {
    func operand() throws(TemplateFailure) -> TemplateValue {
      guard let operand = arguments.value(0, "other") else {
        throw TemplateFailure(.evaluation, "the test \"\(name)\" needs an operand", at: offset)
      }
      return operand
    }
    try charge(value.weight + arguments.weight, at: offset)
    let hasOperand = Self.testsWithOperand.contains(name)
    if hasOperand || Self.testsWithoutOperand.contains(name) {
      try require(arguments, fit: hasOperand ? ["other"] : [], of: "the test \"\(name)\"", at: offset)
    }
    switch name {
    case "defined": if case .undefined = value { return false } else { return true }
    case "undefined": if case .undefined = value { return true } else { return false }
    case "none": if case .none = value { return true } else { return false }
    case "string": if case .string = value { return true } else { return false }
    case "mapping": if case .dictionary = value { return true } else { return false }
    case "boolean": if case .bool = value { return true } else { return false }
    case "integer": if case .int = value { return true } else { return false }
    case "float": if case .float = value { return true } else { return false }
    case "number": return value.number != nil
    case "true": if case .bool(true) = value { return true } else { return false }
    case "false": if case .bool(false) = value { return true } else { return false }
    case "callable": if case .function = value { return true } else { return false }
    case "iterable", "sequence":
      switch value {
      case .string, .list, .dictionary: return true
      // An undefined value can be gone through: it has no elements.
      case .undefined: return true
      default: return false
      }
    case "odd", "even":
      guard let number = value.integer else {
        throw TemplateFailure(.evaluation, "expected an integer, found \(value.kindName)", at: offset)
      }
      return (number % 2 != 0) == (name == "odd")
    case "divisibleby":
      guard let number = value.integer, let divisor = try operand().integer, divisor != 0 else {
        throw TemplateFailure(.evaluation, "divisibleby needs integers", at: offset)
      }
      return divisor == -1 || number % divisor == 0
    case "lower", "upper":
      let scalars = value.text.unicodeScalars
      return scalars.contains { $0.properties.isCased }
        && !scalars.contains { name == "lower" ? $0.properties.isUppercase : $0.properties.isLowercase }
    case "filter": return Self.filterNames.contains(value.text)
    case "test": return Self.testsWithOperand.contains(value.text) || Self.testsWithoutOperand.contains(value.text)
    case "escaped": return false
    case "sameas":
      let other = try operand()
      return value.kindName == other.kindName && value == other
    case "in": return try contains(try operand(), value, at: offset)
    case "eq", "equalto", "==": return try compare(value, .equal, try operand(), at: offset)
    case "ne", "!=": return try compare(value, .notEqual, try operand(), at: offset)
    case "lt", "lessthan", "<": return try compare(value, .less, try operand(), at: offset)
    case "le", "<=": return try compare(value, .lessOrEqual, try operand(), at: offset)
    case "gt", "greaterthan", ">": return try compare(value, .greater, try operand(), at: offset)
    case "ge", ">=": return try compare(value, .greaterOrEqual, try operand(), at: offset)
    default: throw TemplateFailure(.unsupported, "the test \"\(name)\" is not known", at: offset)
    }
  }
}
