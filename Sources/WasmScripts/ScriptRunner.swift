import WasmRuntime
import WebAssembly
import WebAssemblyText

/// Runs specification scripts: every command in order, whatever became of those before.
///
/// One runner is one script's world: a store, the instances made in it and the names they are registered under. A `thread` is a
/// world of its own on a thread of the host. Messages are compared as the suite does: what was said must begin with what is
/// expected.
public final class ScriptRunner {
  /// An instance of this world, or what is seen here of one of another thread's.
  enum KnownInstance {
    case own(Instance)
    case shared(SharedInstance)
  }

  /// Seconds that a script waits for a thread before it is stopped and counts as failed.
  static let threadSecondsMax = 60.0

  let engine: Engine
  let store: Store
  var imports = Imports()
  private var instances: [Name: KnownInstance] = [:]
  private var definitions: [Name: CompiledModule] = [:]
  /// Names that the script has given to modules, whether they could be instantiated or not.
  private var attemptedNames: Set<Name> = []
  private(set) var registeredNames: Set<Name> = ["spectest"]
  private var current: Instance?
  private var currentDefinition: CompiledModule?
  private var threads: [(name: Name, thread: ScriptThread, command: ScriptCommand)] = []
  private var report = ScriptReport()

  /// An engine with every feature, threads included: what the suite as a whole asks for.
  public static var configurationForSuite: EngineConfiguration {
    var configuration = EngineConfiguration()
    configuration.features.insert(.threads)
    return configuration
  }

  /// - Parameters:
  ///   - configuration: features decide which modules are valid.
  ///   - limits: of the store that all instances of the script share.
  public convenience init(
    configuration: EngineConfiguration = ScriptRunner.configurationForSuite, limits: ResourceLimits = .init()
  ) throws {
    try self.init(engine: Engine(configuration: configuration), limits: limits, shared: [:])
  }

  /// - Parameter shared: instances of the thread that starts this one, by the names the script has for them.
  init(engine: Engine, limits: ResourceLimits, shared: [String: SharedInstance]) throws {
    self.engine = engine
    store = Store(engine: engine, limits: limits)
    for (name, instance) in shared {
      instances[Name(name)] = .shared(instance)
      attemptedNames.insert(Name(name))
    }
    try SpectestModule(store: store).define(in: &imports)
  }

  /// Runs all commands of a script in a new world.
  public static func run(
    _ script: Script, configuration: EngineConfiguration = ScriptRunner.configurationForSuite, limits: ResourceLimits = .init()
  ) throws -> ScriptReport {
    try ScriptRunner(configuration: configuration, limits: limits).run(script.commands)
  }

  var interruptHandle: InterruptHandle { store.interruptHandle }

  /// Runs commands, waits for the threads that they left running, and returns what came of all.
  func run(_ commands: [ScriptCommand]) -> ScriptReport {
    for command in commands { run(command) }
    for (_, thread, command) in threads { finish(thread, command) }
    threads = []
    return report
  }

  private func run(_ command: ScriptCommand) {
    do {
      if try execute(command) { report.passedCount += 1 }
    } catch let failure as CommandFailure {
      fail(command, failure.message)
    } catch {
      fail(command, "\(error)")
    }
  }

  private func fail(_ command: ScriptCommand, _ message: String) {
    report.failures.append(.init(line: command.line, column: command.column, message: message))
  }

  /// An assertion holds, or a command had no effect, for a reason of its own.
  func remark(_ command: ScriptCommand, _ text: String) { report.remarks.append(.init(line: command.line, text: text)) }
}

/// A command did not do what the script says.
struct CommandFailure: Error {
  let message: String
}

// MARK: - Commands

extension ScriptRunner {
  /// Does what a command says. True for an assertion that holds; every failure is thrown.
  private func execute(_ command: ScriptCommand) throws -> Bool {
    switch command.kind {
    case .module(let module):
      current = nil
      if let name = module.name { attemptedNames.insert(Name(name)) }
      setCurrent(try Instance(store: store, module: try compile(module), imports: imports), name: module.name)
    case .definition(let module):
      let definition = try compile(module)
      currentDefinition = definition
      if let name = module.name { definitions[Name(name)] = definition }
    case .instance(let name, let definitionName):
      current = nil
      if let name { attemptedNames.insert(Name(name)) }
      guard let definition = definitionName.map({ definitions[Name($0)] }) ?? currentDefinition else {
        throw CommandFailure(message: "no module definition `\(definitionName ?? "")`")
      }
      setCurrent(try Instance(store: store, module: definition, imports: imports), name: name)
    case .register(let name, let instance): try register(instance, as: name, command)
    case .action(let action): _ = try perform(action)
    case .assertReturn(let action, let expected):
      try assertReturn(action, expected)
      return true
    case .assertTrap(let action, let message), .assertExhaustion(let action, let message):
      try assertTrap(message) { _ = try perform(action) }
      return true
    case .assertMalformed(let module, let message):
      try assertMalformed(module, message, command)
      return true
    case .assertInvalid(let module, let message):
      try assertInvalid(module, message, command)
      return true
    case .assertUnlinkable(let module, let message):
      try assertUnlinkable(module, message, command)
      return true
    case .assertUninstantiable(let module, let message):
      let compiled = try compile(module)
      try assertTrap(message) { _ = try Instance(store: store, module: compiled, imports: imports) }
      return true
    case .thread(let name, let shared, let commands): try start(name, shared, commands, command)
    case .wait(let name):
      guard let index = threads.lastIndex(where: { $0.name == Name(name) }) else {
        throw CommandFailure(message: "no thread `\(name)` is running")
      }
      let entry = threads.remove(at: index)
      finish(entry.thread, entry.command)
    }
    return false
  }

