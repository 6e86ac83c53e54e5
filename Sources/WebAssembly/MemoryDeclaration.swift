/// A memory that a lowered guest works on: its name in `memory:NAME` imports, where it is imported from, its type.
public struct MemoryDeclaration: Hashable, Sendable {
  public let name: String
  public let importModule: Name
  public let importName: Name
  public let type: MemoryType

  /// The type of a memory that nobody described: 64-bit, up to 1 TiB.
  public static let defaultType = MemoryType(addressType: .i64, limits: Limits(minimum: 0, maximum: 1 << 24))

  public init(name: String, importModule: Name = "bindery", importName: Name? = nil, type: MemoryType = Self.defaultType) {
    self.name = name
    self.importModule = importModule
    self.importName = importName ?? Name(name)
    self.type = type
  }

  /// Reads `NAME[=MODULE.FIELD] [i32|i64] [virtual] MINIMUM [MAXIMUM] [shared]`, for instance
  /// `weights=bindery.weights i64 virtual 0 16777216`. A name alone has the default type.
  /// - Throws: a sentence that says which word is wrong.
  public init(parsing text: String) throws(LoweringError) {
    var words = text.split(separator: " ")[...]
    func wrong(_ what: String) -> LoweringError {
      LoweringError("memory `\(text)`: \(what); expected NAME[=MODULE.FIELD] [i32|i64] [virtual] MINIMUM [MAXIMUM] [shared]")
    }
    guard let head = words.popFirst() else { throw wrong("nothing given") }
    let parts = head.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let name = parts.first, !name.isEmpty else { throw wrong("no name") }
    var importModule = Name("bindery")
    var importName = Name(String(name))
    if parts.count == 2 {
      let place = parts[1].split(separator: ".", maxSplits: 1)
      guard place.count == 2 else { throw wrong("`\(parts[1])` is not MODULE.FIELD") }
      importModule = Name(String(place[0]))
      importName = Name(String(place[1]))
    }
    guard !words.isEmpty else {
      self.init(name: String(name), importModule: importModule, importName: importName)
      return
    }
    var addressType = AddressType.i32
    if words.first == "i64" || words.first == "i32" { addressType = words.popFirst() == "i64" ? .i64 : .i32 }
    let isVirtual = words.first == "virtual"
    if isVirtual { words.removeFirst() }
    let isShared = words.last == "shared"
    if isShared { words.removeLast() }
    var numbers: [UInt64] = []
    for word in words {
      guard let number = UInt64(word) else { throw wrong("`\(word)` is not a number of pages") }
      numbers.append(number)
    }
    guard numbers.count == 1 || numbers.count == 2 else { throw wrong("\(numbers.count) numbers given") }
    self.init(
      name: String(name), importModule: importModule, importName: importName,
      type: MemoryType(
        addressType: addressType, limits: Limits(minimum: numbers[0], maximum: numbers.count == 2 ? numbers[1] : nil),
        isShared: isShared, attributes: MemoryAttributes(isVirtual: isVirtual)))
  }
}

/// Why a guest cannot be lowered.
public struct LoweringError: Error, Hashable, Sendable, CustomStringConvertible {
  public let message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
