import SystemFiles
import WASI
import WasmRuntime
import WebAssembly

/// A module that `exec` has instantiated, with the imports of WASI: a command, a reactor, or neither.
///
/// A reactor exports `_initialize`, which runs once before anything else; a command exports `_start`. A program that ends itself
/// does so wherever it is, also in a start function: every call here throws `WASIExit` then.
struct ModuleInstance {
  private let name: String
  private let wasi: WASI
  private let instance: Instance

  /// - Throws: `WasmError`, `WASISetupError`, `WASIExit`.
  init(_ compiled: CompiledModule, _ store: Store, _ configuration: WASIConfiguration, name: String) throws {
    let wasi = try WASI(configuration)
    var imports = Imports()
    wasi.define(in: &imports, store: store)
    self.name = name
    self.wasi = wasi
    instance = try WASIExit.rethrown { () throws(WasmError) in try Instance(store: store, module: compiled, imports: imports) }
  }

  /// Runs `_start`.
  /// - Returns: the status that the program ends with.
  func runCommand() throws -> UInt32 {
    guard instance.function("_start") != nil else {
      throw CommandFailure(
        "'\(name)' is no WASI command (it exports no function '_start'): call an export with --invoke NAME; it exports \(exported)")
    }
    return try wasi.run(instance)
  }

  func function(_ export: SystemString) throws(CommandFailure) -> Function {
    guard let text = export.text, let function = instance.function(text) else {
      throw CommandFailure("'\(name)' exports no function '\(export)'; it exports \(exported)")
    }
    return function
  }

  /// Calls an export, after the initialiser of a reactor, which is not called twice.
  func call(_ function: Function, _ arguments: [Value], isInitializer: Bool) throws -> [Value] {
    if !isInitializer, let initializer = instance.function("_initialize") {
      guard initializer.type == FunctionType(parameters: [], results: []) else {
        throw CommandFailure(
          "'\(name)' exports '_initialize' with the type \(initializer.type): expected no parameters and no results, as reactors have")
      }
      _ = try WASIExit.rethrown { () throws(WasmError) in try initializer() }
    }
    return try WASIExit.rethrown { () throws(WasmError) in try function(arguments) }
  }

  private var exported: String {
    let functions = instance.exports.compactMap { if case .function = $0.value { $0.name } else { nil } }
    guard functions.count <= 20 else { return functions.prefix(20).joined(separator: ", ") + " and \(functions.count - 20) more" }
    return functions.isEmpty ? "no function" : functions.joined(separator: ", ")
  }
}

extension WASIExit {
  /// Runs a guest; where it ended itself, throws that instead of the trap by which it got out.
  static func rethrown<Result>(_ body: () throws(WasmError) -> Result) throws -> Result {
    do throws(WasmError) { return try body() } catch {
      if case .trap(let trap) = error, let exit = trap.cause as? WASIExit { throw exit }
      throw error
    }
  }
}
