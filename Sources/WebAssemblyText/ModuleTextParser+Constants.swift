/// The operands of `const` instructions.
extension ModuleTextParser {
  /// An integer literal as the two's complement bits of its type.
  mutating func parseInteger(bitCount: Int) throws(TextFormatError) -> UInt64 {
    try parseNumber("i\(bitCount)") { try NumberLiteral.integer($0, bitCount: bitCount) }
  }

  mutating func parseFloat32() throws(TextFormatError) -> UInt32 { try parseNumber("f32") { try NumberLiteral.float32($0) } }

  mutating func parseFloat64() throws(TextFormatError) -> UInt64 { try parseNumber("f64") { try NumberLiteral.float64($0) } }

  private mutating func parseNumber<Value>(
    _ type: String, _ read: (ArraySlice<UInt8>) throws -> Value?
  ) throws(TextFormatError) -> Value {
    let token = cursor.token()
    // `inf` and `nan` look like keywords.
    guard token.kind == .number || token.kind == .keyword || token.kind == .reserved else {
      throw cursor.unexpected("an \(type) number")
    }
    let value: Value?
    do {
      value = try read(cursor.slice(token))
    } catch {
      throw cursor.error("constant out of range: \(cursor.shown(token)) is no \(type)", at: token)
    }
    guard let value else {
      let isPattern = cursor.isKeyword("nan:canonical") || cursor.isKeyword("nan:arithmetic")
      if token.kind == .keyword && (isPattern || !cursor.hasPrefix("nan:")) || token.kind == .number && isWellFormedNumber(token)
      {
        throw cursor.unexpected("an \(type) number")
      }
      throw cursor.error("unknown operator \(cursor.shown(token))", at: token)
    }
    cursor.index += 1
    return value
  }

  /// A number of another kind is an unexpected token; digits that are no number at all are an unknown operator.
  func isWellFormedNumber(_ token: Token) -> Bool {
    do {
      return try NumberLiteral.float64(cursor.slice(token)) != nil
    } catch {
      return true
    }
  }

  /// `v128.const shape lane*`.
  mutating func parseVector(_ body: inout FunctionTextBody) throws(TextFormatError) {
    let shapeToken = cursor.token()
    guard shapeToken.kind == .keyword else { throw cursor.unexpected("a vector shape such as i32x4") }
    let bitCount: Int
    switch cursor.text(shapeToken) {
    case "i8x16": bitCount = 8
    case "i16x8": bitCount = 16
    case "i32x4", "f32x4": bitCount = 32
    case "i64x2", "f64x2": bitCount = 64
    default: throw cursor.unexpected("a vector shape such as i32x4")
    }
    let isFloat = cursor.text(shapeToken).hasPrefix("f")
    cursor.index += 1
    let laneCount = 128 / bitCount
    var written = 0
    while cursor.kind(written) == .number || cursor.kind(written) == .reserved || cursor.hasPrefix("nan", written)
      || cursor.isKeyword("inf", written)
    { written += 1 }
    let hasWrongWord = (0..<written).contains {
      cursor.kind($0) == .reserved || cursor.kind($0) == .number && !isWellFormedNumber(cursor.token($0))
    }
    guard written == laneCount || hasWrongWord else {
      throw cursor.error(
        "wrong number of lane literals: \(cursor.text(shapeToken)) has \(laneCount), found \(written)", at: shapeToken)
    }
    for _ in 0..<laneCount {
      switch (isFloat, bitCount) {
      case (true, 32): body.code.littleEndian(try parseFloat32())
      case (true, _): body.code.littleEndian(try parseFloat64())
      case (false, 8): body.code.byte(UInt8(try parseInteger(bitCount: 8)))
      case (false, 16): body.code.littleEndian(UInt16(try parseInteger(bitCount: 16)))
      case (false, 32): body.code.littleEndian(UInt32(try parseInteger(bitCount: 32)))
      default: body.code.littleEndian(try parseInteger(bitCount: 64))
      }
    }
  }

  /// `nan`, `nan:0x1` and `inf` are numbers that look like keywords.
  var isFloatKeyword: Bool { cursor.hasPrefix("nan") || cursor.isKeyword("inf") }
}
