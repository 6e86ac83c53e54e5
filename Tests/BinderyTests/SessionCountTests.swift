import Bindery
import Testing
import Tokenizers
import VirtualMemory
import WasmRuntime
import _TestSupport

/// What a pass of the tiny model costs, in counts that repeat exactly: allocations, calls and faults of the system's memory,
/// instructions of its program and of the wasm kernels.
@Suite("Counts of a session")
struct SessionCountTests {
  /// What one pass costs once everything is warm, the same each time.
  private struct PassCounts {
    var counts: ThreadCounts
    var instructions: Int64
    /// Of the scratch, what was resident after a pass that began with none of it.
    var touchedByteCount: UInt64
  }

  private static func host(
    _ kernels: KernelProvider, _ discard: ScratchDiscardPolicy = .manual, countingInstructions: Bool = false,
    usesPortableHandlers: Bool = false
  ) throws -> Bindery.Host {
    var options = HostOptions()
    options.threadCount = 1
    options.kernels = kernels
    options.scratchDiscard = discard
    var engine = EngineConfiguration()
    engine.consumesFuel = countingInstructions
    engine.fuelCountsRegisterInstructions = countingInstructions
    engine.usesPortableHandlers = usesPortableHandlers
    return try Bindery.Host(options: options, engine: engine)
  }

  /// Passes in a row, over the same positions: the smallest counts of 8 after 4 that warm up.
  private static func pass(_ host: Bindery.Host, rowCount: Int, contextCount: Int) throws -> PassCounts {
    let session = try TinyModel.session(host)
    var (best, instructions): (ThreadCounts?, [Int64]) = (nil, [])
    try session.withRepeatablePass(rowCount: rowCount, contextCount: contextCount) { step in
      for round in 0..<12 {
        if round > 0 { _ = try step(.rewind) }
        let before = try step(.rewind)
        let (counts, after) = try ThreadCounts.of { () throws in try step(.pass) }
        guard round >= 4 else { continue }
        instructions.append(after - before)
        best = best.map { $0.smallest(counts) } ?? counts
      }
      _ = try step(.rewind)
      _ = try step(.discard)
      _ = try step(.pass)
    }
    #expect(Set(instructions).count == 1, "the same work takes the same instructions: \(instructions)")
    return PassCounts(
      counts: try #require(best), instructions: try #require(instructions.first),
      touchedByteCount: try session.residentByteCounts().scratch)
  }

  @Test(
    "a pass in steady state allocates nothing, asks the system for no page, and faults none",
    .enabled(if: ThreadCounts.areCounted), arguments: [KernelProvider.native, .wasm], [1, 20])
  func steadyPass(kernels: KernelProvider, rowCount: Int) throws {
    // Positions within one chunk of the cache, which is mapped.
    let counts = try Self.pass(try Self.host(kernels), rowCount: rowCount, contextCount: 40).counts
    #expect(counts.allocations == 0 && counts.pageCalls == 0, "\(counts)")
    #expect(counts.pageFaults == 0, "\(counts)")
  }

  @Test(
    "a pass that discards faults exactly the pages of scratch that it touches, with one call",
    .enabled(if: ThreadCounts.areCounted), arguments: [1, 20])
  func discardingPass(rowCount: Int) throws {
    let kept = try Self.pass(try Self.host(.native), rowCount: rowCount, contextCount: 40)
    let discarded = try Self.pass(try Self.host(.native, .everyPass), rowCount: rowCount, contextCount: 40)
    #expect(discarded.counts.pageCalls == 1 && discarded.counts.allocations == 0, "\(discarded)")
    #expect(kept.touchedByteCount > 0 && discarded.touchedByteCount == 0)
    let touched = SystemPages.count(kept.touchedByteCount)
    if SystemPages.faultsBringOnePage {
      #expect(discarded.counts.pageFaults == touched, "\(discarded) after \(touched) pages")
    } else {
      #expect(1...touched ~= discarded.counts.pageFaults, "\(discarded) after \(touched) pages")
    }
  }

  @Test(
    "a prefill pass into a fresh part of the cache maps its chunks and allocates nothing",
    .enabled(if: ThreadCounts.areCounted))
  func prefill() throws {
    // Positions 40 to 240: three chunks of 64 positions that are not mapped yet.
    let counts = try Self.pass(try Self.host(.native), rowCount: 200, contextCount: 40).counts
    #expect(counts.allocations == 0, "\(counts)")
    try RecordedCounts.check("page calls of a prefill pass of 200 tokens over 4 chunks", counts.pageCalls)
  }

