extension TemplateValue {
  /// Python's `str()`: how a value is printed. Undefined prints as nothing.
  var text: String {
    switch self {
    case .undefined: ""
    case .string(let value): value
    default: representation
    }
  }

  /// Python's `repr()`: how a value is printed within a list.
  var representation: String {
    switch self {
    case .undefined: return "Undefined"
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int(let value): return String(value)
    case .float(let value): return Self.text(of: value)
    case .string(let value): return Self.quoted(value)
    case .list(let list):
      let inner = list.elements.map(\.representation).joined(separator: ", ")
      guard list.isTuple else { return "[" + inner + "]" }
      return list.elements.count == 1 ? "(" + inner + ",)" : "(" + inner + ")"
    case .dictionary(let dictionary):
      return "{" + dictionary.entries.map { $0.key.representation + ": " + $0.value.representation }.joined(separator: ", ") + "}"
    case .namespace: return "<namespace>"
    case .function: return "<function>"
    }
  }

  static func text(of value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    return value.description
  }

  /// Single quotes, unless there are single and no double ones within.
  private static func quoted(_ value: String) -> String {
    let quote: Unicode.Scalar =
      value.unicodeScalars.contains("'") && !value.unicodeScalars.contains("\"") ? "\"" : "'"
    var result = String.UnicodeScalarView([quote])
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": result.append(contentsOf: "\\\\".unicodeScalars)
      case "\n": result.append(contentsOf: "\\n".unicodeScalars)
      case "\r": result.append(contentsOf: "\\r".unicodeScalars)
      case "\t": result.append(contentsOf: "\\t".unicodeScalars)
      case quote: result.append(contentsOf: ["\\", quote])
      default:
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
          result.append(contentsOf: escape(scalar).unicodeScalars)
        case .spaceSeparator where scalar != " ": result.append(contentsOf: escape(scalar).unicodeScalars)
        default: result.append(scalar)
        }
      }
    }
    result.append(quote)
    return String(result)
  }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    func padded(_ count: Int) -> String { String(repeating: "0", count: count - digits.count) + digits }
    return scalar.value < 0x100 ? "\\x" + padded(2) : scalar.value < 0x10000 ? "\\u" + padded(4) : "\\U" + padded(8)
  }

  /// JSON as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` writes it; nil for what JSON cannot hold.
  /// - Parameter indent: spaces per level; nil: all on one line, with a space after commas and colons.
  func json(indent: Int?, level: Int = 0, sortKeys: Bool = false) -> String? {
    func lines(_ open: String, _ close: String, _ parts: [String]) -> String {
      guard !parts.isEmpty else { return open + close }
      guard let indent else { return open + parts.joined(separator: ", ") + close }
      let inner = "\n" + String(repeating: " ", count: indent * (level + 1))
      let outer = "\n" + String(repeating: " ", count: indent * level)
      return open + inner + parts.joined(separator: "," + inner) + outer + close
    }
    switch self {
    case .none: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return String(value)
    case .float(let value):
      return value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : Self.text(of: value)
    case .string(let value): return Self.jsonQuoted(value)
    case .list(let list):
      let parts = list.elements.map { $0.json(indent: indent, level: level + 1, sortKeys: sortKeys) }
      return parts.contains(nil) ? nil : lines("[", "]", parts.compactMap { $0 })
    case .dictionary(let dictionary):
      var entries = dictionary.entries
      if sortKeys { entries.sort { $0.key.text.utf8.lexicographicallyPrecedes($1.key.text.utf8) } }
      var parts: [String] = []
      for entry in entries {
        guard let key = entry.key.jsonKey, let value = entry.value.json(indent: indent, level: level + 1, sortKeys: sortKeys)
        else { return nil }
        parts.append(Self.jsonQuoted(key) + ": " + value)
      }
      return lines("{", "}", parts)
    case .undefined, .namespace, .function: return nil
    }
  }

  private var jsonKey: String? {
    switch self {
    case .string(let value): value
    case .int, .float, .bool, .none: json(indent: nil)
    default: nil
    }
  }

  private static func jsonQuoted(_ value: String) -> String {
    var result = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{8}": result += "\\b"
      case "\u{C}": result += "\\f"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
