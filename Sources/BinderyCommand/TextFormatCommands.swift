import ArgumentParser
import BinaryReading
import WebAssembly
import WebAssemblyText

struct Wat2WasmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wat2wasm", abstract: "Translates a module from the text format to the binary format.",
    discussion: """
      Identifiers become a name section, @custom annotations custom sections. The module is checked against the rules of the \
      language as well; --no-check leaves that out.
      """)

  @Argument(help: "The text; - is standard input.")
  var file: String

  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("Where to write the binary; standard output if left out.", valueName: "file.wasm"))
  var output: String?

  @Flag(name: .customLong("no-check"), help: "Translate a module that is not valid, too.")
  var isUnchecked = false

  func run() throws {
    let input = try ModuleInput(file)
    guard !input.hasMagicNumber else { throw CommandFailure("'\(input.name)' is a binary module already, expected a text") }
    let module = try reportingProblem { () throws(ModuleProblem) in try input.translateText(checking: !isUnchecked) }
    try writeBinary(module.bytes, to: output)
  }
}

struct Wasm2WatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wasm2wat", abstract: "Translates a module from the binary format to the text format.",
    discussion: """
      wat2wasm gives the same bytes back, except for what no text can say (numbers in more bytes than they need, sections without \
      entries). The module must be well-formed; it need not be valid.
      """)

  @Argument(help: "The binary; - is standard input.")
  var file: String

  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("Where to write the text; standard output if left out.", valueName: "file.wat"))
  var output: String?

  @Flag(help: "Leave custom sections out, for readers that do not know @custom annotations. Names stay.")
  var noCustom = false

  func run() throws {
    let input = try ModuleInput(file)
    let module = try reportingProblem { () throws(ModuleProblem) in try input.parseBinary() }
    do {
      try writeOutput(to: output) { write in try WebAssemblyText.write(module, customSections: !noCustom, to: write) }
    } catch let error as WasmParseError {
      throw CommandFailure(ModuleProblem(file: input.name, message: error.message, byteOffset: error.offset, place: nil).sentence)
    }
  }
}

struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate", abstract: "Checks modules, text or binary, against the rules of the language.",
    discussion: "Prints a line for each valid file; says where the others are wrong and ends with status 1.")

  @Argument(help: "Modules; - is standard input.")
  var files: [String]

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  struct Output: Encodable {
    struct File: Encodable {
      let path: String
      let valid: Bool
      var message: String?
      /// Into the file.
      var byteOffset: Int?
      /// Of a text.
      var line: Int?
      var column: Int?
    }
    let files: [File]
  }

  func run() throws {
    var results: [Output.File] = []
    for path in files {
      let input = try ModuleInput(path)
      do throws(ModuleProblem) {
        try input.validate()
      } catch {
        standardError("bindery: \(error.sentence)\n")
        results.append(
          .init(
            path: path, valid: false, message: error.message, byteOffset: error.byteOffset, line: error.place?.line,
            column: error.place?.column))
        continue
      }
      results.append(.init(path: path, valid: true))
      if !json { try standardOutput("\(input.name.escapedForTerminal): valid\n") }
    }
    if json { try printJSON(Output(files: results)) }
    if results.contains(where: { !$0.valid }) { throw ExitCode(1) }
  }
}
