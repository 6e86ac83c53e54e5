import ChatTemplates
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
  private let builtTokenizer = Mutex<(any Tokenizer)?>(nil)

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

  // MARK: Text

  /// The tokenizer of the weight file, built at the first call.
  /// - Throws: `malformedInput` if the file has none, or one of a kind that is not known here.
  public func tokenizer() throws(BinderyError) -> any Tokenizer {
    try builtTokenizer.withLock { (built) throws(BinderyError) -> any Tokenizer in
      if let built { return built }
      let tokenizer = try Self.makeTokenizer(weights)
      built = tokenizer
      return tokenizer
    }
  }

  /// Builds the tokenizer of a weight file.
  static func makeTokenizer(_ weights: WeightSet) throws(BinderyError) -> any Tokenizer {
    let file = weights.files[0]
    let result: Result<(any Tokenizer)?, any Error>
    do throws(TensorStoreError) {
      result = try weights.withBytes(ofFile: 0) { bytes in
        guard let description = try file.catalog.tokenizerDescription(in: bytes) else { return nil }
        return try makeTokenizer(description)
      }
    } catch { throw BinderyError(error) }
    switch result {
    case .success(let tokenizer?): return tokenizer
    case .success(nil): throw BinderyError(.malformedInput, "'\(file.path)' carries no tokenizer (tokenizer.ggml.model)")
    case .failure(let error): throw BinderyError(.malformedInput, "'\(file.path)': \(error)", cause: error)
    }
  }

  private static func makeTokenizer(_ description: TokenizerDescription) throws -> any Tokenizer {
    try BytePairTokenizer(description)
  }

  /// The ids of a raw prompt, tokenised as the reference engines do: BOS where the model asks for it, special tokens written in
  /// the text recognised.
  public func encode(_ text: String, withSpecialTokens: Bool = true) throws(BinderyError) -> [Int32] {
    try tokenizer().encode(text, addSpecial: withSpecialTokens, parseSpecial: withSpecialTokens).map(\.rawValue)
  }

  /// A message of a conversation: `system`, `user` or `assistant`.
  public struct Message: Sendable, Hashable {
    public var role: String
    public var content: String

    public init(role: String, content: String) {
      self.role = role
      self.content = content
    }
  }

  /// A conversation as the text that the model was trained on, ending where its answer begins.
  /// - Throws: `malformedInput` if the model has no chat template, or its template refuses the conversation.
  public func applyChatTemplate(_ messages: [Message]) throws(BinderyError) -> String {
    guard let source = weights.files[0].catalog.chatTemplate ?? bundle?.manifest.chatTemplate else {
      throw BinderyError(.malformedInput, "'\(path)' has no chat template (it is no chat model): give a raw prompt instead")
    }
    let tokenizer = try tokenizer()
    func text(_ id: TokenID?) -> String {
      id.flatMap { tokenizer.bytes(of: $0) }.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
    do {
      return try ChatTemplate(source).render(
        messages.map { ChatMessage(role: $0.role, content: $0.content) }, addGenerationPrompt: true,
        bosToken: text(tokenizer.bosID),
        eosToken: text(tokenizer.eosID))
    } catch {
      throw BinderyError(.malformedInput, "'\(path)': \(error)", cause: error)
    }
  }

  /// The ids of a conversation. The template writes BOS itself where it wants one, so none is added.
  public func encode(_ messages: [Message]) throws(BinderyError) -> [Int32] {
    let text = try applyChatTemplate(messages)
    let tokenizer = try tokenizer()
    var ids = tokenizer.encode(text, addSpecial: true, parseSpecial: true)
    // Some templates write BOS and some leave it to the tokenizer: there must be one, not two.
    if tokenizer.addsBOS, let bos = tokenizer.bosID, ids.count > 1, ids[0] == bos, ids[1] == bos { ids.removeFirst() }
    return ids.map(\.rawValue)
  }
}
