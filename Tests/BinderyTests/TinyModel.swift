import Bindery
import Foundation
import TensorStore
import Testing
import _TestSupport

/// The tiny model of the checkout and what llama.cpp makes of it.
enum TinyModel {
  static let folder = Repository.path("models/tiny-stories-1m").path
  static let weights = folder + "/tiny-stories-1m.gguf"

  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    struct Top: Decodable, Sendable {
      let ids: [Int32]
      let logits: [Float]
    }
    let id: String
    let prompt: String
    let prompt_token_ids: [Int32]
    let last_prompt_top10: Top
    let greedy_token_ids: [Int32]
    let greedy_top1_minus_top2: [Double]
    let stopped_on_eog: Bool
    let greedy_text: String

    var testDescription: String { id }
  }

  struct Reference: Decodable {
    struct Score: Decodable {
      let token_count: Int
      let mean_nll: Double
      let perplexity: Double
    }
    let perplexity_token_ids: [Int32]
    let perplexity: Score
  }

  static let cases: [Case] = (try? read("greedy_tiny.json")) ?? []
  static func reference() throws -> Reference { try read("reference.json") }

  private static func read<Value: Decodable>(_ name: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(contentsOf: Repository.fixture("tiny/\(name)")))
  }

  static func host(
    _ kernels: KernelProvider = .native, _ weights: WeightLoading = .map, threads: Int = 1,
    change: (inout HostOptions) -> Void = { _ in }
  ) throws -> Bindery.Host {
    var options = HostOptions()
    options.threadCount = threads
    options.kernels = kernels
    options.weights = weights
    change(&options)
    return try Bindery.Host(options: options)
  }

  static func session(_ host: Bindery.Host) throws -> Session { try host.openModel(at: folder).makeSession() }
}

/// How a generation may differ from the reference, which quantises activations in its own way: the ten best logits after the
/// prompt by at most 0.7, and the tokens only where the reference's two best logits are closer than 0.4.
func expectAgreement(_ result: GenerationResult, with reference: TinyModel.Case, _ what: String) throws {
  let top = try #require(result.topLogProbabilities.first)
  for (id, logit) in zip(reference.last_prompt_top10.ids, reference.last_prompt_top10.logits) {
    let found = try #require(top.first { $0.id == id }, "\(reference.id), \(what): token \(id) is not among the best")
    #expect(abs(found.logit - logit) < 0.7, "\(reference.id), \(what): logit of token \(id)")
  }
  let pairs = zip(result.tokens, reference.greedy_token_ids)
  guard let difference = pairs.enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset else {
    #expect(result.tokens.count == reference.greedy_token_ids.count, "\(reference.id), \(what)")
    return
  }
  let margin = reference.greedy_top1_minus_top2[difference]
  #expect(margin < 0.4, "\(reference.id), \(what): token \(difference) differs where the margin is \(margin)")
}
