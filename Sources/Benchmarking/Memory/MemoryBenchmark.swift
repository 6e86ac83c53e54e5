import Foundation

/// What giving memory back costs and brings: the cost for each pass, a trace of requests under each policy in processes of their
/// own that take turns, and the price that a neighbour pays.
public struct MemoryBenchmark: Sendable {
  public struct Options: Sendable {
    public var model: String
    public var turnCount = 24
    public var threadCount = 1
    public var rounds = 2
    /// How long a neighbour is measured at a time; passes of one size take about forty times that.
    public var sampleSeconds = 0.18
    /// Arguments of this executable that lead to `MemoryWorker.run`.
    public var workerArguments: [String] = []
    public var folder = FileManager.default.temporaryDirectory.path

    public init(model: String) { self.model = model }
  }

  /// One policy over the trace. Medians over the rounds, or those of the last one where they repeat.
  public struct Result: Codable, Sendable {
    let policy: String
    /// Anonymous resident memory above that before the trace: mean over time, most, and at the end.
    let meanBytes: Double
    let peakBytes: Double
    let finalBytes: Double
    /// Of that, activations.
    let scratchMeanBytes: Double
    /// The sizes that the activations of all sessions have grown to, and what of them is resident at the end.
    let scratchPeakBytes: UInt64
    let scratchResidentBytes: UInt64
    let prefillTokensPerSecond: Double
    let decodeTokensPerSecond: Double
    let busySeconds: Double
    let busyProcessorSeconds: Double
    let minorFaults: Double
    let discardCount: Double
    let discardedBytes: Double
    let discardSeconds: Double
    /// Against a process that never gives back.
    var meanPercentOfNever = 100.0
    var scratchMeanPercentOfNever = 100.0
    /// Processor time of the requests, more than without discards: as it was measured in processes seconds apart, which is noise
    /// of a percent or more; and from its parts, the time of the discards and of a fault for each page given back.
    var busyMorePercent = 0.0
    var costPercent = 0.0
  }

  public struct Report: Codable, Sendable {
    let model: String
    let passes: [PassBenchmark.Result]
    let pageCost: PageCost
    public let results: [Result]
    let neighbours: [NeighbourBenchmark.Result]
    /// Resident memory over time, of each policy's last round.
    let traces: [Trace]

    struct Trace: Codable, Sendable {
      let policy: String
      let samples: [MemoryWorker.Sample]
    }
  }

  let options: Options
  let progress: @Sendable (String) -> Void

  public init(_ options: Options, progress: @escaping @Sendable (String) -> Void) {
    self.options = options
    self.progress = progress
  }

  public func run() throws -> Report {
    progress("passes with and without a discard")
    let passes = try respond(
      to: .passes(
        PassBenchmark.Request(
          model: options.model, threadCount: options.threadCount, secondsPerSize: 40 * options.sampleSeconds)),
      PassBenchmark.Response.self)
    var measured: [MemoryWorker.Policy: [MemoryWorker.TraceResponse]] = [:]
    for round in 1...options.rounds {
      for policy in MemoryWorker.Policy.allCases {
        progress("\(policy.rawValue), round \(round) of \(options.rounds)")
        let request = MemoryWorker.TraceRequest(
          model: options.model, policy: policy, turnCount: options.turnCount, threadCount: options.threadCount)
        measured[policy, default: []].append(try respond(to: .trace(request), MemoryWorker.TraceResponse.self))
      }
    }
    progress("neighbours")
    let file = try WeightFile(byteCount: 16_000_000, folder: options.folder, isSparse: false)
    let neighbours = try respond(
      to: .neighbours(
        NeighbourBenchmark.Request(
          model: options.model, path: file.path, seconds: options.sampleSeconds, rounds: 3 * options.rounds)),
      [NeighbourBenchmark.Result].self)
    return Report(
      model: options.model, passes: passes.passes, pageCost: passes.pageCost, results: Self.results(measured, passes.pageCost),
      neighbours: neighbours,
      traces: MemoryWorker.Policy.allCases.compactMap { policy in
        measured[policy]?.last.map { Report.Trace(policy: policy.rawValue, samples: $0.samples) }
      })
  }

  private func respond<Response: Decodable>(to job: MemoryWorker.Job, _ type: Response.Type) throws -> Response {
    let worker = try WorkerProcess(arguments: options.workerArguments, request: job)
    defer { worker.finish() }
    return try worker.response(type)
  }

  private static func results(
    _ measured: [MemoryWorker.Policy: [MemoryWorker.TraceResponse]], _ pageCost: PageCost
  ) -> [Result] {
    var results = MemoryWorker.Policy.allCases.compactMap { result($0, measured[$0] ?? []) }
    guard let never = results.last else { return [] }
    for index in results.indices {
      results[index].meanPercentOfNever = 100 * results[index].meanBytes / never.meanBytes
      results[index].scratchMeanPercentOfNever = 100 * results[index].scratchMeanBytes / never.scratchMeanBytes
      results[index].busyMorePercent = 100 * (results[index].busyProcessorSeconds / never.busyProcessorSeconds - 1)
      let faultSeconds = results[index].discardedBytes / 4096 * pageCost.faultNanoseconds * 1e-9
      results[index].costPercent = 100 * (results[index].discardSeconds + faultSeconds) / never.busyProcessorSeconds
    }
    return results
  }

  private static func result(_ policy: MemoryWorker.Policy, _ responses: [MemoryWorker.TraceResponse]) -> Result? {
    guard let last = responses.last else { return nil }
    func bytes(_ pick: ([MemoryWorker.Sample]) -> Double) -> Double { median(responses.map { pick($0.samples) }) }
    func added(_ samples: [MemoryWorker.Sample]) -> [Double] {
      samples.map { Double($0.rssAnonBytes - samples[0].rssAnonBytes) }
    }
    return Result(
      policy: policy.rawValue, meanBytes: bytes { mean(added($0)) }, peakBytes: bytes { added($0).max() ?? 0 },
      finalBytes: bytes { added($0).last ?? 0 }, scratchMeanBytes: bytes { mean($0.map { Double($0.scratchBytes) }) },
      scratchPeakBytes: last.scratchPeakBytes, scratchResidentBytes: last.scratchResidentBytes,
      prefillTokensPerSecond: median(responses.map(\.prefillTokensPerSecond)),
      decodeTokensPerSecond: median(responses.map(\.decodeTokensPerSecond)), busySeconds: median(responses.map(\.busySeconds)),
      busyProcessorSeconds: median(responses.map(\.busyProcessorSeconds)),
      minorFaults: median(responses.map { Double($0.minorFaultCount) }),
      discardCount: median(responses.map { Double($0.discardCount) }),
      discardedBytes: median(responses.map { Double($0.discardedBytes) }), discardSeconds: median(responses.map(\.discardSeconds))
    )
  }

  private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }
}
