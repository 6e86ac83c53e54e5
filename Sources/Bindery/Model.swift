import Synchronization
import TensorFiles
import TensorStore
import Tensors
import Tokenizers
import WasmRuntime

/// An opened model: its weights in a guest memory, its program, its tokenizer. Shared by any number of sessions on any threads.
public final class Model: Sendable {
  public let host: Host
  /// As it was given to `Host.openModel`.
  public let path: String
  public let bundle: ModelBundle?
  let weights: WeightSet
  let program: CompiledModule
  /// How errors call the program: by its file, if it was given as one.
  let programDescription: String
  private let catalog = Mutex<[UInt8]?>(nil)
  /// See `Model+Text.swift`.
  let builtTokenizer = Mutex<(any Tokenizer)?>(nil)
  let builtTemplate = Mutex<PromptTemplate?>(nil)

  init(
    host: Host, path: String, bundle: ModelBundle?, weights: WeightSet, program: CompiledModule, programPath: String?
  ) {
    self.host = host
    self.path = path
    self.bundle = bundle
    self.weights = weights
    self.program = program
    programDescription = programPath.map { "the model program '\($0)'" } ?? "the model program of '\(path)'"
  }

  /// A session of its own: own instance, own cache; it shares the weights.
  public func makeSession() throws(BinderyError) -> Session { try Session(model: self) }

  /// The catalog in the form that model programs read.
  var programCatalog: [UInt8] {
    catalog.withLock { bytes in
      if let bytes { return bytes }
      let encoded = ProgramCatalog.encode(weights)
      bytes = encoded
      return encoded
    }
  }

  /// Bytes of weights that are mappings of the file, and bytes that were copied.
  public var weightByteCounts: (mapped: UInt64, copied: UInt64) { (weights.mappedByteCount, weights.copiedByteCount) }

  /// Elements and bytes of all weight tensors.
  package var tensorSize: (elementCount: Int, byteCount: Int) {
    let tensors = weights.files.flatMap(\.catalog.tensors)
    return (tensors.reduce(0) { $0 + $1.shape.elementCount }, tensors.reduce(0) { $0 + $1.byteCount })
  }
}
