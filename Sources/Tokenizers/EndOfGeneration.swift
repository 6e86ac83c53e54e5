/// Which tokens end what a model has to say. A file names at most three of them; models use more, so those that published
/// vocabularies have for it are recognised by their text.
enum EndOfGeneration {
  /// Ends of turns, messages and texts, and the marks of Granite and SmolLM vocabularies that begin another file.
  private static let texts: Set<String> = [
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>",
    "<|end_of_text|>", "<|end_of_turn|>", "<end_of_utterance>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "</s>",
    "<｜end▁of▁sentence｜>", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<reponame>", "<|file_sep|>",
  ]

  /// Whether a token of these bytes is one of them.
  static func isEnd(_ bytes: ArraySlice<UInt8>) -> Bool {
    bytes.count <= 32 && texts.contains(String(decoding: bytes, as: UTF8.self))
  }

  static func ids(_ description: TokenizerDescription, _ table: TokenTable) -> Set<TokenID> {
    var ids = Set([description.eosID, description.eotID, description.eomID].compactMap { $0 })
    for id in 0..<table.count where table.kinds[id] == .control || table.kinds[id] == .userDefined {
      guard isEnd(table.bytes[table.range(of: id)]) else { continue }
      ids.insert(TokenID(Int32(id)))
    }
    return ids
  }
}
