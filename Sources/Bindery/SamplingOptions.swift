/// How the next token is chosen from the logits.
///
/// The steps, in this order (that of llama.cpp's default chain, so that the same numbers mean the same thing):
/// repeat penalty, top-k, top-p, min-p (these three on the probabilities at temperature 1), then temperature and the draw.
public struct SamplingOptions: Sendable, Hashable {
  /// 0 = greedy: the token with the largest logit, ties to the lowest id. Otherwise logits are divided by it before the draw.
  public var temperature: Float
  /// Keep the k most probable tokens; 0 = all.
  public var topK: Int
  /// Keep the smallest set of most probable tokens whose probabilities sum to at least p; 1 = all.
  public var topP: Float
  /// Keep tokens at least this fraction as probable as the most probable one; 0 = all.
  public var minP: Float
  /// Positive logits of recent tokens are divided by it and negative ones multiplied (CTRL, arXiv:1909.05858, section 4.1); 1 =
  /// off.
  public var repeatPenalty: Float
  /// How many of the latest tokens, prompt included, the repeat penalty looks at.
  public var repeatWindowTokenCount: Int
  /// The same seed, logits and options give the same tokens on every machine.
  public var seed: UInt64

  public init(
    temperature: Float = 0, topK: Int = 0, topP: Float = 1, minP: Float = 0, repeatPenalty: Float = 1,
    repeatWindowTokenCount: Int = 64, seed: UInt64 = 0
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repeatPenalty = repeatPenalty
    self.repeatWindowTokenCount = repeatWindowTokenCount
    self.seed = seed
  }

  /// What a sampler with these options keeps for a vocabulary, at most: a copy of the logits, an order of tokens, those that it kept.
  func bufferByteCount(vocabularySize: Int) -> Int {
    // The tokens that the repeat penalty looks at: each twice, in a list and in a set.
    let window = repeatPenalty == 1 ? 0 : 32 * min(repeatWindowTokenCount, 1 << 20)
    guard temperature > 0 else { return repeatPenalty == 1 ? 0 : 4 * vocabularySize + window }
    let isOrdered = topK > 0 || topP < 1 || minP > 0
    return (isOrdered ? 24 : 4) * vocabularySize + window
  }

  /// Greedy decoding: deterministic, whatever the seed.
  public static let greedy = SamplingOptions()

  /// The first option outside its range, as a sentence; nil when all are usable.
  public var problem: String? {
    if !temperature.isFinite || temperature < 0 {
      return "the temperature must be a finite number of at least 0, found \(temperature)"
    }
    if topK < 0 { return "top-k must be at least 0 (0 keeps all tokens), found \(topK)" }
    if !(topP > 0 && topP <= 1) { return "top-p must be above 0 and at most 1, found \(topP)" }
    if !(minP >= 0 && minP <= 1) { return "min-p must lie between 0 and 1, found \(minP)" }
    if !repeatPenalty.isFinite || repeatPenalty <= 0 {
      return "the repeat penalty must be a finite number above 0, found \(repeatPenalty)"
    }
    if !(0...(1 << 20) ~= repeatWindowTokenCount) {
      return "the repeat window must lie between 0 and \(1 << 20) tokens, found \(repeatWindowTokenCount)"
    }
    return nil
  }
}

/// The generator behind sampling: SplitMix64 (Steele, Lea, Flood 2014), written here so that a seed means the same tokens on
/// every platform and in every version of the standard library.
public struct SamplingGenerator: RandomNumberGenerator, Sendable, Hashable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number in [0, 1) with 53 random bits.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
