/// How one value is laid out: the common part of `format` and of `%`.
private struct FieldLayout {
  var fill = TemplateString(template: " ")
  var alignment: TemplateEvaluator.Alignment?
  var showsPlus = false
  var hasZeros = false
  var groupsThousands = false
  var width = 0
  var precision: Int?
  var type: UInt8 = UInt8(ascii: "s")
}

extension TemplateEvaluator {
  // MARK: - str.format

  /// Python's `str.format`: `{}`, `{0}`, `{name}`, `{name.attribute[key]}`, `!r` and `!s`, and after a colon fill, alignment, sign, width,
  /// comma, precision and the types s, d, f, x.
  func format(
    _ format: TemplateString, _ arguments: EvaluatedArguments, at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let bytes = format.bytes
    let (open, close) = (UInt8(ascii: "{"), UInt8(ascii: "}"))
    var result = TemplateString.empty
    var (index, literalStart, nextArgument) = (0, 0, 0)
    while index < bytes.count {
      guard bytes[index] == open || bytes[index] == close else {
        index += 1
        continue
      }
      let isDoubled = index + 1 < bytes.count && bytes[index + 1] == bytes[index]
      result.append(format.slice(literalStart..<(isDoubled ? index + 1 : index)))
      if isDoubled {
        index += 2
      } else {
        guard bytes[index] == open, let end = bytes[index...].firstIndex(of: close) else {
          throw TemplateFailure(.evaluation, "format(): a brace without its other half", at: offset)
        }
        let field = bytes[index + 1..<end]
        guard !field.contains(open) else {
          throw TemplateFailure(.unsupported, "format(): fields within fields are not supported", at: offset)
        }
        result.append(try self.field(String(decoding: field, as: UTF8.self), arguments, &nextArgument, at: offset))
        index = end + 1
      }
      literalStart = index
    }
    result.append(format.slice(literalStart..<bytes.count))
    return try string(result, at: offset)
  }

  private func field(
    _ field: String, _ arguments: EvaluatedArguments, _ nextArgument: inout Int, at offset: Int
  ) throws(TemplateFailure) -> TemplateString {
    let parts = field.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let source = parts[0].split(separator: "!", maxSplits: 1, omittingEmptySubsequences: false)
    let name = source[0].prefix { $0 != "." && $0 != "[" }
    var value: TemplateValue?
    if name.isEmpty {
      value = arguments.value(nextArgument)
      nextArgument += 1
    } else if let index = Int(name) {
      value = arguments.value(index)
    } else {
      value = arguments.named[String(name)]
    }
    guard var value else { throw TemplateFailure(.evaluation, "format() is not given the value for \"{\(field)}\"", at: offset) }
    for key in source[0].dropFirst(name.count).split(whereSeparator: { $0 == "." || $0 == "[" }) {
      let key = key.last == "]" ? key.dropLast() : key
      try charge(1, at: offset)
      value = try element(of: value, Int(key).map { .int($0) } ?? .content(String(key)), at: offset)
    }
    if case .undefined(let name) = value { throw undefined(name, at: offset) }
    try charge(value.weight, at: offset)
    if source.count == 2 {
      switch source[1] {
      case "r", "a": value = .string(value.representation)
      case "s": value = .string(value.printed)
      default: throw TemplateFailure(.evaluation, "format(): unknown conversion \"!\(source[1])\"", at: offset)
      }
    }
    guard parts.count == 2, !parts[1].isEmpty else { return value.printed }
    return try laidOut(value, try layout(String(parts[1]), value, at: offset), at: offset)
  }