  @Test("discarding gives back all but a hundredth of a large prefill's activations")
  func discardReturnsMemory() throws {
    let session = try TinyModel.session(try Self.host(.native))
    try session.withRepeatablePass(rowCount: 250, contextCount: 0) { step in _ = try step(.pass) }
    let peak = try session.residentByteCounts().scratch
    #expect(peak > 1 << 20)
    session.discardScratch()
    let left = try session.residentByteCounts().scratch
    #expect(left * 100 <= peak, "\(left) of \(peak) bytes are still resident")
  }

  // MARK: Instructions

  @Test("instructions dispatched by one pass are as recorded", arguments: [KernelProvider.native, .wasm])
  func dispatched(kernels: KernelProvider) throws {
    let token = try Self.pass(try Self.host(kernels, countingInstructions: true), rowCount: 1, contextCount: 40)
    let prompt = try Self.pass(try Self.host(kernels, countingInstructions: true), rowCount: 20, contextCount: 40)
    switch kernels {
    case .native:
      try RecordedCounts.check("instructions dispatched by the program for one token", Int(token.instructions))
      try RecordedCounts.check("instructions dispatched by the program for 20 tokens of a prompt", Int(prompt.instructions))
    case .wasm:
      try RecordedCounts.check("instructions dispatched by program and wasm kernels for one token", Int(token.instructions))
      try RecordedCounts.check(
        "instructions dispatched by program and wasm kernels for 20 tokens of a prompt", Int(prompt.instructions))
    }
    let portable = try Self.pass(
      try Self.host(kernels, countingInstructions: true, usesPortableHandlers: true), rowCount: 1, contextCount: 40)
    #expect(portable.instructions == token.instructions, "which handlers run does not change what runs")
  }

  // MARK: Tokens and text

  @Test("a decoded token, its sampling and its text", .enabled(if: ThreadCounts.areCounted))
  func decodedTokens() throws {
    let session = try TinyModel.session(try Self.host(.native))
    let reference = try #require(TinyModel.cases.first { $0.greedy_token_ids.count >= 60 })
    var best: ThreadCounts?
    for _ in 0..<4 {
      var marks: [ThreadCounts] = []
      marks.reserveCapacity(64)
      let result = try session.generate(GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 44)) { _ in
        marks.append(ThreadCounts.now)
      }
      #expect(result.tokens.count == 44 && marks.count > 40)
      let counts = marks[40] - marks[8]
      best = best.map { $0.smallest(counts) } ?? counts
    }
    let counts = try #require(best)
    // Lists and texts that double now and then, depending on how much the allocator gives them beyond what they ask for.
    #expect(counts.allocations <= 8, "32 tokens: \(counts)")
    try RecordedCounts.check("page calls of 32 decoded tokens", counts.pageCalls)
  }

  @Test("choosing a token allocates nothing, however it is chosen", .enabled(if: ThreadCounts.areCounted))
  func sampling() throws {
    var generator = SeededGenerator(seed: 1)
    let logits = (0..<5000).map { _ in Float.random(in: -8...8, using: &generator) }
    let options = [
      SamplingOptions.greedy, SamplingOptions(temperature: 1),
      SamplingOptions(temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05),
      SamplingOptions(temperature: 0.8, topP: 0.9), SamplingOptions(temperature: 0.8, topK: 20, repeatPenalty: 1.1),
      SamplingOptions(repeatPenalty: 1.1),
    ]
    for option in options {
      var sampler = Sampler(option)
      for token in 0..<200 { sampler.accept(Int32(token)) }
      let counts = ThreadCounts.steady(count: 200) {
        if let token = sampler.sample(logits.span) { sampler.accept(token) }
      }
      #expect(counts.allocations == 0, "\(option): \(counts)")
    }
  }

  @Test("text to tokens and back", .enabled(if: ThreadCounts.areCounted))
  func tokenizing() throws {
    let tokenizer = try TinyModel.host().openTokenizer(at: TinyModel.folder)
    let text = String(repeating: "Once upon a time, there was a little girl named Lily. ", count: 20)
    var ids: [TokenID] = []
    let encoding = ThreadCounts.steady(count: 8) { ids = (try? tokenizer.encode(text, addSpecial: true, parseSpecial: false)) ?? [] }
    #expect(ids.count > 200)
    try RecordedCounts.check("allocations of 8 times encoding 1080 characters", encoding.allocations, dependsOn: .compiler)
    var decoder = StreamingDecoder(tokenizer)
    var index = 0
    let decoding = ThreadCounts.steady(count: 100) {
      _ = decoder.push(ids[index % ids.count])
      index += 1
    }
    #expect(decoding.allocations == 0, "a token's text of at most 15 bytes needs no allocation: \(decoding)")
  }
}
