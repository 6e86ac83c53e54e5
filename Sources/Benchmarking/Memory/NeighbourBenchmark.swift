import Bindery
import CPlatform
import Foundation
import Synchronization
import WasmRuntime
import WebAssembly
import WebAssemblyText

/// What a guest that gives memory back costs its neighbour on another thread: pages may go only when every processor that runs a
/// thread of the process has forgotten their addresses, so it is interrupted, and often forgets all addresses (a TLB shootdown).
///
/// One thread runs passes of a guest, each of which is timed. The other touches and gives back another memory, so many times a
/// second. That is held against touching and zeroing in place, which is the same work for the memory without the interrupts.
enum NeighbourBenchmark {
  /// Who is disturbed.
  enum Neighbour: String, Codable, CaseIterable {
    /// One token of a model after 100 positions, with native kernels.
    case decode
    /// A sum over 16 MB of weights in the interpreter: needs more pages than the processor has entries for, whoever disturbs it.
    case streaming
    /// A walk in random order over 1024 pages, one word of each, in the interpreter: nothing but addresses that the processor
    /// remembers, the worst case.
    case pages
  }

  /// What the other thread does with its memory.
  enum Activity: String, Codable, CaseIterable {
    case none
    /// Touches and gives back.
    case discard
    /// Touches and asks to give back, as often as it goes; the host lets it so many times a second and zeroes in place otherwise.
    case limited
    /// Touches and zeroes in place: the same stores, no change of page tables.
    case zero
  }

  struct Request: Codable, Sendable {
    /// Whose tokens `decode` computes.
    var model: String
    /// A file of weights for `streaming`.
    var path: String
    /// Of each measurement.
    var seconds: Double
    var rounds: Int
  }

  struct Result: Codable, Sendable {
    let neighbour: String
    let activity: String
    /// Bytes that are touched and given back at a time.
    let byteCount: UInt64
    /// Asked for and reached; nil: as often as it goes.
    let perSecondAsked: Int?
    var perSecond: Double
    /// Interrupts of the whole system for changed page tables; nil where the system does not tell.
    var shootdownsPerSecond: Double?
    /// GB/s over what a pass reads (nil for `pages`).
    var gigabytesPerSecond: Double?
    /// Speed as a ratio to that without any activity, the median of the rounds: passes by processor time, which counts interrupts
    /// but not the time that other processes take, and passes by the clock.
    var ratio: Double
    var clockRatio: Double
    /// Of the neighbour's passes, in all rounds, by the clock.
    var passMedianSeconds: Double
    var passPercentile99Seconds: Double
    /// How much of its time each thread was on a processor: both near 1 means that they ran at once.
    var processorShare: Double
    var disturberProcessorShare: Double
  }

  private struct Case {
    var activity: Activity
    var rate: Int?
    var byteCount: UInt64 = 1 << 20
  }

  private struct Measurement {
    var passes: [PassTime]
    var perSecond: Double
    var shootdownsPerSecond: Double?
    var processorShare: Double
    var disturberProcessorShare: Double
    var passesPerSecond: Double { Double(passes.count) / passes.reduce(0) { $0 + $1.seconds } }
    var passesPerProcessorSecond: Double { Double(passes.count) / passes.reduce(0) { $0 + $1.processorSeconds } }
  }

  private static let limitPerSecond = 100

  private static func cases(_ neighbour: Neighbour) -> [Case] {
    let common = [
      Case(activity: .none), Case(activity: .discard, rate: 100), Case(activity: .discard, rate: 1000), Case(activity: .discard),
      Case(activity: .zero, rate: 1000), Case(activity: .zero),
    ]
    guard neighbour == .pages else { return common }
    return common + [
      Case(activity: .discard, rate: 1000, byteCount: 1 << 16), Case(activity: .discard, byteCount: 1 << 16),
      Case(activity: .limited),
    ]
  }

  /// Keeps the two threads on two processors, where there are two: else the system may let them take turns on one, and nothing is
  /// disturbed but by that. For a process that does nothing else.
  static func run(_ request: Request) throws -> [Result] {
    let processors = (bindery_processor_number(0), bindery_processor_number(1))
    if processors.1 >= 0 { _ = bindery_thread_pin(processors.0) }
    return try Neighbour.allCases.flatMap { neighbour in
      let passes: any NeighbourPasses =
        switch neighbour {
        case .decode: try DecodePasses(model: request.model)
        case .streaming: try StreamingPasses(path: request.path)
        case .pages: try PagePasses()
        }
      _ = try passes.run(seconds: 0.05)
      let cases = cases(neighbour)
      var measured: [[Measurement]] = Array(repeating: [], count: cases.count)
      // Each round begins with another case, so that none is always the first or follows the same one at the same time.
      for round in 0..<request.rounds {
        for position in cases.indices {
          let index = (position + round) % cases.count
          measured[index].append(try measure(passes, cases[index], request.seconds, processor: processors.1))
        }
      }
      return zip(cases, measured).map { result(neighbour, passes, $0, $1, base: measured[0]) }
    }
  }

