import ArgumentParser
import Bindery
import Foundation

/// The options that every command with a model has.
struct ModelOptions: ParsableArguments {
  @Option(name: .shortAndLong, parsing: .unconditional, help: "Threads that work on one tensor operation (default: the cores, at most 8).")
  var threads: Int?

  @Option(help: "Who executes tensor operations: native or wasm.")
  var kernels: KernelProvider = .native

  @OptionGroup var loading: LoadingOptions

  @Option(parsing: .unconditional, help: ArgumentHelp("Give up after this time, loading included, with what there is: status 124.", valueName: "seconds"))
  var timeout: Double?

  func validate() throws {
    if let threads, threads < 1 || threads > 256 {
      throw ValidationError("--threads must lie between 1 and 256, found \(threads)")
    }
    if let timeout, !(timeout > 0 && timeout < 1e9) {
      throw ValidationError("--timeout must be above 0 and below 1e9 seconds, found \(timeout)")
    }
  }

  func makeHost() throws(CommandFailure) -> Bindery.Host { try loading.makeHost(threads: threads, kernels: kernels) }

  func open(_ path: String, host: Bindery.Host) throws(CommandFailure) -> Model { try loading.open(path, host: host) }

  /// `smollm2-135m-instruct` instead of `models/smollm2-135m-instruct` is what one types.
  static func resolve(_ path: String) -> String {
    FileManager.default.fileExists(atPath: path) ? path : (try? FetchCommand.find(path)) ?? path
  }
}

/// How a model gets into memory, whoever computes with it then.
struct LoadingOptions: ParsableArguments {
  @Option(help: "How weights get into the guest's memory: map (zero-copy), read or copy.")
  var weights: WeightLoading = .map

  @Option(
    help: ArgumentHelp(
      "Use this model program, binary or text, instead of the one for the model's architecture.", valueName: "file.wasm"))
  var program: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most bytes that the model program may make this process spend, on all its memories, tables and buffers together; mapped "
        + "weights are not counted (default: half of the machine's memory).",
      valueName: "bytes"))
  var memoryLimit: UInt64?

  /// - Parameter threads: nil: the cores, at most 8.
  func makeHost(threads: Int?, kernels: KernelProvider) throws(CommandFailure) -> Bindery.Host {
    var options = HostOptions()
    options.threadCount = threads
    options.kernels = kernels
    options.weights = weights
    options.sessionMemoryByteCountMax = memoryLimit
    options.log = { standardError("program: \($0)\n") }
    return try failing { () throws(BinderyError) in try Bindery.Host(options: options) }
  }

  /// Opens a model given as a bundle's folder, the name of a bundle, or a weight file.
  func open(_ path: String, host: Bindery.Host) throws(CommandFailure) -> Model {
    let path = ModelOptions.resolve(path)
    guard let program else { return try failing { () throws(BinderyError) in try host.openModel(at: path) } }
    let bytes = try ModuleInput(program).binary()
    return try failing { () throws(BinderyError) in try host.openModel(at: path, program: bytes, named: program) }
  }
}

extension KernelProvider: ExpressibleByArgument {}
extension WeightLoading: ExpressibleByArgument {}
