import Foundation
import ModelPrograms
import Synchronization
import TensorFiles
import TensorOperations
import TensorStore
import Tokenizers
import VirtualMemory
import WasmRuntime

/// What the models of a process share: the engine that runs guests, the weight files, compiled programs, and the threads that
/// work on tensor operations. Make one; it may be used from any thread. (Beside Foundation, which has a `Host` too, write
/// `Bindery.Host`.)
///
///     Host ─ openModel ─► Model ─ makeSession ─► Session ─ generate ─► text
///      engine, store,      weights, program,      own instance,
///      programs, workers   tokenizer              cache and scratch
public final class Host: Sendable {
  public let options: HostOptions
  public let threadCount: Int
  let engine: Engine
  let store = TensorStore()
  let workers: WorkerPool
  private let programs = CompilationCache<ProgramSource, CompiledModule>(byteCountMax: Host.programCacheByteCountMax)
  /// Pays for compiled programs, which sessions share.
  private let programBudget = ResourceBudget()
  private let kernels = Mutex<KernelModule?>(nil)

  /// Where a program comes from: one that is built in, or a file in the state it had when it was read.
  enum ProgramSource: Hashable {
    case builtIn(ModelProgram)
    case file(RegularFile.Identity)
  }

  /// Cheap: nothing is opened, compiled or started before it is needed.
  /// - Throws: `malformedInput` if an option is out of its range.
  public convenience init(options: HostOptions = .init()) throws(BinderyError) {
    try self.init(options: options, engine: EngineConfiguration())
  }

  /// The same with an engine that counts what it executes, or uses other handlers. With `consumesFuel`, sessions get all there is.
  package init(options: HostOptions, engine configuration: EngineConfiguration) throws(BinderyError) {
    let threadCount = options.threadCount ?? WorkerPool.threadCountDefault
    guard threadCount >= 1, threadCount <= WorkerPool.threadCountMax else {
      throw BinderyError(
        .malformedInput, "the number of threads must lie between 1 and \(WorkerPool.threadCountMax), found \(threadCount)")
    }
    guard 1...(1 << 20) ~= options.prefillRowCountMax else {
      throw BinderyError(
        .malformedInput, "a prefill pass has between 1 and \(1 << 20) rows, found \(options.prefillRowCountMax)")
    }
    self.options = options
    self.threadCount = threadCount
    engine = Engine(configuration: configuration)
    workers = WorkerPool(threadCount: threadCount)
  }

  /// Opens a bundle folder or a bare weight file, and the model program for it.
  ///
  /// Weights are mapped (or read, as the options say) once per process and file. The tokenizer is built when it is first used.
  /// - Parameters:
  ///   - path: a folder with a `bundle.json`, or a `.gguf` file.
  ///   - programPath: a model program to use instead of the one for the model's architecture.
  /// - Throws: `environment` where files are missing or cannot be read, `malformedInput` where they are not what they must be.
  public func openModel(at path: String, programPath: String? = nil) throws(BinderyError) -> Model {
    let (bundle, weightsPath) = try Self.findWeights(at: path)
    let weights: WeightSet
    let parts = try WeightParts.paths(of: weightsPath)
    do { weights = try store.weights(paths: parts, placement: options.weights.placement) } catch { throw BinderyError(error) }
    try WeightParts.requireAll(weights)
    let program: CompiledModule
    if let programPath {
      program = try compile(path: programPath)
    } else {
      program = try compile(try Self.program(for: weights, bundle: bundle, path: weightsPath))
    }
    return Model(
      host: self, path: path, bundle: bundle, weights: weights, program: program, programPath: programPath)
  }

  /// The tokenizer of a model, without a program and without a session: any file that carries a tokenizer will do.
  public func openTokenizer(at path: String) throws(BinderyError) -> any Tokenizer {
    let (_, weightsPath) = try Self.findWeights(at: path)
    let weights: WeightSet
    do { weights = try store.weights(paths: [weightsPath], placement: .map) } catch { throw BinderyError(error) }
    return try Model.makeTokenizer(weights)
  }

