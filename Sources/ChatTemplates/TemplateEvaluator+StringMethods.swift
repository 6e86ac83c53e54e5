extension TemplateEvaluator {
  func callStringMethod(
    _ name: String, _ text: TemplateString, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    try charge(text.byteCount / 8 + 1 + arguments.weight, at: offset)
    func argument(_ what: String) throws(TemplateFailure) -> TemplateString {
      guard let text = arguments.string(0, what) else {
        throw TemplateFailure(.evaluation, "\(name)() takes a string", at: offset)
      }
      return text
    }
    switch name {
    case "strip", "lstrip", "rstrip":
      return try string(
        TemplateText.stripped(text, arguments.string(0, "chars")?.text, left: name != "rstrip", right: name != "lstrip"), at: offset)
    case "startswith", "endswith":
      return .bool(try hasAffix(text, name, arguments, at: offset))
    case "split", "rsplit":
      let separator = arguments.string(0, "sep")?.text
      if separator == "" { throw TemplateFailure(.evaluation, "the separator is empty", at: offset) }
      let limit = arguments.integer(1, "maxsplit") ?? -1
      let parts = TemplateText.split(text, separator, limit: limit < 0 ? .max : limit, fromEnd: name == "rsplit")
      return try list(parts.map { .string($0) }, at: offset)
    case "splitlines":
      return try list(TemplateText.lines(text, keepsEnds: arguments.isTrue(0, "keepends")).map { .string($0) }, at: offset)
    case "upper": return try string(TemplateText.uppercased(text), at: offset)
    case "lower", "casefold": return try string(TemplateText.lowercased(text), at: offset)
    case "title": return try string(TemplateText.titled(text), at: offset)
    case "capitalize": return try string(TemplateText.capitalized(text), at: offset)
    case "swapcase":
      let swapped = text.mappingScalars {
        $0.properties.isUppercase ? $0.properties.lowercaseMapping : $0.properties.uppercaseMapping
      }
      return try string(swapped, at: offset)
    case "replace":
      guard arguments.string(0, "old") != nil, arguments.string(1, "new") != nil else {
        throw TemplateFailure(.evaluation, "replace() takes two strings", at: offset)
      }
      return try replace(text, arguments, at: offset)
    case "find", "rfind", "index", "rindex", "count":
      return .int(try position(of: try argument("sub").text, in: text.text, name, arguments, at: offset))
    case "partition", "rpartition":
      let separator = try argument("sep")
      if separator.isEmpty { throw TemplateFailure(.evaluation, "the separator is empty", at: offset) }
      let parts = TemplateText.split(text, separator.text, limit: 1, fromEnd: name == "rpartition")
      let triple: [TemplateString]
      if parts.count == 2 {
        // The separator as it stands in the text: its author is the text's.
        let start = parts[0].byteCount
        triple = [parts[0], text.slice(start..<start + separator.byteCount), parts[1]]
      } else {
        triple = name == "partition" ? [text, .empty, .empty] : [.empty, .empty, text]
      }
      return try list(triple.map { .string($0) }, isTuple: true, at: offset)
    case "join":
      let iterable = arguments.value(0, "iterable") ?? .none
      let parts = try elements(iterable, at: offset)
      for part in parts {
        if case .string = part { continue }
        throw TemplateFailure(.evaluation, "join() takes strings, found \(part.kindName)", at: offset)
      }
      return try joined(parts, text, at: offset)
    case "removeprefix":
      let prefix = try argument("prefix")
      guard TemplateText.hasPrefix(text.text.utf8, prefix.text) else { return .string(text) }
      return try string(text.slice(prefix.byteCount..<text.byteCount), at: offset)
    case "removesuffix":
      let suffix = try argument("suffix")
      guard TemplateText.hasSuffix(text.text.utf8, suffix.text) else { return .string(text) }
      return try string(text.slice(0..<text.byteCount - suffix.byteCount), at: offset)
    case "center", "ljust", "rjust":
      guard let width = arguments.integer(0, "width") else {
        throw TemplateFailure(.evaluation, "\(name)() takes a width", at: offset)
      }
      let fill = arguments.string(1, "fillchar") ?? .empty
      guard fill.text.unicodeScalars.count <= 1 else {
        throw TemplateFailure(.evaluation, "\(name)() fills with one character", at: offset)
      }
      return try padded(text, width, fill, name == "center" ? .center : name == "ljust" ? .left : .right, at: offset)
    case "zfill":
      let sign = text.text.hasPrefix("-") || text.text.hasPrefix("+") ? 1 : 0
      let digits = text.slice(sign..<text.byteCount)
      let width = (arguments.integer(0, "width") ?? 0).subtractingReportingOverflow(sign)
      let filled = try padded(digits, width.overflow ? 0 : width.partialValue, .init(template: "0"), .right, at: offset)
      return try string(text.slice(0..<sign) + filled.printed, at: offset)
    case "format": return try format(text, arguments, at: offset)
    default: return .bool(Self.consists(text.text.unicodeScalars, of: name))
    }
  }

  private static func consists(_ scalars: String.UnicodeScalarView, of name: String) -> Bool {
    switch name {
    case "isdigit": !scalars.isEmpty && scalars.allSatisfy { TemplateText.isDigit($0) }
    case "isalpha": !scalars.isEmpty && scalars.allSatisfy { TemplateText.isLetter($0) }
    case "isalnum":
      !scalars.isEmpty && scalars.allSatisfy { TemplateText.isLetter($0) || $0.properties.numericType != nil }
    case "isspace": !scalars.isEmpty && scalars.allSatisfy { isSpace($0) }
    case "isupper": scalars.contains { $0.properties.isCased } && !scalars.contains { $0.properties.isLowercase }
    default: scalars.contains { $0.properties.isCased } && !scalars.contains { $0.properties.isUppercase }
    }
  }

  /// The part of a text between two positions in characters, nil when it starts behind the end; and the first position.
  private func part(
    _ text: String, _ arguments: EvaluatedArguments
  ) -> (text: Substring.UnicodeScalarView, start: Int)? {
    let scalars = text.unicodeScalars
    let (start, end) = (arguments.integer(1, "start"), arguments.integer(2, "end"))
    if start == nil, end == nil { return (scalars[...], 0) }
    let count = scalars.count
    if let start, start > count { return nil }
    let range = Self.bounds(count, start, end)
    return (scalars.dropFirst(range.lowerBound).prefix(range.count), range.lowerBound)
  }

  private func hasAffix(
    _ text: TemplateString, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> Bool {
    let isPrefix = name == "startswith"
    let candidates: [TemplateValue]
    switch arguments.value(0, isPrefix ? "prefix" : "suffix") {
    case .list(let list)?: candidates = list.elements
    case .string(let text)?: candidates = [.string(text)]
    default: throw TemplateFailure(.evaluation, "\(name)() takes a string", at: offset)
    }
    guard let part = part(text.text, arguments) else { return false }
    let bytes = Array(String(part.text).utf8)
    for candidate in candidates {
      guard case .string(let affix) = candidate else {
        throw TemplateFailure(.evaluation, "\(name)() takes strings, found \(candidate.kindName)", at: offset)
      }
      if isPrefix ? TemplateText.hasPrefix(bytes, affix.text) : TemplateText.hasSuffix(bytes, affix.text) { return true }
    }
    return false
  }

  private func position(
    of sub: String, in text: String, _ name: String, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> Int {
    let part = part(text, arguments)
    if name == "count" {
      guard let part else { return 0 }
      return sub.isEmpty
        ? part.text.count + 1 : TemplateText.occurrences(of: Array(sub.utf8), in: Array(String(part.text).utf8)).count
    }
    let isFromEnd = name.hasPrefix("r")
    var found: Int?
    if let part {
      let bytes = Array(String(part.text).utf8)
      if sub.isEmpty {
        found = isFromEnd ? bytes.count : 0
      } else if isFromEnd {
        found = TemplateText.occurrences(of: sub.utf8.reversed(), in: bytes.reversed(), limit: 1).first
          .map { bytes.count - $0 - sub.utf8.count }
      } else {
        found = TemplateText.occurrences(of: Array(sub.utf8), in: bytes, limit: 1).first
      }
      if let found { return part.start + bytes[..<found].count { $0 & 0xC0 != 0x80 } }
    }
    guard name.hasSuffix("find") else { throw TemplateFailure(.evaluation, "substring not found", at: offset) }
    return -1
  }

  func replace(
    _ text: TemplateString, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    guard let old = arguments.value(0, "old"), let new = arguments.value(1, "new") else {
      throw TemplateFailure(.evaluation, "replace() takes two strings", at: offset)
    }
    let (oldText, newText) = (old.text, new.printed)
    let limit = arguments.integer(2, "count") ?? -1
    // The most that can come out is counted before it is made.
    let placeCount = oldText.isEmpty ? text.byteCount + 1 : text.byteCount / oldText.utf8.count
    try chargeProduct(placeCount, newText.byteCount / 8 + newText.templateRanges.count + 1, at: offset)
    return try string(TemplateText.replaced(text, oldText, newText, limit: limit < 0 ? .max : limit), at: offset)
  }
}
