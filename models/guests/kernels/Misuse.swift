import GuestImports

extension ElementType {
  /// The type with this number, for rows of `columnCount`; traps on an unknown type or a row that is no whole number of blocks.
  static func checked(_ number: Int32, columnCount: Int) -> ElementType {
    guard let type = ElementType(rawValue: number) else { misuse("unknown element type", number) }
    guard columnCount % type.blockElementCount == 0 else {
      misuse("row is not a whole number of blocks: its length is", Int32(truncatingIfNeeded: columnCount))
    }
    return type
  }
}

/// Logs a sentence and traps: an operation was called with arguments that no operation has.
func misuse(_ reason: StaticString, _ number: Int32) -> Never {
  var line = TextBuffer()
  line.append("kernels: ")
  line.append(reason)
  line.append(" ")
  line.append(Int(number))
  line.log()
  fatalError()
}

/// A count argument as an `Int`; traps where it is negative.
@inline(__always)
func count(_ value: Int32) -> Int {
  if value < 0 { misuse("negative count", value) }
  return Int(value)
}
