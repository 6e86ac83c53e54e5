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
      statements = try TemplateParser.parse(try TemplateLexer.tokens(scalars), depthMax: limits.nestingDepthMax)
    } catch { throw Self.located(error, scalars) }
  }

  /// The text of a conversation.
  /// - Parameters:
  ///   - addGenerationPrompt: end with the beginning of the assistant's turn, so that the model writes its answer.
  ///   - bosToken, eosToken: the texts of the special tokens, which many templates write themselves.
  ///   - variables: more names, such as `tools` or `enable_thinking`; they come before all others.
  /// - Throws: `evaluation`, `limitExceeded`, `unsupported`, or `raised` when the template refuses the conversation.
  public func render(
    _ messages: [ChatMessage], addGenerationPrompt: Bool, bosToken: String = "", eosToken: String = "",
    variables: [String: TemplateValue] = [:]
  ) throws(ChatTemplateError) -> String {
    var names: [String: TemplateValue] = [
      "messages": .list(TemplateList(messages.map(\.value))), "add_generation_prompt": .bool(addGenerationPrompt),
      "bos_token": .string(bosToken), "eos_token": .string(eosToken), "tools": .none, "documents": .none,
    ]
    names.merge(variables) { _, given in given }
    return try render(names)
  }

  /// The template's text with these variables and no others.
  public func render(_ variables: [String: TemplateValue]) throws(ChatTemplateError) -> String {
    do throws(TemplateFailure) {
      let evaluator = TemplateEvaluator(variables, limits: limits)
      for value in variables.values { try evaluator.requireSize(value, at: 0) }
      return try evaluator.render(statements)
    } catch { throw Self.located(error, source) }
  }

  private static func located(_ failure: TemplateFailure, _ source: [Unicode.Scalar]) -> ChatTemplateError {
    let before = source.prefix(failure.offset)
    let line = before.count { $0 == "\n" } + 1
    let column = before.count - (before.lastIndex(of: "\n").map { $0 + 1 } ?? 0) + 1
    return ChatTemplateError(code: failure.code, message: failure.message, line: line, column: column)
  }
}

/// One turn of a conversation.
public struct ChatMessage: Sendable {
  /// `system`, `user`, `assistant`, `tool`.
  public var role: String
  public var content: String
  /// Other keys that templates look for: `tool_calls`, `name` ...
  public var more: [(String, TemplateValue)] = []

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }

  var value: TemplateValue {
    .dictionary(TemplateDictionary([("role", .string(role)), ("content", .string(content))] + more))
  }
}
