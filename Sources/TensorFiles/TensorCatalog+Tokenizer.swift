import BinaryReading
import Tokenizers

extension TensorCatalog {
  /// What the file says about its tokenizer (`tokenizer.ggml.*`), nil when it names none.
  ///
  /// The vocabulary and the merges are taken over with one copy each, 1.6 MB for SmolLM2, which the tokenizer does not keep.
  /// - Parameter file: the bytes that this catalog was read from.
  /// - Throws: `TensorFileError` when a key has another kind than it must have.
  public func tokenizerDescription(in file: RawSpan) throws(TensorFileError) -> TokenizerDescription? {
    guard let model = try typed("tokenizer.ggml.model", "a string", \.string) else { return nil }
    guard let tokens = try packedStrings("tokenizer.ggml.tokens", in: file) else {
      throw TensorFileError(.malformed, "tokenizer.ggml.model is there, but not tokenizer.ggml.tokens", at: 0)
    }
    var description = TokenizerDescription(model: model, tokens: tokens)
    description.preTokenizer = try typed("tokenizer.ggml.pre", "a string", \.string)
    if let merges = try packedStrings("tokenizer.ggml.merges", in: file) { description.merges = merges }
    if let kinds = try typed("tokenizer.ggml.token_type", "an array", \.array) {
      description.tokenKinds = try elements(kinds, "tokenizer.ggml.token_type", in: file, kinds: [.int32, .uint32])
    }
    if let scores = try typed("tokenizer.ggml.scores", "an array", \.array) {
      let bits: [UInt32] = try elements(scores, "tokenizer.ggml.scores", in: file, kinds: [.float32])
      description.scores = bits.map { Float(bitPattern: $0) }
    }
    description.bosID = try tokenID("bos")
    description.eosID = try tokenID("eos")
    description.eotID = try tokenID("eot")
    description.eomID = try tokenID("eom")
    description.unknownID = try tokenID("unknown")
    description.paddingID = try tokenID("padding")
    description.addsBOS = try typed("tokenizer.ggml.add_bos_token", "a bool", \.bool)
    description.addsEOS = try typed("tokenizer.ggml.add_eos_token", "a bool", \.bool)
    description.addsSpacePrefix = try typed("tokenizer.ggml.add_space_prefix", "a bool", \.bool)
    return description
  }

  /// The template that lays out a conversation as text, nil for a model that was not trained on any.
  /// - Throws: `malformed` when the key is there and holds no string.
  public func chatTemplate() throws(TensorFileError) -> String? {
    try typed("tokenizer.chat_template", "a string", \.string)
  }

  /// The value of a key in the kind that it must have; nil where there is no such key. A key of another kind is no absent key: what
  /// it was to say would go unheard.
  private func typed<Value>(
    _ key: String, _ expected: String, _ value: KeyPath<MetadataValue, Value?>
  ) throws(TensorFileError) -> Value? {
    guard let found = metadata[key] else { return nil }
    guard let typed = found[keyPath: value] else {
      let offset = metadata.entries.first { $0.key == key }?.fileOffset ?? 0
      throw TensorFileError(.malformed, "\(key): expected \(expected), found \(found.kindDescription)", at: offset)
    }
    return typed
  }

  /// -1, or its bits as an unsigned number of 32 bits, is how files write "none".
  private func tokenID(_ role: String) throws(TensorFileError) -> TokenID? {
    let key = "tokenizer.ggml.\(role)_token_id"
    guard let number = try typed(key, "an integer", \.integer), number != -1, number != Int64(UInt32.max) else { return nil }
    guard let id = Int32(exactly: number), id >= 0 else {
      let offset = metadata.entries.first { $0.key == key }?.fileOffset ?? 0
      throw TensorFileError(.malformed, "\(key): expected the number of a token, found \(number)", at: offset)
    }
    return TokenID(id)
  }

  private func packedStrings(_ key: String, in file: RawSpan) throws(TensorFileError) -> PackedStrings? {
    guard let array = try typed(key, "an array of strings", \.array) else { return nil }
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
    guard array.byteRange.count <= GGUFLimits.vocabularyByteCountMax else {
      throw TensorFileError(
        .limitExceeded,
        "an array of \(array.byteRange.count) bytes; of a vocabulary at most \(GGUFLimits.vocabularyByteCountMax) are read",
        at: array.byteRange.lowerBound)
    }
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
    // An empty array may have elements of any kind: some writers do not know better.
    if array.count == 0 { return [] }
    guard kinds.contains(array.elementKind) else {
      throw TensorFileError(.malformed, "\(key): elements of kind \(array.elementKind)", at: array.byteRange.lowerBound)
    }
    guard array.byteRange.count <= GGUFLimits.vocabularyByteCountMax else {
      throw TensorFileError(
        .limitExceeded, "\(key): \(array.count) elements, too many for a vocabulary", at: array.byteRange.lowerBound)
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
