/// Why a text could not be read as a module or script: what was found, and where.
///
/// `message` begins with the wording of the official suite (`unexpected token`, `unknown operator`, `constant out of range`
/// ...), so that a script's `assert_malformed` can be held against it.
public struct TextFormatError: Error, Hashable, Sendable, CustomStringConvertible {
  public let message: String
  /// Byte offset into the text.
  public let offset: Int
  /// Counted from 1; columns count Unicode scalars.
  public let line: Int
  public let column: Int
  /// The source line, for a display with a marker under the column.
  public let sourceLine: String

  /// The sentence, the place, and the line with a marker under it.
  public var description: String {
    let gutter = "\(line) | "
    let marker = String(repeating: " ", count: gutter.count + max(0, column - 1)) + "^"
    return "\(line):\(column): \(message)\n\(gutter)\(sourceLine)\n\(marker)"
  }

  init(_ message: String, at offset: Int, in bytes: [UInt8]) {
    self.message = message
    self.offset = offset
    let place = min(offset, bytes.count)
    let lineStart = (bytes[..<place].lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
    let lineEnd = bytes[place...].firstIndex { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } ?? bytes.count
    line = bytes[..<lineStart].reduce(into: 1) { count, byte in if byte == UInt8(ascii: "\n") { count += 1 } }
    column = String(decoding: bytes[lineStart..<place], as: UTF8.self).unicodeScalars.count + 1
    // A tab would put the marker in the wrong place; a line of generated text may be very long.
    let shown = String(decoding: bytes[lineStart..<max(lineStart, lineEnd)], as: UTF8.self)
    sourceLine = String(shown.map { $0 == "\t" ? " " : $0 }.prefix(200))
  }
}
