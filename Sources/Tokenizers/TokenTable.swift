/// The bytes and kind of every token, in three arrays: 15 bytes a token beside its text.
struct TokenTable: Sendable {
  /// All tokens' bytes, one after another.
  private(set) var bytes: [UInt8] = []
  /// Where each token starts, and where the last one ends.
  private(set) var offsets: [UInt32] = [0]
  private(set) var kinds: [TokenKind] = []

  var count: Int { kinds.count }

  func range(of id: Int) -> Range<Int> { Int(offsets[id])..<Int(offsets[id + 1]) }

  /// How a vocabulary spells the tokens that its algorithm makes. Control and user-defined tokens are always literal text.
  enum Spelling {
    case byteLevel(ByteLevelAlphabet)
    /// `▁` (U+2581) is a space; a byte is written `<0x0A>`.
    case sentencePiece
  }

  init(_ description: TokenizerDescription, spelling: Spelling) throws(TokenizerError) {
    let packed = description.tokens
    let kinds = description.tokenKinds
    guard packed.count > 0 else { throw TokenizerError(.malformed, "the vocabulary has no tokens") }
    guard kinds.isEmpty || kinds.count == packed.count else {
      throw TokenizerError(.malformed, "\(packed.count) tokens, but kinds for \(kinds.count)")
    }
    // 22 bits of a merge's key hold an id; the largest vocabularies have 262144 tokens.
    guard packed.count < MergeTable.tokenCountMax, packed.bytes.count < Int(UInt32.max) else {
      throw TokenizerError(.unsupported, "\(packed.count) tokens; fewer than \(MergeTable.tokenCountMax) are supported")
    }
    bytes = [UInt8](repeating: 0, count: packed.bytes.count - 8 * packed.count)
    offsets.reserveCapacity(packed.count + 1)
    self.kinds.reserveCapacity(packed.count)
    var cursor = packed.cursor
    var end = 0
    for id in 0..<packed.count {
      guard let range = cursor.next() else { preconditionFailure("PackedStrings has checked its lengths") }
      let number = kinds.isEmpty ? 1 : kinds[id]
      // 0 is "undefined" in GGUF; old writers used it for normal tokens.
      guard var kind = number == 0 ? .normal : UInt8(exactly: number).flatMap(TokenKind.init) else {
        throw TokenizerError(.malformed, "token \(id) has the unknown kind \(number); expected 0...6")
      }
      // Some files call the end of a turn text that is never split; it is a control token all the same, as in llama.cpp.
      if kind == .userDefined, EndOfGeneration.isEnd(packed.bytes[range]) { kind = .control }
      switch (kind, spelling) {
      case (.normal, .byteLevel(let alphabet)), (.unused, .byteLevel(let alphabet)), (.byte, .byteLevel(let alphabet)):
        var target = bytes.mutableSpan
        end = alphabet.write(packed.bytes.span, range, to: &target, at: end)
      case (.normal, .sentencePiece), (.unused, .sentencePiece):
        var target = bytes.mutableSpan
        end = Self.writeWithSpaces(packed.bytes.span, range, to: &target, at: end)
      case (.byte, .sentencePiece):
        guard let byte = Self.byte(spelledBy: packed.bytes[range]) else {
          throw TokenizerError(.malformed, "token \(id) stands for a byte, but is not spelled <0x00>")
        }
        bytes[end] = byte
        end += 1
      case (.control, _), (.userDefined, _), (.unknown, _):
        bytes.replaceSubrange(end..<end + range.count, with: packed.bytes[range])
        end += range.count
      }
      offsets.append(UInt32(end))
      self.kinds.append(kind)
    }
    bytes.removeLast(bytes.count - end)
  }

  /// Replaces tokens that only a template may write by those of their bytes. Merges make no control tokens, since the index leaves
  /// them out; a vocabulary may have merges that make a user-defined one.
  /// - Parameter byteToken: the token of a byte, below 0 where there is none.
  func spellOut(_ reserved: Set<TokenID>?, in ids: inout [TokenID], from first: Int, byteToken: (UInt8) -> Int32) {
    guard let reserved, !reserved.isEmpty, first < ids.count else { return }
    func isReserved(_ id: TokenID) -> Bool { kinds[Int(id.rawValue)] == .userDefined && reserved.contains(id) }
    guard ids[first...].contains(where: isReserved) else { return }
    let found = Array(ids[first...])
    ids.removeLast(found.count)
    for id in found {
      guard isReserved(id) else {
        ids.append(id)
        continue
      }
      for byte in bytes[range(of: Int(id.rawValue))] where byteToken(byte) >= 0 { ids.append(TokenID(byteToken(byte))) }
    }
  }

  /// Writes text with a space for every `▁`, and returns the offset behind it.
  private static func writeWithSpaces(
    _ text: Span<UInt8>, _ range: Range<Int>, to bytes: inout MutableSpan<UInt8>, at offset: Int
  ) -> Int {
    var index = range.lowerBound
    var offset = offset
    while index < range.upperBound {
      let isSpace =
        text[index] == 0xE2 && index + 2 < range.upperBound && text[index + 1] == 0x96 && text[index + 2] == 0x81
      bytes[offset] = isSpace ? 0x20 : text[index]
      index += isSpace ? 3 : 1
      offset += 1
    }
    return offset
  }

  private static func byte(spelledBy text: ArraySlice<UInt8>) -> UInt8? {
    guard text.count == 6, text.starts(with: "<0x".utf8), text.last == UInt8(ascii: ">") else { return nil }
    return UInt8(String(decoding: text.dropFirst(3).dropLast(), as: UTF8.self), radix: 16)
  }
}
