import ArgumentParser
import Benchmarking
import Foundation

struct BenchCopyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy", abstract: "Measures what it costs to get a file of weights to a guest: bound, read, copied, in chunks.",
    discussion: """
      Makes files of the given sizes (above --written-max sparse ones), loads them in every way in processes of their own, and prints \
      tables: one guest with the page cache warm and cold, many guests in one process, many processes. Needs room on disk.
      """)

  @Option(help: ArgumentHelp("Sizes of the file, e.g. 16MB,1GB.", valueName: "sizes"))
  var sizes = "16MB,128MB,1GB,8GB"

  @Option(help: ArgumentHelp("Files above this size are sparse.", valueName: "size"))
  var writtenMax = "1GB"

  @Option(help: ArgumentHelp("Size of the file that many guests and processes load.", valueName: "size"))
  var sharedSize = "64MB"

  @Option(help: ArgumentHelp("Which guests of one process are measured.", valueName: "n,n"))
  var guests = "1,2,10,100"

  @Option(help: "How many processes load the file at the same time.")
  var processes = 4

  @Option(help: ArgumentHelp("Where to make the files (default: the folder for temporary files).", valueName: "folder"))
  var directory: String?

  @OptionGroup var output: BenchOptions

  private func options() throws -> CopyBenchmark.Options {
    var options = CopyBenchmark.Options()
    options.sizes = try sizes.split(separator: ",").map { try Self.byteCount(String($0)) }.sorted()
    options.writtenByteCountMax = try Self.byteCount(writtenMax)
    options.sharedSize = try Self.byteCount(sharedSize)
    options.guests = try guests.split(separator: ",").map { text in
      guard let number = Int(text), (1...10_000).contains(number) else {
        throw ValidationError("--guests takes numbers between 1 and 10000 with commas between, found '\(text)'")
      }
      return number
    }.sorted()
    guard !options.sizes.isEmpty, !options.guests.isEmpty else { throw ValidationError("--sizes and --guests need at least one number") }
    guard (1...256).contains(processes) else { throw ValidationError("--processes must lie between 1 and 256, found \(processes)") }
    options.processCount = processes
    if let rounds = output.rounds { options.rounds = rounds }
    if let directory { options.folder = directory }
    options.workerArguments = ["bench", "copy-worker"]
    return options
  }

  /// 16MB, 1.5GB, 4096: powers of ten.
  private static func byteCount(_ text: String) throws -> Int {
    let units = ["KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12]
    let unit = units.first { text.uppercased().hasSuffix($0.key) }
    guard let number = Double(unit == nil ? text : String(text.dropLast(2))), number * (unit?.value ?? 1) >= 65536,
      number * (unit?.value ?? 1) <= 1e12
    else { throw ValidationError("'\(text)' is no size: expected 64KB to 1TB, e.g. 16MB or 1.5GB") }
    return Int(number * (unit?.value ?? 1))
  }

  func validate() throws { _ = try options() }

  func run() throws {
    let report = try output.measure { try CopyBenchmark(try options()) { standardError("bench copy: \($0)\n") }.run() }
    try output.give(report, markdown: report.markdown, picture: report.svg)
  }
}

/// What `bench copy` starts for each measurement.
struct BenchCopyWorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy-worker", abstract: "One measurement of bench copy.", shouldDisplay: false)

  @Argument var request: String

  func run() throws {
    do { try CopyWorker.run(request) } catch { throw CommandFailure("\(error)") }
  }
}
