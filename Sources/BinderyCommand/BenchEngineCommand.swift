import ArgumentParser
import Benchmarking
import Foundation

struct BenchEngineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engine", abstract: "Measures the interpreter beside native code of the same C source.",
    discussion: """
      CoreMark-like integer work, calls, float and SIMD products, blocks of quantised weights, memory-bound loops. Native code \
      and the interpreter take turns within a round; the sums they find must agree, or the command fails.
      """)

  @Option(help: "Measure each this many times.")
  var rounds = 7

  @Flag(help: "Use the handlers that run on every machine, not the best ones of this machine.")
  var portable = false

  @Option(help: ArgumentHelp("Draw the ratios into this file.", valueName: "file.svg"))
  var svg: String?

  @Flag(help: "Print one JSON object instead of a table.")
  var json = false

  func validate() throws {
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must lie between 1 and 1000, found \(rounds)") }
  }

  func run() throws {
    var options = EngineBenchmark.Options()
    options.rounds = rounds
    options.usesPortableHandlers = portable
    let report: EngineBenchmark.Report
    do {
      report = try EngineBenchmark(options) { standardError("bench engine: \($0)\n") }.run()
    } catch { throw CommandFailure("the benchmark cannot go on: \(error)") }
    if !report.isOptimized { standardError("bench engine: built without optimisation: the times mean nothing\n") }
    try writeChart(report.svg, to: svg)
    if json { try printJSON(report) } else { standardOutput(report.markdown) }
  }
}
