import BinaryReading
import Tensors

/// Reads the header of a GGUF file, version 2 or 3, little-endian.
///
///     "GGUF" | u32 version | u64 tensorCount | u64 metadataCount
///     metadataCount × ( string key | u32 kind | value )
///     tensorCount × ( string name | u32 rank | rank × u64 dimension, innermost first | u32 type | u64 offset in the data )
///     padding to the alignment (`general.alignment`, 32 if it is not there) | data
///
/// A string is a u64 byte count and UTF-8. Source: docs/gguf.md of ggml.
public enum GGUFFile {
  /// Whether these bytes start like a GGUF file.
  public static func isGGUF(_ file: RawSpan) -> Bool {
    var reader = BinaryReader(file)
    return (try? reader.readUInt32()) == magic
  }

  /// Reads and checks the header of a file.
  ///
  /// - Parameter file: the whole file, mapped; only the header is touched. Nothing of it is copied but keys, names and
  ///   strings that are no array elements.
  /// - Throws: `TensorFileError` with the offset of what is wrong.
  /// - Complexity: linear in the length of the header.
  public static func readCatalog(_ file: RawSpan) throws(TensorFileError) -> TensorCatalog {
    var reader = BinaryReader(file)
    let version = try readPreamble(&reader)
    let tensorCount = try readCount(&reader, "tensors", max: GGUFLimits.tensorCountMax, elementByteCountMin: 24)
    let metadataCount = try readCount(&reader, "keys", max: GGUFLimits.metadataCountMax, elementByteCountMin: 13)
    let metadata = try readMetadata(&reader, count: metadataCount)
    let alignment = try alignment(of: metadata)
    let headers = try readTensorHeaders(&reader, count: tensorCount)
    // The offset is at most the file's length, so adding a 32-bit alignment cannot overflow.
    let dataOffset = (reader.offset + alignment - 1) / alignment * alignment
    var tensors: [TensorDescription] = []
    tensors.reserveCapacity(tensorCount)
    for header in headers.list {
      tensors.append(try header.located(dataOffset: dataOffset, alignment: alignment, fileByteCount: file.byteCount))
    }
    try TensorDescription.requireDisjoint(tensors)
    return TensorCatalog(
      format: .gguf(version: version), metadata: metadata, tensors: tensors, indices: headers.indices, alignment: alignment,
      dataOffset: dataOffset, fileByteCount: file.byteCount)
  }

  private static let magic: UInt32 = 0x4655_4747  // "GGUF", the first byte lowest

  private static func readPreamble(_ reader: inout BinaryReader) throws(TensorFileError) -> UInt32 {
    let found = try reading(&reader, "the magic number") { (r) throws(BinaryReadingError) in try r.readUInt32() }
    guard found == magic else {
      throw TensorFileError(.malformed, "expected a GGUF file to start with \"GGUF\", found 0x\(hex(found))", at: 0)
    }
    let version = try reading(&reader, "the version") { (r) throws(BinaryReadingError) in try r.readUInt32() }
    guard version & 0xFFFF != 0 || version == 0 else {
      throw TensorFileError(.unsupported, "the file is big-endian; only little-endian GGUF is read: convert it", at: 4)
    }
    guard version == 2 || version == 3 else {
      throw TensorFileError(.unsupported, "expected GGUF version 2 or 3, found \(version)", at: 4)
    }
    return version
  }

  /// A count that the rest of the file can hold.
  private static func readCount(
    _ reader: inout BinaryReader, _ what: String, max: Int, elementByteCountMin: Int
  ) throws(TensorFileError) -> Int {
    let start = reader.offset
    let count = try reading(&reader, "the number of \(what)") { (r) throws(BinaryReadingError) in try r.readUInt64() }
    guard count <= UInt64(reader.remainingByteCount / elementByteCountMin) else {
      throw TensorFileError(
        .malformed, "the header announces \(count) \(what), more than the file's \(reader.bytes.byteCount) bytes can hold",
        at: start)
    }
    guard count <= UInt64(max) else {
      throw TensorFileError(.limitExceeded, "the header announces \(count) \(what); at most \(max) are read", at: start)
    }
    return Int(count)
  }

  private static func alignment(of metadata: TensorFileMetadata) throws(TensorFileError) -> Int {
    guard let entry = metadata.entries.first(where: { $0.key == "general.alignment" }) else { return 32 }
    guard case .uint32(let alignment) = entry.value, alignment.nonzeroBitCount == 1 else {
      throw TensorFileError(
        .malformed, "general.alignment: expected a 32-bit power of two, found \(entry.value)", at: entry.fileOffset)
    }
    return Int(alignment)
  }

  // MARK: - Metadata

  private static func readMetadata(
    _ reader: inout BinaryReader, count: Int
  ) throws(TensorFileError) -> TensorFileMetadata {
    var entries: [TensorFileMetadata.Entry] = []
    var indices: [String: Int] = [:]
    entries.reserveCapacity(count)
    for index in 0..<count {
      let start = reader.offset
      let key = try readString(&reader, "key \(index)", byteCountMax: GGUFLimits.keyByteCountMax)
      guard indices.updateValue(index, forKey: key) == nil else {
        throw TensorFileError(.malformed, "the key \"\(key)\" occurs twice", at: start)
      }
      let kind = try readKind(&reader, "key \"\(key)\"")
      entries.append(.init(key: key, value: try readValue(kind, &reader, depth: 0, strings: .strict), fileOffset: start))
    }
    return TensorFileMetadata(entries: entries, indices: indices)
  }

