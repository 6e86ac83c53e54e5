import ArgumentParser
import Benchmarking
import Bindery

struct BenchLLMCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "llm", abstract: "Measures prefill and decode of a model, with the names of llama-bench.",
    discussion: """
      ppN: prefill of N tokens in one context. tgN: decode of N tokens, one a turn, from position 0. Medians of rounds in which \
      all tests take turns, after one run that does not count. Several kernels and thread counts are compared in one run: \
      --kernels native,wasm --threads 1,2.
      """)

  @Argument(help: "A bundle folder (or its name), or a .gguf file.")
  var model: String

  @Option(help: ArgumentHelp("Prefill lengths.", valueName: "n,n"))
  var prefill = "64,512"

  @Option(help: ArgumentHelp("Decode lengths.", valueName: "n,n"))
  var decode = "64"

  @Option(help: "The same as --rounds.")
  var repetitions: Int?

  @Option(help: ArgumentHelp("Threads that work on one tensor operation (default: the cores, at most 8).", valueName: "n,n"))
  var threads: String?

  @Option(help: ArgumentHelp("Who executes tensor operations: native, wasm, or both with a comma.", valueName: "kernels"))
  var kernels = KernelProvider.native.rawValue

  @OptionGroup var loading: LoadingOptions
  @OptionGroup var output: BenchOptions

  func validate() throws {
    if let repetitions, !(1...1000).contains(repetitions) {
      throw ValidationError("--repetitions must lie between 1 and 1000, found \(repetitions)")
    }
    if repetitions != nil, output.rounds != nil {
      throw ValidationError("--repetitions and --rounds say the same: give one of them")
    }
    for list in [prefill, decode] where Self.lengths(list) == nil {
      throw ValidationError("'\(list)' is no list of lengths: expected numbers above 0 with commas between")
    }
    if Self.lengths(prefill) == [], Self.lengths(decode) == [] {
      throw ValidationError("nothing to measure: give lengths with --prefill or --decode")
    }
    if let threads, Self.threadCounts(threads) == nil {
      throw ValidationError("--threads must be numbers between 1 and 256 with commas between, found '\(threads)'")
    }
    if Self.providers(kernels) == nil {
      throw ValidationError("--kernels must be native, wasm or native,wasm, found '\(kernels)'")
    }
  }

  private static func lengths(_ list: String) -> [Int]? {
    list.isEmpty || list == "0" ? [] : values(list) { Int($0).flatMap { $0 > 0 ? $0 : nil } }
  }
  private static func threadCounts(_ list: String) -> [Int]? {
    values(list) { Int($0).flatMap { (1...256).contains($0) ? $0 : nil } }
  }
  private static func providers(_ list: String) -> [KernelProvider]? { values(list) { KernelProvider(rawValue: $0) } }

  /// The parts of a list, each once; nil if one of them is none, or there are none.
  private static func values<Value: Equatable>(_ list: String, _ parse: (String) -> Value?) -> [Value]? {
    var found: [Value] = []
    for part in list.split(separator: ",", omittingEmptySubsequences: false) {
      guard let value = parse(String(part)) else { return nil }
      if !found.contains(value) { found.append(value) }
    }
    return found
  }

  func run() throws {
    try output.checkPictures()
    var options = LLMBenchmark.Options()
    options.prefill = Self.lengths(prefill) ?? []
    options.decode = Self.lengths(decode) ?? []
    if let rounds = repetitions ?? output.rounds { options.rounds = rounds }
    let threadCounts: [Int?] = threads.flatMap(Self.threadCounts) ?? [nil]
    var configurations: [LLMBenchmark.Configuration] = []
    for provider in Self.providers(kernels) ?? [] {
      for threadCount in threadCounts {
        let host = try loading.makeHost(threads: threadCount, kernels: provider)
        configurations.append(.init(kernels: provider, model: try loading.open(model, host: host)))
      }
    }
    let benchmark = LLMBenchmark(options) { standardError("bench llm: \($0)\n") }
    let report = try failing { () throws(BinderyError) in try benchmark.run(configurations, weights: loading.weights) }
    try output.give(report, markdown: report.markdown, picture: report.svg)
  }
}
