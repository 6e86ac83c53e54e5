// What strangers write, shown to people: names in files, messages of guests, paths in manifests.

extension StringProtocol {
  /// The text with every character escaped that does something else than show itself: to be used on whatever a file, a guest or a
  /// request wrote, before it reaches a terminal, a log line or an error sentence.
  ///
  /// Escaped are the control characters (C0 with line break and tab, DEL, C1), line and paragraph separators, and format characters
  /// (U+202E and the others that turn the direction of text, U+FEFF, tags), as `\n`, `\t`, `\r` or `\u{1b}`. U+200C and U+200D stay:
  /// scripts and emoji are written with them. Backslashes stay, so that escaping what is escaped changes nothing.
  /// Cost: one pass; text in plain ASCII is returned as it is.
  public var escapedForTerminal: String { escapedForTerminal(keepingLines: false) }

  /// The same for text of many lines, such as a model's answer.
  /// - Parameter keepingLines: line breaks (`\n`) and tabs stay what they are.
  public func escapedForTerminal(keepingLines: Bool) -> String {
    if utf8.allSatisfy({ (0x20..<0x7F).contains($0) || keepingLines && ($0 == 0x0A || $0 == 0x09) }) { return String(self) }
    var result = ""
    result.reserveCapacity(utf8.count)
    for scalar in unicodeScalars { result.append(escaping: scalar, keepingLines: keepingLines) }
    return result
  }
}

extension Collection<UInt8> {
  /// Bytes that should be UTF-8, as text that is safe to show: what is not UTF-8 becomes `\xff`, and characters are escaped as
  /// `String.escapedForTerminal` does.
  public var escapedForTerminal: String {
    var result = ""
    result.reserveCapacity(count)
    var iterator = makeIterator()
    var parser = Unicode.UTF8.ForwardParser()
    var position = startIndex
    while true {
      switch parser.parseScalar(from: &iterator) {
      case .valid(let encoded):
        result.append(escaping: Unicode.UTF8.decode(encoded), keepingLines: false)
        formIndex(&position, offsetBy: encoded.count)
      case .error(let length):
        for _ in 0..<length {
          result += "\\x" + (self[position] < 16 ? "0" : "") + String(self[position], radix: 16)
          formIndex(after: &position)
        }
      case .emptyInput: return result
      }
    }
  }
}

extension String {
  fileprivate mutating func append(escaping scalar: Unicode.Scalar, keepingLines: Bool) {
    switch scalar {
    case " "..."~": unicodeScalars.append(scalar)
    case "\n": self += keepingLines ? "\n" : "\\n"
    case "\t": self += keepingLines ? "\t" : "\\t"
    case "\r": self += "\\r"
    case "\u{200C}", "\u{200D}": unicodeScalars.append(scalar)
    default:
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator: self += "\\u{" + String(scalar.value, radix: 16) + "}"
      default: unicodeScalars.append(scalar)
      }
    }
  }
}
