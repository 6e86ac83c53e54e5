import ArgumentParser
import BinaryReading
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

  /// A folder that is not there must not cost minutes of measuring first.
  /// - Parameter picture: a second one that is going to be written.
  func checkPictures(_ picture: String? = nil) throws(CommandFailure) {
    for path in [svg, picture].compactMap({ $0 }) {
      let folder = URL(filePath: path).deletingLastPathComponent().path
      guard FileManager.default.isWritableFile(atPath: folder) else {
        throw CommandFailure("cannot write '\(path)': there is no folder '\(folder)' that this user may write to")
      }
    }
  }

  /// Runs a benchmark; what stops it becomes the sentence that the user sees.
  func measure<Report>(picture: String? = nil, _ body: () throws -> Report) throws(CommandFailure) -> Report {
    try checkPictures(picture)
    do { return try body() } catch { throw CommandFailure("the benchmark cannot go on: \(error)") }
  }

  /// Prints tables or JSON, and writes the picture where one was asked for: in this order, so that nothing measured is lost.
  func give(_ report: some Encodable, markdown: String, picture: String) throws {
    if json { try printJSON(report) } else { try standardOutput(markdown.escapedForTerminal(keepingLines: true)) }
    if let svg { try write(picture, to: svg) }
  }

  func write(_ picture: String, to path: String) throws(CommandFailure) {
    try writeFile(Array(picture.utf8), to: path)
  }
}
