/// The bytes and kind of every token, in three arrays: 15 bytes a token beside its text.
struct TokenTable: Sendable {
  /// All tokens' bytes, one after another.
  private(set) var bytes: [UInt8] = []
  /// Where each token starts, and where the last one ends.
  private(set) var offsets: [UInt32] = [0]
  private(set) var kinds: [TokenKind] = []

  var count: Int { kinds.count }

  func range(of id: Int) -> Range<Int> { Int(offsets[id])..<Int(offsets[id + 1]) }

  /// Reads the tokens of a byte-level vocabulary. Those that the algorithm makes are spelled in its alphabet; control and
  /// user-defined tokens are literal text.
  init(_ description: TokenizerDescription, alphabet: ByteLevelAlphabet) throws(TokenizerError) {
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
      guard let kind = number == 0 ? .normal : UInt8(exactly: number).flatMap(TokenKind.init) else {
        throw TokenizerError(.malformed, "token \(id) has the unknown kind \(number); expected 0...6")
      }
      switch kind {
      case .normal, .unused, .byte:
        var target = bytes.mutableSpan
        end = alphabet.write(packed.bytes.span, range, to: &target, at: end)
      case .control, .userDefined, .unknown:
        bytes.replaceSubrange(end..<end + range.count, with: packed.bytes[range])
        end += range.count
      }
      offsets.append(UInt32(end))
      self.kinds.append(kind)
    }
    bytes.removeLast(bytes.count - end)
  }
}
