import ArgumentParser
import BinaryReading
import Foundation
import Synchronization
import SystemFiles
import TensorOperations

/// The program `bindery`: results on standard output, everything else on standard error; exit status 0, 1 (the work failed,
/// one sentence says why), 64 (wrong usage), 124 (ended by --timeout), 130 and 143 (by Ctrl-C and SIGTERM).
@main
enum Main {
  static func main() {
    // Before anything is opened.
    StandardStream.openClosed()
    StandardStream.ignoreBrokenPipes()
    NativeKernels.startNoOpenBLASThreads()
    let status = run()
    exit(status == 0 && isStandardErrorBroken.load(ordering: .relaxed) ? 1 : status)
  }

  private static func run() -> Int32 {
    do {
      do {
        var command = try BinderyCommand.parseAsRoot(try arguments())
        try command.run()
        return 0
      } catch let failure as CommandFailure {
        throw failure
      } catch {
        // Help, version and wrong usage: the parser knows the text and the status.
        let status = BinderyCommand.exitCode(for: error).rawValue
        if status == 1, !(error is ExitCode) { throw CommandFailure("\(error)") }
        let text = BinderyCommand.fullMessage(for: error)
        guard !text.isEmpty else { return status }
        if status == 0 { try standardOutput(text + "\n") } else { standardError(text + "\n") }
        return status
      }
    } catch let failure as CommandFailure {
      let sentence = "bindery: \(failure.sentence)\n"
      if failure.isInterruption { lastWords(sentence) } else if !failure.isQuiet { standardError(sentence) }
      return failure.status
    } catch {
      preconditionFailure("everything else was made a failure above")
    }
  }

  /// The arguments after the program's name. For `exec`, whose arguments are a guest's, bytes that are not text travel in them
  /// (`SystemString.carrier`); elsewhere they are an error.
  private static func arguments() throws(CommandFailure) -> [String] {
    let arguments = SystemString.processArguments.dropFirst()
    let carriesBytes = arguments.first == "exec"
    var texts: [String] = []
    for argument in arguments {
      guard let text = carriesBytes ? argument.carrier : argument.text else {
        throw CommandFailure("the argument '\(argument.bytes.escapedForTerminal)' is not text in UTF-8")
      }
      texts.append(text)
    }
    return texts
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
  /// The status says it all: nobody wants to read the sentence.
  var isQuiet = false
  /// Whether a signal or a time limit ended the work.
  var isInterruption = false

  init(_ sentence: String, status: Int32 = 1) {
    self.sentence = sentence
    self.status = status
  }
}
