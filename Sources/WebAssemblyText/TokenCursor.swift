import BinaryReading

/// A place in a token array, and the questions a parser asks there.
struct TokenCursor {
  let bytes: [UInt8]
  let tokens: [Token]
  var index = 0

  init(bytes: [UInt8]) throws(TextFormatError) {
    self.bytes = bytes
    tokens = try Lexer.tokens(of: bytes)
  }

  // MARK: Looking

  /// The token `distance` places on; `endOfText` past the last.
  func token(_ distance: Int = 0) -> Token { tokens[min(index + distance, tokens.count - 1)] }

  func kind(_ distance: Int = 0) -> Token.Kind { token(distance).kind }

  func slice(_ token: Token) -> ArraySlice<UInt8> { bytes[token.range] }

  func text(_ token: Token) -> String { String(decoding: bytes[token.range], as: UTF8.self) }

  /// A token as an error message shows it: a stranger wrote it, of any length.
  func shown(_ token: Token) -> String {
    let byteCountMax = 64
    guard token.range.count > byteCountMax else { return text(token) }
    return bytes[token.range.prefix(byteCountMax)].escapedForTerminal + "..."
  }

  func isKeyword(_ word: String, _ distance: Int = 0) -> Bool {
    let token = token(distance)
    return token.kind == .keyword && matches(token, word)
  }

  /// True at `(` followed by the keyword.
  func isOpen(_ word: String, _ distance: Int = 0) -> Bool {
    kind(distance) == .leftParenthesis && isKeyword(word, distance + 1)
  }

  func hasPrefix(_ prefix: String, _ distance: Int = 0) -> Bool {
    kind(distance) == .keyword && bytes[token(distance).range].starts(with: prefix.utf8)
  }

  /// An index is an identifier or a number.
  var isIndex: Bool { kind() == .identifier || kind() == .number }

  private func matches(_ token: Token, _ word: String) -> Bool {
    token.range.count == word.utf8.count && bytes[token.range].elementsEqual(word.utf8)
  }

  // MARK: Taking

  mutating func take(_ kind: Token.Kind) -> Token? {
    let current = token()
    guard current.kind == kind else { return nil }
    if kind != .endOfText { index += 1 }
    return current
  }

  mutating func takeKeyword(_ word: String) -> Bool {
    guard isKeyword(word) else { return false }
    index += 1
    return true
  }

  /// Takes `(` and the keyword.
  mutating func takeOpen(_ word: String) -> Bool {
    guard isOpen(word) else { return false }
    index += 2
    return true
  }

  mutating func expectOpen(_ word: String) throws(TextFormatError) {
    guard takeOpen(word) else { throw unexpected("(\(word)") }
  }

  mutating func expectClose() throws(TextFormatError) {
    guard take(.rightParenthesis) != nil else { throw unexpected("`)`") }
  }

  mutating func expectString() throws(TextFormatError) -> [UInt8] {
    guard let token = take(.string) else { throw unexpected("a string") }
    return try StringLiteral.bytes(of: token.range, in: bytes)
  }

  /// A string that is a name: valid UTF-8.
  mutating func expectName() throws(TextFormatError) -> String {
    let start = token()
    let name = try expectString()
    guard let text = String(validating: name, as: UTF8.self) else { throw error("malformed UTF-8 encoding", at: start) }
    return text
  }

  /// An optional identifier, as its name without `$`, escapes of a quoted one resolved.
  mutating func takeIdentifier() throws(TextFormatError) -> String? {
    guard let token = take(.identifier) else { return nil }
    return try identifierName(token)
  }

  func identifierName(_ token: Token) throws(TextFormatError) -> String {
    let nameStart = token.range.lowerBound + 1
    guard bytes[nameStart] == UInt8(ascii: "\"") else {
      return String(decoding: bytes[nameStart..<token.range.upperBound], as: UTF8.self)
    }
    return String(decoding: try StringLiteral.bytes(of: nameStart..<token.range.upperBound, in: bytes), as: UTF8.self)
  }

  mutating func expectUnsigned(bitCount: Int) throws(TextFormatError) -> UInt64 {
    let token = token()
    guard token.kind == .number else { throw unexpected("a number") }
    index += 1
    return try unsigned(slice(token), bitCount: bitCount, at: token)
  }

  func unsigned(_ digits: ArraySlice<UInt8>, bitCount: Int, at token: Token) throws(TextFormatError) -> UInt64 {
    do {
      guard let value = try NumberLiteral.unsigned(digits, bitCount: bitCount) else {
        throw error("unknown operator \(shown(token))", at: token)
      }
      return value
    } catch let failure as TextFormatError {
      throw failure
    } catch {
      throw self.error("constant out of range: \(shown(token)) does not fit i\(bitCount)", at: token)
    }
  }

  // MARK: Skipping

  /// Steps over one token, or over one parenthesised group.
  mutating func skipNode() throws(TextFormatError) {
    guard kind() == .leftParenthesis || kind() == .customAnnotation else {
      guard kind() != .rightParenthesis, kind() != .endOfText else { throw unexpected("a token") }
      index += 1
      return
    }
    var depth = 0
    repeat {
      switch kind() {
      case .leftParenthesis, .customAnnotation: depth += 1
      case .rightParenthesis: depth -= 1
      case .endOfText: throw unexpected("`)`")
      default: break
      }
      index += 1
    } while depth > 0
  }

  // MARK: Errors

  func error(_ message: String, at token: Token) -> TextFormatError {
    TextFormatError(message, at: Int(token.start), in: bytes)
  }

  /// `unexpected token`, with what stands here and what was expected.
  func unexpected(_ expected: String) -> TextFormatError {
    let token = token()
    switch token.kind {
    case .endOfText: return error("unexpected end of text: expected \(expected)", at: token)
    case .reserved: return error("unknown operator \(shown(token))", at: token)
    default: return notSupported(token) ?? error("unexpected token \(shown(token)): expected \(expected)", at: token)
    }
  }
}
