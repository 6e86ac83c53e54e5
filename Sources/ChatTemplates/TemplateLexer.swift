/// A piece of a template.
struct TemplateToken {
  enum Kind: Equatable {
    /// Text outside all tags, after white space control.
    case text(String)
    /// `{{` and `}}`, `{%` and `%}`.
    case printBegin, printEnd, statementBegin, statementEnd
    case name(String), string(String), int(Int), float(Double)
    case symbol(Symbol)
    case end
  }

  /// Operators and punctuation.
  enum Symbol: String, CaseIterable {
    case floorDivide = "//", power = "**", equal = "==", notEqual = "!=", lessOrEqual = "<=", greaterOrEqual = ">="
    case plus = "+", minus = "-", times = "*", divide = "/", modulo = "%", concatenate = "~", less = "<", greater = ">"
    case assign = "=", leftParenthesis = "(", rightParenthesis = ")", leftBracket = "[", rightBracket = "]"
    case leftBrace = "{", rightBrace = "}", comma = ",", colon = ":", dot = ".", pipe = "|"
  }

  let kind: Kind
  /// In characters from the start of the template.
  let offset: Int
}

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` set, as Hugging Face renders chat templates:
///
/// - the newline right after a `%}` or `#}` is dropped;
/// - blanks between the start of a line and a `{%` or `{#` are dropped;
/// - `{%-` and `-%}` (also with `{{`, `{#`) drop all white space on their side; `{%+` and `+%}` keep it.
///
/// Source: Jinja 3.1, "Template Designer Documentation", and its lexer's order of rules.
struct TemplateLexer {
  private let source: [Unicode.Scalar]
  private var offset = 0
  private var tokens: [TemplateToken] = []
  /// Only blanks lie between the last line break and here, as far as tags are concerned.
  private var isLineStart = true

  static func tokens(_ source: [Unicode.Scalar]) throws(TemplateFailure) -> [TemplateToken] {
    var lexer = TemplateLexer(source: source)
    try lexer.run()
    return lexer.tokens
  }

  /// The template's characters: every line break as one line feed, one at the very end dropped.
  static func normalized(_ source: String) -> [Unicode.Scalar] {
    var scalars: [Unicode.Scalar] = []
    scalars.reserveCapacity(source.utf8.count)
    var previous: Unicode.Scalar = " "
    for scalar in source.unicodeScalars {
      if scalar == "\n", previous == "\r" {
        // The carriage return has given the line feed already.
      } else {
        scalars.append(scalar == "\r" ? "\n" : scalar)
      }
      previous = scalar
    }
    if scalars.last == "\n" { scalars.removeLast() }
    return scalars
  }

  private init(source: [Unicode.Scalar]) { self.source = source }

  private mutating func run() throws(TemplateFailure) {
    while offset < source.count {
      let start = offset
      guard let begin = nextTag() else {
        appendText(start..<source.count)
        offset = source.count
        break
      }
      try tag(textStart: start, begin: begin)
    }
    tokens.append(.init(kind: .end, offset: source.count))
  }

  private func has(_ text: StaticString, at offset: Int) -> Bool {
    var index = offset
    for scalar in text.description.unicodeScalars {
      guard index < source.count, source[index] == scalar else { return false }
      index += 1
    }
    return true
  }

  private func nextTag() -> Int? {
    var index = offset
    while index + 1 < source.count {
      if source[index] == "{", source[index + 1] == "{" || source[index + 1] == "%" || source[index + 1] == "#" { return index }
      index += 1
    }
    return nil
  }

  /// A tag and the text before it.
  private mutating func tag(textStart: Int, begin: Int) throws(TemplateFailure) {
    let kind = source[begin + 1]
    let sign: Unicode.Scalar? = begin + 2 < source.count ? source[begin + 2] : nil
    let hasSign = sign == "-" || (sign == "+" && kind != "{")
    var textEnd = begin
    if sign == "-" {
      while textEnd > textStart, isSpace(source[textEnd - 1]) { textEnd -= 1 }
    } else if sign != "+", kind != "{" {
      var lineStart = begin
      while lineStart > textStart, source[lineStart - 1] != "\n" { lineStart -= 1 }
      if lineStart > textStart || isLineStart, source[lineStart..<begin].allSatisfy(isSpace) { textEnd = lineStart }
    }
    appendText(textStart..<textEnd)
    offset = begin + (hasSign ? 3 : 2)
    switch kind {
    case "#": try comment(begin)
    case "{":
      tokens.append(.init(kind: .printBegin, offset: begin))
      try expression(begin, close: "}", opensStatement: false)
    default:
      if let rawEnd = rawTagEnd() {
        try raw(begin, from: rawEnd)
      } else {
        tokens.append(.init(kind: .statementBegin, offset: begin))
        try expression(begin, close: "%", opensStatement: true)
      }
    }
  }

