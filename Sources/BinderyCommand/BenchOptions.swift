import ArgumentParser
import Foundation

/// What every benchmark that draws a picture has.
struct BenchOptions: ParsableArguments {
  @Option(help: "Measure each this many times (default: what the benchmark needs for steady medians).")
  var rounds: Int?

  @Option(help: ArgumentHelp("Draw the result into this file.", valueName: "file.svg"))
  var svg: String?

  @Flag(help: "Print one JSON object instead of tables.")
  var json = false

  func validate() throws {
    if let rounds, !(1...1000).contains(rounds) {
      throw ValidationError("--rounds must lie between 1 and 1000, found \(rounds)")
    }
  }

  /// Runs a benchmark; what stops it becomes the sentence that the user sees.
  func measure<Report>(_ body: () throws -> Report) throws(CommandFailure) -> Report {
    do { return try body() } catch { throw CommandFailure("the benchmark cannot go on: \(error)") }
  }

  /// Writes the picture where one was asked for, and prints tables or JSON.
  func give(_ report: some Encodable, markdown: String, picture: String) throws {
    if let svg { try write(picture, to: svg) }
    if json { try printJSON(report) } else { standardOutput(markdown) }
  }

  func write(_ picture: String, to path: String) throws(CommandFailure) {
    do { try Data(picture.utf8).write(to: URL(filePath: path)) } catch { throw CommandFailure("cannot write '\(path)': \(reason(error))") }
  }
}
