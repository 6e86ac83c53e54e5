import ArgumentParser
import Foundation
import WASI
import WasmRuntime
import WebAssembly

struct ExecCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exec", abstract: "Runs a WebAssembly module: an export of it, or a WASI command.",
    discussion: """
      With --invoke, calls the export with the numbers that follow and prints its results. Without it, runs `_start` of a WASI \
      preview 1 command with the arguments that follow; it sees no folder unless --dir names one. Options may also follow the \
      module; `--` ends them, where the command's own first argument looks like one of them.
      """)

  @OptionGroup
  var options: Options

  @Argument(help: "The module.")
  var module: String

  @Argument(
    parsing: .captureForPassthrough,
    help: "Options of this command (--invoke above all), then arguments of the export or of the WASI command.")
  var arguments: [String] = []

  /// What may stand before the module, and directly after it.
  struct Options: ParsableArguments {
    @Option(help: ArgumentHelp("The exported function to call.", valueName: "name"))
    var invoke: String?

    @Option(help: ArgumentHelp("A folder that a WASI command may use, as PATH or GUEST=HOST.", valueName: "folder"))
    var dir: [String] = []

    @Option(help: ArgumentHelp("An environment variable of a WASI command, as NAME=VALUE.", valueName: "variable"))
    var env: [String] = []

    @Option(help: ArgumentHelp("Give up after this time.", valueName: "seconds"))
    var timeout: Double?

    @Option(help: ArgumentHelp("The most bytes that each memory of the guest may use.", valueName: "bytes"))
    var memoryLimit: UInt64?

    @Flag(help: "Print one JSON object instead of text.")
    var json = false

    static let flags: Set = ["--json"]
    static let valued: Set = ["--invoke", "--dir", "--env", "--timeout", "--memory-limit"]

    func validate() throws {
      if let timeout, !(timeout > 0 && timeout < 1e9) {
        throw ValidationError("--timeout must be above 0 seconds, found \(timeout)")
      }
      if let bad = env.first(where: { !$0.contains("=") }) { throw ValidationError("--env takes NAME=VALUE, found '\(bad)'") }
    }

    /// Takes the options of this command out of the words that follow the module: those that stand directly after it, up to
    /// `--` or any other word; with --invoke also those after the numbers, which no option can be mistaken for.
    mutating func takeLeading(of words: inout [String]) throws {
      var own: [String] = []
      var rest: [String] = []
      var index = 0
      var invokes = invoke != nil
      while index < words.count {
        let name = words[index].prefix { $0 != "=" }
        let hasValue = name.count < words[index].count
        if words[index] == "--" {
          rest += words[(index + 1)...]
          break
        } else if Self.flags.contains(words[index]) || (Self.valued.contains(String(name)) && hasValue) {
          own.append(words[index])
        } else if Self.valued.contains(words[index]) {
          own += words[index..<min(index + 2, words.count)]
          index += 1
        } else if invokes {
          rest.append(words[index])
        } else {
          rest += words[index...]
          break
        }
        invokes = invokes || name == "--invoke"
        index += 1
      }
      words = rest
      guard !own.isEmpty else { return }
      let following = try Options.parse(own)
      if let name = following.invoke {
        if let invoke { throw ValidationError("--invoke is given twice: '\(invoke)' and '\(name)'") }
        invoke = name
      }
      dir += following.dir
      env += following.env
      timeout = following.timeout ?? timeout
      memoryLimit = following.memoryLimit ?? memoryLimit
      json = json || following.json
    }
  }

  struct Output: Encodable {
    let results: [Result]

    /// A number as JSON has it where it can be held exactly, else as text.
    enum Result: Encodable {
      case integer(Int64)
      case number(Double)
      case text(String)

      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        }
      }
    }
  }

  mutating func validate() throws {
    var words = arguments
    try options.takeLeading(of: &words)
    arguments = words
  }

  func run() throws {
    let bytes = try readBytes(module)
    var limits = ResourceLimits()
    if let memoryLimit = options.memoryLimit { limits.memoryByteCountMax = memoryLimit }
    let engine = Engine()
    let store = Store(engine: engine, limits: limits)
    let interrupt = store.interruptHandle
    let interruption = Interruption { interrupt.cancel() }
    defer { interruption.end() }
    if let timeout = options.timeout { store.setTimeLimit(.seconds(timeout)) }
    do {
      let compiled = try CompiledModule(engine: engine, bytes: bytes)
      if let invoke = options.invoke { try call(invoke, try Instance(store: store, module: compiled)) } else { try runCommand(compiled, store) }
    } catch let failure as CommandFailure {
      throw failure
    } catch let exit as ExitCode {
      throw exit
    } catch WasmError.trap(let trap) {
      standardError(trap.backtrace.map { "  in \($0)\n" }.joined())
      throw CommandFailure("'\(module)' trapped: \(trap.message)")
    } catch { throw CommandFailure("cannot run '\(module)': \(error)") }
  }

  private func runCommand(_ compiled: CompiledModule, _ store: Store) throws {
    var configuration = WASIConfiguration()
    configuration.arguments = [URL(filePath: module).lastPathComponent] + arguments
    configuration.environment = options.env.map { variable in
      let parts = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), String(parts[1]))
    }
    configuration.preopens = options.dir.map { folder in
      let parts = folder.split(separator: "=", maxSplits: 1).map(String.init)
      return .init(guestPath: parts[0], hostPath: parts.count > 1 ? parts[1] : parts[0], access: .readWrite)
    }
    let wasi = try WASI(configuration)
    var imports = Imports()
    wasi.define(in: &imports, store: store)
    let instance = try Instance(store: store, module: compiled, imports: imports)
    guard instance.function("_start") != nil else {
      let functions = instance.exports.compactMap { if case .function = $0.value { $0.name } else { nil } }
      throw CommandFailure(
        "'\(module)' is no WASI command (it exports no function '_start'): call an export with --invoke NAME; it exports "
          + (functions.isEmpty ? "no function" : functions.joined(separator: ", ")))
    }
    let status = try wasi.run(instance)
    if options.json { try printJSON(Output(results: [.integer(Int64(status))])) }
    if status != 0 { throw ExitCode(Int32(truncatingIfNeeded: status)) }
  }

  private func call(_ name: String, _ instance: Instance) throws {
    guard let function = instance.function(name) else {
      let functions = instance.exports.compactMap { if case .function = $0.value { $0.name } else { nil } }
      throw CommandFailure(
        "'\(module)' exports no function '\(name)'; it exports \(functions.isEmpty ? "none" : functions.joined(separator: ", "))")
    }
    let types = function.type.parameters
    guard arguments.count == types.count else {
      throw CommandFailure("'\(name)' has the type \(function.type): expected \(types.count) arguments, found \(arguments.count)")
    }
    let results = try function(zip(arguments, types).map { try Self.value($0, $1) })
    if options.json { return try printJSON(Output(results: results.map(Self.result))) }
    try standardOutput(results.map { Self.text($0) + "\n" }.joined())
  }

  /// Reads a number in decimal or, with 0x, in hexadecimal; negative ones too.
  private static func value(_ text: String, _ type: ValueType) throws(CommandFailure) -> Value {
    func integer<Signed: FixedWidthInteger, Unsigned: FixedWidthInteger>(_: Signed.Type, _: Unsigned.Type) -> Unsigned? {
      let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
      let isHexadecimal = digits.hasPrefix("0x")
      let number = (text.hasPrefix("-") ? "-" : "") + (isHexadecimal ? digits.dropFirst(2) : digits)
      let radix = isHexadecimal ? 16 : 10
      return Unsigned(number, radix: radix) ?? Signed(number, radix: radix).map { Unsigned(truncatingIfNeeded: $0) }
    }
    let value: Value? =
      switch type {
      case .i32: integer(Int32.self, UInt32.self).map { Value.i32($0) }
      case .i64: integer(Int64.self, UInt64.self).map { Value.i64($0) }
      case .f32: Float(text).map { Value.f32($0) }
      case .f64: Double(text).map { Value.f64($0) }
      default: nil
      }
    guard let value else { throw CommandFailure("'\(text)' cannot be an argument of type \(type)") }
    return value
  }

  private static func text(_ value: Value) -> String {
    switch value {
    case .i32(let bits): "\(Int32(bitPattern: bits))"
    case .i64(let bits): "\(Int64(bitPattern: bits))"
    case .f32(let bits): "\(Float(bitPattern: bits))"
    case .f64(let bits): "\(Double(bitPattern: bits))"
    case .v128(let bits): "0x" + hexadecimal(bits.high) + hexadecimal(bits.low)
    case .funcref(let function): function == nil ? "null" : "funcref"
    case .externref(let number): number.map { "externref \($0)" } ?? "null"
    case .memref(let memory): memory == nil ? "null" : "memref"
    }
  }

  private static func result(_ value: Value) -> Output.Result {
    switch value {
    case .i32(let bits): .integer(Int64(Int32(bitPattern: bits)))
    case .i64(let bits): .integer(Int64(bitPattern: bits))
    case .f32(let bits) where Float(bitPattern: bits).isFinite: .number(Double(Float(bitPattern: bits)))
    case .f64(let bits) where Double(bitPattern: bits).isFinite: .number(Double(bitPattern: bits))
    default: .text(text(value))
    }
  }

  private static func hexadecimal(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
