import ArgumentParser
import Benchmarking
import Foundation

struct BenchMemoryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory", abstract: "Measures what giving activations back to the system costs and brings, policy by policy.",
    discussion: """
      Runs one trace of short and long prompts under each policy, in processes of their own that take turns, and prints resident \
      memory, speeds and page faults; then what a thread that gives memory back costs a guest on another thread.
      """)

  @Argument(help: "A bundle folder (or its name), or a .gguf file.")
  var model: String

  @Option(help: "Requests of the trace.")
  var turns = 24

  @Option(help: "Threads that work on one tensor operation.")
  var threads = 1

  @Option(help: "Measure each this many times.")
  var rounds = 3

  @Option(help: ArgumentHelp("Draw resident memory over time into this file.", valueName: "file.svg"))
  var svg: String?

  @Flag(help: "Print one JSON object instead of tables.")
  var json = false

  func validate() throws {
    guard (1...100_000).contains(turns) else { throw ValidationError("--turns must lie between 1 and 100000, found \(turns)") }
    guard (1...256).contains(threads) else { throw ValidationError("--threads must lie between 1 and 256, found \(threads)") }
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must lie between 1 and 1000, found \(rounds)") }
  }

  func run() throws {
    var options = MemoryBenchmark.Options(model: ModelOptions.resolve(model))
    options.turnCount = turns
    options.threadCount = threads
    options.rounds = rounds
    options.workerArguments = ["bench", "memory-worker"]
    let report: MemoryBenchmark.Report
    do {
      report = try MemoryBenchmark(options) { standardError("bench memory: \($0)\n") }.run()
    } catch { throw CommandFailure("the benchmark cannot go on: \(error)") }
    try writeChart(report.svg, to: svg)
    if json { try printJSON(report) } else { standardOutput(report.markdown) }
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

/// Writes the picture of a benchmark, where one was asked for.
func writeChart(_ svg: String, to path: String?) throws(CommandFailure) {
  guard let path else { return }
  do { try Data(svg.utf8).write(to: URL(filePath: path)) } catch {
    throw CommandFailure("cannot write '\(path)': \(reason(error))")
  }
}
