/// Why a reference kernel refused its operands. They are checked, since tests hand them over by the dozen.
public enum KernelError: Error, Hashable, Sendable {
  /// No reference arithmetic exists for this type yet.
  case unsupportedElementType(ElementType)
  /// An operand has another length than its shape says. The text names the operand, what was expected and what was found.
  case shapeMismatch(String)
  /// A row, token, position or address outside its range.
  case outOfRange(String)
}
