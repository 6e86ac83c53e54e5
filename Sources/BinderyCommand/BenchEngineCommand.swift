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

  @Flag(help: "Use the handlers that run on every machine, not the best ones of this machine.")
  var portable = false

  @OptionGroup var output: BenchOptions

  func run() throws {
    var options = EngineBenchmark.Options()
    if let rounds = output.rounds { options.rounds = rounds }
    options.usesPortableHandlers = portable
    let report = try output.measure { try EngineBenchmark(options) { standardError("bench engine: \($0)\n") }.run() }
    if !report.isOptimized { standardError("bench engine: built without optimisation: the times mean nothing\n") }
    try output.give(report, markdown: report.markdown, picture: report.svg)
  }
}
