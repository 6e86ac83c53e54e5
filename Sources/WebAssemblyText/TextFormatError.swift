import BinaryReading

/// Why a text could not be read as a module or script: what was found, and where.
///
/// `message` begins with the wording of the official suite (`unexpected token`, `unknown operator`, `constant out of range`
/// ...), so that a script's `assert_malformed` can be held against it.
public struct TextFormatError: Error, Hashable, Sendable, CustomStringConvertible {
  public let message: String
  public let place: SourcePlace

  /// Byte offset into the text.
  public var offset: Int { place.offset }
  /// Counted from 1; columns count Unicode scalars.
  public var line: Int { place.line }
  public var column: Int { place.column }

  /// The place, the sentence, and the line with a marker under it.
  public var description: String { "\(line):\(column): \(message)\n\(place.excerpt)" }

  init(_ message: String, at offset: Int, in bytes: [UInt8]) {
    // Parts of the text stand in it.
    self.message = message.escapedForTerminal
    place = SourcePlace(offset: offset, in: bytes)
  }
}
