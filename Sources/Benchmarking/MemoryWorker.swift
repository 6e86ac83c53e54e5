import Bindery
import Foundation
import Synchronization
import VirtualMemory

/// The part of the memory benchmark that runs in a process of its own: one policy, one trace of requests.
public enum MemoryWorker {
  /// When activations are given back.
  enum Policy: String, CaseIterable, Codable, Sendable {
    /// After every pass.
    case everyPass = "every pass"
    /// After prefill, and after decode passes above 8 MB.
    case threshold = "above 8 MB"
    /// When a session has had nothing to do for a while.
    case idle = "when idle"
    /// Never: a process that keeps what it once had.
    case never

    var option: ScratchDiscardPolicy {
      switch self {
      case .everyPass: .everyPass
      case .threshold: .aboveByteCount(8 << 20)
      case .idle, .never: .manual
      }
    }
  }

  /// A request of the trace: so many tokens in, so many out, after a pause.
  struct Turn: Codable, Sendable {
    var promptTokenCount: Int
    var tokenCount: Int
    var pauseSeconds: Double

    /// Three short prompts to a long one, with pauses between, as chats come to a server. The same for every policy.
    static func trace(count: Int, contextLength: Int, seed: UInt64) -> [Turn] {
      var random = SamplingGenerator(seed: seed)
      return (0..<count).map { index in
        let isLong = index % 4 == 1
        let length = isLong ? Int.random(in: 320...448, using: &random) : Int.random(in: 8...48, using: &random)
        return Turn(
          promptTokenCount: min(length, contextLength - 24), tokenCount: 16, pauseSeconds: Double.random(in: 0.05...0.25, using: &random))
      }
    }
  }

  struct Request: Codable, Sendable {
    var model: String
    var policy: Policy
    var turnCount: Int
    var threadCount: Int
    /// A session is idle after this.
    var idleSeconds = 0.1
  }

  struct Sample: Codable, Sendable {
    var seconds: Double
    var rssAnonBytes: Int
  }

  struct Response: Codable, Sendable {
    var samples: [Sample]
    /// The largest size of the scratch, and what of it was resident after the last turn, its discard included.
    var scratchPeakBytes: UInt64
    var scratchResidentBytes: UInt64
    var prefillTokensPerSecond: Double
    var decodeTokensPerSecond: Double
    /// Seconds of all turns, pauses not counted.
    var busySeconds: Double
    var minorFaultCount: Int
  }

  /// Does what the JSON text asks for and writes the response to standard output.
  public static func run(_ text: String) throws {
    let request = try JSONDecoder().decode(Request.self, from: Data(text.utf8))
    var options = HostOptions()
    options.threadCount = request.threadCount
    options.scratchDiscard = request.policy.option
    let model = try Host(options: options).openModel(at: request.model)
    let session = try model.makeSession()
    let turns = Turn.trace(count: request.turnCount, contextLength: session.contextLength, seed: 20_261_121)
    var random = SamplingGenerator(seed: 7)
    func tokens(_ count: Int) -> [Int32] { (0..<count).map { _ in Int32.random(in: 3..<Int32(session.vocabularySize), using: &random) } }
    // What every process pays once (tables of the tokenizer, first touches of the weights) is not the trace's.
    _ = try session.generate(GenerationRequest(promptTokens: tokens(8), tokenCountMax: 2))
    session.discardScratch()

    let sampler = MemorySampler()
    var response = Response(
      samples: [], scratchPeakBytes: 0, scratchResidentBytes: 0, prefillTokensPerSecond: 0, decodeTokensPerSecond: 0, busySeconds: 0,
      minorFaultCount: 0)
    let faults = try ProcessMemory.current().minorFaultCount
    var (promptCount, prefillSeconds, tokenCount, decodeSeconds) = (0.0, 0.0, 0.0, 0.0)
    for turn in turns {
      let (elapsed, result) = try seconds {
        try session.generate(GenerationRequest(promptTokens: tokens(turn.promptTokenCount), tokenCountMax: turn.tokenCount))
      }
      response.busySeconds += elapsed
      promptCount += Double(turn.promptTokenCount)
      prefillSeconds += result.timings.firstTokenSeconds
      tokenCount += Double(max(result.tokens.count - 1, 0))
      decodeSeconds += elapsed - result.timings.firstTokenSeconds
      response.scratchPeakBytes = max(response.scratchPeakBytes, result.memory.scratchPeakByteCount)
      let pause = turn.pauseSeconds
      if request.policy == .idle, pause > request.idleSeconds {
        Thread.sleep(forTimeInterval: request.idleSeconds)
        session.discardScratch()
        Thread.sleep(forTimeInterval: pause - request.idleSeconds)
      } else {
        Thread.sleep(forTimeInterval: pause)
      }
    }
    response.scratchResidentBytes = try session.residentByteCounts().scratch
    response.minorFaultCount = try ProcessMemory.current().minorFaultCount - faults
    response.prefillTokensPerSecond = prefillSeconds > 0 ? promptCount / prefillSeconds : 0
    response.decodeTokensPerSecond = decodeSeconds > 0 ? tokenCount / decodeSeconds : 0
    response.samples = sampler.end()
    print(String(decoding: try JSONEncoder().encode(response), as: UTF8.self))
    fflush(nil)
  }
}

/// Notes the resident anonymous memory of this process every few milliseconds, on a thread of its own.
private final class MemorySampler: Sendable {
  private let samples = Mutex<[MemoryWorker.Sample]>([])
  private let isEnding = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)

  init() {
    let start = ContinuousClock.now
    Thread { [self] in
      while !isEnding.load(ordering: .acquiring) {
        if let bytes = try? ProcessMemory.residentAnonymousByteCount() {
          let time = (ContinuousClock.now - start) / .seconds(1)
          samples.withLock { $0.append(MemoryWorker.Sample(seconds: time, rssAnonBytes: bytes)) }
        }
        Thread.sleep(forTimeInterval: 0.005)
      }
      ended.signal()
    }.start()
  }

  /// Stops, and gives what was noted. To be called once.
  func end() -> [MemoryWorker.Sample] {
    isEnding.store(true, ordering: .releasing)
    ended.wait()
    return samples.withLock { $0 }
  }
}
