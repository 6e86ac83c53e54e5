import BinaryReading

/// The kinds of metadata values; the raw value is GGUF's number.
public enum MetadataKind: UInt32, CaseIterable, Hashable, Sendable {
  case uint8 = 0
  case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// Bytes of a value of fixed width; nil for strings and arrays.
  var byteCount: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }

  /// The least number of bytes that one value takes in a file.
  var byteCountMin: Int {
    switch self {
    case .string: 8  // its length
    case .array: 12  // element kind and count
    default: byteCount ?? 1
    }
  }
}

/// A metadata value. Numbers keep the kind that the file gives them; `TensorFileMetadata` converts.
public enum MetadataValue: Hashable, Sendable {
  case uint8(UInt8), int8(Int8), uint16(UInt16), int16(Int16), uint32(UInt32), int32(Int32), uint64(UInt64), int64(Int64)
  case float32(Float), float64(Double), bool(Bool), string(String), array(MetadataArray)

  /// An integer of any kind, when it fits.
  public var integer: Int64? {
    switch self {
    case .uint8(let value): Int64(value)
    case .int8(let value): Int64(value)
    case .uint16(let value): Int64(value)
    case .int16(let value): Int64(value)
    case .uint32(let value): Int64(value)
    case .int32(let value): Int64(value)
    case .uint64(let value): Int64(exactly: value)
    case .int64(let value): value
    case .float32, .float64, .bool, .string, .array: nil
    }
  }

  /// A float of either width, or an integer.
  public var double: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    case .uint64(let value): Double(value)
    default: integer.map { Double($0) }
    }
  }

  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: MetadataArray? { if case .array(let value) = self { value } else { nil } }

  /// The value, or the kind of what is too long to show, for messages.
  var kindDescription: String {
    switch self {
    case .string: "a string"
    case .array: "an array"
    case .bool(let value): "the bool \(value)"
    case .float32, .float64: "the float \(double ?? 0)"
    default: "the integer \(integer.map(String.init) ?? "beyond 64 bits")"
    }
  }
}

/// An array of the metadata, left where it lies in the file: a vocabulary has 49152 strings that a reader of the header does
/// not want. Every length in it was checked when the header was read.
public struct MetadataArray: Hashable, Sendable {
  public let elementKind: MetadataKind
  public let count: Int
  /// The elements in the file, without the array's own kind and count: for strings a u64 length and the bytes, one after
  /// another; for arrays kind, count, elements; otherwise little-endian values.
  public let byteRange: Range<Int>

  /// All elements, read now.
  /// - Parameter file: the bytes that the catalog was read from. Another file of the same length gives nonsense, or throws.
  public func values(in file: RawSpan) throws(TensorFileError) -> [MetadataValue] {
    guard byteRange.upperBound <= file.byteCount else {
      throw TensorFileError(
        .malformed, "the array ends at byte \(byteRange.upperBound) of a file of \(file.byteCount)", at: byteRange.lowerBound)
    }
    var reader = BinaryReader(file, range: byteRange)
    var values: [MetadataValue] = []
    values.reserveCapacity(count)
    for _ in 0..<count {
      values.append(try GGUFFile.readValue(elementKind, &reader, depth: 1, strings: .repaired))
    }
    return values
  }

  /// The elements as strings, ill-formed UTF-8 repaired with U+FFFD; nil when the elements are no strings.
  public func strings(in file: RawSpan) throws(TensorFileError) -> [String]? {
    guard elementKind == .string else { return nil }
    return try values(in: file).map { $0.string ?? "" }
  }

  /// The elements as integers; nil when one is none.
  public func integers(in file: RawSpan) throws(TensorFileError) -> [Int64]? {
    let values = try values(in: file).map(\.integer)
    return values.contains(nil) ? nil : values.compactMap { $0 }
  }

  /// The elements as floats; nil when one is no number.
  public func doubles(in file: RawSpan) throws(TensorFileError) -> [Double]? {
    let values = try values(in: file).map(\.double)
    return values.contains(nil) ? nil : values.compactMap { $0 }
  }
}

/// The key-value pairs of a header, in its order; keys are unique.
public struct TensorFileMetadata: Sendable {
  public struct Entry: Hashable, Sendable {
    public let key: String
    public let value: MetadataValue
    /// Where the key's length stands in the file.
    public let fileOffset: Int
  }

  public let entries: [Entry]
  private let indices: [String: Int]

  init(entries: [Entry], indices: [String: Int]) {
    self.entries = entries
    self.indices = indices
  }

  /// The value of a key.
  public subscript(key: String) -> MetadataValue? { indices[key].map { entries[$0].value } }

  /// An integer of any width, nil when there is none or it is something else. So with the others.
  public func integer(_ key: String) -> Int? { self[key]?.integer.flatMap { Int(exactly: $0) } }
  public func double(_ key: String) -> Double? { self[key]?.double }
  public func bool(_ key: String) -> Bool? { self[key]?.bool }
  public func string(_ key: String) -> String? { self[key]?.string }
  public func array(_ key: String) -> MetadataArray? { self[key]?.array }
}
