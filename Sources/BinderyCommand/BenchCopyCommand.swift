import ArgumentParser
import Benchmarking
import Foundation

struct BenchCopyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy", abstract: "Measures what it costs to get a file of weights to a guest, and to use it there: bound, read, copied, in chunks.",
    discussion: """
      Makes files of the given sizes (above --written-max sparse ones), loads them in every way in processes of their own, and prints \
      tables: one guest with the page cache warm and cold, many guests in one process, many processes. Then the same weights in pages \
      of every kind (of a file, anonymous, 4 KiB, 2 MiB): page faults, speed of kernels, time of random loads. Needs room on disk. \
      --svg draws the time to ready over the size of the file.
      """)

  @Option(help: ArgumentHelp("Sizes of the file, e.g. 16MB,1GB.", valueName: "sizes"))
  var sizes = "16MB,128MB,1GB,8GB"

  @Option(help: ArgumentHelp("Files above this size are sparse, and measured once.", valueName: "size"))
  var writtenMax = "1GB"

  @Option(help: ArgumentHelp("Size of the file that many guests and processes load.", valueName: "size"))
  var sharedSize = "64MB"

  @Option(help: ArgumentHelp("Which guests of one process are measured.", valueName: "n,n"))
  var guests = "1,2,10,100"

  @Option(help: ArgumentHelp("How many processes hold the file at the same time.", valueName: "n,n"))
  var processes = "1,2,4,8"

  @Option(help: ArgumentHelp("Size of the weights that are held in pages of every kind.", valueName: "size"))
  var pagesSize = "512MiB"

  @Option(help: ArgumentHelp("What to measure: sizes, guests, processes, pages.", valueName: "part,part"))
  var parts = "sizes,guests,processes,pages"

  @Option(help: ArgumentHelp("Draw the speed of a product by kind of pages into this file.", valueName: "file.svg"))
  var pagesSvg: String?

  @Option(help: ArgumentHelp("Where to make the files (default: the folder for temporary files).", valueName: "folder"))
  var directory: String?

  @OptionGroup var output: BenchOptions

  private func options() throws -> CopyBenchmark.Options {
    var options = CopyBenchmark.Options()
    options.sizes = try sizes.split(separator: ",").map { try Self.byteCount(String($0)) }.sorted()
    options.writtenByteCountMax = try Self.byteCount(writtenMax)
    options.sharedSize = try Self.byteCount(sharedSize)
    options.guests = try Self.numbers(guests, "--guests", max: 10_000)
    options.processCounts = try Self.numbers(processes, "--processes", max: 256)
    guard !options.sizes.isEmpty else { throw ValidationError("--sizes needs at least one size") }
    options.pageFileByteCount = try Self.byteCount(pagesSize)
    options.parts = Set(
      try parts.split(separator: ",").map { text in
        guard let part = CopyBenchmark.Part(rawValue: String(text)) else {
          let all = CopyBenchmark.Part.allCases.map(\.rawValue).joined(separator: ", ")
          throw ValidationError("--parts takes names from \(all) with commas between, found '\(text)'")
        }
        return part
      })
    guard !options.parts.isEmpty else { throw ValidationError("--parts needs at least one name") }
    if pagesSvg != nil, !options.parts.contains(.pages) { throw ValidationError("--pages-svg draws what --parts leaves out") }
    if output.svg != nil, !options.parts.contains(.sizes) { throw ValidationError("--svg draws what --parts leaves out: sizes") }
    if let rounds = output.rounds { options.rounds = rounds }
    if let directory { options.folder = directory }
    options.workerArguments = ["bench", "copy-worker"]
    return options
  }

  private static func numbers(_ list: String, _ option: String, max: Int) throws -> [Int] {
    let numbers = try list.split(separator: ",").map { text in
      guard let number = Int(text), (1...max).contains(number) else {
        throw ValidationError("\(option) takes numbers between 1 and \(max) with commas between, found '\(text)'")
      }
      return number
    }
    guard !numbers.isEmpty else { throw ValidationError("\(option) needs at least one number") }
    return Set(numbers).sorted()
  }

  /// 16MB, 1.5GB, 4096: powers of ten; 512MiB: powers of two.
  private static func byteCount(_ text: String) throws -> Int {
    let units = ["KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 0x1p10, "MIB": 0x1p20, "GIB": 0x1p30]
    let unit = units.first { text.uppercased().hasSuffix($0.key) }
    guard let number = Double(text.dropLast(unit?.key.count ?? 0)), number * (unit?.value ?? 1) >= 65536,
      number * (unit?.value ?? 1) <= 1e12
    else { throw ValidationError("'\(text)' is no size: expected 64KB to 1TB, e.g. 16MB, 1.5GB or 512MiB") }
    return Int(number * (unit?.value ?? 1))
  }

  func validate() throws { _ = try options() }

  func run() throws {
    let report = try output.measure(picture: pagesSvg) { try CopyBenchmark(try options()) { standardError("bench copy: \($0)\n") }.run() }
    try output.give(report, markdown: report.markdown, picture: report.svg)
    if let pagesSvg, let pages = report.pages { try output.write(pages.svg, to: pagesSvg) }
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