  /// `[[fill]align][sign][0][width][,][.precision][type]`
  private func layout(_ text: String, _ value: TemplateValue, at offset: Int) throws(TemplateFailure) -> FieldLayout {
    let unknown = TemplateFailure(.unsupported, "format(): the layout \"\(text)\" is not supported", at: offset)
    var layout = FieldLayout()
    var scalars = Array(text.unicodeScalars)[...]
    func alignment(_ scalar: Unicode.Scalar?) -> Alignment? {
      scalar == "<" ? .left : scalar == ">" ? .right : scalar == "^" ? .center : nil
    }
    if let found = alignment(scalars.dropFirst().first), let fill = scalars.first {
      layout.fill = TemplateString(template: String(Character(fill)))
      layout.alignment = found
      scalars.removeFirst(2)
    } else if let found = alignment(scalars.first) {
      layout.alignment = found
      scalars.removeFirst()
    }
    if scalars.first == "+" || scalars.first == "-" { layout.showsPlus = scalars.removeFirst() == "+" }
    if scalars.first == "0" {
      scalars.removeFirst()
      layout.hasZeros = true
    }
    func number() -> Int? {
      let digits = scalars.prefix { "0"..."9" ~= $0 }
      scalars = scalars.dropFirst(digits.count)
      return digits.isEmpty ? nil : Int(String(String.UnicodeScalarView(digits)))
    }
    layout.width = number() ?? 0
    if scalars.first == "," {
      scalars.removeFirst()
      layout.groupsThousands = true
    }
    if scalars.first == "." {
      scalars.removeFirst()
      guard let precision = number() else { throw unknown }
      layout.precision = precision
    }
    if case .string = value { layout.type = UInt8(ascii: "s") } else if case .float = value {
      layout.type = UInt8(ascii: layout.precision == nil ? "r" : "g")
    } else {
      layout.type = UInt8(ascii: "d")
    }
    if let type = scalars.first {
      guard type.isASCII, "sdfx".unicodeScalars.contains(type) else { throw unknown }
      layout.type = UInt8(type.value)
      scalars.removeFirst()
    }
    guard scalars.isEmpty, layout.type != UInt8(ascii: "g") else { throw unknown }
    if case .string = value, layout.type != UInt8(ascii: "s") {
      throw TemplateFailure(.evaluation, "format(): a string has no layout \"\(text)\"", at: offset)
    }
    return layout
  }

  // MARK: - %