  private mutating func appendText(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    var view = String.UnicodeScalarView()
    view.append(contentsOf: source[range])
    tokens.append(.init(kind: .text(String(view)), offset: range.lowerBound))
  }

  /// After the end of a tag. All white space is skipped at once after `-`, so that what follows a line break is known.
  private mutating func finishTag(strips: Bool, dropsNewline: Bool) {
    if strips {
      let start = offset
      while offset < source.count, isSpace(source[offset]) { offset += 1 }
      isLineStart = offset > start && source[offset - 1] == "\n"
    } else if dropsNewline, offset < source.count, source[offset] == "\n" {
      offset += 1
      isLineStart = true
    } else {
      isLineStart = false
    }
  }

  private mutating func comment(_ begin: Int) throws(TemplateFailure) {
    let start = offset
    while offset + 1 < source.count {
      if source[offset] == "#", source[offset + 1] == "}" {
        let sign = offset > start ? source[offset - 1] : " "
        offset += 2
        finishTag(strips: sign == "-", dropsNewline: sign != "+")
        return
      }
      offset += 1
    }
    throw TemplateFailure(.syntax, "the comment is not closed: expected \"#}\"", at: begin)
  }

  // MARK: - raw

  /// At `raw %}` after a `{%`: the offset of its end.
  private func rawTagEnd() -> Int? {
    var index = offset
    while index < source.count, isSpace(source[index]) { index += 1 }
    guard has("raw", at: index) else { return nil }
    index += 3
    while index < source.count, isSpace(source[index]) { index += 1 }
    if has("-%}", at: index) { return index + 3 }
    return has("%}", at: index) ? index + 2 : nil
  }

  private mutating func raw(_ begin: Int, from rawEnd: Int) throws(TemplateFailure) {
    offset = rawEnd
    let sign = source[rawEnd - 3]
    // Unlike after other statements, the newline stays.
    finishTag(strips: sign == "-", dropsNewline: false)
    let textStart = offset
    while offset + 1 < source.count {
      if has("{%", at: offset) {
        var index = offset + 2
        let sign = index < source.count ? source[index] : " "
        if sign == "-" || sign == "+" { index += 1 }
        while index < source.count, isSpace(source[index]) { index += 1 }
        if has("endraw", at: index) {
          var textEnd = offset
          if sign == "-" {
            while textEnd > textStart, isSpace(source[textEnd - 1]) { textEnd -= 1 }
          } else if sign != "+" {
            var lineStart = offset
            while lineStart > textStart, source[lineStart - 1] != "\n" { lineStart -= 1 }
            if lineStart > textStart || isLineStart, source[lineStart..<offset].allSatisfy(isSpace) { textEnd = lineStart }
          }
          appendText(textStart..<textEnd)
          index += 6
          while index < source.count, isSpace(source[index]) { index += 1 }
          let endSign = index < source.count ? source[index] : " "
          if endSign == "-" || endSign == "+" { index += 1 }
          guard has("%}", at: index) else { throw TemplateFailure(.syntax, "expected \"%}\" after endraw", at: index) }
          offset = index + 2
          finishTag(strips: endSign == "-", dropsNewline: endSign != "+")
          return
        }
      }
      offset += 1
    }
    throw TemplateFailure(.syntax, "the block \"raw\" is not closed: expected \"{% endraw %}\"", at: begin)
  }

  // MARK: - Within tags

  private mutating func expression(
    _ begin: Int, close: Unicode.Scalar, opensStatement: Bool
  ) throws(TemplateFailure) {
    var openBraces = 0
    while offset < source.count {
      let scalar = source[offset]
      if isSpace(scalar) {
        offset += 1
        continue
      }
      if openBraces == 0 {
        var index = offset
        if scalar == "-" || (scalar == "+" && opensStatement) { index += 1 }
        if index + 1 < source.count, source[index] == close, source[index + 1] == "}" {
          tokens.append(.init(kind: opensStatement ? .statementEnd : .printEnd, offset: offset))
          offset = index + 2
          finishTag(strips: scalar == "-", dropsNewline: opensStatement && scalar != "+")
          return
        }
      }
      if scalar == "{" { openBraces += 1 }
      if scalar == "}" { openBraces = max(0, openBraces - 1) }
      try token(scalar)
    }
    throw TemplateFailure(.syntax, "the tag is not closed: expected \"\(close)}\"", at: begin)
  }

