/// A module that its text has in strings: `(module name? binary "..."*)` or `(module name? quote "..."*)`.
///
/// Source: the specification repository, `interpreter/README.md`, "Scripts": these forms belong to scripts, and files of one module
/// use them as well. A quoted text is that of a plain module: it quotes no further one.
struct QuotedModule {
  private let isBinary: Bool
  private var bytes: [UInt8] = []
  /// For each run of bytes that stand in the strings as they are, where: the way back for errors.
  private var marks: [SourceMap.Mark] = []
  private let source: [UInt8]

  /// Reads the whole text if it has this form; nil, the cursor untouched, if not.
  init?(_ cursor: inout TokenCursor) throws(TextFormatError) {
    let distance = cursor.kind(2) == .identifier ? 3 : 2
    guard cursor.isOpen("module"), cursor.isKeyword("binary", distance) || cursor.isKeyword("quote", distance) else { return nil }
    isBinary = cursor.isKeyword("binary", distance)
    source = cursor.bytes
    cursor.index += distance + 1
    while let string = cursor.take(.string) {
      if !isBinary, !bytes.isEmpty { bytes.append(UInt8(ascii: "\n")) }
      try StringLiteral.decode(string.range, in: source, into: &bytes) { byteOffset, textOffset in
        let mark = SourceMap.Mark(byteOffset: UInt32(clamping: byteOffset), textOffset: UInt32(clamping: textOffset))
        if marks.last?.byteOffset == mark.byteOffset { marks[marks.count - 1] = mark } else { marks.append(mark) }
      }
    }
    try cursor.expectClose()
    guard cursor.kind() == .endOfText else { throw cursor.unexpected("the end of the text") }
  }

  /// The binary form, with the way back to the text that holds the strings.
  func translate() throws(TextFormatError) -> TranslatedModule {
    let map = SourceMap(text: source, marks: marks)
    guard !isBinary else { return TranslatedModule(bytes: bytes, sourceMap: map) }
    let module: TranslatedModule
    do { module = try ModuleTextParser.translatePlain(try TokenCursor(bytes: bytes)) } catch {
      throw TextFormatError(error.message, at: Self.offset(error.offset, map), in: source)
    }
    let marks = module.sourceMap.marks.map {
      SourceMap.Mark(byteOffset: $0.byteOffset, textOffset: UInt32(clamping: Self.offset(Int($0.textOffset), map)))
    }
    return TranslatedModule(bytes: module.bytes, sourceMap: SourceMap(text: source, marks: marks))
  }

  /// The place in the source of a place in the quoted text: exact within a run.
  private static func offset(_ offset: Int, _ map: SourceMap) -> Int {
    guard let mark = map.mark(ofByte: offset) else { return 0 }
    return Int(mark.textOffset) + offset - Int(mark.byteOffset)
  }
}
