/// Python's string functions, by code points and not by Swift's characters: "\r\n" is two, "é" may be two.
enum TemplateText {
  static func find(_ part: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard part.count <= text.count - start else { return nil }
    guard let first = part.first else { return start }
    var index = start
    while index <= text.count - part.count {
      if text[index] == first {
        var length = 1
        while length < part.count, text[index + length] == part[length] { length += 1 }
        if length == part.count { return index }
      }
      index += 1
    }
    return nil
  }

  /// Without the characters of `characters` (white space, if nil) at its ends.
  static func strip(_ text: String, _ characters: String?, left: Bool = true, right: Bool = true) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    func isStripped(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isSpace(scalar) }
    var scalars = text.unicodeScalars[...]
    if left { scalars = scalars.drop(while: isStripped) }
    if right { while let last = scalars.last, isStripped(last) { scalars.removeLast() } }
    return String(scalars)
  }

  /// Python's `split`: without a separator at runs of white space, none of the parts empty.
  static func split(_ text: String, _ separator: String?, limit: Int, fromEnd: Bool) -> [String] {
    if fromEnd {
      let reversedText = String(String.UnicodeScalarView(text.unicodeScalars.reversed()))
      let reversedSeparator = separator.map { String(String.UnicodeScalarView($0.unicodeScalars.reversed())) }
      return split(reversedText, reversedSeparator, limit: limit, fromEnd: false)
        .reversed().map { String(String.UnicodeScalarView($0.unicodeScalars.reversed())) }
    }
    var parts: [String] = []
    guard let separator else {
      var rest = text.unicodeScalars.drop(while: isSpace)
      while !rest.isEmpty {
        if parts.count == limit {
          parts.append(String(rest))
          break
        }
        let word = rest.prefix { !isSpace($0) }
        parts.append(String(word))
        rest = rest[word.endIndex...].drop(while: isSpace)
      }
      return parts
    }
    let (bytes, part) = (Array(text.utf8), Array(separator.utf8))
    var start = 0
    while parts.count < limit, let found = find(part, in: bytes, from: start) {
      parts.append(String(decoding: bytes[start..<found], as: UTF8.self))
      start = found + part.count
    }
    parts.append(String(decoding: bytes[start...], as: UTF8.self))
    return parts
  }

  static func replace(_ text: String, _ old: String, _ new: String, limit: Int) -> String {
    guard old.isEmpty else {
      return split(text, old, limit: limit, fromEnd: false).joined(separator: new)
    }
    // Between all characters and at both ends.
    var result = ""
    var count = 0
    for scalar in text.unicodeScalars {
      if count < limit { result += new }
      count += 1
      result.unicodeScalars.append(scalar)
    }
    return count < limit ? result + new : result
  }

  /// Python's `splitlines`.
  static func lines(_ text: String) -> [String] {
    var lines: [String] = []
    var line = String.UnicodeScalarView()
    var previous: Unicode.Scalar = " "
    var isOpen = false
    for scalar in text.unicodeScalars {
      defer { previous = scalar }
      if scalar == "\n", previous == "\r" { continue }
      switch scalar {
      case "\n", "\r", "\u{B}", "\u{C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}":
        lines.append(String(line))
        line.removeAll()
        isOpen = false
      default:
        line.append(scalar)
        isOpen = true
      }
    }
    if isOpen { lines.append(String(line)) }
    return lines
  }

  static func hasPrefix(_ text: String, _ prefix: String) -> Bool { text.utf8.starts(with: prefix.utf8) }

  static func hasSuffix(_ text: String, _ suffix: String) -> Bool { text.utf8.reversed().starts(with: suffix.utf8.reversed()) }

  static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.numericType == .decimal || scalar.properties.numericType == .digit
  }

  static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  /// The first character in title case, the others in lower case.
  static func capitalize(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return text }
    return first.properties.titlecaseMapping + String(text.unicodeScalars.dropFirst()).lowercased()
  }

  /// Each run of letters capitalised.
  static func title(_ text: String) -> String {
    var result = ""
    var isInWord = false
    for scalar in text.unicodeScalars {
      result += isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      isInWord = scalar.properties.isCased
    }
    return result
  }
}
