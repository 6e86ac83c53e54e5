import Foundation
import TensorOperations
import Tensors
import WasmRuntime

/// Every tensor operation and weight type: time, traffic and arithmetic, as shares of what plain loops and arithmetic in
/// registers reach on this machine; native kernels, kernels in plain C, kernels in the interpreter, and OpenBLAS, in turns.
public struct KernelBenchmark: Sendable {
  public struct Options: Sendable {
    public var threadCount = 1
    public var rounds = 3
    /// Seconds of each measurement.
    public var seconds = 0.05
    /// Only operations whose name and type contain this text.
    public var filter = ""

    public init() {}
  }

  /// One operation at one shape. Times are the best of each round, medians over the rounds; dictionaries are by provider.
  public struct Result: Codable, Sendable {
    public let operation: String
    /// The weight type, or empty.
    let type: String
    let shape: String
    /// Bytes that an operation has to move, and operations on numbers that it has to do, at least.
    let bytes: Double
    let flops: Double
    public let nanoseconds: [String: Double]
    let gigabytesPerSecond: [String: Double]
    /// Operations that have no arithmetic to speak of have none here.
    let gigaflopsPerSecond: [String: Double]
    /// Where the operands are: a level of cache, or memory.
    let operandsIn: String
    /// What the plain loop does with as many bytes, and how fast it is.
    let loop: String
    let loopGigabytesPerSecond: Double
    /// Of the native kernel: its GB/s to the loop's.
    let shareOfLoop: Double
    /// What the operation computes with, and how fast that is in registers.
    let arithmetic: String
    let peakGigaflopsPerSecond: Double
    /// Of the native kernel: its GFLOP/s to the peak's.
    let shareOfPeak: Double
  }

  /// How fast bytes are read that lie in so many.
  public struct Read: Codable, Sendable {
    let bytes: Int
    /// The smallest cache that would hold them if it were this process's alone, or `memory`.
    let level: String
    let gigabytesPerSecond: Double
    /// The order of reading that was fastest, in the last round.
    let streams: Int
    let ahead: Int
  }

  public struct Report: Codable, Sendable {
    /// GB/s of reads from memory (beside the products from memory, if there are any).
    let bandwidth: Double
    /// GFLOP/s of f32 multiply-adds and of 8-bit integer dot products in registers, beside the operations.
    let peak: Double
    let integerPeak: Double
    let integerInstruction: String
    let kernels: String
    let openblasCore: String?
    let threads: Int
    let rounds: Int
    /// Bytes that weights from memory are taken from in turn.
    let ringBytes: Int
    let reads: [Read]
    public let results: [Result]
  }

  let options: Options
  let progress: @Sendable (String) -> Void

  public init(_ options: Options, progress: @escaping @Sendable (String) -> Void) {
    self.options = options
    self.progress = progress
  }

  public func run() throws -> Report {
    let entries = KernelCase.all.filter { options.filter.isEmpty || ($0.operation + " " + $0.type).contains(options.filter) }
    let workers = WorkerPool(threadCount: options.threadCount)
    let stage = try KernelStage(ringByteCount: KernelCeiling.ringByteCount(CacheSizes()), workers: workers)
    let ceiling = KernelCeiling(workers: workers)
    var results: [Result] = []
    for entry in entries {
      progress("\(entry.operation) \(entry.type) \(entry.shape)")
      results.append(try measure(entry, stage, ceiling))
    }
    if entries.isEmpty { return report([], [], ceiling, stage) }
    progress("the machine")
    stage.reset()
    let ring = try stage.weight(.f32, rows: stage.ringByteCount / 8192, columns: 2048)
    let reads = try ceiling.reads(stage, ring: ring, rounds: options.rounds)
    return report(results, reads, ceiling, stage)
  }

