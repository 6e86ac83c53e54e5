import ChatTemplates
import Foundation
import Synchronization
import TensorFiles
import TensorStore
import Tokenizers

/// A model's chat template, and what encoding its text needs to know.
struct PromptTemplate: Sendable {
  let template: ChatTemplate
  /// The user-defined tokens that only the template may write.
  let reservedTokens: Set<TokenID>
  /// Messages go to the template as lists of parts.
  let wantsContentParts: Bool
}

extension Model {
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
        return try description.makeTokenizer()
      }
    } catch { throw BinderyError(error) }
    switch result {
    case .success(let tokenizer?): return tokenizer
    case .success(nil): throw BinderyError(.malformedInput, "'\(file.path)' carries no tokenizer (tokenizer.ggml.model)")
    case .failure(let error): throw BinderyError(.malformedInput, "'\(file.path)': \(error)", cause: error)
    }
  }

  /// The ids of a raw prompt, tokenised as the reference engines do: BOS where the model asks for it, special tokens written in
  /// the text recognised.
  /// - Parameter isStopped: asked every few milliseconds; true ends the work with an error.
  public func encode(
    _ text: String, withSpecialTokens: Bool = true, isStopped: (() -> Bool)? = nil
  ) throws(BinderyError) -> [Int32] {
    let tokenizer = try tokenizer()
    do throws(TokenizerError) {
      return try tokenizer.encode(
        text, addSpecial: withSpecialTokens, parseSpecial: withSpecialTokens, isStopped: isStopped
      ).map(\.rawValue)
    } catch { throw BinderyError(error) }
  }

  /// A message of a conversation: `system`, `user` or `assistant`. Its text is content, its role too: whatever is written in them,
  /// only the template makes special tokens.
  public struct Message: Sendable, Hashable {
    public var role: String
    public var content: String

    public init(role: String, content: String) {
      self.role = role
      self.content = content
    }
  }

  /// A conversation as the text that the model was trained on, ending where its answer begins: for people to look at. To encode it
  /// use `encode(_:)`, which knows who wrote which part of it.
  /// - Throws: `malformedInput` if the model has no chat template, or its template refuses the conversation.
  public func applyChatTemplate(_ messages: [Message]) throws(BinderyError) -> String {
    try render(messages, isStopped: nil).text.text
  }

  /// The ids of a conversation, ending where the model's answer begins.
  ///
  /// What the messages hold is encoded as plain text: `<|im_end|>` in one of them is spelled out, and no turn ends there. BOS comes
  /// exactly once, whether the template or the tokenizer writes it; EOS does not come behind.
  /// - Parameter isStopped: asked about each millisecond; true ends the work with an error.
  /// - Throws: `malformedInput` if the model has no chat template, or its template refuses the conversation.
  public func encode(_ messages: [Message], isStopped: (() -> Bool)? = nil) throws(BinderyError) -> [Int32] {
    let (text, template) = try render(messages, isStopped: isStopped)
    let prompt = PromptText(
      rendered: text.text, templateRanges: text.templateRanges, reservedTokens: template.reservedTokens)
    let tokenizer = try tokenizer()
    do throws(TokenizerError) { return try tokenizer.encode(prompt, isStopped: isStopped).map(\.rawValue) } catch {
      throw BinderyError(error)
    }
  }

  private func render(
    _ messages: [Message], isStopped: (() -> Bool)?
  ) throws(BinderyError) -> (text: TemplateString, template: PromptTemplate) {
    let template = try promptTemplate()
    let (bos, eos) = try specialTexts()
    let chat = messages.map {
      let message = ChatMessage(role: $0.role, content: $0.content)
      return template.wantsContentParts ? message.withContentParts : message
    }
    do throws(ChatTemplateError) {
      let text = try template.template.renderPrompt(
        chat, addGenerationPrompt: true, bosToken: bos, eosToken: eos, time: .now(), isStopped: isStopped)
      return (text, template)
    } catch {
      let kind: BinderyError.Kind = error.code == .stopped ? .environment : .malformedInput
      throw BinderyError(kind, "'\(path)': \(error)", cause: error)
    }
  }

  /// The template, read at the first call.
  private func promptTemplate() throws(BinderyError) -> PromptTemplate {
    let tokenizer = try tokenizer()
    let (bos, eos) = try specialTexts()
    return try builtTemplate.withLock { (built) throws(BinderyError) -> PromptTemplate in
      if let built { return built }
      do {
        guard let source = try weights.files[0].catalog.chatTemplate() ?? bundle?.manifest.chatTemplate else {
          throw BinderyError(.malformedInput, "'\(path)' has no chat template (it is no chat model): give a raw prompt instead")
        }
        let template = try ChatTemplate(source)
        let prompt = PromptTemplate(
          template: template, reservedTokens: tokenizer.reservedTokens(in: template.literals),
          wantsContentParts: template.wantsContentParts(bosToken: bos, eosToken: eos, time: .now()))
        built = prompt
        return prompt
      } catch let error as BinderyError {
        throw error
      } catch {
        throw BinderyError(.malformedInput, "'\(path)': \(error)", cause: error)
      }
    }
  }

  private func specialTexts() throws(BinderyError) -> (bos: String, eos: String) {
    let tokenizer = try tokenizer()
    func text(_ id: TokenID?) -> String {
      id.flatMap { tokenizer.bytes(of: $0) }.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
    return (text(tokenizer.bosID), text(tokenizer.eosID))
  }
}

extension TemplateTime {
  /// The host's clock, in its time zone.
  static func now() -> TemplateTime {
    let now = Date()
    let seconds = Int(now.timeIntervalSince1970.rounded(.down))
    return TemplateTime(unixSeconds: seconds, utcOffsetSeconds: TimeZone.current.secondsFromGMT(for: now))
  }
}

extension BinderyError {
  /// A text that could not be encoded.
  init(_ error: TokenizerError) {
    self.init(error.code == .stopped ? .environment : .malformedInput, error.message, cause: error)
  }
}
