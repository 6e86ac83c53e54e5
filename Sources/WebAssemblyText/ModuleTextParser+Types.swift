/// Types, and the uses of types.
extension ModuleTextParser {
  // MARK: Value types

  /// A value type, nil if none stands here.
  mutating func takeValueType() throws(TextFormatError) -> ValueTypeText? {
    let token = cursor.token()
    if token.kind == .keyword {
      let code: UInt8? =
        switch cursor.text(token) {
        case "i32": 0x7F
        case "i64": 0x7E
        case "f32": 0x7D
        case "f64": 0x7C
        case "v128": 0x7B
        case "funcref": 0x70
        case "externref": 0x6F
        case "memref": 0x5A
        default: nil
        }
      guard let code else { return nil }
      cursor.index += 1
      return ValueTypeText(code: code)
    }
    guard cursor.takeOpen("ref") else { return nil }
    // `(ref null func)` is the long form of funcref. Other typed references have their binary form here, so that it is the
    // decoder who says that the language has none.
    let isNullable = cursor.takeKeyword("null")
    let type: ValueTypeText
    if let heapType = takeHeapType() {
      type = isNullable ? ValueTypeText(code: heapType) : ValueTypeText(code: 0x64, heapType: Int64(heapType) - 0x80)
    } else {
      if let error = cursor.notSupported(cursor.token()) { throw error }
      type = ValueTypeText(code: isNullable ? 0x63 : 0x64, heapType: Int64(try parseIndex(typeSpace)))
    }
    try cursor.expectClose()
    return type
  }

  /// Words of the language that are no instructions and no types.
  static let structuralWords: Set = [
    "type", "param", "result", "local", "func", "table", "memory", "global", "elem", "data", "export", "import", "mut", "then",
    "else",
    "end", "offset", "item", "declare", "module", "start",
  ]

  mutating func expectValueType() throws(TextFormatError) -> ValueTypeText {
    guard let type = try takeValueType() else {
      // A word of the language in the wrong place is unexpected; any other is unknown.
      if cursor.kind() == .keyword, !Self.structuralWords.contains(cursor.text(cursor.token())) {
        throw cursor.unknown(cursor.token())
      }
      throw cursor.unexpected("a value type")
    }
    return type
  }

  mutating func expectReferenceType() throws(TextFormatError) -> ValueTypeText {
    let token = cursor.token()
    let type = try expectValueType()
    guard type.isReference else {
      throw cursor.error("unexpected token \(cursor.shown(token)): expected a reference type", at: token)
    }
    return type
  }

  /// `func` or `extern`, as the byte of the nullable reference to it.
  mutating func takeHeapType() -> UInt8? {
    if cursor.takeKeyword("func") { return 0x70 }
    if cursor.takeKeyword("extern") { return 0x6F }
    if cursor.takeKeyword("mem") { return 0x5A }
    return nil
  }

  // MARK: Function types

  /// `(type $name? (func (param ...)* (result ...)*))`, the cursor after `type`.
  mutating func parseTypeDefinition() throws(TextFormatError) {
    let keyword = cursor.tokens[cursor.index - 1]
    let token = cursor.token()
    let name = try cursor.takeIdentifier()
    guard typeSpace.add(name) else { throw cursor.error("duplicate type \(cursor.shown(token))", at: token) }
    if cursor.kind() == .leftParenthesis, let error = cursor.notSupported(cursor.token(1)) { throw error }
    try cursor.expectOpen("func")
    let (signature, _) = try parseSignature(namesAllowed: true)
    try cursor.expectClose()
    try cursor.expectClose()
    if typeIndices[signature] == nil { typeIndices[signature] = types.count }
    types.append(signature)
    typeTokens.append(keyword)
  }

  /// `(param ...)* (result ...)*` and the names of the parameters.
  mutating func parseSignature(namesAllowed: Bool) throws(TextFormatError) -> (Signature, [String?]) {
    var signature = Signature()
    var names: [String?] = []
    while cursor.takeOpen("param") {
      if namesAllowed, cursor.kind() == .identifier {
        names.append(try cursor.takeIdentifier())
        signature.parameters.append(try expectValueType())
      } else {
        while cursor.kind() != .rightParenthesis {
          signature.parameters.append(try expectValueType())
          names.append(nil)
        }
      }
      try cursor.expectClose()
    }
    while cursor.takeOpen("result") {
      while cursor.kind() != .rightParenthesis { signature.results.append(try expectValueType()) }
      try cursor.expectClose()
    }
    for word in ["type", "param"] where cursor.isOpen(word) {
      cursor.index += 1
      throw cursor.unexpected("something else: `type`, `param` and `result` come in this order")
    }
    return (signature, names)
  }