  private static func readKind(_ reader: inout BinaryReader, _ what: String) throws(TensorFileError) -> MetadataKind {
    let start = reader.offset
    let number = try reading(&reader, "the kind of \(what)") { (r) throws(BinaryReadingError) in try r.readUInt32() }
    guard let kind = MetadataKind(rawValue: number) else {
      throw TensorFileError(.malformed, "\(what): the kind \(number) is unknown; expected 0...12", at: start)
    }
    return kind
  }

  /// What to do about a string that is no UTF-8.
  enum StringPolicy {
    case strict
    /// Elements of vocabularies may be pieces of characters.
    case repaired
  }

  static func readValue(
    _ kind: MetadataKind, _ reader: inout BinaryReader, depth: Int, strings: StringPolicy
  ) throws(TensorFileError) -> MetadataValue {
    switch kind {
    case .string:
      switch strings {
      case .strict: return .string(try readString(&reader, "a string value", byteCountMax: GGUFLimits.stringByteCountMax))
      case .repaired: return .string(try readRepairedString(&reader))
      }
    case .array: return .array(try readArray(&reader, depth: depth))
    default:
      let start = reader.offset
      let value = try reading(&reader, "a value") { (r) throws(BinaryReadingError) in try readNumber(kind, &r) }
      guard let value else { throw TensorFileError(.malformed, "expected a bool of 0 or 1", at: start) }
      return value
    }
  }

  /// A value of fixed width; nil for a bool that is neither 0 nor 1.
  private static func readNumber(
    _ kind: MetadataKind, _ reader: inout BinaryReader
  ) throws(BinaryReadingError) -> MetadataValue? {
    switch kind {
    case .uint8: .uint8(try reader.readInteger())
    case .int8: .int8(try reader.readInteger())
    case .uint16: .uint16(try reader.readInteger())
    case .int16: .int16(try reader.readInteger())
    case .uint32: .uint32(try reader.readInteger())
    case .int32: .int32(try reader.readInteger())
    case .uint64: .uint64(try reader.readInteger())
    case .int64: .int64(try reader.readInteger())
    case .float32: .float32(try reader.readFloat())
    case .float64: .float64(try reader.readDouble())
    case .bool:
      switch try reader.readByte() {
      case 0: .bool(false)
      case 1: .bool(true)
      default: nil
      }
    case .string, .array: preconditionFailure("strings and arrays have no fixed width")
    }
  }

  /// Steps over an array, checking every length in it.
  private static func readArray(_ reader: inout BinaryReader, depth: Int) throws(TensorFileError) -> MetadataArray {
    let start = reader.offset
    guard depth < GGUFLimits.nestingDepthMax else {
      throw TensorFileError(.limitExceeded, "arrays are nested deeper than \(GGUFLimits.nestingDepthMax) levels", at: start)
    }
    let kind = try readKind(&reader, "an array's elements")
    let count = try readCount(&reader, "array elements", max: .max, elementByteCountMin: kind.byteCountMin)
    let elements = reader.offset
    switch kind {
    case .string:
      for _ in 0..<count { _ = try skipString(&reader) }
    case .array:
      for _ in 0..<count { _ = try readArray(&reader, depth: depth + 1) }
    case .bool:
      for _ in 0..<count { _ = try readValue(.bool, &reader, depth: depth, strings: .strict) }
    default:
      // `readCount` has compared the product with what is left.
      _ = try reading(&reader, "an array") { (r) throws(BinaryReadingError) in
        try r.skip(byteCount: count * kind.byteCountMin)
      }
    }
    return MetadataArray(elementKind: kind, count: count, byteRange: elements..<reader.offset)
  }

  // MARK: - Strings

  private static func skipString(_ reader: inout BinaryReader) throws(TensorFileError) -> Range<Int> {
    let start = reader.offset
    let byteCount = try reading(&reader, "a string's length") { (r) throws(BinaryReadingError) in try r.readUInt64() }
    guard byteCount <= UInt64(reader.remainingByteCount) else {
      throw TensorFileError(
        .malformed, "a string of \(byteCount) bytes, but the file ends \(reader.remainingByteCount) bytes later", at: start)
    }
    guard byteCount <= UInt64(GGUFLimits.stringByteCountMax) else {
      throw TensorFileError(
        .limitExceeded, "a string of \(byteCount) bytes; at most \(GGUFLimits.stringByteCountMax) are read", at: start)
    }
    return try reading(&reader, "a string") { (r) throws(BinaryReadingError) in try r.skip(byteCount: Int(byteCount)) }
  }

  static func readString(
    _ reader: inout BinaryReader, _ what: String, byteCountMax: Int
  ) throws(TensorFileError) -> String {
    let start = reader.offset
    let range = try skipString(&reader)
    guard range.count <= byteCountMax else {
      throw TensorFileError(.limitExceeded, "\(what) has \(range.count) bytes; at most \(byteCountMax) are read", at: start)
    }
    reader.seek(to: range.lowerBound)
    do { return try reader.readUTF8(byteCount: range.count) } catch {
      throw TensorFileError(.malformed, "\(what) is not UTF-8", at: start)
    }
  }

  private static func readRepairedString(_ reader: inout BinaryReader) throws(TensorFileError) -> String {
    let range = try skipString(&reader)
    reader.seek(to: range.lowerBound)
    let bytes = try reading(&reader, "a string") { (r) throws(BinaryReadingError) in try r.readBytes(byteCount: range.count) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Runs a read and says what was being read when the file ended.
  static func reading<Result>(
    _ reader: inout BinaryReader, _ what: @autoclosure () -> String,
    _ body: (inout BinaryReader) throws(BinaryReadingError) -> Result
  ) throws(TensorFileError) -> Result {
    do { return try body(&reader) } catch {
      throw TensorFileError(
        .malformed, "the file ends after \(reader.bytes.byteCount) bytes, within \(what()): it is truncated", at: error.offset)
    }
  }

  private static func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
