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

  @Option(help: "Measure each this many times.")
  var rounds = 3

  @Option(help: ArgumentHelp("Draw the products of a decode step into this file.", valueName: "file.svg"))
  var svg: String?

  @Flag(help: "Print one JSON object instead of a table.")
  var json = false

  func validate() throws {
    guard (1...256).contains(threads) else { throw ValidationError("--threads must lie between 1 and 256, found \(threads)") }
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must lie between 1 and 1000, found \(rounds)") }
  }

  func run() throws {
    var options = KernelBenchmark.Options()
    options.threadCount = threads
    options.rounds = rounds
    options.filter = filter
    let report: KernelBenchmark.Report
    do {
      report = try KernelBenchmark(options) { standardError("bench kernels: \($0)\n") }.run()
    } catch { throw CommandFailure("the benchmark cannot go on: \(error)") }
    guard !report.results.isEmpty else {
      throw CommandFailure("no operation contains '\(filter)': expected a part of a name and type such as 'matmul Q8_0'")
    }
    try writeChart(report.svg, to: svg)
    if json { try printJSON(report) } else { standardOutput(report.markdown) }
  }
}
