import WasmRuntime
import WebAssembly
import WebAssemblyText

/// Runs specification scripts: every command in order, whatever became of those before.
///
/// One runner is one script's world: a store, the instances made in it and the names they are registered under. Messages are
/// compared as the suite does: what was said must begin with what is expected.
public final class ScriptRunner {
  private let engine: Engine
  private let store: Store
  private var imports = Imports()
  private var instances: [String: Instance] = [:]
  private var definitions: [String: CompiledModule] = [:]
  /// Names that the script has given to modules, whether they could be instantiated or not.
  private var attemptedNames: Set<String> = []
  private var registeredNames: Set<String> = ["spectest"]
  private var current: Instance?
  private var currentDefinition: CompiledModule?
  private var report = ScriptReport()

  /// - Parameters:
  ///   - configuration: features decide which modules are valid.
  ///   - limits: of the store that all instances of the script share.
  public init(configuration: EngineConfiguration = .init(), limits: ResourceLimits = .init()) throws {
    engine = Engine(configuration: configuration)
    store = Store(engine: engine, limits: limits)
    try SpectestModule(store: store).define(in: &imports)
  }

  /// Runs all commands of a script in a new world.
  public static func run(
    _ script: Script, configuration: EngineConfiguration = .init(), limits: ResourceLimits = .init()
  ) throws -> ScriptReport {
    let runner = try ScriptRunner(configuration: configuration, limits: limits)
    for command in script.commands { runner.run(command) }
    return runner.report
  }

  /// How a command ended that did not fail by throwing.
  private enum Outcome {
    case passed
    /// Done, but no assertion.
    case done
    case skipped(String)
  }

  private struct CommandFailure: Error {
    let message: String
  }

  private func run(_ command: ScriptCommand) {
    do {
      switch try execute(command.kind) {
      case .passed: report.passedCount += 1
      case .done: break
      case .skipped(let reason): report.skips.append(.init(line: command.line, reason: reason))
      }
    } catch let failure as CommandFailure {
      report.failures.append(.init(line: command.line, message: failure.message))
    } catch {
      report.failures.append(.init(line: command.line, message: "\(error)"))
    }
  }
}

// MARK: - Commands

extension ScriptRunner {
  private func execute(_ kind: ScriptCommand.Kind) throws -> Outcome {
    switch kind {
    case .module(let module):
      current = nil
      if let name = module.name { attemptedNames.insert(name) }
      let instance = try Instance(store: store, module: try compile(module), imports: imports)
      current = instance
      if let name = module.name { instances[name] = instance }
      return .done
    case .definition(let module):
      let definition = try compile(module)
      currentDefinition = definition
      if let name = module.name { definitions[name] = definition }
      return .done
    case .instance(let name, let definitionName):
      current = nil
      if let name { attemptedNames.insert(name) }
      guard let definition = definitionName.map({ definitions[$0] }) ?? currentDefinition else {
        throw CommandFailure(message: "no module definition `\(definitionName ?? "")`")
      }
      let instance = try Instance(store: store, module: definition, imports: imports)
      current = instance
      if let name { instances[name] = instance }
      return .done
    case .register(let name, let instance):
      if let instance, !attemptedNames.contains(instance) {
        return .skipped("the script defines no module `\(instance)`: it is an excerpt")
      }
      imports.define(module: name, exportsOf: try find(instance))
      registeredNames.insert(name)
      return .done
    case .action(let action):
      _ = try perform(action)
      return .done
    case .assertReturn(let action, let expected): return try assertReturn(action, expected)
    case .assertTrap(let action, let message), .assertExhaustion(let action, let message):
      return try assertTrap(message) { _ = try perform(action) }
    case .assertMalformed(let module, let message): return try assertMalformed(module, message)
    case .assertInvalid(let module, let message): return try assertInvalid(module, message)
    case .assertUnlinkable(let module, let message): return try assertUnlinkable(module, message)
    case .assertUninstantiable(let module, let message):
      let compiled = try compile(module)
      return try assertTrap(message) { _ = try Instance(store: store, module: compiled, imports: imports) }
    case .thread, .wait: return .skipped("threads are not part of this version")
    }
  }

  private func find(_ name: String?) throws -> Instance {
    guard let instance = name.map({ instances[$0] }) ?? current else {
      throw CommandFailure(message: name.map { "no instance `\($0)`" } ?? "no module is instantiated")
    }
    return instance
  }

