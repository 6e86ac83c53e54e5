import Bindery
import Foundation
import Synchronization
import TensorStore
import Testing
import _TestSupport

@Suite("The tiny model, end to end")
struct TinyModelTests {
  private static func greedy(_ session: Session, _ reference: TinyModel.Case, count: Int) throws -> GenerationResult {
    try session.generate(
      GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: count, topLogProbabilityCount: 40))
  }

  @Test("greedy decoding agrees with llama.cpp", arguments: TinyModel.cases)
  func agreesWithReference(reference: TinyModel.Case) throws {
    let session = try TinyModel.session(try TinyModel.host())
    let result = try Self.greedy(session, reference, count: reference.greedy_token_ids.count)
    try expectAgreement(result, with: reference, "native")
    #expect(result.finishReason == (result.tokens.count < 64 || reference.stopped_on_eog ? .stop : .length))
  }

  @Test("the references are there")
  func referencesAreThere() { #expect(TinyModel.cases.count >= 10) }

  @Test("perplexity is that of llama.cpp within half a percent", arguments: [KernelProvider.native, .wasm])
  func perplexity(kernels: KernelProvider) throws {
    let reference = try TinyModel.reference()
    let session = try TinyModel.session(try TinyModel.host(kernels))
    let scores = try session.negativeLogLikelihoods(of: reference.perplexity_token_ids)
    #expect(scores.count == reference.perplexity_token_ids.count - 1)
    let perplexity = exp(scores.reduce(0, +) / Double(scores.count))
    #expect(abs(perplexity / reference.perplexity.perplexity - 1) < 0.005, "\(kernels): \(perplexity)")
  }

  @Test("native and wasm kernels, one thread and two, agree with the reference")
  func providersAgree() throws {
    let reference = try #require(TinyModel.cases.first)
    for (kernels, threads) in [(KernelProvider.native, 2), (.wasm, 1), (.wasm, 2)] {
      let session = try TinyModel.session(try TinyModel.host(kernels, threads: threads))
      try expectAgreement(
        try Self.greedy(session, reference, count: 24), with: .init(reference, count: 24), "\(kernels), \(threads) threads")
    }
  }

  @Test("the number of threads does not change a bit", arguments: [KernelProvider.native, .wasm])
  func threadsAgree(kernels: KernelProvider) throws {
    let reference = try #require(TinyModel.cases.last)
    let one = try Self.greedy(try TinyModel.session(try TinyModel.host(kernels)), reference, count: 12)
    let three = try Self.greedy(try TinyModel.session(try TinyModel.host(kernels, threads: 3)), reference, count: 12)
    #expect(one.tokens == three.tokens)
    #expect(one.topLogProbabilities == three.topLogProbabilities)
  }

  @Test("mapped, read and copied weights give the same, and only the mapped ones are not copied")
  func placementsAgree() throws {
    let reference = try #require(TinyModel.cases.first)
    let results = try WeightLoading.allCases.map { placement in
      (placement, try Self.greedy(try TinyModel.session(try TinyModel.host(.native, placement)), reference, count: 16))
    }
    let byteCount = try #require(try FileManager.default.attributesOfItem(atPath: TinyModel.weights)[.size] as? UInt64)
    for (placement, result) in results {
      #expect(result.tokens == results[0].1.tokens, "\(placement)")
      #expect(result.topLogProbabilities == results[0].1.topLogProbabilities, "\(placement)")
      #expect(result.memory.weightsMappedByteCount == (placement == .map ? byteCount : 0), "\(placement)")
      let copyCount: UInt64 = placement == .map ? 0 : placement == .read ? 1 : 2
      #expect(result.memory.weightsCopiedByteCount == copyCount * byteCount, "\(placement)")
    }
  }

  @Test("prefill in chunks gives what prefill at once gives")
  func chunks() throws {
    let reference = try #require(TinyModel.cases.first)
    let whole = try Self.greedy(try TinyModel.session(try TinyModel.host()), reference, count: 8)
    for rows in [1, 5, 16] {
      let host = try TinyModel.host { $0.prefillRowCountMax = rows }
      let chunked = try Self.greedy(try TinyModel.session(host), reference, count: 8)
      #expect(chunked.tokens == whole.tokens, "\(rows) rows a pass")
      for (a, b) in zip(chunked.topLogProbabilities[0], whole.topLogProbabilities[0]) { #expect(abs(a.logit - b.logit) < 0.05) }
    }
  }

  @Test("a second generation reuses the common beginning and gives the same text")
  func prefixReuse() throws {
    let references = Array(TinyModel.cases.prefix(3))
    let session = try TinyModel.session(try TinyModel.host())
    for reference in references + references.reversed() {
      let again = try Self.greedy(session, reference, count: 10)
      let fresh = try Self.greedy(try TinyModel.session(try TinyModel.host()), reference, count: 10)
      #expect(again.tokens == fresh.tokens, "\(reference.id)")
    }
  }

  @Test("several sessions on threads of their own share one mapping of the weights")
  func sessionsShareWeights() throws {
    let host = try TinyModel.host(threads: 2)
    let (first, second) = (try host.openModel(at: TinyModel.folder), try host.openModel(at: TinyModel.weights))
    let sessions = [try first.makeSession(), try first.makeSession(), try second.makeSession()]
    #expect(sessions.allSatisfy { $0.weightsMemory === sessions[0].weightsMemory })
    let references = Array(TinyModel.cases.prefix(3))
    let found = Mutex<[Int: [Int32]]>([:])
    DispatchQueue.concurrentPerform(iterations: 3) { index in
      let result = try? Self.greedy(sessions[index], references[index], count: 12)
      found.withLock { $0[index] = result?.tokens }
    }
    for (index, reference) in references.enumerated() {
      let alone = try Self.greedy(try TinyModel.session(try TinyModel.host()), reference, count: 12)
      #expect(found.withLock { $0[index] } == alone.tokens, "session \(index)")
    }
  }

  @Test("scratch goes back to the system, the cache when the session has ended")
  func memoryReturns() throws {
    let reference = try TinyModel.reference()
    let host = try TinyModel.host { $0.scratchDiscard = .everyPass }
    let session = try TinyModel.session(host)
    let result = try session.generate(
      GenerationRequest(promptTokens: Array(reference.perplexity_token_ids.prefix(200)), tokenCountMax: 4))
    #expect(result.memory.scratchPeakByteCount > 1 << 20)
    #expect(result.memory.scratchDiscardedByteCount > 1 << 19)
    let resident = try session.residentByteCounts()
    #expect(resident.scratch <= 1 << 16, "\(resident.scratch) bytes of scratch are still resident")
    #expect(resident.cache > 0)
    #expect(result.memory.cacheMappedByteCount > 0)
    _ = try session.negativeLogLikelihoods(of: Array(reference.perplexity_token_ids.prefix(20)))
    #expect(try session.residentByteCounts().cache == 0, "scoring closes its sequence, which unmaps the cache")
  }

  @Test("the text is what the tokens decode to, in whole pieces")
  func textIsStreamed() throws {
    let reference = try #require(TinyModel.cases.first)
    let session = try TinyModel.session(try TinyModel.host())
    var pieces: [String] = []
    let result = try session.generate(GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 24)) {
      pieces.append($0)
    }
    #expect(pieces.joined() == result.text)
    #expect(pieces.count > 10, "text comes token by token")
    #expect(reference.greedy_text.hasPrefix(String(result.text.prefix(20))))
  }

  @Test("a stop string ends the text before it")
  func stopStrings() throws {
    let reference = try #require(TinyModel.cases.first { $0.greedy_text.contains(" there was") })
    let session = try TinyModel.session(try TinyModel.host())
    var text = ""
    let result = try session.generate(
      GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 40, stopStrings: ["re was", "never"])
    ) { text += $0 }
    #expect(result.finishReason == .stop)
    #expect(text == String(reference.greedy_text.prefix(upTo: reference.greedy_text.firstRange(of: "re was")!.lowerBound)))
    #expect(result.text == text)
  }

  @Test("the same seed gives the same text, another one another")
  func seeds() throws {
    let reference = try #require(TinyModel.cases.first)
    func text(_ seed: UInt64) throws -> String {
      let sampling = SamplingOptions(temperature: 1.5, topK: 50, seed: seed)
      return try TinyModel.session(try TinyModel.host()).generate(
        GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 24, sampling: sampling)
      ).text
    }
    #expect(try text(1) == text(1))
    #expect(try text(1) != text(2))
  }
}

extension TinyModel.Case {
  /// The first tokens of a longer reference.
  init(_ other: Self, count: Int) {
    self.init(
      id: other.id, prompt: other.prompt, prompt_token_ids: other.prompt_token_ids, last_prompt_top10: other.last_prompt_top10,
      greedy_token_ids: Array(other.greedy_token_ids.prefix(count)),
      greedy_top1_minus_top2: Array(other.greedy_top1_minus_top2.prefix(count)), stopped_on_eog: false,
      greedy_text: other.greedy_text)
  }
}
