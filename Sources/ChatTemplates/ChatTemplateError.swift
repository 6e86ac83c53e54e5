/// Why a chat template cannot be used, and where in it.
public struct ChatTemplateError: Error, Hashable, Sendable {
  public enum Code: Hashable, Sendable {
    /// The text is no template: a tag that is not closed, an expression that does not parse.
    case syntax
    /// Jinja, but not of the part that is read here.
    case unsupported
    /// It cannot be evaluated with these variables: something is undefined, or of a wrong kind.
    case evaluation
    /// It takes more steps, depth or output than `ChatTemplateLimits` allow.
    case limitExceeded
    /// The host asked to stop, as at a deadline.
    case stopped
    /// The template itself refused the conversation, by `raise_exception`. The message is the template's.
    case raised
  }

  public let code: Code
  public let message: String
  /// Counted from 1; columns in characters (Unicode scalars).
  public let line: Int
  public let column: Int
}

extension ChatTemplateError: CustomStringConvertible {
  public var description: String { "chat template, line \(line), column \(column): \(message)" }
}

/// An error that knows its offset in the template; `ChatTemplate` turns it into lines and columns.
struct TemplateFailure: Error {
  let code: ChatTemplateError.Code
  let message: String
  let offset: Int

  init(_ code: ChatTemplateError.Code, _ message: String, at offset: Int) {
    self.code = code
    self.message = message
    self.offset = offset
  }
}