  private func bytes(of module: ScriptModule) throws -> [UInt8] {
    switch module.form {
    case .binary(let bytes): bytes
    case .text(let text): try WebAssemblyText.binary(of: text)
    }
  }

  private func compile(_ module: ScriptModule) throws -> CompiledModule {
    try CompiledModule(engine: engine, bytes: try bytes(of: module))
  }

  private func perform(_ action: ScriptAction) throws -> [Value] {
    switch action {
    case .invoke(let instance, let field, let arguments):
      guard case .function(let function)? = try find(instance)[export: field] else {
        throw CommandFailure(message: "no exported function `\(field)`")
      }
      return try function(arguments.map(\.value))
    case .get(let instance, let field):
      guard case .global(let global)? = try find(instance)[export: field] else {
        throw CommandFailure(message: "no exported global `\(field)`")
      }
      return [global.value]
    }
  }
}

// MARK: - Assertions

extension ScriptRunner {
  private func assertReturn(_ action: ScriptAction, _ expected: [ExpectedValue]) throws -> Outcome {
    let values = try perform(action)
    guard values.count == expected.count, zip(expected, values).allSatisfy({ $0.matches($1) }) else {
      throw CommandFailure(message: "expected \(expected), found \(values.map(Self.describe))")
    }
    return .passed
  }

  private func assertTrap(_ message: String, _ body: () throws -> Void) throws -> Outcome {
    do {
      try body()
    } catch WasmError.trap(let trap) {
      try check(message, trap.message)
      return .passed
    }
    throw CommandFailure(message: "expected the trap `\(message)`, but nothing trapped")
  }

  private func assertMalformed(_ module: ScriptModule, _ message: String) throws -> Outcome {
    do {
      _ = try Module.parse(try bytes(of: module), features: engine.configuration.features)
    } catch let error as WasmParseError {
      try check(message, error.message)
      return .passed
    } catch let error as TextFormatError {
      try check(message, error.message)
      return .passed
    }
    throw CommandFailure(message: "expected malformed, `\(message)`, but it was accepted")
  }

  private func assertInvalid(_ module: ScriptModule, _ message: String) throws -> Outcome {
    let parsed: Module
    do {
      parsed = try Module.parse(try bytes(of: module), features: engine.configuration.features)
    } catch let error as WasmParseError where error.isUnsupported {
      return .skipped("the module is of a part of WebAssembly 3.0 that this version does not have (\(error.message))")
    }
    do {
      try Validator.validate(parsed, features: engine.configuration.features)
    } catch {
      try check(message, error.message)
      return .passed
    }
    throw CommandFailure(message: "expected invalid, `\(message)`, but it was accepted")
  }

  private func assertUnlinkable(_ module: ScriptModule, _ message: String) throws -> Outcome {
    let compiled = try compile(module)
    do {
      _ = try Instance(store: store, module: compiled, imports: imports)
    } catch {
      guard case .link(let reason) = error else { throw error }
      // Where a script is an excerpt without the module that exports, linking fails as it must, but for want of that module.
      let isExcerpt = reason.code == .unknownImport && !registeredNames.contains(reason.module)
      if !isExcerpt { try check(message, reason.description) }
      return .passed
    }
    throw CommandFailure(message: "expected unlinkable, `\(message)`, but it was linked")
  }

  /// Messages agree if one begins with the other: engines may say more, and the suite sometimes names an index.
  private func check(_ expected: String, _ found: String) throws {
    guard found.hasPrefix(expected) || expected.hasPrefix(found) else {
      throw CommandFailure(message: "expected `\(expected)`, found `\(found)`")
    }
  }

  private static func describe(_ value: Value) -> String {
    func hexadecimal(_ bits: UInt64, _ digitCount: Int) -> String {
      let digits = String(bits, radix: 16)
      return "0x" + String(repeating: "0", count: max(0, digitCount - digits.count)) + digits
    }
    return switch value {
    case .i32(let value): "i32 \(value)"
    case .i64(let value): "i64 \(value)"
    case .f32(let bits): "f32 \(Float(bitPattern: bits)) (\(hexadecimal(UInt64(bits), 8)))"
    case .f64(let bits): "f64 \(Double(bitPattern: bits)) (\(hexadecimal(bits, 16)))"
    case .v128(let bits): "v128 \(hexadecimal(bits.high, 16))_\(hexadecimal(bits.low, 16).dropFirst(2))"
    case .funcref(let function): function == nil ? "null funcref" : "a function"
    case .externref(let number): number.map { "externref \($0)" } ?? "null externref"
    }
  }
}
