extension TemplateValue {
  /// Python's `str()`: how a value is printed. Undefined prints as nothing. A string keeps its authors; a number, true, false or
  /// none is the template's (`<|image_1|>` may be counted together); what holds others keeps theirs.
  var printed: TemplateString {
    switch self {
    case .undefined: return .empty
    case .string(let value): return value
    case .none, .bool, .int, .float, .namespace, .function:
      var text = TemplateString.empty
      appendRepresentation(to: &text, punctuationIsTemplate: true)
      return text
    case .list, .dictionary: return representation
    }
  }

  /// The same for messages, and for what is compared.
  var text: String { printed.text }

  /// Python's `repr()`: how a value is printed within a list.
  ///
  /// The brackets, commas and quotes are nobody's, and so content: no special token is spelled with them, and their order is
  /// chosen by whoever made the value.
  var representation: TemplateString {
    var text = TemplateString.empty
    appendRepresentation(to: &text, punctuationIsTemplate: false)
    return text
  }

  private func appendRepresentation(to text: inout TemplateString, punctuationIsTemplate: Bool) {
    func write(_ piece: String) { text.append(piece, isTemplate: punctuationIsTemplate) }
    switch self {
    case .undefined: write("Undefined")
    case .none: write("None")
    case .bool(let value): write(value ? "True" : "False")
    case .int(let value): write(String(value))
    case .float(let value): write(Self.text(of: value))
    case .string(let value): text.append(Self.quoted(value))
    case .list(let list):
      write(list.isTuple ? "(" : "[")
      for (index, element) in list.elements.enumerated() {
        if index > 0 { write(", ") }
        element.appendRepresentation(to: &text, punctuationIsTemplate: false)
      }
      write(list.isTuple ? (list.elements.count == 1 ? ",)" : ")") : "]")
    case .dictionary(let dictionary):
      write("{")
      for (index, entry) in dictionary.entries.enumerated() {
        if index > 0 { write(", ") }
        entry.key.appendRepresentation(to: &text, punctuationIsTemplate: false)
        write(": ")
        entry.value.appendRepresentation(to: &text, punctuationIsTemplate: false)
      }
      write("}")
    case .namespace: write("<namespace>")
    case .function: write("<function>")
    }
  }

  static func text(of value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    return value.description
  }

  /// Single quotes, unless there are single and no double ones within.
  private static func quoted(_ value: TemplateString) -> TemplateString {
    let scalars = value.text.unicodeScalars
    let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
    var result = TemplateString(content: String(Character(quote)))
    result.append(
      value.mappingScalars { scalar in
        switch scalar {
        case "\\": return "\\\\"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case quote: return "\\" + String(Character(quote))
        default: return isPrintable(scalar) ? String(Character(scalar)) : escape(scalar)
        }
      })
    result.append(String(Character(quote)), isTemplate: false)
    return result
  }

  /// Python's `isprintable`.
  static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: scalar == " "
    default: true
    }
  }

  static func escape(_ scalar: Unicode.Scalar) -> String {
    scalar.value < 0x100
      ? "\\x" + hex(scalar.value, 2) : scalar.value < 0x10000 ? "\\u" + hex(scalar.value, 4) : "\\U" + hex(scalar.value, 8)
  }

  private static func hex(_ value: UInt32, _ digitCount: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digitCount - digits.count)) + digits
  }

  // MARK: - JSON

  /// How Python's `json.dumps` lays out.
  struct JSONLayout {
    /// What a level is indented by; nil: all on one line.
    var indent: TemplateString?
    var itemSeparator = TemplateString(content: ", ")
    var keySeparator = TemplateString(content: ": ")
    var sortsKeys = false
    /// Everything beyond ASCII as `\u00e9`.
    var escapesNonASCII = false
  }

  /// JSON as Python's `json.dumps` writes it; nil for what JSON cannot hold. Strings keep their authors.
  func json(_ layout: JSONLayout) -> TemplateString? {
    var text = TemplateString.empty
    return appendJSON(layout, level: 0, to: &text) ? text : nil
  }

  private func appendJSON(_ layout: JSONLayout, level: Int, to text: inout TemplateString) -> Bool {
    func write(_ piece: String) { text.append(piece, isTemplate: false) }
    func breakLine(_ level: Int) {
      guard let indent = layout.indent else { return }
      write("\n")
      for _ in 0..<level { text.append(indent) }
    }
    switch self {
    case .none: write("null")
    case .bool(let value): write(value ? "true" : "false")
    case .int(let value): write(String(value))
    case .float(let value):
      write(value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : Self.text(of: value))
    case .string(let value): text.append(Self.jsonQuoted(value, layout))
    case .list(let list):
      write("[")
      for (index, element) in list.elements.enumerated() {
        if index > 0 { text.append(layout.itemSeparator) }
        breakLine(level + 1)
        guard element.appendJSON(layout, level: level + 1, to: &text) else { return false }
      }
      if !list.elements.isEmpty { breakLine(level) }
      write("]")
    case .dictionary(let dictionary):
      var entries = dictionary.entries
      if layout.sortsKeys { entries.sort { $0.key.text.utf8.lexicographicallyPrecedes($1.key.text.utf8) } }
      write("{")
      for (index, entry) in entries.enumerated() {
        if index > 0 { text.append(layout.itemSeparator) }
        breakLine(level + 1)
        guard let key = entry.key.jsonKey else { return false }
        text.append(Self.jsonQuoted(key, layout))
        text.append(layout.keySeparator)
        guard entry.value.appendJSON(layout, level: level + 1, to: &text) else { return false }
      }
      if !entries.isEmpty { breakLine(level) }
      write("}")
    case .undefined, .namespace, .function: return false
    }
    return true
  }

  private var jsonKey: TemplateString? {
    switch self {
    case .string(let value): value
    case .int, .float, .bool, .none: json(JSONLayout())
    default: nil
    }
  }

  private static func jsonQuoted(_ value: TemplateString, _ layout: JSONLayout) -> TemplateString {
    var result = TemplateString(content: "\"")
    result.append(
      value.mappingScalars { scalar in
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case "\u{8}": return "\\b"
        case "\u{C}": return "\\f"
        case _ where scalar.value < 0x20 || (layout.escapesNonASCII && scalar.value > 0x7E):
          return UTF16.encode(scalar).map { $0.map { "\\u" + hex(UInt32($0), 4) }.joined() } ?? ""
        default: return String(Character(scalar))
        }
      })
    result.append("\"", isTemplate: false)
    return result
  }
}
