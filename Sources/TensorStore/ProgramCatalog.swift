import TensorFiles
import Tensors

/// What a model program is told of the weights: metadata and tensors, in a form that a guest reads without a parser of files.
///
/// Little-endian, nothing aligned:
///
///     u32 'BNDC'   u32 version = 1   u32 metadata count   u32 tensor count
///     metadata: u32 key length, key, u8 kind (0 bool, 1 i64, 2 f64, 3 string), then i64 (bool as 0 or 1), f64, or u32
///               length and bytes
///     tensor:   u32 name length, name, u32 ggml type, u32 rank, u64 dimensions[rank] (outermost first), u64 address, u64
///               byte count
///
/// Arrays of the metadata stay in the file; an array `K` contributes its length as the integer `K.count`.
public enum ProgramCatalog {
  public static let magic: UInt32 = 0x4344_4E42
  public static let version: UInt32 = 1

  /// Encodes the catalogs of all files, metadata from the first.
  public static func encode(_ weights: WeightSet) -> [UInt8] {
    encode(
      metadata: weights.metadata,
      tensors: weights.files.flatMap { file in file.catalog.tensors.map { ($0, file.address + UInt64($0.fileOffset)) } })
  }

  /// At least as many bytes as `encode` gives, without encoding.
  public static func byteCountMax(_ weights: WeightSet) -> Int {
    var byteCount = 16
    for entry in weights.metadata.entries { byteCount += 32 + entry.key.utf8.count + (entry.value.string?.utf8.count ?? 0) }
    for file in weights.files {
      for tensor in file.catalog.tensors { byteCount += 32 + tensor.name.utf8.count + 8 * tensor.shape.rank }
    }
    return byteCount
  }

  static func encode(metadata: TensorFileMetadata, tensors: [(TensorDescription, address: UInt64)]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(96 * tensors.count + 64 * metadata.entries.count)
    append(magic, &bytes)
    append(version, &bytes)
    let values = metadata.entries.map(encodeValue)
    append(UInt32(values.count), &bytes)
    append(UInt32(tensors.count), &bytes)
    for value in values { bytes.append(contentsOf: value) }
    for (tensor, address) in tensors {
      append(string: tensor.name, &bytes)
      append(tensor.type.rawValue, &bytes)
      append(UInt32(tensor.shape.rank), &bytes)
      for dimension in tensor.shape.dimensions { append(UInt64(dimension), &bytes) }
      append(address, &bytes)
      append(UInt64(tensor.byteCount), &bytes)
    }
    return bytes
  }

  /// One metadata entry. An integer that no i64 holds goes as a float: a program that wants an integer can say what it found.
  private static func encodeValue(_ entry: TensorFileMetadata.Entry) -> [UInt8] {
    var bytes: [UInt8] = []
    var key = entry.key
    var kind: UInt8
    var value: [UInt8] = []
    switch entry.value {
    case .bool(let flag):
      kind = 0
      append(UInt64(flag ? 1 : 0), &value)
    case .string(let text):
      kind = 3
      append(string: text, &value)
    case .array(let array):
      kind = 1
      key += ".count"
      append(UInt64(array.count), &value)
    case .float32, .float64:
      kind = 2
      append((entry.value.double ?? 0).bitPattern, &value)
    default:
      if let integer = entry.value.integer {
        kind = 1
        append(UInt64(bitPattern: integer), &value)
      } else {
        kind = 2
        append((entry.value.double ?? 0).bitPattern, &value)
      }
    }
    append(string: key, &bytes)
    bytes.append(kind)
    bytes.append(contentsOf: value)
    return bytes
  }

  private static func append(_ value: some FixedWidthInteger, _ bytes: inout [UInt8]) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  private static func append(string: String, _ bytes: inout [UInt8]) {
    append(UInt32(string.utf8.count), &bytes)
    bytes.append(contentsOf: string.utf8)
  }
}
