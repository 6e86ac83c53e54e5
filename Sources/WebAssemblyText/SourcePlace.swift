/// A place in a text, as people look for it: line, column, and the line itself with a marker.
public struct SourcePlace: Hashable, Sendable {
  /// Byte offset into the text.
  public let offset: Int
  /// Counted from 1; columns count Unicode scalars.
  public let line: Int
  public let column: Int
  /// The source line; of a very long one the part around the place.
  public let sourceLine: String
  /// How many scalars of `sourceLine` stand before the place.
  private let markerIndent: Int

  private static let shownScalarCount = 120

  /// - Parameters:
  ///   - offset: a byte offset; past the end is the end.
  ///   - text: UTF-8; what is not is shown with replacement characters.
  /// - Complexity: linear in the offset: made only for errors.
  public init(offset: Int, in text: [UInt8]) {
    self.offset = offset
    let place = min(max(0, offset), text.count)
    let lineStart = (text[..<place].lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
    let lineEnd = text[place...].firstIndex { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } ?? text.count
    line = text[..<lineStart].reduce(into: 1) { count, byte in if byte == UInt8(ascii: "\n") { count += 1 } }
    let before = String(decoding: text[lineStart..<place], as: UTF8.self).unicodeScalars.count
    column = before + 1
    // A tab would put the marker in the wrong place, another control character do worse.
    let scalars = String(decoding: text[lineStart..<lineEnd], as: UTF8.self).unicodeScalars.map { scalar -> Unicode.Scalar in
      scalar.isShownInText ? scalar : scalar.value < 0x20 ? " " : "\u{FFFD}"
    }
    var shown = String.UnicodeScalarView()
    if scalars.count <= Self.shownScalarCount {
      shown.append(contentsOf: scalars)
      markerIndent = before
    } else {
      let first = max(0, min(before - Self.shownScalarCount / 2, scalars.count - Self.shownScalarCount))
      if first > 0 { shown.append(contentsOf: "...".unicodeScalars) }
      shown.append(contentsOf: scalars[first..<min(scalars.count, first + Self.shownScalarCount)])
      if first + Self.shownScalarCount < scalars.count { shown.append(contentsOf: "...".unicodeScalars) }
      markerIndent = before - first + (first > 0 ? 3 : 0)
    }
    sourceLine = String(shown)
  }

  /// Two lines: the source line behind its number, and a marker under the column.
  public var excerpt: String {
    let number = "\(line)"
    let gutter = String(repeating: " ", count: number.count)
    return "\(number) | \(sourceLine)\n\(gutter) | \(String(repeating: " ", count: markerIndent))^"
  }
}
