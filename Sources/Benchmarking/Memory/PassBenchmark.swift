import Bindery
import CPlatform
import Foundation
import WasmRuntime
import WebAssembly

/// What a discard costs the pass that follows it: passes with and without one, in pairs, in one process.
///
/// All passes of one size do the same work at the same positions. In a pair one pass finds its activations resident, as the pass
/// before left them, and the other is preceded by `Session.discardScratch()`, which is what every policy does. The order within a
/// pair changes from pair to pair, so that a drift of the machine falls out. Times of passes are processor time where one thread
/// computes, since other processes disturb that less.
enum PassBenchmark {
  struct Request: Codable, Sendable {
    var model: String
    var threadCount: Int
    var rowCounts = [1, 64, 512, 2048]
    /// About how long the passes of one size may take.
    var secondsPerSize: Double
  }

  struct Response: Codable, Sendable {
    var passes: [Result]
    var pageCost: PageCost
  }

  /// Passes of one size. Times are medians over the pairs.
  struct Result: Codable, Sendable {
    let rows: Int
    /// Positions in the cache before the pass.
    let contextPositions: Int
    let pairs: Int
    /// What the pass touches of its scratch.
    let scratchBytes: UInt64
    let scratchBytesAfterDiscard: UInt64
    let seconds: Double
    /// The discard and the pass after it.
    let secondsWithDiscard: Double
    let discardSeconds: Double
    let differenceSeconds: Double
    /// Of the pass without a discard: median, first and third quartile of the pairs.
    let differencePercent: Double
    let differencePercentLow: Double
    let differencePercentHigh: Double
    let minorFaults: Int
    let minorFaultsWithDiscard: Int
    /// From the pairs: what remains of the difference without the discard, for each fault more.
    let refaultNanoseconds: Double
    /// From the cost of a page alone: the discard, and a fault for each page that was given back, against the pass without.
    let expectedPercent: Double
  }

  static func run(_ request: Request) throws -> Response {
    var options = HostOptions()
    options.threadCount = request.threadCount
    options.scratchDiscard = .manual
    options.prefillRowCountMax = request.rowCounts.max() ?? 1
    let model = try Host(options: options).openModel(at: request.model)
    let session = try model.makeSession()
    let pageCost = try PageCost.measure()
    let results = try request.rowCounts.filter { $0 < session.contextLength }.map { rowCount in
      try measure(session, rowCount: rowCount, request, pageCost)
    }
    return Response(passes: results, pageCost: pageCost)
  }

  private static func measure(_ session: Session, rowCount: Int, _ request: Request, _ pageCost: PageCost) throws -> Result {
    let contextCount = rowCount == 1 ? min(100, session.contextLength - 2) : 0
    let isAlone = request.threadCount == 1
    func now() -> Double { isAlone ? bindery_thread_processor_seconds() : Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }
    let first = try session.measureSeries(rowCount: rowCount, contextCount: contextCount, discards: [true, false], now: now)
    let pairCount = min(max(Int(request.secondsPerSize / (2 * first[1].seconds)), 3), 100)
    let order = (0..<pairCount).flatMap { $0 % 2 == 0 ? [false, true] : [true, false] }
    let passes = try session.measureSeries(rowCount: rowCount, contextCount: contextCount, discards: order, now: now)
    session.discardScratch()

    let with = passes.filter { $0.discardSeconds != nil }
    let without = passes.filter { $0.discardSeconds == nil }
    let discardSeconds = median(with.map { $0.discardSeconds ?? 0 })
    let seconds = median(without.map(\.seconds))
    let differences = zip(with, without).map { $0.seconds + ($0.discardSeconds ?? 0) - $1.seconds }
    let percents = zip(differences, without).map { 100 * $0 / $1.seconds }
    let faults = Int(median(without.map { Double($0.minorFaultCount) }))
    let faultsWith = Int(median(with.map { Double($0.minorFaultCount) }))
    let scratchBytes = with.map(\.residentByteCount).max() ?? 0
    let difference = median(differences)
    return Result(
      rows: rowCount, contextPositions: contextCount, pairs: pairCount, scratchBytes: scratchBytes,
      scratchBytesAfterDiscard: with.map(\.residentByteCountBefore).max() ?? 0, seconds: seconds,
      secondsWithDiscard: median(with.map { $0.seconds + ($0.discardSeconds ?? 0) }), discardSeconds: discardSeconds,
      differenceSeconds: difference, differencePercent: median(percents), differencePercentLow: quantile(percents, 0.25),
      differencePercentHigh: quantile(percents, 0.75), minorFaults: faults, minorFaultsWithDiscard: faultsWith,
      refaultNanoseconds: (difference - discardSeconds) * 1e9 / Double(max(faultsWith - faults, 1)),
      expectedPercent: 100 * (discardSeconds + Double(scratchBytes >> 12) * pageCost.faultNanoseconds * 1e-9) / seconds)
  }
}

/// What the system takes for one page of 4 KiB of a guest's memory, without any other work around it: processor time.
struct PageCost: Codable, Sendable {
  /// The first store into a page that was given back, less that of a store into a resident one.
  let faultNanoseconds: Double
  /// Giving it back.
  let discardNanoseconds: Double
  /// Zeroing it in place instead.
  let zeroNanoseconds: Double

  /// Medians over rounds with 16 MB.
  static func measure() throws -> PageCost {
    let type = MemoryType(limits: Limits(minimum: 256, maximum: 256))
    let memory = try Memory(type: type)
    var limits = MemoryLimits()
    limits.discardPolicy = { _ in .zeroOnly }
    let kept = try Memory(type: type, limits: limits)
    let byteCount = memory.byteCount
    let one: [UInt8] = [1]
    func touch(_ memory: Memory) throws {
      for address in stride(from: 0, to: byteCount, by: 4096) { try memory.write(one, address: address) }
    }
    try touch(kept)
    var times: [(fault: Double, discard: Double, zero: Double)] = []
    func time(_ body: () throws -> Void) rethrows -> Double {
      let start = bindery_thread_processor_seconds()
      try body()
      return bindery_thread_processor_seconds() - start
    }
    for _ in 0..<9 {
      let first = try time { try touch(memory) }
      let second = try time { try touch(memory) }
      let discard = try time { _ = try memory.clearPages(start: 0, count: memory.pageCount) }
      let zero = try time { _ = try kept.discard(address: 0, byteCount: byteCount) }
      times.append((first - second, discard, zero))
    }
    let nanoseconds = 1e9 / Double(byteCount >> 12)
    return PageCost(
      faultNanoseconds: median(times.map(\.fault)) * nanoseconds, discardNanoseconds: median(times.map(\.discard)) * nanoseconds,
      zeroNanoseconds: median(times.map(\.zero)) * nanoseconds)
  }
}

/// The value below which that share of the others lies; of at least one.
func quantile(_ values: [Double], _ share: Double) -> Double {
  let sorted = values.sorted()
  return sorted[min(Int(share * Double(sorted.count)), sorted.count - 1)]
}
