/// Something that must hold for every input did not. The sentence says what, and what was found.
public struct BrokenPromise: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// Checks what must hold for every input.
func promise(_ holds: Bool, _ sentence: @autoclosure () -> String) throws(BrokenPromise) {
  if !holds { throw BrokenPromise(sentence()) }
}
