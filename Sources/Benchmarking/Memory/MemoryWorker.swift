import Bindery
import CPlatform
import Foundation
import VirtualMemory
import WasmRuntime

/// The parts of the memory benchmark that run in processes of their own.
public enum MemoryWorker {
  /// When activations are given back.
  enum Policy: String, CaseIterable, Codable, Sendable {
    /// After every pass.
    case everyPass = "every pass"
    /// After a pass, but at most ten times a second.
    case rateLimited = "at most every 100 ms"
    /// After prefill, and after decode passes above 8 MB: the default of `HostOptions`.
    case threshold = "above 8 MB"
    /// When a session has had nothing to do for a quarter of a second.
    case idle = "when idle"
    /// Never: a process that keeps what it once had.
    case never

    var option: ScratchDiscardPolicy {
      switch self {
      case .everyPass: .everyPass
      case .rateLimited: .atMostEvery(.milliseconds(100))
      case .threshold: .aboveByteCount(8 << 20)
      case .idle, .never: .manual
      }
    }
  }

  /// What a process is to do.
  enum Job: Codable, Sendable {
    case trace(TraceRequest)
    case passes(PassBenchmark.Request)
    case neighbours(NeighbourBenchmark.Request)
  }

  struct TraceRequest: Codable, Sendable {
    var model: String
    var policy: Policy
    var turnCount: Int
    var threadCount: Int
    /// A session is idle after this.
    var idleSeconds = 0.25
  }

  struct Sample: Codable, Sendable {
    var seconds: Double
    /// Anonymous memory of the process, and the activations in it.
    var rssAnonBytes: Int
    var scratchBytes: Int
  }

  struct TraceResponse: Codable, Sendable {
    var samples: [Sample] = []
    /// The sizes that the scratches of all sessions have grown to, and what of them is resident at the end.
    var scratchPeakBytes: UInt64 = 0
    var scratchResidentBytes: UInt64 = 0
    var prefillTokensPerSecond = 0.0
    var decodeTokensPerSecond = 0.0
    /// Seconds of all requests, pauses not counted: on the clock, and of the processor that served them.
    var busySeconds = 0.0
    var busyProcessorSeconds = 0.0
    var minorFaultCount = 0
    var discardCount = 0
    var discardedBytes: UInt64 = 0
    var discardSeconds = 0.0
  }

  /// Does what the JSON text asks for and writes the response to standard output.
  public static func run(_ text: String) throws {
    switch try JSONDecoder().decode(Job.self, from: Data(text.utf8)) {
    case .trace(let request): try answer(try serve(request))
    case .passes(let request): try answer(try PassBenchmark.run(request))
    case .neighbours(let request): try answer(try NeighbourBenchmark.run(request))
    }
  }

  private static func answer(_ response: some Encodable) throws {
    print(String(decoding: try JSONEncoder().encode(response), as: UTF8.self))
    fflush(nil)
  }

  private static func serve(_ request: TraceRequest) throws -> TraceResponse {
    var options = HostOptions()
    options.threadCount = request.threadCount
    options.scratchDiscard = request.policy.option
    let model = try Host(options: options).openModel(at: request.model)
    let sessions = try (0..<MemoryTrace.sessionCount).map { _ in try model.makeSession() }
    let (contextLength, vocabularySize) = (sessions[0].contextLength, Int32(sessions[0].vocabularySize))
    let trace = MemoryTrace(turnCount: request.turnCount, contextLength: contextLength, seed: 20_261_121)
    var random = SamplingGenerator(seed: 7)
    func tokens(_ count: Int) -> [Int32] { (0..<count).map { _ in Int32.random(in: 3..<vocabularySize, using: &random) } }
    // What every process pays once (tables of the tokenizer, first touches of the weights) is not the trace's.
    for session in sessions {
      _ = try session.generate(GenerationRequest(promptTokens: tokens(min(64, contextLength / 2)), tokenCountMax: 2))
      session.discardScratch()
    }

    let sampler = MemorySampler(scratches: sessions.compactMap(\.scratchMemory))
    let attendant = request.policy == .idle ? IdleDiscarder(sessions: sessions, idleSeconds: request.idleSeconds) : nil
    var response = TraceResponse()
    let discardsBefore = sessions.map { $0.discardStatistics() }
    let faults = try ProcessMemory.minorFaultCount()
    var (promptCount, prefillSeconds, tokenCount, decodeSeconds) = (0.0, 0.0, 0.0, 0.0)
    for turn in trace.turns {
      let prompt = tokens(turn.promptTokenCount)
      attendant?.begin(turn.session)
      let start = bindery_thread_processor_seconds()
      let (elapsed, result) = try seconds {
        try sessions[turn.session].generate(GenerationRequest(promptTokens: prompt, tokenCountMax: turn.tokenCount))
      }
      response.busyProcessorSeconds += bindery_thread_processor_seconds() - start
      attendant?.end(turn.session)
      response.busySeconds += elapsed
      promptCount += Double(turn.promptTokenCount)
      prefillSeconds += result.timings.firstTokenSeconds
      tokenCount += Double(max(result.tokens.count - 1, 0))
      decodeSeconds += elapsed - result.timings.firstTokenSeconds
      Thread.sleep(forTimeInterval: turn.pauseSeconds)
    }
    attendant?.finish()
    response.samples = sampler.end()
    response.minorFaultCount = try ProcessMemory.minorFaultCount() - faults
    for (session, before) in zip(sessions, discardsBefore) {
      let discards = session.discardStatistics()
      response.discardCount += discards.count - before.count
      response.discardedBytes += discards.byteCount - before.byteCount
      response.discardSeconds += discards.seconds - before.seconds
      response.scratchPeakBytes += session.scratchMemory?.byteCount ?? 0
      response.scratchResidentBytes += try session.residentByteCounts().scratch
    }
    response.prefillTokensPerSecond = prefillSeconds > 0 ? promptCount / prefillSeconds : 0
    response.decodeTokensPerSecond = decodeSeconds > 0 ? tokenCount / decodeSeconds : 0
    return response
  }
}
