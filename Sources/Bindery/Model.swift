import Synchronization
import TensorFiles
import TensorStore
import Tensors
import Tokenizers
import VirtualMemory
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
  let addresses: SessionAddresses
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
    addresses = SessionAddresses(weights.metadata, rowCountMax: host.options.prefillRowCountMax)
    programDescription = programPath.map { "the model program '\($0)'" } ?? "the model program of '\(path)'"
  }

  /// A session of its own: own instance, own cache, own budget; it shares the weights.
  /// - Parameters:
  ///   - limits: memory, and time for making the session.
  ///   - cancellation: ends the making from another thread.
  /// - Throws: `malformedInput` if weights and program do not suit each other, `trap` and `programInterface` if the program fails while
  ///   it is set up, `environment` where the system refuses or the weight file was changed, `memoryLimit`, `timeLimit`, `cancelled`.
  public func makeSession(
    _ limits: SessionLimits = SessionLimits(), cancellation: Cancellation? = nil
  ) throws(BinderyError) -> Session {
    try Session(model: self, limits: limits, cancellation: cancellation)
  }

  /// The catalog in the form that model programs read, encoded at the first call.
  /// - Throws: `environment` if there is no memory for it.
  func programCatalog() throws(BinderyError) -> [UInt8] {
    try catalog.withLock { (bytes) throws(BinderyError) -> [UInt8] in
      if let bytes { return bytes }
      // Grown by doubling: the last step has two of them.
      guard HostMemory.hasRoom(forByteCount: 3 * ProgramCatalog.byteCountMax(weights)) else {
        throw BinderyError(.environment, "the system has no memory for the catalog of '\(path)'")
      }
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