  /// Python's `%` between a text and values: flags, width, precision and the types s, r, d, i, u, f, x, and names in parentheses.
  func percentFormat(
    _ format: TemplateString, _ values: [TemplateValue], named: [String: TemplateValue], at offset: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let bytes = format.bytes
    var result = TemplateString.empty
    var (index, literalStart, next) = (0, 0, 0)
    while let percent = bytes[index...].firstIndex(of: UInt8(ascii: "%")) {
      result.append(format.slice(literalStart..<percent))
      index = percent + 1
      var layout = FieldLayout()
      var name: String?
      if index < bytes.count, bytes[index] == UInt8(ascii: "("), let end = bytes[index...].firstIndex(of: UInt8(ascii: ")")) {
        name = String(decoding: bytes[index + 1..<end], as: UTF8.self)
        index = end + 1
      }
      layout.alignment = .right
      while index < bytes.count, "-+0 #".utf8.contains(bytes[index]) {
        switch bytes[index] {
        case UInt8(ascii: "-"): layout.alignment = .left
        case UInt8(ascii: "+"): layout.showsPlus = true
        case UInt8(ascii: "0"): layout.hasZeros = true
        default: break
        }
        index += 1
      }
      func number() throws(TemplateFailure) -> Int {
        var number = 0
        while index < bytes.count, 0x30...0x39 ~= bytes[index] {
          number = min(number * 10 + Int(bytes[index] - 0x30), 1 << 40)
          index += 1
        }
        return number
      }
      layout.width = try number()
      if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
        index += 1
        layout.precision = try number()
      }
      guard index < bytes.count else { throw TemplateFailure(.evaluation, "incomplete format after %", at: offset) }
      layout.type = bytes[index]
      index += 1
      literalStart = index
      if layout.type == UInt8(ascii: "%") {
        result.append(format.slice(index - 1..<index))
        continue
      }
      guard "srdiufx".utf8.contains(layout.type) else {
        throw TemplateFailure(.unsupported, "the format %\(Character(Unicode.Scalar(layout.type))) is not supported", at: offset)
      }
      var value: TemplateValue?
      if let name {
        if case .dictionary(let dictionary)? = values.first { value = dictionary[.content(name)] } else { value = named[name] }
      } else {
        if next < values.count { value = values[next] }
        next += 1
      }
      guard let value else { throw TemplateFailure(.evaluation, "not enough arguments for the format", at: offset) }
      try charge(value.weight, at: offset)
      result.append(try laidOut(value, layout, at: offset))
    }
    result.append(format.slice(literalStart..<bytes.count))
    if next < values.count, named.isEmpty, next > 0 || !values.allSatisfy({ if case .dictionary = $0 { true } else { false } }) {
      throw TemplateFailure(.evaluation, "not all arguments are used by the format", at: offset)
    }
    return try string(result, at: offset)
  }

  // MARK: - Values

  private func laidOut(
    _ value: TemplateValue, _ layout: FieldLayout, at offset: Int
  ) throws(TemplateFailure) -> TemplateString {
    guard (layout.precision ?? 0) <= 1000 else {
      throw TemplateFailure(.evaluation, "a precision of more than 1000 digits", at: offset)
    }
    var text: TemplateString
    var isNumber = true
    switch layout.type {
    case UInt8(ascii: "s"), UInt8(ascii: "r"):
      text = layout.type == UInt8(ascii: "s") ? value.printed : value.representation
      isNumber = value.number != nil && layout.type == UInt8(ascii: "r")
      if let precision = layout.precision {
        text = text.slice(0..<text.text.unicodeScalars.prefix(precision).reduce(0) { $0 + UTF8.width($1) })
      }
    case UInt8(ascii: "f"):
      guard let number = value.number else {
        throw TemplateFailure(.evaluation, "expected a number, found \(value.kindName)", at: offset)
      }
      text = TemplateString(template: Self.fixed(number, layout.precision ?? 6))
    default:
      var integer = value.integer
      if case .float(let number) = value { integer = Int(exactly: number.rounded(.towardZero)) }
      guard let integer else {
        throw TemplateFailure(.evaluation, "expected an integer, found \(value.kindName)", at: offset)
      }
      text = TemplateString(template: String(integer, radix: layout.type == UInt8(ascii: "x") ? 16 : 10))
    }
    guard isNumber else { return try padded(text, layout.width, layout.fill, layout.alignment ?? .left, at: offset).printed }
    var digits = text.text
    let isNegative = digits.hasPrefix("-")
    if isNegative { digits.removeFirst() }
    if layout.groupsThousands { digits = Self.grouped(digits) }
    let sign = isNegative ? "-" : layout.showsPlus ? "+" : ""
    if layout.hasZeros, layout.alignment != .left {
      let filled = try padded(
        .init(template: digits), max(0, layout.width - sign.count), .init(template: "0"), .right, at: offset)
      return TemplateString(template: sign) + filled.printed
    }
    return try padded(
      .init(template: sign + digits), layout.width, layout.fill, layout.alignment ?? .right, at: offset).printed
  }

  private static func grouped(_ digits: String) -> String {
    let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    var result = ""
    for (index, digit) in parts[0].enumerated() {
      if index > 0, (parts[0].count - index) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return parts.count == 2 ? result + "." + parts[1] : result
  }

  /// Decimal digits of the exact value, rounded to even: a double is an integer times a power of two, so long division gives them.
  private static func fixed(_ number: Double, _ precision: Int) -> String {
    guard number.isFinite else { return TemplateValue.text(of: number) }
    let sign = number.sign == .minus ? "-" : ""
    // Digits of significand * 2^exponent, the least first.
    var digits: [UInt8] = []
    var significand = number == 0 ? 0 : UInt64(number.significandBitPattern) | (number.isNormal ? 1 << 52 : 0)
    let exponent = (number.isNormal ? Int(number.exponentBitPattern) : 1) - 1075
    while significand > 0 {
      digits.append(UInt8(significand % 10))
      significand /= 10
    }
    var fractionCount = 0
    if exponent > 0 {
      for _ in 0..<exponent { multiply(&digits, by: 2) }
    } else {
      // Halving n times is multiplying by 5^n and moving the point by n places.
      for _ in 0..<(-exponent) { multiply(&digits, by: 5) }
      fractionCount = -exponent
    }
    while digits.count <= fractionCount { digits.append(0) }
    if fractionCount > precision {
      let dropped = digits.prefix(fractionCount - precision)
      digits.removeFirst(dropped.count)
      let half = dropped[dropped.count - 1]
      let isAboveHalf = half > 5 || (half == 5 && dropped.dropLast().contains { $0 != 0 })
      if isAboveHalf || (half == 5 && digits[0] % 2 == 1) { increment(&digits) }
    } else {
      digits.insert(contentsOf: repeatElement(0, count: precision - fractionCount), at: 0)
    }
    let text = String(decoding: digits.reversed().map { $0 + 0x30 }, as: UTF8.self)
    return precision == 0 ? sign + text : sign + text.dropLast(precision) + "." + text.suffix(precision)
  }

  private static func multiply(_ digits: inout [UInt8], by factor: UInt8) {
    var carry: UInt8 = 0
    for index in digits.indices {
      let product = digits[index] * factor + carry
      digits[index] = product % 10
      carry = product / 10
    }
    if carry > 0 { digits.append(carry) }
  }

  private static func increment(_ digits: inout [UInt8]) {
    for index in digits.indices {
      if digits[index] < 9 {
        digits[index] += 1
        return
      }
      digits[index] = 0
    }
    digits.append(1)
  }
}
