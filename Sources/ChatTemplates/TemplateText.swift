/// Python's string functions, by code points and not by Swift's characters: "\r\n" is two, "é" may be two. What they cut out of
/// a string keeps its author.
enum TemplateText {
  /// Where `part`, which is not empty, occurs in `text`, from the left and not overlapping. Linear in both, whatever they are:
  /// Knuth, Morris and Pratt 1977.
  static func occurrences(of part: [UInt8], in text: [UInt8], limit: Int = .max) -> [Int] {
    guard !part.isEmpty, part.count <= text.count, limit > 0 else { return [] }
    // For each beginning of the part, the length of the longest proper beginning that it also ends with.
    var borders = [Int](repeating: 0, count: part.count)
    var length = 0
    for index in part.indices.dropFirst() {
      while length > 0, part[index] != part[length] { length = borders[length - 1] }
      if part[index] == part[length] { length += 1 }
      borders[index] = length
    }
    var found: [Int] = []
    length = 0
    for index in text.indices {
      while length > 0, text[index] != part[length] { length = borders[length - 1] }
      if text[index] == part[length] { length += 1 }
      if length == part.count {
        found.append(index + 1 - length)
        if found.count == limit { break }
        length = 0
      }
    }
    return found
  }

  /// The bytes between the characters of `characters` (white space, if nil) at the two ends.
  static func stripped(_ text: TemplateString, _ characters: String?, left: Bool = true, right: Bool = true) -> TemplateString {
    let set = characters.map { Set($0.unicodeScalars) }
    func isStripped(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isSpace(scalar) }
    var scalars = text.text.unicodeScalars[...]
    var (start, end) = (0, text.byteCount)
    if left {
      while let first = scalars.first, isStripped(first) {
        start += UTF8.width(first)
        scalars.removeFirst()
      }
    }
    if right {
      while let last = scalars.last, isStripped(last) {
        end -= UTF8.width(last)
        scalars.removeLast()
      }
    }
    return text.slice(start..<max(start, end))
  }

  /// Python's `split` and `rsplit`: without a separator at runs of white space, none of the parts empty.
  static func split(_ text: TemplateString, _ separator: String?, limit: Int, fromEnd: Bool) -> [TemplateString] {
    guard let separator else { return text.slices(words(text.text, limit: limit, fromEnd: fromEnd)) }
    let part = Array(separator.utf8)
    var starts: [Int]
    if fromEnd {
      let found = occurrences(of: part.reversed(), in: text.bytes.reversed(), limit: limit)
      starts = found.reversed().map { text.byteCount - $0 - part.count }
    } else {
      starts = occurrences(of: part, in: text.bytes, limit: limit)
    }
    var ranges: [Range<Int>] = []
    var start = 0
    for found in starts {
      ranges.append(start..<found)
      start = found + part.count
    }
    ranges.append(start..<text.byteCount)
    return text.slices(ranges)
  }

  /// The words of a text; when there are more than `limit`, the rest as one.
  private static func words(_ text: String, limit: Int, fromEnd: Bool) -> [Range<Int>] {
    var words: [Range<Int>] = []
    var (start, offset) = (-1, 0)
    for scalar in text.unicodeScalars {
      if isSpace(scalar) {
        if start >= 0 { words.append(start..<offset) }
        start = -1
      } else if start < 0 {
        start = offset
      }
      offset += UTF8.width(scalar)
    }
    if start >= 0 { words.append(start..<offset) }
    guard words.count > limit else { return words }
    return fromEnd
      ? [0..<words[words.count - limit - 1].upperBound] + words.suffix(limit)
      : words.prefix(limit) + [words[limit].lowerBound..<offset]
  }

  static func replaced(_ text: TemplateString, _ old: String, _ new: TemplateString, limit: Int) -> TemplateString {
    guard old.isEmpty else { return .joined(split(text, old, limit: limit, fromEnd: false), separator: new) }
    // Between all characters and at both ends.
    var result = TemplateString.empty
    var count = 0
    for character in text.characters {
      if count < limit { result.append(new) }
      count += 1
      result.append(character)
    }
    if count < limit { result.append(new) }
    return result
  }

  /// Python's `splitlines`.
  static func lines(_ text: TemplateString, keepsEnds: Bool = false) -> [TemplateString] {
    var ranges: [Range<Int>] = []
    var (start, offset) = (0, 0)
    var previous: Unicode.Scalar = " "
    for scalar in text.text.unicodeScalars {
      let next = offset + UTF8.width(scalar)
      defer { (previous, offset) = (scalar, next) }
      if scalar == "\n", previous == "\r" {
        if keepsEnds, let last = ranges.popLast() { ranges.append(last.lowerBound..<next) }
        start = next
        continue
      }
      switch scalar {
      case "\n", "\r", "\u{B}", "\u{C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}":
        ranges.append(start..<(keepsEnds ? next : offset))
        start = next
      default: break
      }
    }
    if start < offset { ranges.append(start..<offset) }
    return text.slices(ranges)
  }

  static func hasPrefix(_ text: some Sequence<UInt8>, _ prefix: String) -> Bool { text.starts(with: prefix.utf8) }

  static func hasSuffix(_ text: some BidirectionalCollection<UInt8>, _ suffix: String) -> Bool {
    text.reversed().starts(with: suffix.utf8.reversed())
  }

  static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.numericType == .decimal || scalar.properties.numericType == .digit
  }

  static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  static func uppercased(_ text: TemplateString) -> TemplateString { text.mappingScalars(\.properties.uppercaseMapping) }

  static func lowercased(_ text: TemplateString) -> TemplateString { text.mappingScalars(\.properties.lowercaseMapping) }

  /// The first character in title case, the others in lower case.
  static func capitalized(_ text: TemplateString) -> TemplateString {
    var isFirst = true
    return text.mappingScalars { scalar in
      defer { isFirst = false }
      return isFirst ? scalar.properties.titlecaseMapping : scalar.properties.lowercaseMapping
    }
  }

  /// Each run of letters capitalised.
  static func titled(_ text: TemplateString) -> TemplateString {
    var isInWord = false
    return text.mappingScalars { scalar in
      defer { isInWord = scalar.properties.isCased }
      return isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
    }
  }

  /// Jinja's own: words begin after white space, hyphens and opening brackets.
  static func titledByFilter(_ text: TemplateString) -> TemplateString {
    var isInWord = false
    return text.mappingScalars { scalar in
      let isBreak = isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
      let cased = isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      isInWord = !isBreak
      return isBreak ? String(Character(scalar)) : cased
    }
  }

  /// The characters that HTML knows.
  static func escaped(_ text: TemplateString) -> TemplateString {
    text.mappingScalars { scalar in
      switch scalar {
      case "&": "&amp;"
      case "<": "&lt;"
      case ">": "&gt;"
      case "'": "&#39;"
      case "\"": "&#34;"
      default: String(Character(scalar))
      }
    }
  }
}
