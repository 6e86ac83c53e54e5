import ArgumentParser
import BinaryReading
import Bindery
import Foundation
import Tokenizers

struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "tokenize", abstract: "Shows the token ids of texts.")

  @Argument(help: "A bundle folder (or its name), or a .gguf file.")
  var model: String

  @Option(parsing: .unconditional, help: "The text.")
  var text: String?

  @Option(help: ArgumentHelp("A JSON list of texts; - is standard input.", valueName: "file.json"))
  var inputFile: String?

  @Flag(help: "Neither add nor recognise special tokens.")
  var noSpecial = false

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  func validate() throws {
    if (text == nil) == (inputFile == nil) { throw ValidationError("give the text with --text, or a list with --input-file") }
  }

  /// For one text.
  struct Output: Encodable {
    let ids: [Int32]
    let pieces: [String]
  }
  /// For a list.
  struct ListOutput: Encodable {
    let ids: [[Int32]]
    let pieces: [[String]]
  }

  func run() throws {
    var options = HostOptions()
    options.threadCount = 1
    let host = try failing { () throws(BinderyError) in try Bindery.Host(options: options) }
    let tokenizer = try failing { () throws(BinderyError) in
      let place = FileManager.default.fileExists(atPath: model) ? model : (try? FetchCommand.find(model)) ?? model
      return try host.openTokenizer(at: place)
    }
    func encode(_ text: String) throws(CommandFailure) -> [TokenID] {
      do throws(TokenizerError) { return try tokenizer.encode(text, addSpecial: !noSpecial, parseSpecial: !noSpecial) } catch {
        throw CommandFailure(error.message)
      }
    }
    if let text {
      let ids = try encode(text)
      let pieces = tokenizer.pieces(ids)
      if json { return try printJSON(Output(ids: ids.map(\.rawValue), pieces: pieces)) }
      return try standardOutput(zip(ids, pieces).map { "\($0)\t\($1.debugDescription.escapedForTerminal)\n" }.joined())
    }
    let path = inputFile ?? "-"
    let texts: [String]
    do { texts = try JSONDecoder().decode([String].self, from: Data(try readText(path).utf8)) } catch let failure
      as CommandFailure
    {
      throw failure
    } catch {
      throw CommandFailure("'\(path)' is not what --input-file expects: a JSON list of strings")
    }
    let ids = try texts.map(encode)
    if json {
      return try printJSON(ListOutput(ids: ids.map { $0.map(\.rawValue) }, pieces: ids.map { tokenizer.pieces($0) }))
    }
    try standardOutput(ids.map { $0.map(\.description).joined(separator: " ") + "\n" }.joined())
  }
}