  private func setCurrent(_ instance: Instance, name: String?) {
    current = instance
    if let name { instances[Name(name)] = .own(instance) }
  }

  private func register(_ instance: String?, as name: String, _ command: ScriptCommand) throws {
    if let instance, !attemptedNames.contains(Name(instance)) {
      return remark(command, "the script defines no module `\(instance)`: nothing is registered as `\(name)`")
    }
    switch try find(instance) {
    case .own(let instance): imports.define(module: name, exportsOf: instance)
    case .shared(let instance): instance.define(module: name, in: &imports)
    }
    registeredNames.insert(Name(name))
  }

  private func find(_ name: String?) throws -> KnownInstance {
    if let name {
      if let instance = instances[Name(name)] { return instance }
      throw CommandFailure(message: "no instance `\(name)`")
    }
    guard let current else { throw CommandFailure(message: "no module is instantiated") }
    return .own(current)
  }

  func perform(_ action: ScriptAction) throws -> [Value] {
    switch action {
    case .invoke(let name, let field, let arguments):
      guard case .function(let function)? = try ownInstance(name)[export: field] else {
        throw CommandFailure(message: "no exported function `\(field)`")
      }
      return try function(arguments.map(\.value))
    case .get(let name, let field):
      guard case .global(let global)? = try ownInstance(name)[export: field] else {
        throw CommandFailure(message: "no exported global `\(field)`")
      }
      return [global.value]
    }
  }

  private func ownInstance(_ name: String?) throws -> Instance {
    guard case .own(let instance) = try find(name) else {
      throw CommandFailure(message: "the instance `\(name ?? "")` is of another thread, which shares only its memories")
    }
    return instance
  }

  // MARK: Modules

  func bytes(of module: ScriptModule) throws -> [UInt8] {
    switch module.form {
    case .binary(let bytes): bytes
    case .text(let text): try WebAssemblyText.binary(of: text)
    }
  }

  /// - Throws: a failure that says where in the script a text module is wrong.
  func compile(_ module: ScriptModule) throws -> CompiledModule {
    func failure(_ word: String, _ message: String, _ offset: Int) -> CommandFailure {
      let place =
        module.sourceMap?.place(ofByte: offset).map { "line \($0.line), column \($0.column)" } ?? "byte \(offset) of the module"
      return CommandFailure(message: "\(word) module: \(message) (\(place))")
    }
    do {
      return try CompiledModule(engine: engine, bytes: try bytes(of: module))
    } catch WasmError.malformed(let error) {
      throw failure("malformed", error.message, error.offset)
    } catch WasmError.invalid(let error) {
      throw failure("invalid", error.message, error.offset)
    } catch let error as TextFormatError {
      throw CommandFailure(
        message: "malformed module: \(error.message) (line \(error.line), column \(error.column) of the quoted text)")
    }
  }

  // MARK: Threads

  private func start(
    _ name: String, _ shared: [ScriptSharedInstance], _ commands: [ScriptCommand], _ command: ScriptCommand
  ) throws {
    var visible: [String: SharedInstance] = [:]
    for entry in shared {
      switch try find(entry.instance) {
      case .own(let instance): visible[entry.instance] = SharedInstance(instance)
      case .shared(let instance): visible[entry.instance] = instance
      }
    }
    let thread = ScriptThread(engine: engine, limits: store.limits, shared: visible, commands: commands)
    threads.append((Name(name), thread, command))
  }

  /// Waits for a thread and adds what came of its commands.
  private func finish(_ thread: ScriptThread, _ command: ScriptCommand) {
    switch thread.wait(secondsMax: Self.threadSecondsMax) {
    case .finished(let other): report.add(other)
    case .failed(let message): fail(command, "the thread could not start: \(message)")
    case .timedOut: fail(command, "the thread did not end within \(Int(Self.threadSecondsMax)) seconds")
    }
  }
}