  private static func result(
    _ neighbour: Neighbour, _ passes: any NeighbourPasses, _ entry: Case, _ measured: [Measurement], base: [Measurement]
  ) -> Result {
    let passSeconds = measured.flatMap { $0.passes.map(\.seconds) }
    let speed = median(measured.map(\.passesPerSecond))
    let shootdowns = measured.compactMap(\.shootdownsPerSecond)
    return Result(
      neighbour: neighbour.rawValue, activity: entry.activity.rawValue, byteCount: entry.activity == .none ? 0 : entry.byteCount,
      perSecondAsked: entry.rate, perSecond: median(measured.map(\.perSecond)),
      shootdownsPerSecond: shootdowns.isEmpty ? nil : median(shootdowns),
      gigabytesPerSecond: passes.byteCount.map { speed * Double($0) * 1e-9 },
      ratio: median(zip(measured, base).map { $0.passesPerProcessorSecond / $1.passesPerProcessorSecond }),
      clockRatio: median(zip(measured, base).map { $0.passesPerSecond / $1.passesPerSecond }),
      passMedianSeconds: median(passSeconds),
      passPercentile99Seconds: quantile(passSeconds, 0.99), processorShare: median(measured.map(\.processorShare)),
      disturberProcessorShare: median(measured.map(\.disturberProcessorShare)))
  }

  private static func measure(
    _ passes: any NeighbourPasses, _ entry: Case, _ seconds: Double, processor: CInt
  ) throws -> Measurement {
    var limits = MemoryLimits()
    if entry.activity == .limited {
      let limit = DiscardRateLimit(perSecond: limitPerSecond)
      limits.discardPolicy = { limit.decide(byteCount: $0) }
    }
    let pageCount = entry.byteCount >> 16
    let memory = try Memory(type: MemoryType(limits: Limits(minimum: pageCount, maximum: pageCount)), limits: limits)
    let worker = DisturbingThread(memory: memory, activity: entry.activity, rate: entry.rate, processor: processor)
    let (start, shootdowns, processorStart) = (ContinuousClock.now, ShootdownCount.now(), bindery_thread_processor_seconds())
    let times = try passes.run(seconds: seconds)
    let processorSeconds = bindery_thread_processor_seconds() - processorStart
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let shootdownCount = ShootdownCount.now().flatMap { now in shootdowns.map { now - $0 } }
    let work = worker.end()
    return Measurement(
      passes: times, perSecond: Double(work.count) / work.seconds,
      shootdownsPerSecond: shootdownCount.map { Double($0) / elapsed }, processorShare: processorSeconds / elapsed,
      disturberProcessorShare: work.processorSeconds / work.seconds)
  }

  /// Does its activity until it is told to end.
  private final class DisturbingThread: Sendable {
    struct Work {
      var count = 0
      var seconds = 0.0
      var processorSeconds = 0.0
    }

    private let isEnding = Atomic<Bool>(false)
    private let work = Mutex(Work())
    private let ended = DispatchSemaphore(value: 0)

    init(memory: Memory, activity: Activity, rate: Int?, processor: CInt) {
      Thread { [self] in
        if processor >= 0 { _ = bindery_thread_pin(processor) }
        let byteCount = memory.byteCount
        let zeros = [UInt8](repeating: 0, count: Int(byteCount))
        let ones = [UInt8](repeating: 1, count: Int(byteCount))
        let interval = rate.map { Duration.seconds(1) / $0 }
        var done = Work()
        let (start, processorStart) = (ContinuousClock.now, bindery_thread_processor_seconds())
        var next = start
        while !isEnding.load(ordering: .acquiring) {
          if activity == .none {
            Thread.sleep(forTimeInterval: 0.01)
            continue
          }
          // None can fail on a plain memory of this size.
          try? memory.write(ones, address: 0)
          if activity == .zero {
            try? memory.write(zeros, address: 0)
          } else {
            _ = try? memory.discard(address: 0, byteCount: byteCount)
          }
          done.count += 1
          if let interval {
            next = next.advanced(by: interval)
            let left = (next - ContinuousClock.now) / .seconds(1)
            if left > 0 { Thread.sleep(forTimeInterval: left) } else { next = ContinuousClock.now }
          }
        }
        done.seconds = (ContinuousClock.now - start) / .seconds(1)
        done.processorSeconds = bindery_thread_processor_seconds() - processorStart
        work.withLock { [done] in $0 = done }
        ended.signal()
      }.start()
    }