  private func report(_ results: [Result], _ reads: [Read], _ ceiling: KernelCeiling, _ stage: KernelStage) -> Report {
    /// As it was beside the operations, all along.
    func peak(_ arithmetic: KernelCase.Arithmetic) -> Double {
      let found = results.filter { $0.arithmetic == arithmetic.rawValue }.map(\.peakGigaflopsPerSecond)
      return found.isEmpty ? ceiling.peak(arithmetic) : median(found)
    }
    let fromMemory = results.filter { $0.operandsIn == "memory" }.map(\.loopGigabytesPerSecond)
    return Report(
      bandwidth: fromMemory.isEmpty ? reads.last?.gigabytesPerSecond ?? 0 : median(fromMemory), peak: peak(.float),
      integerPeak: peak(.integer), integerInstruction: MachineProbe.integerInstruction,
      kernels: NativeKernels.description, openblasCore: NativeKernels.openBLASCore, threads: options.threadCount,
      rounds: options.rounds, ringBytes: stage.ringByteCount, reads: reads, results: results)
  }

  private func measure(_ entry: KernelCase, _ stage: KernelStage, _ ceiling: KernelCeiling) throws -> Result {
    stage.reset()
    let arguments = try entry.arguments(stage)
    let position = KernelStage.RingPosition()
    var calls = try KernelStage.Provider.all.map { ($0, try stage.call(entry, $0, arguments, position: position)) }
    if let product = entry.product,
      let dense = stage.denseCall(product, isFromMemory: entry.ring != nil, position: position)
    {
      calls.append((.openBLAS, dense))
    }
    var times: [String: [Double]] = [:]
    var (loops, peaks): ([Double], [Double]) = ([], [])
    for _ in 0..<options.rounds {
      for (provider, call) in calls {
        times[provider.rawValue, default: []].append(try time(call))
        // Beside what is given as a share of them.
        guard provider == .native else { continue }
        loops.append(try ceiling.loop(entry, arguments, stage, position))
        if entry.ring == nil {
          // The loop has overwritten operands: the same ones at the same addresses again.
          stage.reset()
          _ = try entry.arguments(stage)
        }
        peaks.append(ceiling.peak(entry.arithmetic))
      }
    }
    let nanoseconds = times.mapValues(median)
    let (native, loop, peak) = (nanoseconds["native"] ?? .infinity, median(loops), median(peaks))
    return Result(
      operation: entry.operation, type: entry.type, shape: entry.shape, bytes: entry.bytes, flops: entry.flops,
      nanoseconds: nanoseconds, gigabytesPerSecond: speeds(nanoseconds, entry),
      gigaflopsPerSecond: entry.flops > 0 ? nanoseconds.mapValues { entry.flops / $0 } : [:],
      operandsIn: ceiling.level(of: entry), loop: entry.traffic.rawValue, loopGigabytesPerSecond: loop,
      shareOfLoop: entry.bytes / native / loop, arithmetic: entry.arithmetic.rawValue, peakGigaflopsPerSecond: peak,
      shareOfPeak: entry.flops / native / peak)
  }

  /// OpenBLAS reads weights of four bytes each.
  private func speeds(_ nanoseconds: [String: Double], _ entry: KernelCase) -> [String: Double] {
    var speeds = nanoseconds.mapValues { entry.bytes / $0 }
    if let product = entry.product, let time = nanoseconds[KernelStage.Provider.openBLAS.rawValue] {
      let elements = product.columnsIn * product.columnsOut + product.rows * (product.columnsIn + product.columnsOut)
      speeds[KernelStage.Provider.openBLAS.rawValue] = Double(4 * elements) / time
    }
    return speeds
  }

  /// Nanoseconds of a call: the best mean of batches of calls, as the loops beside it are the best of several; a call that takes
  /// long is a batch of its own.
  private func time(_ call: () throws -> Void) throws -> Double {
    var (best, _) = try Benchmarking.seconds(call)
    if best > 4 * options.seconds { return best * 1e9 }
    let (once, batches) = (max(best, 1e-9), 10.0)
    let count = max(1, Int(options.seconds / batches / once))
    for _ in 0..<max(1, Int(options.seconds / once) / count) {
      let (all, _) = try Benchmarking.seconds { for _ in 0..<count { try call() } }
      best = min(best, all / Double(count))
    }
    return best * 1e9
  }
}
