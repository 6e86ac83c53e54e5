/// Cuts text into words, within which alone byte pairs merge. The published patterns are regular expressions; these are
/// scanners written out by hand, linear in the length of the text whatever it is.
///
/// Letters are the Unicode categories L*, numbers N*, spaces the property White_Space.
public enum PreTokenizer: Hashable, Sendable, CaseIterable {
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  case gpt2
  /// Every number character is a word; the text between them is cut like GPT-2's, each part by itself.
  case gpt2WithSingleDigits
  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  case llama3
  /// The same with `\p{N}`.
  case qwen2

  /// The pre-tokenizer that a model names; the names are those that GGUF files carry.
  public init(named name: String?) throws(TokenizerError) {
    switch name {
    case "gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "modern-bert",
      "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4":
      self = .gpt2
    case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b":
      self = .gpt2WithSingleDigits
    case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe":
      self = .llama3
    case "qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan":
      self = .qwen2
    case nil:
      throw TokenizerError(.unsupported, "the file names no pre-tokenizer (tokenizer.ggml.pre); words cannot be cut rightly")
    case let name?:
      throw TokenizerError(.unsupported, "the pre-tokenizer \"\(name)\" is not known")
    }
  }

  /// The words of a text; together they are the text.
  public func words(_ text: String) -> [String] {
    let bytes = Array(text.utf8)
    var words: [String] = []
    forEachWord(bytes, 0..<bytes.count) { words.append(String(decoding: bytes[$0], as: UTF8.self)) }
    return words
  }

  /// Calls `body` with the range of each word, in order; together they cover `range`.
  /// - Parameter bytes: UTF-8 that is known to be well-formed.
  func forEachWord<Failure: Error>(
    _ bytes: [UInt8], _ range: Range<Int>, _ body: (Range<Int>) throws(Failure) -> Void
  ) throws(Failure) {
    var scanner = WordScanner(bytes: bytes, end: range.upperBound)
    var start = range.lowerBound
    while start < range.upperBound {
      let end =
        switch self {
        case .gpt2: scanner.gpt2WordEnd(start, digitsAreApart: false)
        case .gpt2WithSingleDigits: scanner.gpt2WordEnd(start, digitsAreApart: true)
        case .llama3: scanner.llama3WordEnd(start, digitCountMax: 3)
        case .qwen2: scanner.llama3WordEnd(start, digitCountMax: 1)
        }
      try body(start..<end)
      start = end
    }
  }
}
