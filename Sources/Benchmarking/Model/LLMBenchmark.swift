import Bindery
import Foundation

/// Prefill and decode of a model, with the names of llama-bench: `ppN` is the prefill of N tokens in one context, `tgN` the
/// decode of N tokens from an empty context, one a pass.
///
/// Every test is run once without being counted; then all tests of all configurations take turns, round by round, so that a busy
/// neighbour disturbs all of them.
public struct LLMBenchmark: Sendable {
  /// A way to run the model, and the model opened that way.
  public struct Configuration: Sendable {
    let kernels: KernelProvider
    let model: Model

    public init(kernels: KernelProvider, model: Model) {
      self.kernels = kernels
      self.model = model
    }

    var threads: Int { model.host.threadCount }
  }

  public struct Options: Sendable {
    /// Numbers of tokens.
    public var prefill: [Int] = [64, 512]
    public var decode: [Int] = [64]
    public var rounds = 5

    public init() {}
  }

  public struct Result: Codable, Sendable {
    public let test: String
    let kernels: String
    let threads: Int
    /// The median of the rounds, the slowest and the fastest of them.
    public let tokensPerSecond: Double
    let tokensPerSecondMin: Double
    let tokensPerSecondMax: Double
    let repetitions: Int
  }

  public struct Report: Codable, Sendable {
    /// As it was given.
    let model: String
    /// Of all weight tensors.
    let weightBytes: Int
    let parameterCount: Int
    /// Of the first configuration; each result says its own.
    let kernels: String
    let threads: Int
    let weights: String
    public let results: [Result]
  }

  let options: Options
  let progress: @Sendable (String) -> Void

  public init(_ options: Options, progress: @escaping @Sendable (String) -> Void) {
    self.options = options
    self.progress = progress
  }

  private struct Test {
    let name: String
    let tokenCount: Int
    let rowCount: Int
    let passCount: Int
  }

  private var tests: [Test] {
    options.prefill.map { Test(name: "pp\($0)", tokenCount: $0, rowCount: $0, passCount: 1) }
      + options.decode.map { Test(name: "tg\($0)", tokenCount: $0, rowCount: 1, passCount: $0) }
  }

  /// - Parameters:
  ///   - configurations: at least one, all of the same model.
  ///   - weights: how the weights were loaded, for the report.
  public func run(_ configurations: [Configuration], weights: WeightLoading) throws(BinderyError) -> Report {
    precondition(!configurations.isEmpty, "there is something to measure")
    var sessions: [Session] = []
    for configuration in configurations { sessions.append(try configuration.model.makeSession()) }
    var speeds = [[Double]](repeating: [], count: configurations.count * tests.count)
    for round in 0...options.rounds {
      progress(round == 0 ? "warming up" : "round \(round) of \(options.rounds)")
      for (index, session) in sessions.enumerated() {
        for (number, test) in tests.enumerated() {
          let seconds = try session.measurePass(rowCount: test.rowCount, passCount: test.passCount)
          if round > 0 { speeds[index * tests.count + number].append(Double(test.tokenCount) / seconds) }
        }
      }
    }
    var results: [Result] = []
    for (index, configuration) in configurations.enumerated() {
      for (number, test) in tests.enumerated() {
        let found = speeds[index * tests.count + number]
        results.append(
          Result(
            test: test.name, kernels: configuration.kernels.rawValue, threads: configuration.threads,
            tokensPerSecond: median(found), tokensPerSecondMin: found.min() ?? 0, tokensPerSecondMax: found.max() ?? 0,
            repetitions: found.count))
      }
    }
    let (first, size) = (configurations[0], configurations[0].model.tensorSize)
    return Report(
      model: first.model.path, weightBytes: size.byteCount, parameterCount: size.elementCount, kernels: first.kernels.rawValue,
      threads: first.threads, weights: weights.rawValue, results: results)
  }
}
