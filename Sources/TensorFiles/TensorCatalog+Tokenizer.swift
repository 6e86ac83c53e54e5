import BinaryReading
import Tokenizers

extension TensorCatalog {
  /// What the file says about its tokenizer (`tokenizer.ggml.*`), nil when it names none.
  ///
  /// The vocabulary and the merges are taken over with one copy each, 1.6 MB for SmolLM2, which the tokenizer does not keep.
  /// - Parameter file: the bytes that this catalog was read from.
  /// - Throws: `TensorFileError` when a key has another kind than it must have.
  public func tokenizerDescription(in file: RawSpan) throws(TensorFileError) -> TokenizerDescription? {
    guard let model = metadata.string("tokenizer.ggml.model") else { return nil }
    guard let tokens = try packedStrings("tokenizer.ggml.tokens", in: file) else {
      throw TensorFileError(.malformed, "tokenizer.ggml.model is there, but not tokenizer.ggml.tokens", at: 0)
    }
    var description = TokenizerDescription(model: model, tokens: tokens)
    description.preTokenizer = metadata.string("tokenizer.ggml.pre")
    if let merges = try packedStrings("tokenizer.ggml.merges", in: file) { description.merges = merges }
    if let kinds = metadata.array("tokenizer.ggml.token_type") {
      description.tokenKinds = try elements(kinds, "tokenizer.ggml.token_type", in: file, kinds: [.int32, .uint32])
    }
    if let scores = metadata.array("tokenizer.ggml.scores") {
      let bits: [UInt32] = try elements(scores, "tokenizer.ggml.scores", in: file, kinds: [.float32])
      description.scores = bits.map { Float(bitPattern: $0) }
    }
    description.bosID = tokenID("bos")
    description.eosID = tokenID("eos")
    description.eotID = tokenID("eot")
    description.eomID = tokenID("eom")
    description.unknownID = tokenID("unknown")
    description.paddingID = tokenID("padding")
    description.addsBOS = metadata.bool("tokenizer.ggml.add_bos_token")
    description.addsEOS = metadata.bool("tokenizer.ggml.add_eos_token")
    description.addsSpacePrefix = metadata.bool("tokenizer.ggml.add_space_prefix")
    return description
  }

  /// The template that lays out a conversation as text, nil for a model that was not trained on any.
  public var chatTemplate: String? { metadata.string("tokenizer.chat_template") }

  /// A number that does not fit is left out, as files write -1 for "none".
  private func tokenID(_ role: String) -> TokenID? {
    metadata.integer("tokenizer.ggml.\(role)_token_id").flatMap { Int32(exactly: $0) }.flatMap { $0 < 0 ? nil : TokenID($0) }
  }

  private func packedStrings(_ key: String, in file: RawSpan) throws(TensorFileError) -> PackedStrings? {
    guard let array = metadata.array(key) else { return nil }
    // An empty array may have elements of any kind: some writers do not know better.
    if array.count == 0 { return PackedStrings([]) }
    guard array.elementKind == .string else {
      throw TensorFileError(.malformed, "\(key): expected an array of strings", at: array.byteRange.lowerBound)
    }
    guard let strings = PackedStrings(bytes: try bytes(of: array, in: file), count: array.count) else {
      throw TensorFileError(.malformed, "\(key): the file is not the one whose header was read", at: array.byteRange.lowerBound)
    }
    return strings
  }

  private func bytes(of array: MetadataArray, in file: RawSpan) throws(TensorFileError) -> [UInt8] {
    guard array.byteRange.upperBound <= file.byteCount else {
      throw TensorFileError(.malformed, "the file is shorter than the one whose header was read", at: file.byteCount)
    }
    var reader = BinaryReader(file, range: array.byteRange)
    return try GGUFFile.reading(&reader, "an array") { (r) throws(BinaryReadingError) in
      try r.readBytes(byteCount: array.byteRange.count)
    }
  }

  /// All elements of an array of 32-bit values.
  private func elements<Element: FixedWidthInteger & BitwiseCopyable>(
    _ array: MetadataArray, _ key: String, in file: RawSpan, kinds: Set<MetadataKind>
  ) throws(TensorFileError) -> [Element] {
    guard kinds.contains(array.elementKind) else {
      throw TensorFileError(.malformed, "\(key): elements of kind \(array.elementKind)", at: array.byteRange.lowerBound)
    }
    guard array.byteRange.upperBound <= file.byteCount else {
      throw TensorFileError(.malformed, "the file is shorter than the one whose header was read", at: file.byteCount)
    }
    var reader = BinaryReader(file, range: array.byteRange)
    var values: [Element] = []
    values.reserveCapacity(array.count)
    for _ in 0..<array.count {
      values.append(try GGUFFile.reading(&reader, "an array") { (r) throws(BinaryReadingError) in try r.readInteger() })
    }
    return values
  }
}
