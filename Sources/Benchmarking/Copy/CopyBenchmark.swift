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
    /// Files above this are sparse, and measured in one round.
    public var writtenByteCountMax = 1_000_000_000
    /// Bytes of the file that many guests and many processes load.
    public var sharedSize = 64_000_000
    public var guests = [1, 2, 10, 100]
    public var processCounts = [1, 2, 4, 8]
    public var rounds = 3
    /// What is measured.
    public var parts = Set(Part.allCases)
    /// Bytes of the file that is held in each kind of pages.
    public var pageFileByteCount = 1 << 29
    /// Where the files are made.
    public var folder = FileManager.default.temporaryDirectory.path
    /// Arguments of this executable that lead to `CopyWorker.run`.
    public var workerArguments: [String] = []

    public init() {}
  }

  public enum Part: String, CaseIterable, Sendable {
    /// One guest, files of every size.
    case sizes
    /// Many guests in one process.
    case guests
    case processes
    /// Kinds of pages: see `PageBenchmark`.
    case pages
  }

  /// How a way of loading stands against `map`, on the same file and cache.
  public struct Comparison: Codable, Sendable {
    /// Time to ready, and to the end of the first pass, over those of `map`.
    let readyRatio: Double
    let firstPassDoneRatio: Double
    /// Anonymous memory above that of `map`: what only copies need.
    let extraBytes: Int
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
    var comparedToMap: Comparison?
  }

  /// The how many-th guest of one process; what it added is a mean over the guests since the one measured before.
  public struct GuestResult: Codable, Sendable {
    let loading: WeightGuest.Loading
    let fileBytes: Int
    let guest: Int
    var skipped: String?
    var readySeconds: Double?
    var firstPassSeconds: Double?
    var copiedBytes: UInt64?
    var added: ProcessProbe?
    var comparedToMap: Comparison?
  }

  /// Several processes with a guest each, all of which have read all of the file and are alive. Each loads it when those before it
  /// have.
  public struct ProcessResult: Codable, Sendable {
    let loading: WeightGuest.Loading
    let fileBytes: Int
    let processes: Int
    var skipped: String?
    /// Of one process, the median.
    var readySeconds: Double?
    var firstPassSeconds: Double?
    /// Of all of them together.
    var copiedBytes: UInt64?
    /// The proportional shares of all of them: what they take together, the program itself among it.
    var pssBytes: Int?
    var rssAnonBytes: Int?
    /// A page that two processes map counts twice.
    var rssFileBytes: Int?
    var pageTableBytes: Int?
    /// Of loading and passes.
    var faultCount: Int?
    var comparedToMap: Comparison?
  }

  public struct Report: Encodable, Sendable {
    /// What `warm` and `cold` mean here.
    public let caches = WeightFile.cacheMeanings
    public var results: [Result] = []
    public var guests: [GuestResult] = []
    public var processes: [ProcessResult] = []
    public var pages: PageBenchmark.Report?
  }

  let options: Options
  let progress: @Sendable (String) -> Void

  public init(_ options: Options, progress: @escaping @Sendable (String) -> Void) {
    self.options = options
    self.progress = progress
  }

  public func run() throws -> Report {
    var report = Report()
    if options.parts.contains(.sizes) {
      for size in options.sizes {
        let file = try WeightFile(byteCount: size, folder: options.folder, isSparse: size > options.writtenByteCountMax)
        report.results += try measureSingle(file)
      }
    }
    if !options.parts.isDisjoint(with: [.guests, .processes]) {
      let file = try WeightFile(byteCount: options.sharedSize, folder: options.folder, isSparse: false)
      if options.parts.contains(.guests) { report.guests = try measureGuests(file) }
      if options.parts.contains(.processes) { report.processes = try measureProcesses(file) }
    }
    if options.parts.contains(.pages) {
      report.pages = try PageBenchmark(
        byteCount: options.pageFileByteCount, rounds: options.rounds, folder: options.folder,
        workerArguments: options.workerArguments, progress: progress
      ).run()
    }
    return report
  }

  /// What a number of guests would need, if that is more than the machine should be asked for: the reason not to try.
  private func excess(_ loading: WeightGuest.Loading, _ byteCount: Int, guests: Int) -> String? {
    guard let available = availableMemoryByteCount() else { return nil }
    let needed = byteCount * (guests - 1 + Int(loading.peakCount)) * (loading == .map ? 0 : 1)
    // The page cache holds the file as well, but gives its pages back when they are wanted.
    guard needed > available / 10 * 8 else { return nil }
    let bytes = Quantity.bytes
    return "needs \(bytes.text(Double(needed))) of \(bytes.text(Double(available)))"
  }

  // MARK: One guest

  private func measureSingle(_ file: WeightFile) throws -> [Result] {
    var measured: [String: [CopyWorker.Response]] = [:]
    let caches = file.isSparse ? ["warm"] : ["warm", "cold"]
    // Sparse files are large: what is measured on them takes seconds, and is steady.
    let rounds = file.isSparse ? 1 : options.rounds
    for round in 1...rounds {
      progress("\(Quantity.bytes.text(Double(file.byteCount))), round \(round) of \(rounds)")
      for cache in caches {
        for loading in WeightGuest.Loading.allCases where excess(loading, file.byteCount, guests: 1) == nil {
          if cache == "warm" { try file.warm() } else { file.evict() }
          let worker = try start(CopyWorker.Request(loading: loading, path: file.path, marks: [1]))
          measured[loading.rawValue + cache, default: []].append(try worker.response(CopyWorker.Response.self))
          worker.finish()
        }
      }
    }
    return try caches.flatMap { cache -> [Result] in
      let sums = Set(measured.values.joined().map(\.checksum))
      guard sums.count <= 1 else {
        throw WorkerProcess.Failure(description: "guests that loaded the same file in different ways found different sums in it")
      }
      var results = WeightGuest.Loading.allCases.map { loading in
        var result = Result(loading: loading, fileBytes: file.byteCount, isSparse: file.isSparse, cache: cache)
        guard let responses = measured[loading.rawValue + cache] else {
          result.skipped = excess(loading, file.byteCount, guests: 1) ?? "the machine had too little memory"
          return result
        }
        let marks = responses.flatMap(\.marks)
        result.readySeconds = median(marks.map(\.readySeconds))
        result.firstPassSeconds = median(marks.map(\.firstPassSeconds))
        result.secondPassSeconds = median(marks.map(\.secondPassSeconds))
        result.copiedBytes = marks.first?.copiedByteCount
        result.added = .median(marks.map(\.added))
        return result
      }
      let map = results[0].figures
      for index in results.indices { results[index].comparedToMap = Comparison(results[index].figures, map) }
      return results
    }
  }

  // MARK: Many guests

  /// The first round makes as many guests as were asked for; the others, which only steady the first few, ten at most.
  private func measureGuests(_ file: WeightFile) throws -> [GuestResult] {
    var measured: [WeightGuest.Loading: [CopyWorker.Mark]] = [:]
    for round in 1...options.rounds {
      progress("\(Quantity.bytes.text(Double(file.byteCount))), guests, round \(round) of \(options.rounds)")
      for loading in WeightGuest.Loading.allCases {
        let possible = options.guests.filter { excess(loading, file.byteCount, guests: $0) == nil && (round == 1 || $0 <= 10) }
        guard !possible.isEmpty else { continue }
        try file.warm()
        let worker = try start(CopyWorker.Request(loading: loading, path: file.path, marks: possible))
        measured[loading, default: []] += try worker.response(CopyWorker.Response.self).marks
        worker.finish()
      }
    }
    var results = WeightGuest.Loading.allCases.flatMap { loading in
      options.guests.map { number in
        var result = GuestResult(loading: loading, fileBytes: file.byteCount, guest: number)
        let marks = (measured[loading] ?? []).filter { $0.guest == number }
        guard !marks.isEmpty else {
          result.skipped = excess(loading, file.byteCount, guests: number) ?? "the machine had too little memory"
          return result
        }
        result.readySeconds = median(marks.map(\.readySeconds))
        result.firstPassSeconds = median(marks.map(\.firstPassSeconds))
        result.copiedBytes = marks[0].copiedByteCount
        result.added = .median(marks.map(\.added))
        return result
      }
    }
    for index in results.indices {
      let map = results.first { $0.loading == .map && $0.guest == results[index].guest }
      results[index].comparedToMap = Comparison(results[index].figures, map?.figures)
    }
    return results
  }

  // MARK: Many processes

  private func measureProcesses(_ file: WeightFile) throws -> [ProcessResult] {
    var results: [ProcessResult] = []
    for count in options.processCounts {
      progress("\(Quantity.bytes.text(Double(file.byteCount))), \(count) process(es)")
      var measured: [WeightGuest.Loading: [ProcessResult]] = [:]
      for _ in 1...options.rounds {
        for loading in WeightGuest.Loading.allCases where excess(loading, file.byteCount, guests: count) == nil {
          measured[loading, default: []].append(try measureProcesses(file, loading, count))
        }
      }
      var group = WeightGuest.Loading.allCases.map { loading in
        var result = ProcessResult(loading: loading, fileBytes: file.byteCount, processes: count)
        guard let rounds = measured[loading] else {
          result.skipped = excess(loading, file.byteCount, guests: count) ?? "the machine had too little memory"
          return result
        }
        func middle<Figure: Comparable>(_ figure: (ProcessResult) -> Figure?) -> Figure? {
          let sorted = rounds.compactMap(figure).sorted()
          return sorted[sorted.count / 2]
        }
        result.readySeconds = middle(\.readySeconds)
        result.firstPassSeconds = middle(\.firstPassSeconds)
        result.copiedBytes = middle(\.copiedBytes)
        result.pssBytes = middle(\.pssBytes)
        result.rssAnonBytes = middle(\.rssAnonBytes)
        result.rssFileBytes = middle(\.rssFileBytes)
        result.pageTableBytes = middle(\.pageTableBytes)
        result.faultCount = middle(\.faultCount)
        return result
      }
      let map = group[0].figures
      for index in group.indices { group[index].comparedToMap = Comparison(group[index].figures, map) }
      results += group
    }
    return results
  }

  /// One round: one process after the other loads the file; all are alive when all are measured.
  private func measureProcesses(_ file: WeightFile, _ loading: WeightGuest.Loading, _ count: Int) throws -> ProcessResult {
    try file.warm()
    let request = CopyWorker.Request(loading: loading, path: file.path, marks: [1], waits: true)
    let workers = try (0..<count).map { _ in try start(request) }
    for worker in workers { _ = try worker.readLine() }
    for worker in workers {
      try worker.go()
      _ = try worker.readLine()
    }
    for worker in workers { try worker.go() }
    let responses = try workers.map { try $0.response(CopyWorker.Response.self) }
    for worker in workers { worker.finish() }
    let marks = responses.flatMap(\.marks)
    let total = ProcessProbe.sum(responses.map(\.total))
    return ProcessResult(
      loading: loading, fileBytes: file.byteCount, processes: count, readySeconds: median(marks.map(\.readySeconds)),
      firstPassSeconds: median(marks.map(\.firstPassSeconds)), copiedBytes: marks.reduce(0) { $0 + $1.copiedByteCount },
      pssBytes: total.pssBytes, rssAnonBytes: total.rssAnonBytes, rssFileBytes: total.rssFileBytes,
      pageTableBytes: total.pageTableBytes, faultCount: marks.reduce(0) { $0 + $1.added.faultCount })
  }

  private func start(_ request: CopyWorker.Request) throws -> WorkerProcess {
    try WorkerProcess(arguments: options.workerArguments, request: request)
  }
}

