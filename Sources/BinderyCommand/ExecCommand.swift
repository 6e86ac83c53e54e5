import ArgumentParser
import BinaryReading
import Foundation
import SystemFiles
import WASI
import WasmRuntime
import WebAssembly

struct ExecCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exec", abstract: "Runs a WebAssembly module: an export of it, or a WASI command.",
    discussion: """
      With --invoke, calls the export with the numbers that follow and prints its results; a reactor's `_initialize` runs first. \
      Without it, runs `_start` of a WASI preview 1 command with the arguments that follow, and ends with its status. A module \
      sees no folder unless --dir names one, and no variable unless --env does. Options may also follow the module; `--` ends \
      them, where the command's own first argument looks like one of them.

      The status is 124 when --timeout ended the module, 130 and 143 when Ctrl-C and SIGTERM did, 1 when it trapped.
      """)

  @OptionGroup
  var options: ExecOptions

  @Argument(help: "The module, binary or text; - is standard input.")
  var module: String

  @Argument(
    parsing: .captureForPassthrough,
    help: "Options of this command (--invoke above all), then arguments of the export or of the WASI command.")
  var arguments: [String] = []

  struct Output: Encodable {
    let results: [InvocationValue]
  }

  mutating func validate() throws {
    var words = arguments
    try options.takeLeading(of: &words)
    arguments = words
  }

  func run() throws {
    let name = SystemString(carriedBy: module)
    // Before anything starts a thread.
    try options.confinement.enter(
      (name == "-" ? [] : [Sandbox.Rule(name, .read)])
        + wasiConfiguration(name).preopens.map { Sandbox.Rule($0.hostPath, .readWrite) })
    let budget = ResourceBudget(byteCountMax: options.memoryLimit)
    var configuration = EngineConfiguration()
    configuration.consumesFuel = options.fuel != nil
    let engine = Engine(configuration: configuration)
    var limits = ResourceLimits()
    if let memoryLimit = options.memoryLimit { limits.memoryByteCountMax = memoryLimit }
    let store = Store(engine: engine, limits: limits, budget: budget)
    if let fuel = options.fuel { store.fuel = fuel }
    let interrupt = store.interruptHandle
    // One time limit for everything, from reading the module on.
    let interruption = Interruption(timeout: options.timeout) { interrupt.cancel() }
    defer { interruption.end() }
    do {
      let bytes = try ModuleInput(name, isStopped: { interruption.isOver }).binary()
      let compiled = try CompiledModule(
        engine: engine, bytes: bytes, budget: budget, stop: { interruption.isOver ? .cancelled : nil })
      if let failure = interruption.failure { throw failure }
      if let remaining = interruption.remainingTime { store.setTimeLimit(remaining) }
      let instance = try ModuleInstance(compiled, store, wasiConfiguration(name), name: name.description)
      if let invoke = options.invoke {
        try call(SystemString(carriedBy: invoke), instance)
      } else {
        try finish(status: try instance.runCommand())
      }
    } catch let exit as WASIExit {
      try finish(status: exit.status)
    } catch let exit as ExitCode {
      // The program's own.
      throw exit
    } catch let failure as CommandFailure {
      throw interruption.failure ?? failure
    } catch WasmError.trap(let trap) where trap.kind == .deadlineExceeded {
      throw interruption.timeoutFailure
    } catch WasmError.trap(let trap) where trap.kind == .cancelled && interruption.isOver {
      throw interruption.failure ?? interruption.timeoutFailure
    } catch WasmError.trap(let trap) {
      standardError(trap.backtrace.map { "  in \($0.description.escapedForTerminal)\n" }.joined())
      throw CommandFailure("'\(name)' trapped: \(trap.message)")
    } catch let error as WASISetupError {
      throw CommandFailure(error.description)
    } catch {
      throw interruption.failure ?? CommandFailure("cannot run '\(name)': \(error)")
    }
  }

  private func wasiConfiguration(_ name: SystemString) -> WASIConfiguration {
    var configuration = WASIConfiguration()
    let slash = UInt8(ascii: "/")
    configuration.arguments = [SystemString(Array(name.bytes.split(separator: slash).last ?? []))]
    // An export's numbers are no arguments of a program.
    if options.invoke == nil { configuration.arguments += arguments.map { SystemString(carriedBy: $0) } }
    configuration.environment = options.env.map { variable in
      let (name, value) = Self.split(variable)
      return (name, value ?? "")
    }
    configuration.preopens = options.dir.map { folder in
      let (guest, host) = Self.split(folder)
      return .init(guestPath: guest, hostPath: host ?? guest, access: .readWrite)
    }
    configuration.escapesTerminals = !options.rawTerminal
    // With --json, standard output holds one JSON object and nothing else.
    if options.json { configuration.standardOutput = .descriptor(StandardStream.error.descriptor) }
    return configuration
  }

  /// At the first `=`.
  private static func split(_ word: String) -> (SystemString, SystemString?) {
    let parts = SystemString(carriedBy: word).bytes.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
    return (SystemString(Array(parts[0])), parts.count > 1 ? SystemString(Array(parts[1])) : nil)
  }

  /// Ends as the program did. Of a status the system keeps eight bits: 256 must not become success.
  private func finish(status: UInt32) throws {
    if options.json { try printJSON(Output(results: [.integer(Int64(status))])) }
    guard status <= 255 else {
      throw CommandFailure("'\(SystemString(carriedBy: module))' ended with status \(status): expected 0 to 255, as processes have")
    }
    if status != 0 { throw ExitCode(Int32(status)) }
  }

  private func call(_ export: SystemString, _ instance: ModuleInstance) throws {
    let function = try instance.function(export)
    let types = function.type.parameters
    guard arguments.count == types.count else {
      throw CommandFailure("'\(export)' has the type \(function.type): expected \(types.count) arguments, found \(arguments.count)")
    }
    let values = try zip(arguments, types).map { try InvocationValue.parse($0, as: $1) }
    let results = try instance.call(function, values, isInitializer: export == "_initialize")
    if options.json { return try printJSON(Output(results: results.map(InvocationValue.init))) }
    try standardOutput(results.map { InvocationValue.text(of: $0) + "\n" }.joined())
  }
}