    func end() -> Work {
      isEnding.store(true, ordering: .releasing)
      ended.wait()
      return work.withLock { $0 }
    }
  }
}

private struct PassTime {
  var seconds: Double
  var processorSeconds: Double
}

/// A guest whose passes are timed.
private protocol NeighbourPasses {
  /// What a pass reads; nil where that says nothing.
  var byteCount: UInt64? { get }
  /// Runs passes for about so long. Returns the times of each.
  func run(seconds: Double) throws -> [PassTime]
}

extension NeighbourPasses {
  fileprivate func time(seconds limit: Double, _ pass: () throws -> Void) throws -> [PassTime] {
    let start = ContinuousClock.now
    var (last, lastProcessor, times) = (start, bindery_thread_processor_seconds(), [PassTime]())
    while (last - start) / .seconds(1) < limit {
      try pass()
      let (now, nowProcessor) = (ContinuousClock.now, bindery_thread_processor_seconds())
      times.append(PassTime(seconds: (now - last) / .seconds(1), processorSeconds: nowProcessor - lastProcessor))
      (last, lastProcessor) = (now, nowProcessor)
    }
    return times
  }
}

private struct StreamingPasses: NeighbourPasses {
  let guest: WeightGuest
  var byteCount: UInt64? { guest.byteCount }

  init(path: String) throws { guest = try WeightGuest(WeightGuest.Program(.map), path: path) }

  func run(seconds: Double) throws -> [PassTime] { try time(seconds: seconds) { try guest.pass() } }
}

private final class DecodePasses: NeighbourPasses {
  let session: Session
  let byteCount: UInt64?
  private var passSeconds = 0.01

  init(model path: String) throws {
    var options = HostOptions()
    options.threadCount = 1
    options.scratchDiscard = .manual
    let model = try Host(options: options).openModel(at: path)
    session = try model.makeSession()
    byteCount = model.weightByteCounts.mapped
  }

  func run(seconds: Double) throws -> [PassTime] {
    let count = max(Int(seconds / passSeconds), 3)
    // Asked for the time before and after each pass.
    var processorTimes: [Double] = []
    let series = try session.measureSeries(
      rowCount: 1, contextCount: min(100, session.contextLength - 2), discards: Array(repeating: false, count: count),
      now: {
        processorTimes.append(bindery_thread_processor_seconds())
        return Double(DispatchTime.now().uptimeNanoseconds) * 1e-9
      })
    passSeconds = median(series.map(\.seconds))
    return series.enumerated().map { index, pass in
      PassTime(seconds: pass.seconds, processorSeconds: processorTimes[2 * index + 1] - processorTimes[2 * index])
    }
  }
}

/// A ring through 1024 pages in random order.
private struct PagePasses: NeighbourPasses {
  private static let pageCount = 1024
  private static let stepCount = 1 << 15
  private let instance: Instance
  private let walk: Function
  var byteCount: UInt64? { nil }

  init() throws {
    let memory = try Memory(type: MemoryType(limits: Limits(minimum: 64, maximum: 64)))
    var random = SamplingGenerator(seed: 11)
    let pages = (0..<Self.pageCount).shuffled(using: &random)
    // Another line of each page, so that all words fit the first cache.
    func address(_ page: Int) -> UInt32 { UInt32(page * 4096 + page % 64 * 64) }
    for (page, next) in zip(pages, pages.dropFirst() + pages.prefix(1)) {
      try memory.write(elements: [address(next)], address: UInt64(address(page)))
    }
    let text = """
      (module
        (import "bench" "memory" (memory 64 64))
        (func (export "walk") (param $at i32) (param $count i32) (result i32)
          loop $next
            (local.set $at (i32.load (local.get $at)))
            (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1))))
          end
          local.get $at))
      """
    let engine = Engine()
    let module = try CompiledModule(engine: engine, bytes: try WebAssemblyText.binary(of: Array(text.utf8)))
    var imports = Imports()
    imports.define(module: "bench", name: "memory", .memory(memory))
    instance = try Instance(store: Store(engine: engine), module: module, imports: imports)
    guard let function = instance.function("walk") else { preconditionFailure("the guest above exports 'walk'") }
    walk = function
  }

  func run(seconds: Double) throws -> [PassTime] {
    try time(seconds: seconds) { _ = try walk(.i32(UInt32(0)), .i32(UInt32(Self.stepCount))) }
  }
}
