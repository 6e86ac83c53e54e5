/// Text to token ids and back. A value that nothing changes after it is built: to be shared by any number of sessions.
public protocol Tokenizer: Sendable {
  /// The ids of a text.
  /// - Parameters:
  ///   - addSpecial: put the BOS token before and the EOS token behind where the model's metadata says so.
  ///   - parseSpecial: recognise control tokens written in the text (`<|im_start|>`). Never for text from a stranger: he
  ///     could close his turn and speak as somebody else.
  func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool) -> [TokenID]

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