  private mutating func token(_ scalar: Unicode.Scalar) throws(TemplateFailure) {
    let start = offset
    if scalar == "'" || scalar == "\"" {
      tokens.append(.init(kind: .string(try string(scalar)), offset: start))
    } else if "0"..."9" ~= scalar {
      tokens.append(.init(kind: try number(), offset: start))
    } else if scalar == "_" || scalar.properties.isXIDStart {
      while offset < source.count, source[offset] == "_" || source[offset].properties.isXIDContinue { offset += 1 }
      var view = String.UnicodeScalarView()
      view.append(contentsOf: source[start..<offset])
      tokens.append(.init(kind: .name(String(view)), offset: start))
    } else {
      let pair = offset + 1 < source.count ? String(Character(scalar)) + String(Character(source[offset + 1])) : ""
      if let symbol = TemplateToken.Symbol(rawValue: pair) {
        offset += 2
        tokens.append(.init(kind: .symbol(symbol), offset: start))
      } else if let symbol = TemplateToken.Symbol(rawValue: String(Character(scalar))) {
        offset += 1
        tokens.append(.init(kind: .symbol(symbol), offset: start))
      } else {
        throw TemplateFailure(.syntax, "unexpected character \"\(Character(scalar))\"", at: start)
      }
    }
  }

  private mutating func number() throws(TemplateFailure) -> TemplateToken.Kind {
    let start = offset
    var text = ""
    var isFloat = false
    func isDigit(_ index: Int) -> Bool { index < source.count && "0"..."9" ~= source[index] }
    while offset < source.count {
      let scalar = source[offset]
      if isDigit(offset) {
        text.unicodeScalars.append(scalar)
      } else if scalar == "_", isDigit(offset + 1) {
        // A separator between digits.
      } else if scalar == ".", !isFloat, isDigit(offset + 1) {
        isFloat = true
        text += "."
      } else if scalar == "e" || scalar == "E",
        isDigit(offset + 1)
          || (offset + 1 < source.count && (source[offset + 1] == "-" || source[offset + 1] == "+") && isDigit(offset + 2))
      {
        isFloat = true
        text += "e"
        offset += 1
        text.unicodeScalars.append(source[offset])
      } else {
        break
      }
      offset += 1
    }
    if isFloat, let value = Double(text) { return .float(value) }
    guard let value = Int(text) else { throw TemplateFailure(.syntax, "the number \(text) is too large", at: start) }
    return .int(value)
  }

  private mutating func string(_ quote: Unicode.Scalar) throws(TemplateFailure) -> String {
    let start = offset
    offset += 1
    var view = String.UnicodeScalarView()
    while offset < source.count {
      let scalar = source[offset]
      offset += 1
      if scalar == quote { return String(view) }
      guard scalar == "\\", offset < source.count else {
        view.append(scalar)
        continue
      }
      let escaped = source[offset]
      offset += 1
      switch escaped {
      case "n": view.append("\n")
      case "t": view.append("\t")
      case "r": view.append("\r")
      case "b": view.append("\u{8}")
      case "f": view.append("\u{C}")
      case "a": view.append("\u{7}")
      case "v": view.append("\u{B}")
      case "0": view.append("\0")
      case "\\", "'", "\"": view.append(escaped)
      case "\n": break
      case "x": view.append(try escapedScalar(digitCount: 2))
      case "u": view.append(try escapedScalar(digitCount: 4))
      case "U": view.append(try escapedScalar(digitCount: 8))
      default:
        // Python keeps the backslash of an escape that it does not know.
        view.append("\\")
        view.append(escaped)
      }
    }
    throw TemplateFailure(.syntax, "the string is not closed", at: start)
  }

  private mutating func escapedScalar(digitCount: Int) throws(TemplateFailure) -> Unicode.Scalar {
    var value: UInt32 = 0
    for _ in 0..<digitCount {
      guard offset < source.count, let digit = Character(source[offset]).hexDigitValue else {
        throw TemplateFailure(.syntax, "expected \(digitCount) hexadecimal digits", at: offset)
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    guard let scalar = Unicode.Scalar(value) else { throw TemplateFailure(.syntax, "no such character", at: offset) }
    return scalar
  }
}

/// Python's `str.isspace`: the property White_Space, and four separators of ASCII.
func isSpace(_ scalar: Unicode.Scalar) -> Bool {
  scalar.value < 0x80
    ? (0x09...0x0D ~= scalar.value || 0x1C...0x20 ~= scalar.value) : scalar.properties.isWhitespace
}
