import BinaryReading

/// The integers and bytes of the binary format, with errors in the wording of the official suite.
extension BinaryReader {
  @inline(__always)
  mutating func byte() throws(WasmParseError) -> UInt8 {
    do { return try readByte() } catch { throw WasmParseError(error) }
  }
  @inline(__always)
  mutating func u32() throws(WasmParseError) -> UInt32 {
    do { return try readUInt32LEB128() } catch { throw WasmParseError(error) }
  }
  @inline(__always)
  mutating func u64() throws(WasmParseError) -> UInt64 {
    do { return try readUInt64LEB128() } catch { throw WasmParseError(error) }
  }
  @inline(__always)
  mutating func s32() throws(WasmParseError) -> Int32 {
    do { return try readInt32LEB128() } catch { throw WasmParseError(error) }
  }
  @inline(__always)
  mutating func s33() throws(WasmParseError) -> Int64 {
    do { return try readSignedLEB128(bitCount: 33) } catch { throw WasmParseError(error) }
  }
  @inline(__always)
  mutating func s64() throws(WasmParseError) -> Int64 {
    do { return try readInt64LEB128() } catch { throw WasmParseError(error) }
  }
  @inline(__always)
  mutating func fixed32() throws(WasmParseError) -> UInt32 {
    do { return try readUInt32() } catch { throw WasmParseError(error) }
  }
  @inline(__always)
  mutating func fixed64() throws(WasmParseError) -> UInt64 {
    do { return try readUInt64() } catch { throw WasmParseError(error) }
  }

  /// The number of elements of a vector. Each element takes at least one byte, so no more than `remainingByteCount` may be
  /// reserved for it; a larger count runs into the end.
  mutating func count() throws(WasmParseError) -> Int { Int(try u32()) }

  /// The number of elements of a vector that may have at most `most`. A count that the bytes cannot hold is left to run into
  /// the end: that is malformed, not large.
  mutating func count(_ what: String, atMost most: Int) throws(WasmParseError) -> Int {
    let start = offset
    let count = Int(try u32())
    guard min(count, remainingByteCount) <= most else {
      throw WasmParseError("too many \(what): found \(count), at most \(most)", at: start, reason: .overLimit)
    }
    return count
  }

  mutating func valueType(_ features: WasmFeatures) throws(WasmParseError) -> ValueType {
    let start = offset
    let code = try byte()
    if let type = ValueType(rawValue: code), type.isKnown(to: features) { return type }
    throw Self.typeError(code, "malformed value type", at: start)
  }

  mutating func referenceType(_ features: WasmFeatures) throws(WasmParseError) -> ValueType {
    let start = offset
    let code = try byte()
    if let type = ValueType(rawValue: code), type.isReference, type.isKnown(to: features) { return type }
    throw Self.typeError(code, "malformed reference type", at: start)
  }

  /// The error for a byte that is no type of ours: it may be one of a part of WebAssembly that this version does not have.
  static func typeError(_ code: UInt8, _ message: String, at offset: Int) -> WasmParseError {
    guard let (part, name) = UnsupportedPart.type(code) else { return WasmParseError(message, at: offset) }
    return .unsupported(part, name, at: offset)
  }

  mutating func v128() throws(WasmParseError) -> V128Bits {
    V128Bits(low: try fixed64(), high: try fixed64())
  }

  /// A name: its length and strict UTF-8.
  mutating func name() throws(WasmParseError) -> String {
    let start = offset
    let byteCount = Int(try u32())
    guard byteCount <= remainingByteCount else { throw WasmParseError("length out of bounds", at: start) }
    guard byteCount <= ModuleLimits.nameByteCountMax else {
      throw WasmParseError(
        "name too long: \(byteCount) bytes, at most \(ModuleLimits.nameByteCountMax)", at: start, reason: .overLimit)
    }
    do { return try readUTF8(byteCount: byteCount) } catch { throw WasmParseError(error) }
  }

  /// Steps over `byteCount` bytes.
  mutating func range(byteCount: Int) throws(WasmParseError) -> Range<Int> {
    do { return try skip(byteCount: byteCount) } catch { throw WasmParseError(error) }
  }
}

extension ValueType {
  /// Whether the features have this type.
  func isKnown(to features: WasmFeatures) -> Bool { self != .memref || features.contains(.memoryReferences) }
}
