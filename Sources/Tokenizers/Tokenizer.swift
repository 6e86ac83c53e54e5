/// Text to token ids and back. A value that nothing changes after it is built: to be shared by any number of sessions.
public protocol Tokenizer: Sendable {
  /// Appends the ids of a text, without BOS and EOS.
  /// - Parameter isStopped: asked every few milliseconds; true ends the work.
  /// - Throws: `stopped`; `limitExceeded` for a text or a word longer than `EncodingLimits` allow.
  func appendTokens(of text: PromptText, to ids: inout [TokenID], isStopped: (() -> Bool)?) throws(TokenizerError)

  /// The user-defined tokens that a request may not write where a template has these literals: those that stand in one of them,
  /// those that end a generation, and those spelled `<|like this|>`. Not those of white space alone.
  func reservedTokens(in literals: [String]) -> Set<TokenID>

  /// The bytes that a token stands for: not always whole characters. Nil for a number that is no token.
  func bytes(of id: TokenID) -> [UInt8]?

  /// Appends the bytes that a token stands for; false, and nothing appended, for a number that is no token.
  func appendBytes(of id: TokenID, to bytes: inout [UInt8]) -> Bool

  /// Nil for a number that is no token.
  func kind(of id: TokenID) -> TokenKind?

  var vocabularySize: Int { get }
  var bosID: TokenID? { get }
  var eosID: TokenID? { get }
  var addsBOS: Bool { get }
  var addsEOS: Bool { get }

  /// Whether encoding puts a space before the first word, so that decoding a whole text takes one away again.
  var addsSpacePrefix: Bool { get }

  /// The tokens after which a model has nothing more to say.
  var endOfGenerationIDs: Set<TokenID> { get }
}

extension Tokenizer {
  public var addsSpacePrefix: Bool { false }

  public func appendBytes(of id: TokenID, to bytes: inout [UInt8]) -> Bool {
    guard let found = self.bytes(of: id) else { return false }
    bytes += found
    return true
  }

  /// The ids of a raw prompt.
  /// - Parameters:
  ///   - addSpecial: put the BOS token before and the EOS token behind where the model's metadata says so.
  ///   - parseSpecial: recognise control tokens written in the text (`<|im_start|>`). Never for text from a stranger: he
  ///     could close his turn and speak as somebody else.
  ///   - isStopped: asked every few milliseconds; true ends the work.
  /// - Throws: `stopped`; `limitExceeded` for a text or a word longer than `EncodingLimits` allow.
  public func encode(
    _ text: String, addSpecial: Bool, parseSpecial: Bool, isStopped: (() -> Bool)? = nil
  ) throws(TokenizerError) -> [TokenID] {
    var ids: [TokenID] = []
    if addSpecial, addsBOS, let bosID { ids.append(bosID) }
    try appendTokens(of: PromptText(raw: text, parseSpecial: parseSpecial), to: &ids, isStopped: isStopped)
    if addSpecial, addsEOS, let eosID { ids.append(eosID) }
    return ids
  }

  /// The ids of a conversation that a chat template has laid out: BOS exactly once, whether the template writes it or leaves it to
  /// the tokenizer, and no EOS behind, since the answer is still to come.
  public func encode(_ prompt: PromptText, isStopped: (() -> Bool)? = nil) throws(TokenizerError) -> [TokenID] {
    var ids: [TokenID] = []
    if addsBOS, let bosID { ids.append(bosID) }
    try appendTokens(of: prompt, to: &ids, isStopped: isStopped)
    if addsBOS, let bosID, ids.count > 1, ids[0] == bosID, ids[1] == bosID { ids.removeFirst() }
    return ids
  }

  /// The text of ids; ill-formed UTF-8 becomes U+FFFD, and so does a number that is no token.
  /// - Parameter renderSpecial: whether control tokens are spelled out, or give no text.
  public func decode(_ ids: some Sequence<TokenID>, renderSpecial: Bool = false) -> String {
    var decoder = StreamingDecoder(self, renderSpecial: renderSpecial)
    var text = ""
    for id in ids { text += decoder.push(id) }
    text += decoder.finish()
    if addsSpacePrefix, text.utf8.first == 0x20 { text.unicodeScalars.removeFirst() }
    return text
  }

  /// The text of each token by itself, control tokens spelled out: for people to look at. Pieces of characters show as U+FFFD.
  public func pieces(_ ids: some Sequence<TokenID>) -> [String] {
    ids.map { String(decoding: bytes(of: $0) ?? [0xFF], as: UTF8.self) }
  }
}
