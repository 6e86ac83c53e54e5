import Foundation
import Tensors
import TensorOperations
import WasmRuntime

/// Every tensor operation and weight type: time, traffic and arithmetic, as shares of what the machine can do; native kernels,
/// kernels in plain C, and kernels in the interpreter, which take turns.
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

  public struct Result: Codable, Sendable {
    public let operation: String
    /// The weight type, or empty.
    let type: String
    let shape: String
    /// Bytes that an operation has to move, and operations on floats that it has to do, at least.
    let bytes: Double
    let flops: Double
    /// By provider.
    public let nanoseconds: [String: Double]

    func gigabytesPerSecond(_ provider: String) -> Double? { nanoseconds[provider].map { bytes / $0 } }
    func gigaflopsPerSecond(_ provider: String) -> Double? { nanoseconds[provider].map { flops / $0 } }
  }

  public struct Report: Codable, Sendable {
    /// GB/s of a sum over 256 MB by one thread; GFLOP/s of a large f32 product (OpenBLAS, if the build has it).
    let bandwidth: Double
    let peak: Double
    let kernels: String
    let threads: Int
    public let results: [Result]
  }

  let options: Options
  let progress: @Sendable (String) -> Void

  public init(_ options: Options, progress: @escaping @Sendable (String) -> Void) {
    self.options = options
    self.progress = progress
  }

  public func run() throws -> Report {
    let stage = try KernelStage(byteCount: 1 << 29, threadCount: options.threadCount)
    var results: [Result] = []
    for entry in KernelCase.all where options.filter.isEmpty || (entry.operation + " " + entry.type).contains(options.filter) {
      progress("\(entry.operation) \(entry.type) \(entry.shape)")
      results.append(try measure(entry, stage))
    }
    stage.reset()
    let product = KernelCase.matmul(.f32, rows: 512, columnsIn: 1024, columnsOut: 1024)
    let nanoseconds = try time(stage.call(product.operation, .native, try product.arguments(stage)))
    return Report(
      bandwidth: Self.bandwidth(), peak: product.flops / nanoseconds, kernels: NativeKernels.description, threads: options.threadCount,
      results: results)
  }

  private func measure(_ entry: KernelCase, _ stage: KernelStage) throws -> Result {
    stage.reset()
    let arguments = try entry.arguments(stage)
    let calls = try KernelStage.Provider.allCases.map { ($0.rawValue, try stage.call(entry.operation, $0, arguments)) }
    var measured: [String: [Double]] = [:]
    for _ in 0..<options.rounds {
      for (provider, call) in calls { measured[provider, default: []].append(try time(call)) }
    }
    return Result(
      operation: entry.operation, type: entry.type, shape: entry.shape, bytes: entry.bytes, flops: entry.flops,
      nanoseconds: measured.mapValues(median))
  }

  /// Nanoseconds of a call: the mean of as many as fill the time, after one that does not count.
  private func time(_ call: () throws -> Void) throws -> Double {
    let (once, _) = try Benchmarking.seconds(call)
    let count = max(1, Int(options.seconds / max(once, 1e-9)))
    let (all, _) = try Benchmarking.seconds { for _ in 0..<count { try call() } }
    return all / Double(count) * 1e9
  }

  /// GB/s of adding up 256 MB, the best of five: what a stream of weights can be read at.
  private static func bandwidth() -> Double {
    let vectors = [SIMD16<UInt32>](repeating: .one, count: 1 << 22)
    var best = Double.infinity
    for _ in 0..<5 {
      let (time, sum) = Benchmarking.seconds {
        var (a, b, c, d) = (SIMD16<UInt32>(), SIMD16<UInt32>(), SIMD16<UInt32>(), SIMD16<UInt32>())
        for index in stride(from: 0, to: vectors.count, by: 4) {
          a &+= vectors[index]
          b &+= vectors[index + 1]
          c &+= vectors[index + 2]
          d &+= vectors[index + 3]
        }
        return a &+ b &+ c &+ d
      }
      precondition(sum[0] == 1 << 22, "ones add up to their number")
      best = min(best, time)
    }
    return Double(vectors.count * 64) / best / 1e9
  }
}
