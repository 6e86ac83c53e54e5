import ArgumentParser
import Foundation
import TensorOperations

/// The program `bindery`: results on standard output, everything else on standard error; exit status 0, 1 (the work failed,
/// one sentence says why) or 64 (wrong usage).
@main
enum Main {
  static func main() {
    NativeKernels.startNoOpenBLASThreads()
    do {
      var command = try BinderyCommand.parseAsRoot()
      try command.run()
    } catch let failure as CommandFailure {
      standardError("bindery: \(failure.sentence)\n")
      exit(failure.status)
    } catch {
      // Help, version and wrong usage: the parser knows the text and the status.
      BinderyCommand.exit(withError: error)
    }
  }
}

struct BinderyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bindery",
    abstract: "Runs machine-learning models as sandboxed WebAssembly guests.",
    discussion:
      "A first try: `bindery fetch smollm2-135m-instruct`, then `bindery run smollm2-135m-instruct --chat --prompt \"Hello\"`.",
    version: "0.1.0",
    subcommands: [
      RunCommand.self, FetchCommand.self, TokenizeCommand.self, PerplexityCommand.self, InspectCommand.self, ExecCommand.self,
      Wat2WasmCommand.self, Wasm2WatCommand.self, ValidateCommand.self, WastCommand.self, LowerCommand.self, BenchCommand.self,
    ])
}

/// The work failed for a reason that the user can act on.
struct CommandFailure: Error {
  let sentence: String
  var status: Int32 = 1

  init(_ sentence: String, status: Int32 = 1) {
    self.sentence = sentence
    self.status = status
  }
}

/// Writes text to standard error at once.
func standardError(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

/// Writes text to standard output at once: generated text must not wait in a buffer.
func standardOutput(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

/// Prints one JSON object on standard output, keys in snake case.
/// - Parameter keysAsTheyAre: for objects whose keys are data (the keys of metadata), where only our own are to be changed.
func printJSON(_ value: some Encodable, keysAsTheyAre: Bool = false) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  encoder.keyEncodingStrategy = .custom { path in
    // The keys of dictionaries are data.
    let key = path[path.count - 1]
    return keysAsTheyAre && path.count == 2 && path[0].stringValue == "metadata" ? key : SnakeCaseKey(key.stringValue)
  }
  standardOutput(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n")
}

/// `tokenCount` as `token_count`.
private struct SnakeCaseKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) { stringValue = name.map { $0.isUppercase ? "_" + $0.lowercased() : String($0) }.joined() }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { nil }
}
