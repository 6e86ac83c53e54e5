import TensorStore
import WasmRuntime

extension Host {
  /// Opens a model with a program that is in memory: one that came through a pipe, or was translated from text.
  ///
  /// - Parameters:
  ///   - path: a folder with a `bundle.json`, or a `.gguf` file.
  ///   - program: the bytes of a module; at most 256 MiB. Compiled for this model alone, where
  ///     ``openModel(at:programPath:)`` keeps programs of one file.
  ///   - name: how errors call the program.
  /// - Throws: as ``openModel(at:programPath:)`` does.
  public func openModel(at path: String, program: [UInt8], named name: String) throws(BinderyError) -> Model {
    guard program.count <= Self.programByteCountMax else {
      throw BinderyError(
        .malformedInput, "'\(name)' has \(program.count) bytes: a model program has at most \(Self.programByteCountMax)")
    }
    let (bundle, weightsPath) = try Self.findWeights(at: path)
    let weights: WeightSet
    let parts = try WeightParts.paths(of: weightsPath)
    do { weights = try store.weights(paths: parts, placement: options.weights.placement) } catch { throw BinderyError(error) }
    try WeightParts.requireAll(weights)
    let compiled: CompiledModule
    do { compiled = try CompiledModule(engine: engine, bytes: program) } catch {
      throw BinderyError(error, doing: "'\(name)' cannot be used as a program")
    }
    return Model(host: self, path: path, bundle: bundle, weights: weights, program: compiled, programPath: name)
  }
}
