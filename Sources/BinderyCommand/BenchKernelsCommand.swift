import ArgumentParser
import Benchmarking
import Foundation

struct BenchKernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "Measures every tensor operation and weight type: native, in plain C, and in the interpreter.",
    discussion: """
      Times are means of calls on warm operands, medians over rounds in which the providers take turns. Shares are of a plain sum \
      over 256 MB, and of a large f32 product.
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
