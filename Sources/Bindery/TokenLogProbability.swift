/// One candidate for a position: what the model gave it, before any sampling option.
public struct TokenLogProbability: Sendable, Hashable, Codable {
  public let id: Int32
  public let logit: Float
  /// The natural logarithm of the token's probability at temperature 1.
  public let logprob: Double

  public init(id: Int32, logit: Float, logprob: Double) {
    self.id = id
    self.logit = logit
    self.logprob = logprob
  }
}

/// Reading logits without changing them.
public enum Logits {
  /// log Σ exp(logit), computed in double precision around the largest logit. NaN counts as minus infinity.
  public static func logSumExp(_ logits: Span<Float>) -> Double {
    guard let best = Sampler.largest(logits) else { return -.infinity }
    let maximum = Double(logits[Int(best)])
    var sum = 0.0
    for index in logits.indices where !logits[index].isNaN { sum += exponential(Double(logits[index]) - maximum) }
    return maximum + naturalLogarithm(sum)
  }

  /// The natural logarithm of the probability of one token; nil if the id is no token.
  public static func logProbability(of token: Int32, _ logits: Span<Float>) -> Double? {
    guard token >= 0, Int(token) < logits.count else { return nil }
    return Double(logits[Int(token)]) - logSumExp(logits)
  }

  /// The `count` most probable tokens, best first, ties by lower id. Cost: one pass, with an insertion per improvement; for more than
  /// 64, all are put in order.
  public static func top(_ count: Int, _ logits: Span<Float>) -> [TokenLogProbability] {
    let count = min(count, logits.count)
    guard count > 0 else { return [] }
    let best = count <= 64 ? inserted(count, logits) : sorted(count, logits)
    let normalizer = logSumExp(logits)
    return best.map { TokenLogProbability(id: $0.id, logit: $0.logit, logprob: Double($0.logit) - normalizer) }
  }

  private static func inserted(_ count: Int, _ logits: Span<Float>) -> [(id: Int32, logit: Float)] {
    var best: [(id: Int32, logit: Float)] = []
    best.reserveCapacity(count + 1)
    for index in logits.indices {
      let logit = logits[index]
      if logit.isNaN || (best.count == count && logit <= best[count - 1].logit) { continue }
      var position = best.count
      while position > 0 && best[position - 1].logit < logit { position -= 1 }
      best.insert((Int32(truncatingIfNeeded: index), logit), at: position)
      if best.count > count { best.removeLast() }
    }
    return best
  }

  /// An insertion per improvement would take the square of the vocabulary here.
  private static func sorted(_ count: Int, _ logits: Span<Float>) -> [(id: Int32, logit: Float)] {
    var all: [(id: Int32, logit: Float)] = []
    all.reserveCapacity(logits.count)
    for index in logits.indices where !logits[index].isNaN { all.append((Int32(truncatingIfNeeded: index), logits[index])) }
    all.sort { $0.logit != $1.logit ? $0.logit > $1.logit : $0.id < $1.id }
    return Array(all.prefix(count))
  }
}
