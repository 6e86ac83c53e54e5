/// The layout of a conversation as text, as a model was trained on it: a small Jinja template that comes with the weights.
///
/// Read once, rendered often; a value to be shared. Covers what published chat templates use, and says what it does not know:
/// with line and column. Rendering costs at most what `ChatTemplateLimits` allow, whatever the template says.
///
/// Source: Jinja 3.1's documentation, and `apply_chat_template` of Hugging Face's transformers for the environment
/// (`trim_blocks`, `lstrip_blocks`, loop controls, `tojson`, `raise_exception`).
public struct ChatTemplate: Sendable {
  private let source: [Unicode.Scalar]
  private let statements: [TemplateStatement]
  private let limits: ChatTemplateLimits

  /// The texts that the template writes: those between its tags and its string literals, in their order. A marker of a model that
  /// stands in one of them is for the template to use, not for content.
  public let literals: [String]

  /// - Throws: `syntax`, `unsupported` or `limitExceeded`.
  public init(_ source: String, limits: ChatTemplateLimits = .init()) throws(ChatTemplateError) {
    guard source.utf8.count <= 4 * limits.sourceCharacterCountMax else {
      throw ChatTemplateError(
        code: .limitExceeded, message: "the template has more than \(limits.sourceCharacterCountMax) characters", line: 1,
        column: 1)
    }
    let scalars = TemplateLexer.normalized(source)
    self.source = scalars
    self.limits = limits
    do throws(TemplateFailure) {
      guard scalars.count <= limits.sourceCharacterCountMax else {
        throw TemplateFailure(
          .limitExceeded, "the template has more than \(limits.sourceCharacterCountMax) characters", at: 0)
      }
      let tokens = try TemplateLexer.tokens(scalars)
      statements = try TemplateParser.parse(tokens, depthMax: limits.nestingDepthMax)
      literals = tokens.compactMap { token in
        switch token.kind {
        case .text(let text), .string(let text): text
        default: nil
        }
      }
    } catch { throw Self.located(error, scalars) }
  }

  /// The text of a conversation, and who wrote which part of it: what `messages` and `variables` hold is content, the texts of
  /// the special tokens are the template's.
  /// - Parameters:
  ///   - addGenerationPrompt: end with the beginning of the assistant's turn, so that the model writes its answer.
  ///   - bosToken, eosToken: the texts of the special tokens, which many templates write themselves.
  ///   - variables: more names, such as `tools` or `enable_thinking`; they come before all others.
  ///   - time: what `strftime_now` prints; without one, templates that ask for it are refused.
  ///   - isStopped: asked every few thousand steps, about each millisecond; true ends the rendering.
  /// - Throws: `evaluation`, `limitExceeded`, `unsupported`, `stopped`, or `raised` when the template refuses the conversation.
  public func renderPrompt(
    _ messages: [ChatMessage], addGenerationPrompt: Bool, bosToken: String = "", eosToken: String = "",
    variables: [String: TemplateValue] = [:], time: TemplateTime? = nil, isStopped: (() -> Bool)? = nil
  ) throws(ChatTemplateError) -> TemplateString {
    var names: [String: TemplateValue] = [
      "messages": .list(TemplateList(messages.map(\.value))), "add_generation_prompt": .bool(addGenerationPrompt),
      "bos_token": .template(bosToken), "eos_token": .template(eosToken), "tools": .none, "documents": .none,
    ]
    names.merge(variables) { _, given in given }
    return try renderPrompt(names, time: time, isStopped: isStopped)
  }

  /// The template's text with these variables and no others.
  public func renderPrompt(
    _ variables: [String: TemplateValue], time: TemplateTime? = nil, isStopped: (() -> Bool)? = nil
  ) throws(ChatTemplateError) -> TemplateString {
    do throws(TemplateFailure) {
      let evaluator = TemplateEvaluator(variables, limits: limits, time: time, isStopped: isStopped)
      for value in variables.values { try evaluator.requireSize(value, at: 0) }
      return try evaluator.render(statements)
    } catch { throw Self.located(error, source) }
  }

  /// The same as text alone.
  public func render(
    _ messages: [ChatMessage], addGenerationPrompt: Bool, bosToken: String = "", eosToken: String = "",
    variables: [String: TemplateValue] = [:], time: TemplateTime? = nil
  ) throws(ChatTemplateError) -> String {
    try renderPrompt(
      messages, addGenerationPrompt: addGenerationPrompt, bosToken: bosToken, eosToken: eosToken, variables: variables, time: time
    ).text
  }

  /// The same as text alone.
  public func render(
    _ variables: [String: TemplateValue], time: TemplateTime? = nil
  ) throws(ChatTemplateError) -> String { try renderPrompt(variables, time: time).text }

  /// Messages quote the template and what it was given: neither may steer a terminal, or fill it.
  private static func printable(_ message: String) -> String {
    var result = ""
    for scalar in message.unicodeScalars.prefix(1000) {
      result += TemplateValue.isPrintable(scalar) ? String(Character(scalar)) : TemplateValue.escape(scalar)
    }
    return message.unicodeScalars.count > 1000 ? result + "..." : result
  }

  private static func located(_ failure: TemplateFailure, _ source: [Unicode.Scalar]) -> ChatTemplateError {
    let before = source.prefix(failure.offset)
    let line = before.count { $0 == "\n" } + 1
    let column = before.count - (before.lastIndex(of: "\n").map { $0 + 1 } ?? 0) + 1
    return ChatTemplateError(code: failure.code, message: Self.printable(failure.message), line: line, column: column)
  }
}

/// One turn of a conversation. All of it is content: text in it never becomes a special token. So is a role, but for those that every
/// family of models knows: templates write `'<|' + message.role + '|>'`, and these words spell nothing else than what is meant.
public struct ChatMessage: Sendable {
  /// `system`, `user`, `assistant`, `tool`.
  public var role: String
  public var content: String
  /// Other keys that templates look for: `tool_calls`, `name` ... One named `content` comes instead of the text.
  public var more: [(String, TemplateValue)] = []

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }

  /// Words that count as the template's own when they are a whole role.
  private static let knownRoles: Set<String> = [
    "system", "user", "assistant", "tool", "developer", "function", "observation", "ipython", "model",
  ]

  var value: TemplateValue {
    let role: TemplateValue = Self.knownRoles.contains(role) ? .template(role) : .content(role)
    return .dictionary(TemplateDictionary([("role", role), ("content", .content(content))] + more))
  }
}

extension ChatTemplate {
  /// Whether the template looks for the text of a message in a list of parts (`[{"type": "text", "text": ...}]`) and does not print a
  /// plain one. Found by trying: two renderings of one short message.
  public func wantsContentParts(bosToken: String, eosToken: String, time: TemplateTime?, isStopped: (() -> Bool)? = nil) -> Bool {
    let probe = "Bindery4711"
    func prints(_ message: ChatMessage) -> Bool {
      let text = try? renderPrompt(
        [message], addGenerationPrompt: true, bosToken: bosToken, eosToken: eosToken, time: time, isStopped: isStopped)
      return text?.text.contains(probe) ?? false
    }
    let plain = ChatMessage(role: "user", content: probe)
    return !prints(plain) && prints(plain.withContentParts)
  }
}

extension ChatMessage {
  /// The same message with its text as the only part of a list.
  public var withContentParts: ChatMessage {
    var message = self
    let part = TemplateDictionary([("type", .content("text")), ("text", .content(content))])
    message.more.append(("content", .list(TemplateList([.dictionary(part)]))))
    return message
  }
}
