import Bindery
import Foundation
import Testing
import _TestSupport

@Suite("Sampling")
struct SamplerTests {
  private static func randomLogits(_ count: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Float.random(in: -6...6, using: &generator) }
  }

  private static func draws(_ options: SamplingOptions, _ logits: [Float], count: Int) -> [Int32] {
    var sampler = Sampler(options)
    return (0..<count).compactMap { _ in sampler.sample(logits.span) }
  }

  private static func sample(_ sampler: inout Sampler, _ logits: [Float]) -> Int32? { sampler.sample(logits.span) }

  @Test("greedy takes the largest logit, ties to the lowest id, and skips NaN")
  func greedy() {
    var sampler = Sampler(.greedy)
    #expect(Self.sample(&sampler, [0, 3, 1, 3]) == 1)
    #expect(Self.sample(&sampler, [.nan, -1, .nan, -2]) == 1)
    #expect(Self.sample(&sampler, [-.infinity, -.infinity]) == nil)
    #expect(Self.sample(&sampler, []) == nil)
  }

  @Test("the same seed gives the same tokens, another seed gives others")
  func seedsRepeat() {
    let logits = Self.randomLogits(1000, seed: 1)
    let options = SamplingOptions(temperature: 1, seed: 42)
    #expect(Self.draws(options, logits, count: 50) == Self.draws(options, logits, count: 50))
    #expect(Self.draws(options, logits, count: 50) != Self.draws(SamplingOptions(temperature: 1, seed: 43), logits, count: 50))
  }

  @Test("the generator is SplitMix64: its published first outputs for seed 1234567")
  func generatorIsSplitMix64() {
    var generator = SamplingGenerator(seed: 1_234_567)
    let expected: [UInt64] = [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
      16_408_922_859_458_223_821,
    ]
    #expect((0..<5).map { _ in generator.next() } == expected)
  }

  @Test("draws follow the softmax of the logits divided by the temperature", arguments: [Float(0.5), 1, 2])
  func frequenciesFollowSoftmax(temperature: Float) {
    let logits: [Float] = [0, 1, 2, -1]
    let weights = logits.map { exp(Double($0 / temperature)) }
    let total = weights.reduce(0, +)
    let count = 40_000
    var histogram = [Int](repeating: 0, count: 4)
    for token in Self.draws(SamplingOptions(temperature: temperature, seed: 7), logits, count: count) {
      histogram[Int(token)] += 1
    }
    for index in logits.indices {
      let expected = weights[index] / total
      let deviation = 5 * (expected * (1 - expected) / Double(count)).squareRoot()
      #expect(abs(Double(histogram[index]) / Double(count) - expected) < deviation, "token \(index), seed 7")
    }
  }

  @Test("top-k draws exactly from the k largest", arguments: [1, 2, 5, 40])
  func topK(k: Int) {
    let logits = Self.randomLogits(200, seed: 3)
    let best = Set(logits.indices.sorted { logits[$0] > logits[$1] }.prefix(k).map { Int32($0) })
    let drawn = Set(Self.draws(SamplingOptions(temperature: 10, topK: k, seed: 5), logits, count: 2000))
    #expect(drawn == best, "seeds 3 and 5")
  }

  @Test("top-p draws exactly from the smallest set that reaches p", arguments: [Float(0.1), 0.5, 0.9])
  func topP(p: Float) {
    let logits = Self.randomLogits(30, seed: 11)
    let total = logits.reduce(0.0) { $0 + exp(Double($1)) }
    var expected = Set<Int32>()
    var sum = 0.0
    for index in logits.indices.sorted(by: { logits[$0] > logits[$1] }) {
      expected.insert(Int32(index))
      sum += exp(Double(logits[index])) / total
      if sum >= Double(p) { break }
    }
    // A high temperature makes every kept token likely; the cut itself is made at temperature 1.
    let drawn = Set(Self.draws(SamplingOptions(temperature: 20, topP: p, seed: 2), logits, count: 3000))
    #expect(drawn == expected, "seeds 11 and 2")
  }

  @Test("min-p keeps what is at least that fraction as probable as the best")
  func minP() {
    let logits: [Float] = [0, Float(log(0.5)), Float(log(0.24)), Float(log(0.26))]
    let drawn = Set(Self.draws(SamplingOptions(temperature: 5, minP: 0.25, seed: 9), logits, count: 500))
    #expect(drawn == [0, 1, 3])
  }

  @Test("filters together keep no more than each alone, and always something")
  func filtersCompose() {
    for seed in UInt64(0)..<20 {
      let logits = Self.randomLogits(100, seed: seed)
      let options = SamplingOptions(temperature: 3, topK: 20, topP: 0.6, minP: 0.05, seed: seed)
      let drawn = Set(Self.draws(options, logits, count: 300))
      #expect(!drawn.isEmpty, "seed \(seed)")
      let alone = Set(Self.draws(SamplingOptions(temperature: 30, topK: 20, seed: seed), logits, count: 3000))
      #expect(drawn.isSubset(of: alone), "seed \(seed)")
    }
  }

  @Test("the repeat penalty lowers recent tokens and forgets them after its window")
  func repeatPenalty() {
    var sampler = Sampler(SamplingOptions(repeatPenalty: 2, repeatWindowTokenCount: 2))
    let logits: [Float] = [3, 2.9, -1, -1.5]
    #expect(Self.sample(&sampler, logits) == 0)
    sampler.accept(0)
    #expect(Self.sample(&sampler, logits) == 1)
    sampler.accept(1)
    #expect(Self.sample(&sampler, logits) == 0, "both are halved, and 0 leads again")
    sampler.accept(2)
    #expect(Self.sample(&sampler, logits) == 0, "0 has left the window of two")
  }

  @Test(
    "options outside their ranges are named",
    arguments: [
      SamplingOptions(temperature: -1), SamplingOptions(temperature: .nan), SamplingOptions(topK: -1), SamplingOptions(topP: 0),
      SamplingOptions(topP: 1.5), SamplingOptions(minP: -0.1), SamplingOptions(repeatPenalty: 0),
    ])
  func problems(options: SamplingOptions) { #expect(options.problem != nil) }

  @Test("log-probabilities sum to one and come best first")
  func logProbabilities() throws {
    let logits = Self.randomLogits(50, seed: 4)
    let top = Logits.top(50, logits.span)
    #expect(top.count == 50)
    #expect(abs(top.reduce(0.0) { $0 + exp($1.logprob) } - 1) < 1e-9)
    #expect(zip(top, top.dropFirst()).allSatisfy { $0.logit >= $1.logit })
    let three = Logits.top(3, logits.span)
    #expect(three == Array(top.prefix(3)))
    let (first, below, above) = (
      Logits.logProbability(of: top[0].id, logits.span), Logits.logProbability(of: -1, logits.span),
      Logits.logProbability(of: 50, logits.span)
    )
    #expect(first == top[0].logprob)
    #expect(below == nil)
    #expect(above == nil)
  }
}
