import ArgumentParser
import Benchmarking
import Foundation

struct BenchKernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels",
    abstract: "Measures every tensor operation and weight type: native, in plain C, by OpenBLAS, and in the interpreter.",
    discussion: """
      Times are the best of each round, medians of the rounds, in which the providers take turns. The decode products (one row) \
      take their weights from memory, everything else is warm in a cache. Shares are of what a plain loop reaches that moves as \
      many bytes, and of the same arithmetic in registers, on as many threads. The first table says what that is on this machine.
      """)

  @Option(help: ArgumentHelp("Only operations whose name and type contain this, e.g. 'matmul q8'.", valueName: "text"))
  var filter = ""

  @Option(help: "Threads that work on one tensor operation.")
  var threads = 1

  @OptionGroup var output: BenchOptions

  func validate() throws {
    guard (1...256).contains(threads) else { throw ValidationError("--threads must lie between 1 and 256, found \(threads)") }
  }

  func run() throws {
    var options = KernelBenchmark.Options()
    options.threadCount = threads
    if let rounds = output.rounds { options.rounds = rounds }
    options.filter = filter
    let report = try output.measure { try KernelBenchmark(options) { standardError("bench kernels: \($0)\n") }.run() }
    guard !report.results.isEmpty else {
      throw CommandFailure("no operation contains '\(filter)': expected a part of a name and type such as 'matmul Q8_0'")
    }
    try output.give(report, markdown: report.markdown, picture: report.svg)
  }
}
