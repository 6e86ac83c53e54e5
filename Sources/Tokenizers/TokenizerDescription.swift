/// Everything a tokenizer is built from, whichever file it came out of. Names and numbers are those of GGUF's
/// `tokenizer.ggml.*` keys, the widest of the sources.
public struct TokenizerDescription: Sendable {
  /// The algorithm: `gpt2` is byte-level BPE, `llama` SentencePiece, `bert` WordPiece.
  public var model: String
  /// How text is cut before the algorithm runs: `smollm`, `gpt-2`, `llama-bpe`, `qwen2` ...
  public var preTokenizer: String?
  /// The text of each token.
  public var tokens: PackedStrings
  /// Number of `TokenKind` of each token; empty: all are normal.
  public var tokenKinds: [Int32] = []
  /// Of each token; SentencePiece only.
  public var scores: [Float] = []
  /// Two parts with a space between, the first merge first.
  public var merges = PackedStrings([])

  public var bosID: TokenID?
  public var eosID: TokenID?
  /// End of a turn and end of a message, where they differ from the end of the sequence.
  public var eotID: TokenID?
  public var eomID: TokenID?
  public var unknownID: TokenID?
  public var paddingID: TokenID?
  /// Nil where the source does not say: then the pre-tokenizer's family decides.
  public var addsBOS: Bool?
  public var addsEOS: Bool?

  /// SentencePiece only: whether a space goes before the first word, so that it is spelled as one within a sentence. Nil where
  /// the source does not say: then it does.
  public var addsSpacePrefix: Bool?

  public init(model: String, tokens: PackedStrings) {
    self.model = model
    self.tokens = tokens
  }

  /// The tokenizer that this describes, of whichever kind.
  /// - Throws: `unsupported` for an algorithm that is not built here; what the algorithm's own initialiser throws.
  public func makeTokenizer() throws(TokenizerError) -> any Tokenizer {
    switch model {
    case "gpt2": return try BytePairTokenizer(self)
    case "llama": return try SentencePieceTokenizer(self)
    default:
      throw TokenizerError(
        .unsupported, "expected the model \"gpt2\" (byte-level BPE) or \"llama\" (SentencePiece), found \"\(model)\"")
    }
  }

  /// A model that ends with a token that it cannot make would never end.
  func requireSpecialTokens(below tokenCount: Int) throws(TokenizerError) {
    for id in [bosID, eosID, eotID, eomID].compactMap({ $0 }) where !(0..<Int32(tokenCount) ~= id.rawValue) {
      throw TokenizerError(.malformed, "the special token \(id) lies outside the vocabulary of \(tokenCount) tokens")
    }
  }
}