  /// A use of a type: its index, its signature, and the names of the parameters where they are written one by one.
  struct TypeUse {
    var index: Int
    var signature: Signature
    var names: [String?]
  }

  /// `(type x)? (param ...)* (result ...)*`: the index of the type, made if there is none like it.
  mutating func parseTypeUse(namesAllowed: Bool) throws(TextFormatError) -> TypeUse {
    let token = cursor.token()
    let explicit = try parseTypeReference()
    let (signature, names) = try parseSignature(namesAllowed: namesAllowed)
    guard let explicit else { return TypeUse(index: typeIndex(of: signature), signature: signature, names: names) }
    let isInline = !signature.parameters.isEmpty || !signature.results.isEmpty
    // An index beyond the explicit types is for the validator to refuse, unless its signature is needed here.
    guard explicit < types.count else {
      if isInline { throw cursor.error("unknown type \(explicit)", at: token) }
      return TypeUse(index: explicit, signature: Signature(), names: [])
    }
    if isInline, types[explicit] != signature {
      throw cursor.error("inline function type does not match type \(explicit)", at: token)
    }
    return TypeUse(index: explicit, signature: types[explicit], names: isInline ? names : [])
  }

  mutating func parseTypeReference() throws(TextFormatError) -> Int? {
    guard cursor.takeOpen("type") else { return nil }
    let index = try parseIndex(typeSpace)
    try cursor.expectClose()
    return index
  }

  mutating func typeIndex(of signature: Signature) -> Int {
    if let index = typeIndices[signature] { return index }
    types.append(signature)
    typeTokens.append(fieldToken)
    typeIndices[signature] = types.count - 1
    return types.count - 1
  }

  // MARK: Indices

  func resolve(_ token: Token, in space: IndexSpace) throws(TextFormatError) -> Int {
    if token.kind == .number { return Int(try cursor.unsigned(cursor.slice(token), bitCount: 32, at: token)) }
    let name = try cursor.identifierName(token)
    guard let index = space.index(of: name) else {
      throw cursor.error("unknown \(space.kind) \(cursor.shown(token))", at: token)
    }
    return index
  }

  mutating func parseIndex(_ space: IndexSpace) throws(TextFormatError) -> Int {
    guard cursor.isIndex else { throw cursor.unexpected("an index or a name") }
    let token = cursor.token()
    cursor.index += 1
    return try resolve(token, in: space)
  }

  mutating func takeIndex(_ space: IndexSpace) throws(TextFormatError) -> Int? {
    cursor.isIndex ? try parseIndex(space) : nil
  }

  // MARK: Table, memory and global types

  /// `i32` or `i64` before limits; true for i64.
  mutating func parseAddressType() -> Bool {
    if cursor.takeKeyword("i64") { return true }
    _ = cursor.takeKeyword("i32")
    return false
  }

  /// Both numbers are read as 64-bit ones: that an i32 memory has at most 65 536 pages is for the validator to say.
  private mutating func parseLimits() throws(TextFormatError) -> (minimum: UInt64, maximum: UInt64?) {
    let minimum = try parseLimit()
    let maximum = cursor.kind() == .number ? try parseLimit() : nil
    return (minimum, maximum)
  }

  private mutating func parseLimit() throws(TextFormatError) -> UInt64 {
    let token = cursor.token()
    do {
      return try cursor.expectUnsigned(bitCount: 64)
    } catch {
      guard error.message.hasPrefix("constant out of range") else { throw error }
      throw cursor.error("i64 constant out of range: \(cursor.shown(token))", at: token)
    }
  }

  /// The binary form of a table type after its address type.
  mutating func parseTableType(is64: Bool) throws(TextFormatError) -> [UInt8] {
    let limits = try parseLimits()
    let element = try expectReferenceType()
    return Self.tableType(element: element, is64: is64, limits)
  }

  static func tableType(element: ValueTypeText, is64: Bool, _ limits: (minimum: UInt64, maximum: UInt64?)) -> [UInt8] {
    var writer = ByteWriter()
    writer.valueType(element)
    writer.byte((limits.maximum == nil ? 0 : 1) | (is64 ? 4 : 0))
    writer.unsigned(limits.minimum)
    if let maximum = limits.maximum { writer.unsigned(maximum) }
    return writer.bytes
  }