  static func findWeights(at path: String) throws(BinderyError) -> (bundle: ModelBundle?, weightsPath: String) {
    if ModelBundle.isBundle(path) {
      let bundle = try ModelBundle(path: path)
      return (bundle, try bundle.weightsPath())
    }
    let isFolder = (try? URL(filePath: path).resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory
    guard isFolder == false else {
      throw BinderyError(
        .environment,
        (isFolder == nil ? "there is no model at '\(path)'" : "the folder '\(path)' has no bundle.json")
          + ": expected a bundle folder such as models/tiny-stories-1m, or a .gguf file")
    }
    return (nil, path)
  }

  // MARK: Programs

  private static func program(for weights: WeightSet, bundle: ModelBundle?, path: String) throws(BinderyError) -> ModelProgram {
    if let name = bundle?.manifest.program {
      guard let program = ModelProgram(rawValue: name), program != .kernels else {
        throw BinderyError(
          .malformedInput, "the bundle '\(bundle?.path ?? path)' asks for the program '\(name.prefix(100))', which this build does not have")
      }
      return program
    }
    guard let architecture = weights.metadata.string("general.architecture") else {
      throw BinderyError(
        .malformedInput, "'\(path)' does not name its architecture (general.architecture): give a program with --program")
    }
    guard let program = ModelProgram.forArchitecture(architecture) else {
      throw BinderyError(
        .malformedInput,
        "'\(path)' has the architecture '\(architecture.prefix(100))', for which there is no model program (there are: "
          + "\(ModelProgram.architectures.joined(separator: ", "))): give one with --program")
    }
    return program
  }

  private func compile(_ program: ModelProgram) throws(BinderyError) -> CompiledModule {
    try compiled(.builtIn(program), name: "the built-in program '\(program.rawValue)'") { () throws(BinderyError) in
      guard let bytes = program.bytes else {
        throw BinderyError(
          .environment,
          "this build was made without the program '\(program.rawValue)': build it with models/build.sh, then build again")
      }
      return bytes
    }
  }

  private func compile(path: String) throws(BinderyError) -> CompiledModule {
    let file: RegularFile
    do { file = try RegularFile(path: path) } catch { throw BinderyError(.environment, error.description, cause: error) }
    return try compiled(.file(file.identity), name: "'\(path)'") { () throws(BinderyError) in
      guard file.byteCount <= Self.programByteCountMax else {
        throw BinderyError(
          .malformedInput, "'\(path)' has \(file.byteCount) bytes: a model program has at most \(Self.programByteCountMax)")
      }
      do throws(VirtualMemoryError) { return try file.read(at: 0, byteCount: Int(file.byteCount)) } catch {
        throw BinderyError(.environment, error.description, cause: error)
      }
    }
  }

  /// Programs are some hundred KB; a file of gigabytes given by mistake should not be read into memory.
  static let programByteCountMax: UInt64 = 1 << 28

  /// Compiled programs that are kept for the next session, some hundred of the built-in kind. Those in use are kept by their users.
  static let programCacheByteCountMax: UInt64 = 1 << 28

  /// Compiled once for all who want the same program; nobody else waits for that.
  private func compiled(
    _ source: ProgramSource, name: String, bytes: () throws(BinderyError) -> [UInt8]
  ) throws(BinderyError) -> CompiledModule {
    try programs.value(for: source, byteCount: \.byteCount) { () throws(BinderyError) in
      let bytes = try bytes()
      do throws(WasmError) {
        return try CompiledModule(engine: engine, bytes: bytes, budget: programBudget)
      } catch { throw BinderyError(error, doing: "\(name) cannot be used as a program") }
    }
  }

  /// Who executes tensor operations for a new session.
  func tensorProvider() throws(BinderyError) -> TensorProvider {
    guard options.kernels == .wasm else { return .native }
    return .wasm(
      try kernels.withLock { (kernels) throws(BinderyError) -> KernelModule in
        if let kernels { return kernels }
        do {
          let module = try KernelModule(try compile(.kernels))
          kernels = module
          return module
        } catch let error as BinderyError { throw error } catch {
          throw BinderyError(.malformedInput, "the built-in program 'kernels' cannot be used: \(error)", cause: error)
        }
      })
  }
}
