/// Writes GGUF files byte by byte, right or wrong, so that a test shows what it attacks with.
public struct GGUFBytes {
  /// A tensor as it is written; nothing is checked.
  public struct Tensor {
    public var name: [UInt8]
    /// Innermost first, as in the file.
    public var dimensions: [UInt64]
    public var type: UInt32
    public var offset: UInt64

    public init(_ name: String, dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
      self.name = Array(name.utf8)
      self.dimensions = dimensions
      self.type = type
      self.offset = offset
    }
  }

  public var magic: [UInt8] = Array("GGUF".utf8)
  public var version: UInt32 = 3
  /// nil: as many as there are.
  public var tensorCount: UInt64?
  public var metadataCount: UInt64?
  /// Each one key, kind and value.
  public var metadata: [[UInt8]] = []
  public var tensors: [Tensor] = []
  public var alignment = 32
  public var data: [UInt8] = []

  public init() {}

  public var header: [UInt8] {
    var bytes = magic + Self.integer(version) + Self.integer(tensorCount ?? UInt64(tensors.count))
    bytes += Self.integer(metadataCount ?? UInt64(metadata.count))
    for entry in metadata { bytes += entry }
    for tensor in tensors {
      bytes += Self.integer(UInt64(tensor.name.count)) + tensor.name + Self.integer(UInt32(tensor.dimensions.count))
      for dimension in tensor.dimensions { bytes += Self.integer(dimension) }
      bytes += Self.integer(tensor.type) + Self.integer(tensor.offset)
    }
    return bytes
  }

  /// Header, padding, data.
  public var bytes: [UInt8] {
    let header = header
    let padding = (alignment - header.count % alignment) % alignment
    return header + [UInt8](repeating: 0, count: padding) + data
  }

  public mutating func add(_ key: String, _ kind: UInt32, _ value: [UInt8]) {
    metadata.append(Self.string(key) + Self.integer(kind) + value)
  }

  public mutating func add(_ key: String, _ value: String) { add(key, 8, Self.string(value)) }
  public mutating func add(_ key: String, _ value: UInt32) { add(key, 4, Self.integer(value)) }
  public mutating func add(_ key: String, _ value: Bool) { add(key, 7, [value ? 1 : 0]) }
  public mutating func add(_ key: String, _ value: Float) { add(key, 6, Self.integer(value.bitPattern)) }
  public mutating func add(_ key: String, _ values: [String]) {
    add(key, 9, Self.integer(UInt32(8)) + Self.integer(UInt64(values.count)) + values.flatMap(Self.string))
  }
  public mutating func add(_ key: String, _ values: [Int32]) {
    add(key, 9, Self.integer(UInt32(5)) + Self.integer(UInt64(values.count)) + values.flatMap { Self.integer($0) })
  }

  public static func string(_ text: String) -> [UInt8] { integer(UInt64(text.utf8.count)) + Array(text.utf8) }

  public static func integer(_ value: some FixedWidthInteger) -> [UInt8] {
    stride(from: 0, to: value.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
