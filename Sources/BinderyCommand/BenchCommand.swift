import ArgumentParser
import Bindery
import Foundation

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures.", 
    subcommands: [BenchCopyCommand.self, BenchCopyWorkerCommand.self, BenchKernelsCommand.self, BenchMemoryCommand.self,
      BenchMemoryWorkerCommand.self, BenchEngineCommand.self, BenchLLMCommand.self])
}

struct BenchLLMCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "llm", abstract: "Measures prefill and decode of a model, with the names of llama-bench.",
    discussion:
      "ppN: prefill of N tokens in one context. tgN: decode of N tokens, one a turn, from position 0. Medians."
  )

  @Argument(help: "A bundle folder (or its name), or a .gguf file.")
  var model: String

  @Option(help: ArgumentHelp("Prefill lengths.", valueName: "n,n"))
  var prefill = "64,512"

  @Option(help: ArgumentHelp("Decode lengths.", valueName: "n,n"))
  var decode = "64"

  @Option(help: "Measure each this many times, after one run that does not count.")
  var repetitions = 5

  @Flag(help: "Print one JSON object instead of a table.")
  var json = false

  @OptionGroup var options: ModelOptions

  struct Output: Encodable {
    struct Result: Encodable {
      let test: String
      let tokensPerSecond: Double
      let tokensPerSecondMin: Double
      let tokensPerSecondMax: Double
      let repetitions: Int
    }
    let model: String
    let kernels: String
    let weights: String
    let threads: Int
    let results: [Result]
  }

  func validate() throws {
    if repetitions < 1 { throw ValidationError("--repetitions must be at least 1, found \(repetitions)") }
    for list in [prefill, decode] where Self.lengths(list) == nil {
      throw ValidationError("'\(list)' is no list of lengths: expected numbers above 0 with commas between")
    }
  }

  private static func lengths(_ list: String) -> [Int]? {
    if list.isEmpty || list == "0" { return [] }
    let numbers = list.split(separator: ",").map { Int($0) }
    return numbers.allSatisfy { ($0 ?? 0) > 0 } ? numbers.compactMap { $0 } : nil
  }

  func run() throws {
    let host = try options.makeHost()
    let model = try options.open(model, host: host)
    let session = try failing { () throws(BinderyError) in try model.makeSession() }
    var results: [Output.Result] = []
    for length in Self.lengths(prefill) ?? [] {
      results.append(try measure("pp\(length)", length) { () throws(BinderyError) in try session.measurePass(rowCount: length) })
    }
    for length in Self.lengths(decode) ?? [] {
      results.append(
        try measure("tg\(length)", length) { () throws(BinderyError) in try session.measurePass(rowCount: 1, passCount: length) })
    }
    let output = Output(
      model: self.model, kernels: options.kernels.rawValue, weights: options.weights.rawValue, threads: host.threadCount,
      results: results)
    if json { return try printJSON(output) }
    print("| model | kernels | weights | threads | test | t/s | min | max |")
    print("|---|---|---|--:|--:|--:|--:|--:|")
    for result in results {
      let numbers = [result.tokensPerSecond, result.tokensPerSecondMin, result.tokensPerSecondMax]
      let cells = numbers.map { String(format: "%.1f", $0) }.joined(separator: " | ")
      print("| \(output.model) | \(output.kernels) | \(output.weights) | \(output.threads) | \(result.test) | \(cells) |")
    }
  }

  private func measure(
    _ name: String, _ tokenCount: Int, _ body: () throws(BinderyError) -> Double
  ) throws(CommandFailure) -> Output.Result {
    _ = try failing(body)
    var speeds: [Double] = []
    for _ in 0..<repetitions { speeds.append(Double(tokenCount) / (try failing(body))) }
    speeds.sort()
    return Output.Result(
      test: name, tokensPerSecond: speeds[speeds.count / 2], tokensPerSecondMin: speeds[0],
      tokensPerSecondMax: speeds[speeds.count - 1], repetitions: repetitions)
  }
}
