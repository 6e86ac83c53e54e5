/// Splits a text into tokens; white space, comments and annotations other than `@custom` fall away.
///
/// One pass, one token array of 12 bytes a token. Errors carry the suite's wording.
struct Lexer {
  private let bytes: [UInt8]
  private var position = 0
  private var tokens: [Token] = []

  /// All tokens of a text, closed by one `endOfText`.
  ///
  /// - Throws: `illegal character`, `unclosed string`, `unclosed comment`, `malformed UTF-8 encoding` and their like.
  static func tokens(of bytes: [UInt8]) throws(TextFormatError) -> [Token] {
    guard bytes.count < Int(UInt32.max) else { throw TextFormatError("text of more than 4 GiB", at: 0, in: []) }
    var lexer = Lexer(bytes: bytes)
    lexer.tokens.reserveCapacity(bytes.count / 4)
    try lexer.run()
    return lexer.tokens
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private mutating func run() throws(TextFormatError) {
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      case UInt8(ascii: "("):
        switch peek(1) {
        case UInt8(ascii: ";"): try skipBlockComment()
        case UInt8(ascii: "@"): try annotation()
        default: append(.leftParenthesis, length: 1)
        }
      case UInt8(ascii: ")"): append(.rightParenthesis, length: 1)
      case UInt8(ascii: ";"):
        guard peek(1) == UInt8(ascii: ";") else { throw error("unexpected token", at: position) }
        try skipLineComment()
      default: try word()
      }
    }
    tokens.append(Token(kind: .endOfText, start: UInt32(bytes.count), end: UInt32(bytes.count)))
  }

  private func peek(_ distance: Int) -> UInt8? {
    position + distance < bytes.count ? bytes[position + distance] : nil
  }

  private func error(_ message: String, at offset: Int) -> TextFormatError { TextFormatError(message, at: offset, in: bytes) }

  private mutating func append(_ kind: Token.Kind, length: Int) {
    tokens.append(Token(kind: kind, start: UInt32(position), end: UInt32(position + length)))
    position += length
  }

  // MARK: Words and strings

  /// A maximal run of token characters and strings. Tokens must be separated: `"a""b"`, `1"a"` and `$x"y"` are one reserved word.
  private mutating func word() throws(TextFormatError) {
    let start = position
    var stringCount = 0
    var stringStart = 0
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        stringCount += 1
        if stringCount == 1 { stringStart = position }
        try skipString()
      } else if Self.isTokenCharacter(byte) {
        position += 1
      } else {
        break
      }
    }
    guard position > start else {
      if bytes[position] >= 0x80 {
        try checkScalar()
      }
      throw error("illegal character", at: start)
    }
    let kind: Token.Kind
    let first = bytes[start]
    if stringCount == 1, stringStart == start, bytes[position - 1] == UInt8(ascii: "\""), isOneString(start, position) {
      kind = .string
    } else if first == UInt8(ascii: "$") {
      let isPlain = stringCount == 0 && position > start + 1
      let isQuoted = stringCount == 1 && stringStart == start + 1 && isOneString(start + 1, position)
      if !isPlain && position == start + 1 { throw error("empty identifier", at: start) }
      if isQuoted {
        let name = try StringLiteral.bytes(of: start + 1..<position, in: bytes)
        if name.isEmpty { throw error("empty identifier", at: start) }
        if String(validating: name, as: UTF8.self) == nil { throw error("malformed UTF-8 encoding", at: start) }
      }
      kind = isPlain || isQuoted ? .identifier : .reserved
    } else if stringCount > 0 {
      kind = .reserved
    } else if Self.isDigit(first) || ((first == UInt8(ascii: "+") || first == UInt8(ascii: "-")) && position > start + 1) {
      kind = .number
    } else if first >= UInt8(ascii: "a") && first <= UInt8(ascii: "z") {
      kind = .keyword
    } else {
      kind = .reserved
    }
    tokens.append(Token(kind: kind, start: UInt32(start), end: UInt32(position)))
  }

  /// True if the bytes are one string literal from its opening to its closing quote and no more.
  private func isOneString(_ start: Int, _ end: Int) -> Bool {
    var index = start + 1
    while index < end {
      if bytes[index] == UInt8(ascii: "\\") {
        index += 2
      } else if bytes[index] == UInt8(ascii: "\"") {
        return index == end - 1
      } else {
        index += 1
      }
    }
    return false
  }

  private mutating func skipString() throws(TextFormatError) {
    let start = position
    position += 1
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return
      case UInt8(ascii: "\\"): position += 2
      case 0x0A, 0x0D: throw error("unclosed string", at: start)
      case 0..<0x20, 0x7F: throw error("illegal character in string", at: position)
      case 0x80...: try checkScalar()
      default: position += 1
      }
    }
    throw error("unclosed string", at: start)
  }

  // MARK: Comments and annotations

  private mutating func skipLineComment() throws(TextFormatError) {
    while position < bytes.count, bytes[position] != 0x0A, bytes[position] != 0x0D {
      if bytes[position] >= 0x80 { try checkScalar() } else { position += 1 }
    }
  }

  private mutating func skipBlockComment() throws(TextFormatError) {
    let start = position
    var depth = 0
    while position < bytes.count {
      if bytes[position] == UInt8(ascii: "("), peek(1) == UInt8(ascii: ";") {
        depth += 1
        position += 2
      } else if bytes[position] == UInt8(ascii: ";"), peek(1) == UInt8(ascii: ")") {
        depth -= 1
        position += 2
        if depth == 0 { return }
      } else if bytes[position] >= 0x80 {
        try checkScalar()
      } else {
        position += 1
      }
    }
    throw error("unclosed comment", at: start)
  }

  /// An annotation `(@name ...)` may hold any tokens with balanced parentheses. Only `@custom` has a meaning here: a token.
  private mutating func annotation() throws(TextFormatError) {
    let start = position
    position += 2
    if peek(0) == UInt8(ascii: "\"") {
      let nameStart = position
      if let next = peek(1), next < 0x20 { throw error("empty annotation id", at: start) }
      try skipString()
      let name = try StringLiteral.bytes(of: nameStart..<position, in: bytes)
      if name.isEmpty { throw error("empty annotation id", at: start) }
      if String(validating: name, as: UTF8.self) == nil { throw error("malformed UTF-8 encoding", at: nameStart) }
    } else {
      let nameStart = position
      while let byte = peek(0), Self.isTokenCharacter(byte) { position += 1 }
      if position == nameStart { throw error("empty annotation id", at: start) }
      if bytes[nameStart..<position].elementsEqual("custom".utf8) {
        tokens.append(Token(kind: .customAnnotation, start: UInt32(start), end: UInt32(position)))
        return
      }
    }
    var depth = 1
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "("):
        if peek(1) == UInt8(ascii: ";") {
          try skipBlockComment()
        } else {
          depth += 1
          position += 1
        }
      case UInt8(ascii: ")"):
        depth -= 1
        position += 1
        if depth == 0 { return }
      case UInt8(ascii: ";") where peek(1) == UInt8(ascii: ";"): try skipLineComment()
      case UInt8(ascii: "\""): try skipString()
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      // Inside an annotation the specification also allows the characters that no token of a module may hold.
      case UInt8(ascii: ";"), UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "}"):
        position += 1
      case let byte where Self.isTokenCharacter(byte): position += 1
      case 0x80...:
        try checkScalar()
        throw error("illegal character", at: position)
      default: throw error("illegal character", at: position)
      }
    }
    throw error("unclosed annotation", at: start)
  }

  // MARK: Characters

  /// Steps over one UTF-8 encoded scalar.
  private mutating func checkScalar() throws(TextFormatError) {
    let first = bytes[position]
    let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    let end = position + length
    guard end <= bytes.count, String(validating: bytes[position..<end], as: UTF8.self) != nil else {
      throw error("malformed UTF-8 encoding", at: position)
    }
    position = end
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

  /// `idchar` of the specification: any printable ASCII character but space, quotes, comma, semicolon and brackets.
  static func isTokenCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "["),
      UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "}"):
      return false
    default: return byte > 0x20 && byte < 0x7F
    }
  }
}
