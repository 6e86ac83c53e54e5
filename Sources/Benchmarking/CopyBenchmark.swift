import Charts
import Foundation

/// What it costs to get a file of weights to a guest: bound, read, copied, read in chunks.
///
/// Every measurement is a process of its own. The ways take turns within a round, so that a busy machine is busy for all of them;
/// figures are medians over rounds.
public struct CopyBenchmark: Sendable {
  public struct Options: Sendable {
    /// Bytes of the files.
    public var sizes = [16_000_000, 128_000_000, 1_000_000_000, 8_000_000_000]
    /// Files above this are sparse.
    public var writtenByteCountMax = 1_000_000_000
    /// Bytes of the file that many guests and many processes load.
    public var sharedSize = 64_000_000
    public var guests = [1, 2, 10, 100]
    public var processCount = 4
    public var rounds = 3
    /// Where the files are made.
    public var folder = FileManager.default.temporaryDirectory.path
    /// Arguments of this executable that lead to `CopyWorker.run`.
    public var workerArguments: [String] = []

    public init() {}
  }

  /// One guest in a fresh process.
  public struct Result: Codable, Sendable {
    let loading: WeightGuest.Loading
    let fileBytes: Int
    let isSparse: Bool
    /// `warm`: the whole file is in the page cache before. `cold`: none of it is.
    let cache: String
    /// Why there is no measurement.
    var skipped: String?
    var readySeconds: Double?
    var firstPassSeconds: Double?
    var secondPassSeconds: Double?
    var copiedBytes: UInt64?
    var added: ProcessProbe?
  }

  /// The how many-th guest of one process; what it added is a mean over the guests since the one measured before.
  public struct GuestResult: Codable, Sendable {
    let loading: WeightGuest.Loading
    let fileBytes: Int
    let guest: Int
    var skipped: String?
    var readySeconds: Double?
    var added: ProcessProbe?
  }

  /// Several processes with a guest each, all of which have read all of the file and are alive.
  public struct ProcessResult: Codable, Sendable {
    let loading: WeightGuest.Loading
    let fileBytes: Int
    let processes: Int
    var skipped: String?
    /// The proportional shares of all of them: what they take together.
    var pssBytes: Int?
    var rssAnonBytes: Int?
  }

  public struct Report: Codable, Sendable {
    public var results: [Result] = []
    public var guests: [GuestResult] = []
    public var processes: [ProcessResult] = []
  }

  let options: Options
  let progress: @Sendable (String) -> Void

  public init(_ options: Options, progress: @escaping @Sendable (String) -> Void) {
    self.options = options
    self.progress = progress
  }

  public func run() throws -> Report {
    var report = Report()
    for size in options.sizes {
      let file = try WeightFile(byteCount: size, folder: options.folder, isSparse: size > options.writtenByteCountMax)
      report.results += try measureSingle(file)
    }
    let file = try WeightFile(byteCount: options.sharedSize, folder: options.folder, isSparse: false)
    report.guests = try measureGuests(file)
    report.processes = try measureProcesses(file)
    return report
  }

  /// What a number of guests would need, if that is more than the machine should be asked for: the reason not to try.
  private func excess(_ loading: WeightGuest.Loading, _ byteCount: Int, guests: Int) -> String? {
    guard let available = availableMemoryByteCount() else { return nil }
    let needed = byteCount * (guests - 1 + Int(loading.peakCount)) * (loading == .map ? 0 : 1)
    // The page cache holds the file as well.
    guard needed + byteCount > available / 10 * 8 else { return nil }
    let bytes = Quantity.bytes
    return "needs \(bytes.text(Double(needed))) of \(bytes.text(Double(available)))"
  }

  // MARK: One guest

