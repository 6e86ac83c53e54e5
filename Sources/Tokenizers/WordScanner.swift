/// Finds where words end: see `PreTokenizer` for the patterns.
struct WordScanner {
  /// What a character is to the patterns.
  enum Class: UInt8 {
    case letter, number
    /// White space, but for the two below.
    case space
    /// Carriage return or line feed.
    case newline
    case other
    /// There is no character: the text is over.
    case end
  }

  let bytes: [UInt8]
  let end: Int
  private let asciiClasses: [Class]

  init(bytes: [UInt8], end: Int) {
    self.bytes = bytes
    self.end = end
    self.asciiClasses = Self.asciiClasses
  }

  private static let asciiClasses: [Class] = (0..<128).map { classify(Unicode.Scalar(UInt8($0))) }

  private static func classify(_ scalar: Unicode.Scalar) -> Class {
    if scalar == "\r" || scalar == "\n" { return .newline }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return .letter
    case .decimalNumber, .letterNumber, .otherNumber: return .number
    default: return scalar.properties.isWhitespace ? .space : .other
    }
  }

  /// The class and the length in bytes of the character at an offset.
  @inline(__always)
  private func character(_ offset: Int) -> (class: Class, byteCount: Int) {
    guard offset < end else { return (.end, 0) }
    let lead = bytes[offset]
    return lead < 0x80 ? (asciiClasses[Int(lead)], 1) : longCharacter(offset, lead)
  }

  private func longCharacter(_ offset: Int, _ lead: UInt8) -> (class: Class, byteCount: Int) {
    // Well-formed by contract; still no byte beyond the end is read.
    let byteCount = min(lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4, end - offset)
    var value = UInt32(lead) & (byteCount == 2 ? 0x1F : byteCount == 3 ? 0x0F : 0x07)
    for index in 1..<max(byteCount, 1) { value = value << 6 | UInt32(bytes[offset + index] & 0x3F) }
    // The ideographs and Hangul syllables are letters by the thousand: not worth a search in the tables.
    if 0x4E00...0x9FFF ~= value || 0xAC00...0xD7A3 ~= value { return (.letter, byteCount) }
    guard let scalar = Unicode.Scalar(value) else { return (.other, byteCount) }
    return (Self.classify(scalar), byteCount)
  }

  /// The end of the longest run of a class.
  @inline(__always)
  private func runEnd(_ offset: Int, _ wanted: Class) -> Int {
    var offset = offset
    while true {
      let (found, byteCount) = character(offset)
      guard found == wanted else { return offset }
      offset += byteCount
    }
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d` at an apostrophe: the length, 0 when there is none.
  private func contractionByteCount(_ start: Int, ignoresCase: Bool) -> Int {
    func letter(_ offset: Int) -> UInt8 {
      guard offset < end else { return 0 }
      return ignoresCase && 0x41...0x5A ~= bytes[offset] ? bytes[offset] | 0x20 : bytes[offset]
    }
    switch letter(start + 1) {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"): return letter(start + 2) == UInt8(ascii: "e") ? 3 : 0
    case UInt8(ascii: "l"): return letter(start + 2) == UInt8(ascii: "l") ? 3 : 0
    default: return 0
    }
  }

  // MARK: - GPT-2

  /// The end of the word at `start`, which is before the end of the text.
  /// - Parameter digitsAreApart: number characters are words by themselves, and the text between them is cut as if it ended
  ///   there.
  mutating func gpt2WordEnd(_ start: Int, digitsAreApart: Bool) -> Int {
    var (found, byteCount) = character(start)
    if found == .number, digitsAreApart { return start + byteCount }
    if bytes[start] == UInt8(ascii: "'") {
      let byteCount = contractionByteCount(start, ignoresCase: false)
      if byteCount > 0 { return start + byteCount }
    }
    // One space may lead a word.
    var wordStart = start
    if bytes[start] == UInt8(ascii: " ") {
      wordStart += 1
      (found, byteCount) = character(wordStart)
    }
    switch found {
    case .letter, .other: return runEnd(wordStart + byteCount, found)
    case .number where !digitsAreApart: return runEnd(wordStart + byteCount, found)
    default: return spaceEnd(start, digitsAreApart: digitsAreApart)
    }
  }

  /// `\s+(?!\S)|\s+`: all of a run of white space at the end of the text; before a word all but its last character, which may
  /// lead the word.
  private func spaceEnd(_ start: Int, digitsAreApart: Bool) -> Int {
    var offset = start
    var lastByteCount = 0
    while true {
      let (found, byteCount) = character(offset)
      switch found {
      case .space, .newline:
        offset += byteCount
        lastByteCount = byteCount
      case .end: return offset
      case .number where digitsAreApart: return offset
      default: return offset - start > lastByteCount ? offset - lastByteCount : offset
      }
    }
  }

  // MARK: - Llama 3

  /// The end of the word at `start`, which is before the end of the text.
  mutating func llama3WordEnd(_ start: Int, digitCountMax: Int) -> Int {
    if bytes[start] == UInt8(ascii: "'") {
      let byteCount = contractionByteCount(start, ignoresCase: true)
      if byteCount > 0 { return start + byteCount }
    }
    let (found, byteCount) = character(start)
    switch found {
    case .letter: return runEnd(start + byteCount, .letter)
    case .number:
      var offset = start + byteCount
      for _ in 1..<max(digitCountMax, 1) {
        let (found, byteCount) = character(offset)
        guard found == .number else { break }
        offset += byteCount
      }
      return offset
    case .space, .other:
      // Any one character that is no newline, letter or number may lead letters.
      let second = character(start + byteCount)
      if second.class == .letter { return runEnd(start + byteCount + second.byteCount, .letter) }
      if found == .other { return symbolEnd(start + byteCount) }
      if bytes[start] == UInt8(ascii: " "), second.class == .other { return symbolEnd(start + 1 + second.byteCount) }
    case .newline, .end: break
    }
    return lineEnd(start)
  }

  /// The rest of `[^\s\p{L}\p{N}]+[\r\n]*`.
  private func symbolEnd(_ offset: Int) -> Int { runEnd(runEnd(offset, .other), .newline) }

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`: white space up to its last newline; without one as GPT-2.
  private func lineEnd(_ start: Int) -> Int {
    var offset = start
    var newlineEnd = start
    while true {
      let (found, byteCount) = character(offset)
      guard found == .space || found == .newline else { break }
      offset += byteCount
      if found == .newline { newlineEnd = offset }
    }
    return newlineEnd > start ? newlineEnd : spaceEnd(start, digitsAreApart: false)
  }
}
