import ArgumentParser
import WebAssembly

struct LowerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lower", abstract: "Replaces calls of imported memory instructions by the instructions themselves.",
    discussion: """
      A guest that was compiled for one memory declares functions in the import module `memory:NAME` (v128.load, f32.store, \
      memory.discard ...). This step turns each call into the instruction on the memory of that name, and drops the import: the \
      result is a standard multi-memory module.
      """)

  @Argument(help: "The module to lower, binary or text; - is standard input.")
  var module: String

  @Option(name: [.customShort("o"), .long], help: ArgumentHelp("Where to write the result.", valueName: "file.wasm"))
  var output: String

  @Option(
    help: ArgumentHelp(
      "A memory and its type, e.g. 'weights=bindery.weights i64 virtual 0 16777216'; imported in the order given.",
      valueName: "text"))
  var memory: [String] = []

  func run() throws {
    let bytes = try ModuleInput(module).binary()
    let lowered: [UInt8]
    do {
      let declarations = try memory.map { try MemoryDeclaration(parsing: $0) }
      lowered = try Lowering.lower(try Module.parse(bytes), memories: declarations)
    } catch { throw CommandFailure("cannot lower '\(module)': \(error)") }
    try writeFile(lowered, to: output)
  }
}