  /// `virtual? limits shared? pagesize? attribute*`, after the address type.
  mutating func parseMemoryType(is64: Bool) throws(TextFormatError) -> [UInt8] {
    var type = MemoryTypeText(is64: is64)
    type.isVirtual = cursor.takeKeyword("virtual")
    (type.minimum, type.maximum) = try parseLimits()
    type.isShared = cursor.takeKeyword("shared")
    type.pageByteCountLog2 = try parsePageSize()
    try parseMemoryAttributes(into: &type)
    return type.encoded
  }

  mutating func parsePageSize() throws(TextFormatError) -> UInt8? {
    guard cursor.takeOpen("pagesize") else { return nil }
    let token = cursor.token()
    let size = try cursor.expectUnsigned(bitCount: 32)
    guard size.nonzeroBitCount == 1 else { throw cursor.error("invalid custom page size", at: token) }
    try cursor.expectClose()
    return UInt8(size.trailingZeroBitCount)
  }

  private mutating func parseMemoryAttributes(into type: inout MemoryTypeText) throws(TextFormatError) {
    var seen: Set<String> = []
    while cursor.kind() == .leftParenthesis {
      let keyword = cursor.token(1)
      let word = keyword.kind == .keyword ? cursor.text(keyword) : ""
      guard ["noaccess", "readonly", "mappable"].contains(word) else {
        cursor.index += 1
        throw cursor.unexpected("noaccess, readonly or mappable")
      }
      guard seen.insert(word).inserted else { throw cursor.error("duplicate memory attribute", at: keyword) }
      cursor.index += 2
      let pageCount = try cursor.expectUnsigned(bitCount: 64)
      switch word {
      case "noaccess": type.noAccess = pageCount
      case "readonly": type.readOnly = pageCount
      default: type.mappable = pageCount
      }
      try cursor.expectClose()
    }
  }

  /// A global type: `t` or `(mut t)`.
  mutating func parseGlobalType() throws(TextFormatError) -> [UInt8] {
    let isMutable = cursor.takeOpen("mut")
    var writer = ByteWriter()
    writer.valueType(try expectValueType())
    if isMutable { try cursor.expectClose() }
    writer.byte(isMutable ? 1 : 0)
    return writer.bytes
  }
}

/// A value type as its binary form has it: one byte, or the byte of a typed reference and its heap type.
struct ValueTypeText: Hashable {
  var code: UInt8
  var heapType: Int64?

  init(code: UInt8, heapType: Int64? = nil) {
    self.code = code
    self.heapType = heapType
  }

  static let funcref = ValueTypeText(code: 0x70)

  var isReference: Bool { heapType != nil || code == 0x70 || code == 0x6F || code == 0x5A }
}

extension ByteWriter {
  mutating func valueType(_ type: ValueTypeText) {
    byte(type.code)
    if let heapType = type.heapType { signed(heapType) }
  }

  mutating func valueTypes(_ types: [ValueTypeText]) {
    unsigned(types.count)
    for type in types { valueType(type) }
  }
}

/// A memory type as it was written, and its binary form.
struct MemoryTypeText {
  var is64: Bool
  var minimum: UInt64 = 0
  var maximum: UInt64?
  var isShared = false
  var pageByteCountLog2: UInt8?
  var isVirtual = false
  // Page counts of the sections, where they are given.
  var noAccess: UInt64?, readOnly: UInt64?, mappable: UInt64?

  init(is64: Bool) { self.is64 = is64 }

  /// Flags, limits, page size, and behind flag 0x20 the attributes of memory control.
  var encoded: [UInt8] {
    let attributes: UInt8 =
      (noAccess != nil ? 1 : 0) | (readOnly != nil ? 2 : 0) | (isVirtual ? 4 : 0) | (mappable != nil ? 8 : 0)
    var flags: UInt8 = (maximum == nil ? 0 : 1) | (isShared ? 2 : 0) | (is64 ? 4 : 0)
    if pageByteCountLog2 != nil { flags |= 8 }
    if attributes != 0 { flags |= 0x20 }
    var writer = ByteWriter()
    writer.byte(flags)
    writer.unsigned(minimum)
    if let maximum { writer.unsigned(maximum) }
    if let pageByteCountLog2 { writer.unsigned(pageByteCountLog2) }
    if attributes != 0 {
      writer.byte(attributes)
      for count in [noAccess, readOnly, mappable] { if let count { writer.unsigned(count) } }
    }
    return writer.bytes
  }
}
