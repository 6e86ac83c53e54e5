/// A string of a template, and who wrote which part of it.
///
///     '<|im_start|>user\n' + message.content + '<|im_end|>'
///     |     template      |     content     |   template  |
///
/// Only template text may become special tokens; what came with a request (messages, roles, names, tool results, variables)
/// is content and stays content, whatever a template does with it. By construction: text is content unless it was copied from
/// a range that the template wrote, so an operation that forgets where text came from makes content of it, never the reverse.
///
/// Equality and order look at the text alone.
public struct TemplateString: Sendable {
  public private(set) var text: String
  /// What the template wrote, as ranges of UTF-8 bytes: ascending, not empty, none touching the next.
  public private(set) var templateRanges: [Range<Int>]

  /// Text that came with a request.
  public init(content text: String) {
    self.text = text
    templateRanges = []
  }

  /// Text that the template itself wrote, or that its host vouches for (the texts of BOS and EOS).
  public init(template text: String) {
    self.text = text
    templateRanges = text.isEmpty ? [] : [0..<text.utf8.count]
  }

  static let empty = TemplateString(content: "")

  var byteCount: Int { text.utf8.count }
  var isEmpty: Bool { text.isEmpty }
  var bytes: [UInt8] { Array(text.utf8) }

  /// True or false for text with one author, nil for a mixture.
  var onlyAuthorIsTemplate: Bool? {
    if templateRanges.isEmpty { return false }
    return templateRanges[0] == 0..<byteCount ? true : nil
  }

  mutating func append(_ other: TemplateString) {
    let start = byteCount
    text += other.text
    for range in other.templateRanges { appendTemplateRange(start + range.lowerBound..<start + range.upperBound) }
  }

  mutating func append(_ other: String, isTemplate: Bool) {
    let start = byteCount
    text += other
    if isTemplate, byteCount > start { appendTemplateRange(start..<byteCount) }
  }

  private mutating func appendTemplateRange(_ range: Range<Int>) {
    if let last = templateRanges.last, last.upperBound == range.lowerBound {
      templateRanges[templateRanges.count - 1] = last.lowerBound..<range.upperBound
    } else {
      templateRanges.append(range)
    }
  }

  static func + (a: Self, b: Self) -> Self {
    var result = a
    result.append(b)
    return result
  }

  /// The bytes of a range, which must begin and end between characters.
  func slice(_ range: Range<Int>) -> TemplateString { slices([range])[0] }

  /// The bytes of several ranges, which must ascend.
  func slices(_ ranges: [Range<Int>]) -> [TemplateString] {
    var authors = AuthorCursor(templateRanges)
    return ranges.map { range in
      let start = text.utf8.index(text.utf8.startIndex, offsetBy: range.lowerBound)
      let end = text.utf8.index(start, offsetBy: range.count)
      var part = TemplateString(content: String(text[start..<end]))
      authors.forEachTemplateRange(within: range) {
        part.templateRanges.append($0.lowerBound - range.lowerBound..<$0.upperBound - range.lowerBound)
      }
      return part
    }
  }

  /// What walking it costs, in steps.
  var weight: Int { 1 + byteCount / 8 + templateRanges.count }

  /// The characters of a range that lies within the string.
  func scalars(_ range: Range<Int>) -> TemplateString {
    let scalars = text.unicodeScalars
    let start = scalars.index(scalars.startIndex, offsetBy: range.lowerBound)
    let end = scalars.index(start, offsetBy: range.count)
    return slice(start.utf8Offset(in: text)..<end.utf8Offset(in: text))
  }

  /// The character at a position, counted from the end where it is negative; nil where there is none.
  func character(at position: Int) -> TemplateString? {
    let count = text.unicodeScalars.count
    let position = position < 0 ? position + count : position
    return 0..<count ~= position ? scalars(position..<position + 1) : nil
  }

  /// Each character by itself.
  var characters: [TemplateString] {
    var result: [TemplateString] = []
    var authors = AuthorCursor(templateRanges)
    var offset = 0
    for scalar in text.unicodeScalars {
      let character = String(Character(scalar))
      result.append(authors.isTemplate(offset) ? .init(template: character) : .init(content: character))
      offset += character.utf8.count
    }
    return result
  }

  /// Every character replaced by a text of the same author.
  func mappingScalars(_ transform: (Unicode.Scalar) -> String) -> TemplateString {
    var result = TemplateString.empty
    if let isTemplate = onlyAuthorIsTemplate {
      var mapped = ""
      for scalar in text.unicodeScalars { mapped += transform(scalar) }
      result.append(mapped, isTemplate: isTemplate)
      return result
    }
    var authors = AuthorCursor(templateRanges)
    var offset = 0
    for scalar in text.unicodeScalars {
      result.append(transform(scalar), isTemplate: authors.isTemplate(offset))
      offset += UTF8.width(scalar)
    }
    return result
  }

  /// The parts with a separator between.
  static func joined(_ parts: [TemplateString], separator: TemplateString = .empty) -> TemplateString {
    var result = TemplateString.empty
    for (index, part) in parts.enumerated() {
      if index > 0 { result.append(separator) }
      result.append(part)
    }
    return result
  }
}

extension TemplateString: Hashable {
  /// By code points, not by canonical equivalence.
  public static func == (a: Self, b: Self) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(byteCount)
    for byte in text.utf8 { hasher.combine(byte) }
  }
}

extension String.Index {
  fileprivate func utf8Offset(in text: String) -> Int { text.utf8.distance(from: text.utf8.startIndex, to: self) }
}

extension UTF8 {
  /// Bytes of a character.
  static func width(_ scalar: Unicode.Scalar) -> Int {
    scalar.value < 0x80 ? 1 : scalar.value < 0x800 ? 2 : scalar.value < 0x10000 ? 3 : 4
  }
}

/// Walks the template's ranges of a string from its start to its end.
private struct AuthorCursor {
  private let ranges: [Range<Int>]
  private var index = 0

  init(_ ranges: [Range<Int>]) { self.ranges = ranges }

  /// - Parameter offset: not below an earlier one.
  mutating func isTemplate(_ offset: Int) -> Bool {
    while index < ranges.count, ranges[index].upperBound <= offset { index += 1 }
    return index < ranges.count && ranges[index].lowerBound <= offset
  }

  /// - Parameter range: not below an earlier one.
  mutating func forEachTemplateRange(within range: Range<Int>, _ body: (Range<Int>) -> Void) {
    while index < ranges.count, ranges[index].upperBound <= range.lowerBound { index += 1 }
    var next = index
    while next < ranges.count, ranges[next].lowerBound < range.upperBound {
      let part = ranges[next].clamped(to: range)
      if !part.isEmpty { body(part) }
      next += 1
    }
  }
}
