import ArgumentParser
import Benchmarking
import Foundation

struct BenchMemoryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory", abstract: "Measures what giving activations back to the system costs and brings, policy by policy.",
    discussion: """
      Times passes with and without a discard before them, in pairs. Runs one trace of short and long prompts in four sessions \
      under each policy, in processes of their own that take turns, and prints resident memory, speeds and page faults. Then what \
      a thread that gives memory back costs a guest on another thread.
      """)

  @Argument(help: "A bundle folder (or its name), or a .gguf file.")
  var model: String

  @Option(help: "Requests of the trace.")
  var turns = 24

  @Option(
    help: ArgumentHelp("How long a neighbour is measured at a time; passes of one size forty times that.", valueName: "seconds"))
  var sample = 0.18

  @Option(help: "Threads that work on one tensor operation.")
  var threads = 1

  @OptionGroup var output: BenchOptions

  func validate() throws {
    guard (1...100_000).contains(turns) else { throw ValidationError("--turns must lie between 1 and 100000, found \(turns)") }
    guard (0.001...60).contains(sample) else {
      throw ValidationError("--sample must lie between 0.001 and 60 seconds, found \(sample)")
    }
    guard (1...256).contains(threads) else { throw ValidationError("--threads must lie between 1 and 256, found \(threads)") }
  }

  func run() throws {
    var options = MemoryBenchmark.Options(model: ModelOptions.resolve(model))
    options.turnCount = turns
    options.threadCount = threads
    options.sampleSeconds = sample
    if let rounds = output.rounds { options.rounds = rounds }
    options.workerArguments = ["bench", "memory-worker"]
    let report = try output.measure { try MemoryBenchmark(options) { standardError("bench memory: \($0)\n") }.run() }
    try output.give(report, markdown: report.markdown, picture: report.svg)
  }
}

/// What `bench memory` starts for each measurement.
struct BenchMemoryWorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory-worker", abstract: "One measurement of bench memory.", shouldDisplay: false)

  @Argument var request: String

  func run() throws {
    do { try MemoryWorker.run(request) } catch { throw CommandFailure("\(error)") }
  }
}
