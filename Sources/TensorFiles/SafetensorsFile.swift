import BinaryReading
import Tensors

/// What a safetensors header may ask for.
public enum SafetensorsLimits {
  /// Bytes of the header: the format's own limit.
  public static let headerByteCountMax = 100_000_000
  /// Tensors in a file.
  public static let tensorCountMax = 1 << 20
  /// Dimensions of a tensor. The format has no limit; nothing known has more than five.
  public static let rankMax = 8
}

/// Reads the header of a safetensors file.
///
///     u64 header length | header: JSON, padded with spaces | data
///     {"__metadata__": {"key": "value"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
///
/// Offsets count from the start of the data. As the format demands, tensors cover the data from its first byte to the end of the
/// file, without a gap and without an overlap; dimensions are written outermost first. Source: safetensors' README and the
/// checks of its `validate`.
public enum SafetensorsFile {
  /// Whether these bytes start like a safetensors file: a length that the file can hold, and the brace of its header.
  public static func isSafetensors(_ file: RawSpan) -> Bool {
    var reader = BinaryReader(file)
    guard let byteCount = try? reader.readUInt64() else { return false }
    return byteCount <= UInt64(reader.remainingByteCount) && reader.peekByte() == UInt8(ascii: "{")
  }

  /// Reads and checks the header of a file.
  ///
  /// - Parameter file: the whole file, mapped; only the header is touched.
  /// - Throws: `TensorFileError` with the offset of what is wrong.
  /// - Complexity: linear in the length of the header, n log n in the number of tensors.
  public static func readCatalog(_ file: RawSpan) throws(TensorFileError) -> TensorCatalog {
    var reader = BinaryReader(file)
    let byteCount = try GGUFFile.reading(&reader, "the header's length") { (r) throws(BinaryReadingError) in try r.readUInt64() }
    guard byteCount <= UInt64(reader.remainingByteCount) else {
      throw TensorFileError(
        .malformed, "the header has \(byteCount) bytes, the file only \(reader.remainingByteCount) after its length", at: 0)
    }
    guard byteCount <= UInt64(SafetensorsLimits.headerByteCountMax) else {
      throw TensorFileError(
        .limitExceeded, "the header has \(byteCount) bytes; at most \(SafetensorsLimits.headerByteCountMax) are read", at: 0)
    }
    let header = try GGUFFile.reading(&reader, "the header") { (r) throws(BinaryReadingError) in
      try r.readBytes(byteCount: Int(byteCount))
    }
    var parser = SafetensorsHeader(bytes: header, fileOffset: 8)
    try parser.read()
    let dataOffset = reader.offset
    var tensors: [TensorDescription] = []
    for entry in parser.entries {
      tensors.append(try entry.located(dataOffset: dataOffset, dataByteCount: file.byteCount - dataOffset))
    }
    try requireCovered(tensors, dataOffset..<file.byteCount)
    return TensorCatalog(
      format: .safetensors, metadata: parser.metadata, tensors: tensors, indices: parser.indices, alignment: 1,
      dataOffset: dataOffset, fileByteCount: file.byteCount)
  }

  /// No hole, no overlap, nothing behind the last tensor: a file cannot hide other data, and cannot be cut short unseen.
  private static func requireCovered(_ tensors: [TensorDescription], _ data: Range<Int>) throws(TensorFileError) {
    var end = data.lowerBound
    // An empty tensor goes before the one that starts at the same place.
    let ordered = tensors.sorted { ($0.fileOffset, $0.byteCount) < ($1.fileOffset, $1.byteCount) }
    for tensor in ordered {
      guard tensor.fileOffset == end else {
        let what = tensor.fileOffset < end ? "overlaps the tensor before it, which ends at" : "leaves a gap after"
        throw TensorFileError(.malformed, "it \(what) byte \(end)", at: tensor.fileOffset, tensor: tensor.name)
      }
      end = tensor.fileRange.upperBound
    }
    guard end == data.upperBound else {
      throw TensorFileError(
        .malformed, "the tensors end at byte \(end), but the file has \(data.upperBound) bytes", at: end)
    }
  }
}

/// A tensor as the header has it.
struct SafetensorsEntry {
  var name: String
  var type: String?
  var shape: [UInt64]?
  var offsets: [UInt64]?
  /// Where its name stands in the file.
  var headerOffset: Int

  func located(dataOffset: Int, dataByteCount: Int) throws(TensorFileError) -> TensorDescription {
    func malformed(_ message: String) -> TensorFileError {
      TensorFileError(.malformed, message, at: headerOffset, tensor: name)
    }
    guard let typeName = type, let dimensions = shape, let offsets, offsets.count == 2 else {
      throw malformed("expected dtype, shape and two data_offsets")
    }
    guard let type = Self.elementType(typeName) else {
      throw TensorFileError(.unsupported, "its dtype \"\(typeName)\" is not known", at: headerOffset, tensor: name)
    }
    guard dimensions.count <= SafetensorsLimits.rankMax else {
      throw TensorFileError(
        .limitExceeded, "it has \(dimensions.count) dimensions; at most \(SafetensorsLimits.rankMax) are read",
        at: headerOffset, tensor: name)
    }
    guard let shape = TensorShape(dimensions), let byteCount = shape.byteCount(of: type) else {
      throw malformed("the element count or size of \(dimensions) overflows")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= UInt64(dataByteCount) else {
      throw malformed(
        "its data_offsets \(offsets) do not lie within the \(dataByteCount) bytes of data: the file is truncated or its header "
          + "is wrong")
    }
    guard offsets[1] - offsets[0] == UInt64(byteCount) else {
      throw malformed("its shape \(dimensions) takes \(byteCount) bytes, its data_offsets \(offsets[1] - offsets[0])")
    }
    return TensorDescription(
      name: name, type: type, shape: shape, headerDimensions: dimensions, fileOffset: dataOffset + Int(offsets[0]),
      byteCount: byteCount)
  }

  /// The format's names are ours, but for those of types with elements of less than a byte, which are not read.
  private static func elementType(_ name: String) -> ElementType? {
    switch name {
    case "BOOL", "U8", "I8", "U16", "I16", "F16", "BF16", "U32", "I32", "F32", "U64", "I64", "F64", "C64", "F8_E4M3", "F8_E5M2",
      "F8_E8M0":
      ElementType(name: name)
    default: nil
    }
  }
}
