import WebAssembly

/// Types, and references to what has an index.
extension ModulePrinter {
  // MARK: Identifiers

  /// A blank and `$name`, if the thing has a name.
  mutating func identifier(_ space: ModuleNames.Space, _ index: Int) throws {
    guard let entry = names.entry(space, index) else { return }
    output.byte(UInt8(ascii: " "))
    try identifier(entry)
  }

  /// A blank and the identifier, or the index as a number.
  mutating func reference(_ space: ModuleNames.Space, _ index: UInt32) throws {
    output.byte(UInt8(ascii: " "))
    guard let entry = names.entry(space, Int(index)) else { return output.decimal(index) }
    try identifier(entry)
  }

  /// `$name`, quoted where a character needs it.
  mutating func identifier(_ entry: ModuleNames.Entry) throws {
    let name = module.bytes[entry.range]
    output.byte(UInt8(ascii: "$"))
    if name.allSatisfy(Lexer.isTokenCharacter) {
      output.raw(name)
    } else {
      try output.quotedName(name, at: entry.range.lowerBound)
    }
    try output.drain(at: entry.range.lowerBound)
  }

  func localEntry(_ index: Int) -> ModuleNames.Entry? {
    index < locals.count && locals[index].isPresent ? locals[index] : nil
  }

  // MARK: Types

  /// ` (type x)`.
  mutating func typeUse(_ type: UInt32) throws {
    output.text(" (type")
    try reference(.type, type)
    output.byte(UInt8(ascii: ")"))
  }

  mutating func signature(_ type: FunctionType, at offset: Int) throws {
    try list(type.parameters, "param", at: offset)
    try list(type.results, "result", at: offset)
  }

  private mutating func list(_ types: [ValueType], _ word: String, at offset: Int) throws {
    guard !types.isEmpty else { return }
    output.text(" (\(word)")
    for type in types {
      output.text(" \(type)")
      try output.drain(at: offset)
    }
    output.byte(UInt8(ascii: ")"))
  }

  /// The signature beside a type use of the function whose names are in `locals`; parameters one by one where any has a name.
  mutating func parameters(ofType type: UInt32, at offset: Int) throws {
    guard Int(type) < module.types.count else { return }
    let type = module.types[Int(type)]
    guard type.parameters.indices.contains(where: { localEntry($0) != nil }) else { return try signature(type, at: offset) }
    for (index, parameter) in type.parameters.enumerated() {
      output.text(" (param")
      if let entry = localEntry(index) {
        output.byte(UInt8(ascii: " "))
        try identifier(entry)
      }
      output.text(" \(parameter))")
      try output.drain(at: offset)
    }
    try list(type.results, "result", at: offset)
  }

  static func tableType(_ type: TableType) -> String {
    (type.addressType == .i64 ? "i64 " : "") + limits(type.limits) + " \(type.elementType)"
  }

  private static func limits(_ limits: Limits) -> String { "\(limits.minimum)" + (limits.maximum.map { " \($0)" } ?? "") }

  /// `i64 virtual 16 1024 shared (pagesize 1) (readonly 4)`, without what is the default.
  static func memoryType(_ type: MemoryType) -> String {
    var text = type.addressType == .i64 ? "i64 " : ""
    if type.attributes.isVirtual { text += "virtual " }
    text += limits(type.limits)
    if type.isShared { text += " shared" }
    if type.pageByteCountLog2 != 16 { text += " (pagesize \(UInt64(1) << UInt64(min(type.pageByteCountLog2, 63))))" }
    for (word, count) in [
      ("noaccess", type.attributes.noAccess), ("readonly", type.attributes.readOnly), ("mappable", type.attributes.mappable),
    ] { text += count.map { " (\(word) \($0))" } ?? "" }
    return text
  }

  static func globalType(_ type: GlobalType) -> String { type.isMutable ? "(mut \(type.valueType))" : "\(type.valueType)" }
}
