/// Why the arguments of a tensor operation were refused. The guest that issued the call traps with this message.
public struct OperationMisuse: Error, Sendable, CustomStringConvertible {
  /// The operation's name, without `tensor.`.
  public let operation: String
  /// The operand or parameter at fault.
  public let parameter: String
  /// What was expected and found, as the rest of a sentence.
  public let reason: String

  public var description: String { "tensor.\(operation): \(parameter) \(reason)" }
}