extension CopyBenchmark.Comparison {
  /// Time to ready, time of the first pass, anonymous bytes.
  typealias Figures = (ready: Double, firstPass: Double, anonymous: Int)

  init?(_ own: Figures?, _ map: Figures?) {
    guard let own, let map, map.ready > 0 else { return nil }
    self.init(
      readyRatio: own.ready / map.ready, firstPassDoneRatio: (own.ready + own.firstPass) / (map.ready + map.firstPass),
      extraBytes: own.anonymous - map.anonymous)
  }

  static func figures(_ ready: Double?, _ firstPass: Double?, _ anonymous: Int?) -> Figures? {
    guard let ready, let firstPass, let anonymous else { return nil }
    return (ready, firstPass, anonymous)
  }
}

extension CopyBenchmark.Result {
  var figures: CopyBenchmark.Comparison.Figures? {
    CopyBenchmark.Comparison.figures(readySeconds, firstPassSeconds, added?.rssAnonBytes)
  }
}

extension CopyBenchmark.GuestResult {
  var figures: CopyBenchmark.Comparison.Figures? {
    CopyBenchmark.Comparison.figures(readySeconds, firstPassSeconds, added?.rssAnonBytes)
  }
}

extension CopyBenchmark.ProcessResult {
  var figures: CopyBenchmark.Comparison.Figures? { CopyBenchmark.Comparison.figures(readySeconds, firstPassSeconds, rssAnonBytes) }
}

/// The middle of the sorted values; of an even number, the mean of the two in the middle.
func median(_ values: [Double]) -> Double {
  let (sorted, middle) = (values.sorted(), values.count / 2)
  return values.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
