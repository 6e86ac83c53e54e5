/// Chooses tokens from logits. One sampler belongs to one sequence: it remembers the recent tokens and the random state.
///
/// Cost for a vocabulary of V: greedy one pass; temperature alone two passes; with top-k, top-p or min-p a heap is built over
/// all V (linear) and popped once per token kept, so nothing is ever sorted whole.
public struct Sampler: Sendable {
  public let options: SamplingOptions
  private var generator: SamplingGenerator
  private var recent: [Int32] = []
  private var adjusted: [Float] = []
  private var heap: [Int32] = []
  // Room that is used again: choosing a token allocates nothing after the first.
  private var seen: Set<Int32> = []
  private var kept: [(token: Int32, logit: Float)] = []

  public init(_ options: SamplingOptions) {
    self.options = options
    generator = SamplingGenerator(seed: options.seed)
  }

  /// Tells the sampler of a token that is now part of the sequence (prompt or generated), for the repeat penalty.
  public mutating func accept(_ token: Int32) {
    guard options.repeatPenalty != 1, options.repeatWindowTokenCount > 0 else { return }
    if recent.count >= options.repeatWindowTokenCount { recent.removeFirst(recent.count - options.repeatWindowTokenCount + 1) }
    recent.append(token)
  }

  /// The next token, or nil if no logit is a number above minus infinity (the model's output is broken).
  ///
  /// - Parameter logits: `[V]`, V = vocabulary size. NaN counts as minus infinity.
  public mutating func sample(_ logits: Span<Float>) -> Int32? { sample(logits, isStopped: { false }) }

  /// The same for large vocabularies of strangers.
  /// - Parameter isStopped: asked between steps, and while tokens are put in order; then the result is nil, or as if it had not been.
  mutating func sample(_ logits: Span<Float>, isStopped: () -> Bool) -> Int32? {
    if options.temperature == 0 && (options.repeatPenalty == 1 || recent.isEmpty) { return Self.largest(logits) }
    copy(logits)
    applyRepeatPenalty()
    guard let best = Self.largest(adjusted.span) else { return nil }
    if options.temperature == 0 { return best }
    if isStopped() { return nil }
    if options.topK == 0 && options.topP >= 1 && options.minP <= 0 { return drawFromAll(maximum: adjusted[Int(best)]) }
    return drawFromKept(maximum: adjusted[Int(best)], isStopped: isStopped)
  }

  /// The index of the largest number, ties to the lowest index; nil if there is none above minus infinity.
  static func largest(_ logits: Span<Float>) -> Int32? {
    var best: Int?
    var value = -Float.infinity
    for index in logits.indices where logits[index] > value {
      value = logits[index]
      best = index
    }
    return best.map { Int32(truncatingIfNeeded: $0) }
  }

  // MARK: Steps

  private mutating func copy(_ logits: Span<Float>) {
    if adjusted.count != logits.count { adjusted = [Float](repeating: 0, count: logits.count) }
    for index in logits.indices {
      let logit = logits[index]
      adjusted[index] = logit.isNaN ? -.infinity : logit
    }
  }

  private mutating func applyRepeatPenalty() {
    guard options.repeatPenalty != 1 else { return }
    seen.removeAll(keepingCapacity: true)
    for token in recent where token >= 0 && Int(token) < adjusted.count && seen.insert(token).inserted {
      let logit = adjusted[Int(token)]
      adjusted[Int(token)] = logit > 0 ? logit / options.repeatPenalty : logit * options.repeatPenalty
    }
  }

  /// Draws over the whole vocabulary in the order of ids; no ordering by probability is needed.
  private mutating func drawFromAll(maximum: Float) -> Int32? {
    var total = 0.0
    for logit in adjusted { total += weight(logit, maximum) }
    var target = generator.unit() * total
    var last: Int32?
    for (index, logit) in adjusted.enumerated() {
      let weight = weight(logit, maximum)
      guard weight > 0 else { continue }
      last = Int32(truncatingIfNeeded: index)
      target -= weight
      if target < 0 { return last }
    }
    return last
  }

  /// Pops tokens in descending order of probability while top-k, top-p and min-p keep them, then draws among those.
  private mutating func drawFromKept(maximum: Float, isStopped: () -> Bool) -> Int32? {
    kept.removeAll(keepingCapacity: true)
    let limit = options.topK > 0 ? min(options.topK, adjusted.count) : adjusted.count
    buildHeap()
    // top-p is measured among the tokens that top-k kept, so its total is known only when top-k is off or the k are popped.
    var total = 0.0
    if options.topK > 0 {
      while kept.count < limit, let top = popHeap() {
        kept.append(top)
        if kept.count % 4096 == 0, isStopped() { return nil }
      }
      for candidate in kept { total += probabilityWeight(candidate.logit, maximum) }
    } else {
      for logit in adjusted { total += probabilityWeight(logit, maximum) }
    }
    var cumulative = 0.0
    var count = 0
    while true {
      if count == kept.count {
        guard options.topK == 0, count < limit, let top = popHeap() else { break }
        kept.append(top)
        if count % 4096 == 4095, isStopped() { return nil }
      }
      let weight = probabilityWeight(kept[count].logit, maximum)
      // The most probable token has weight 1, so min-p compares with the weight itself. It is always kept.
      if count > 0 && (weight < Double(options.minP) || weight == 0) { break }
      cumulative += weight
      count += 1
      if cumulative >= Double(options.topP) * total { break }
    }
    var sum = 0.0
    for candidate in kept[..<count] { sum += weight(candidate.logit, maximum) }
    var target = generator.unit() * sum
    for candidate in kept[..<count] {
      target -= weight(candidate.logit, maximum)
      if target < 0 { return candidate.token }
    }
    return kept[..<count].last?.token
  }

  /// The unnormalised probability at the temperature of the options; the largest logit has weight 1.
  private func weight(_ logit: Float, _ maximum: Float) -> Double {
    exponential(Double(logit - maximum) / Double(options.temperature))
  }

  /// The unnormalised probability at temperature 1.
  private func probabilityWeight(_ logit: Float, _ maximum: Float) -> Double { exponential(Double(logit - maximum)) }

  // MARK: A binary heap of token ids, largest logit first, ties to the lowest id

  private func before(_ a: Int32, _ b: Int32) -> Bool {
    let (x, y) = (adjusted[Int(a)], adjusted[Int(b)])
    return x > y || (x == y && a < b)
  }

  private mutating func buildHeap() {
    heap.removeAll(keepingCapacity: true)
    heap.reserveCapacity(adjusted.count)
    for index in adjusted.indices { heap.append(Int32(truncatingIfNeeded: index)) }
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  private mutating func popHeap() -> (token: Int32, logit: Float)? {
    guard let top = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      siftDown(0)
    }
    return (top, adjusted[Int(top)])
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var best = index
      let left = 2 * index + 1
      if left < heap.count && before(heap[left], heap[best]) { best = left }
      if left + 1 < heap.count && before(heap[left + 1], heap[best]) { best = left + 1 }
      if best == index { return }
      heap.swapAt(index, best)
      index = best
    }
  }
}
