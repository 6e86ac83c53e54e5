/// The name of an import or export: Unicode text that is compared code point by code point.
///
/// Swift's strings compare by canonical equivalence ("A" with a combining ring equals the precomposed letter), WebAssembly's
/// names do not: a module may export both.
public struct Name: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let string: String

  public init(_ string: String) { self.string = string }
  public init(stringLiteral value: String) { self.string = value }

  public static func == (left: Name, right: Name) -> Bool { left.string.utf8.elementsEqual(right.string.utf8) }

  public func hash(into hasher: inout Hasher) {
    for byte in string.utf8 { hasher.combine(byte) }
    // No UTF-8 text has this byte: it ends the name.
    hasher.combine(UInt8(0xFF))
  }

  public var description: String { string }
}