  private func measureSingle(_ file: WeightFile) throws -> [Result] {
    var measured: [String: [CopyWorker.Response]] = [:]
    let caches = file.isSparse ? ["warm"] : ["warm", "cold"]
    for round in 1...options.rounds {
      progress("\(Quantity.bytes.text(Double(file.byteCount))), round \(round) of \(options.rounds)")
      for cache in caches {
        for loading in WeightGuest.Loading.allCases where excess(loading, file.byteCount, guests: 1) == nil {
          if cache == "warm" { try file.warm() } else { file.evict() }
          let worker = try start(CopyWorker.Request(loading: loading, path: file.path, marks: [1]))
          measured[loading.rawValue + cache, default: []].append(try worker.response(CopyWorker.Response.self))
          worker.finish()
        }
      }
    }
    return try caches.flatMap { cache in
      let sums = Set(measured.values.joined().map(\.checksum))
      guard sums.count <= 1 else {
        throw WorkerProcess.Failure(description: "guests that loaded the same file in different ways found different sums in it")
      }
      return WeightGuest.Loading.allCases.map { loading in
        var result = Result(loading: loading, fileBytes: file.byteCount, isSparse: file.isSparse, cache: cache)
        guard let responses = measured[loading.rawValue + cache] else {
          result.skipped = excess(loading, file.byteCount, guests: 1) ?? "the machine had too little memory"
          return result
        }
        let marks = responses.flatMap(\.marks)
        result.readySeconds = median(marks.map(\.readySeconds))
        result.firstPassSeconds = median(marks.map(\.firstPassSeconds))
        result.secondPassSeconds = median(marks.map(\.secondPassSeconds))
        result.copiedBytes = responses[0].copiedByteCount
        result.added = marks[0].added
        return result
      }
    }
  }

  // MARK: Many guests

  private func measureGuests(_ file: WeightFile) throws -> [GuestResult] {
    try file.warm()
    progress("\(Quantity.bytes.text(Double(file.byteCount))), \(options.guests.last ?? 1) guests, \(options.processCount) processes")
    return try WeightGuest.Loading.allCases.flatMap { loading in
      let possible = options.guests.filter { excess(loading, file.byteCount, guests: $0) == nil }
      var marks: [CopyWorker.Mark] = []
      if !possible.isEmpty {
        let worker = try start(CopyWorker.Request(loading: loading, path: file.path, marks: possible))
        marks = try worker.response(CopyWorker.Response.self).marks
        worker.finish()
      }
      return options.guests.map { number in
        var result = GuestResult(loading: loading, fileBytes: file.byteCount, guest: number)
        if let mark = marks.first(where: { $0.guest == number }) {
          result.readySeconds = mark.readySeconds
          result.added = mark.added
        } else {
          result.skipped = excess(loading, file.byteCount, guests: number) ?? "the machine had too little memory"
        }
        return result
      }
    }
  }

  // MARK: Many processes

  private func measureProcesses(_ file: WeightFile) throws -> [ProcessResult] {
    try WeightGuest.Loading.allCases.map { loading in
      var result = ProcessResult(loading: loading, fileBytes: file.byteCount, processes: options.processCount)
      if let reason = excess(loading, file.byteCount, guests: options.processCount) {
        result.skipped = reason
        return result
      }
      try file.warm()
      let request = CopyWorker.Request(loading: loading, path: file.path, marks: [1], waits: true)
      let workers = try (0..<options.processCount).map { _ in try start(request) }
      // All have their guest before any is measured, and none ends before all are.
      for worker in workers { _ = try worker.readLine() }
      for worker in workers { try worker.go() }
      let totals = try workers.map { try $0.response(CopyWorker.Response.self).total }
      for worker in workers { worker.finish() }
      result.pssBytes = totals.reduce(0) { $0 + $1.pssBytes }
      result.rssAnonBytes = totals.reduce(0) { $0 + $1.rssAnonBytes }
      return result
    }
  }

  private func start(_ request: CopyWorker.Request) throws -> WorkerProcess {
    try WorkerProcess(arguments: options.workerArguments, request: request)
  }
}

/// The middle of the sorted values; the upper of two.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
