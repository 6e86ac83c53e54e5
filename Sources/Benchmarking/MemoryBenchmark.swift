import Charts
import Foundation

/// What giving memory back costs and brings: a trace of requests under each policy, in processes of their own that take turns, and
/// the price that a neighbour pays.
public struct MemoryBenchmark: Sendable {
  public struct Options: Sendable {
    public var model: String
    public var turnCount = 24
    public var threadCount = 1
    public var rounds = 3
    /// Arguments of this executable that lead to `MemoryWorker.run`.
    public var workerArguments: [String] = []
    public var folder = FileManager.default.temporaryDirectory.path

    public init(model: String) { self.model = model }
  }

  public struct Result: Codable, Sendable {
    let policy: String
    /// Anonymous resident memory above that before the trace: mean over time, most, and at the end.
    let meanBytes: Double
    let peakBytes: Double
    let finalBytes: Double
    let scratchPeakBytes: UInt64
    let scratchResidentBytes: UInt64
    let prefillTokensPerSecond: Double
    let decodeTokensPerSecond: Double
    let busySeconds: Double
    let minorFaults: Double
  }

  public struct Report: Codable, Sendable {
    let model: String
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
    var measured: [MemoryWorker.Policy: [MemoryWorker.Response]] = [:]
    for round in 1...options.rounds {
      for policy in MemoryWorker.Policy.allCases {
        progress("\(policy.rawValue), round \(round) of \(options.rounds)")
        let request = MemoryWorker.Request(
          model: options.model, policy: policy, turnCount: options.turnCount, threadCount: options.threadCount)
        let worker = try WorkerProcess(arguments: options.workerArguments, request: request)
        measured[policy, default: []].append(try worker.response(MemoryWorker.Response.self))
        worker.finish()
      }
    }
    progress("neighbours")
    let file = try WeightFile(byteCount: 16_000_000, folder: options.folder, isSparse: false)
    let neighbours = try NeighbourBenchmark.run(path: file.path, seconds: 0.5, rounds: options.rounds)
    return Report(
      model: options.model, results: MemoryWorker.Policy.allCases.compactMap { Self.result($0, measured[$0] ?? []) },
      neighbours: neighbours,
      traces: MemoryWorker.Policy.allCases.compactMap { policy in
        measured[policy]?.last.map { Report.Trace(policy: policy.rawValue, samples: $0.samples) }
      })
  }

  private static func result(_ policy: MemoryWorker.Policy, _ responses: [MemoryWorker.Response]) -> Result? {
    guard let last = responses.last else { return nil }
    func bytes(_ pick: ([Double]) -> Double) -> Double {
      median(
        responses.map { response in
          let base = Double(response.samples.first?.rssAnonBytes ?? 0)
          return pick(response.samples.map { Double($0.rssAnonBytes) - base })
        })
    }
    return Result(
      policy: policy.rawValue, meanBytes: bytes { $0.reduce(0, +) / Double(max($0.count, 1)) }, peakBytes: bytes { $0.max() ?? 0 },
      finalBytes: bytes { $0.last ?? 0 }, scratchPeakBytes: last.scratchPeakBytes, scratchResidentBytes: last.scratchResidentBytes,
      prefillTokensPerSecond: median(responses.map(\.prefillTokensPerSecond)),
      decodeTokensPerSecond: median(responses.map(\.decodeTokensPerSecond)), busySeconds: median(responses.map(\.busySeconds)),
      minorFaults: median(responses.map { Double($0.minorFaultCount) }))
  }
}

extension MemoryBenchmark.Report {
  /// Tables in Markdown: the policies, then the neighbours.
  public var markdown: String {
    let (time, bytes, number) = (Quantity.seconds, Quantity.bytes, Quantity.number(unit: ""))
    var lines = [
      "| give back | mean | peak | in the end | scratch left | prefill, tokens/s | decode, tokens/s | busy | page faults |",
      "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      let cells = [
        bytes.text(result.meanBytes), bytes.text(result.peakBytes), bytes.text(result.finalBytes),
        bytes.text(Double(result.scratchResidentBytes)) + " of " + bytes.text(Double(result.scratchPeakBytes)),
        number.text(result.prefillTokensPerSecond), number.text(result.decodeTokensPerSecond), time.text(result.busySeconds),
        number.text(result.minorFaults),
      ]
      lines.append("| \(result.policy) | " + cells.joined(separator: " | ") + " |")
    }
    lines += ["", "| another thread, 1 MB at a time | per second | neighbour, GB/s | ratio |", "|---|--:|--:|--:|"]
    for result in neighbours {
      let name = result.activity == "none" ? "does nothing" : result.activity == "zero" ? "touches and zeroes" : "touches and discards"
      lines.append(
        "| \(name) | \(number.text(result.perSecond)) | \(number.text(result.gigabytesPerSecond)) | \(number.text(result.ratio)) |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Resident memory over time under each policy.
  public var svg: String {
    LineChart(
      title: "Memory of a process that answers requests", subtitle: "Anonymous resident bytes above those before the first request",
      x: Axis("time, seconds", .number(unit: "")), y: Axis("resident", .bytes),
      series: traces.map { trace in
        let base = trace.samples.first?.rssAnonBytes ?? 0
        return LineChart.Series(trace.policy, trace.samples.map { ($0.seconds, Double(max($0.rssAnonBytes - base, 0))) })
      }, showsPoints: false
    ).svg()
  }
}
