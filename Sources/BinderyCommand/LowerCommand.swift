import ArgumentParser
import Foundation
import WebAssembly

struct LowerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lower", abstract: "Replaces calls of imported memory instructions by the instructions themselves.",
    discussion: """
      A guest that was compiled for one memory declares functions in the import module `memory:NAME` (v128.load, f32.store, \
      memory.discard ...). This step turns each call into the instruction on the memory of that name, and drops the import: the \
      result is a standard multi-memory module.
      """)

  @Argument(help: "The module to lower.")
  var module: String

  @Option(name: [.customShort("o"), .long], help: ArgumentHelp("Where to write the result.", valueName: "file.wasm"))
  var output: String

  @Option(
    help: ArgumentHelp(
      "A memory and its type, e.g. 'weights=bindery.weights i64 virtual 0 16777216'; imported in the order given.",
      valueName: "text"))
  var memory: [String] = []

  func run() throws {
    let bytes = try readBytes(module)
    let lowered: [UInt8]
    do {
      let declarations = try memory.map { try MemoryDeclaration(parsing: $0) }
      lowered = try Lowering.lower(try Module.parse(bytes), memories: declarations)
    } catch { throw CommandFailure("cannot lower '\(module)': \(error)") }
    do { try Data(lowered).write(to: URL(filePath: output), options: .atomic) } catch {
      throw CommandFailure("cannot write '\(output)': \(reason(error))")
    }
  }
}

/// Reads a file whole.
func readBytes(_ path: String) throws(CommandFailure) -> [UInt8] {
  guard let type = try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType else {
    throw CommandFailure("cannot read '\(path)': there is no such file")
  }
  guard type != .typeDirectory else { throw CommandFailure("cannot read '\(path)': it is a folder, expected a file") }
  do { return try [UInt8](Data(contentsOf: URL(filePath: path))) } catch {
    throw CommandFailure("cannot read '\(path)': \(reason(error))")
  }
}
