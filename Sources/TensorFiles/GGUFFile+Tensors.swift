import BinaryReading
import Tensors

/// A tensor as a GGUF header has it: its offset counts from the data section, whose start is not known yet.
struct GGUFTensorHeader {
  let name: String
  let dimensions: [UInt64]
  let type: ElementType
  let dataOffset: UInt64
  /// Where it stands in the header.
  let headerOffset: Int

  /// Shape, size and place in the file, each checked.
  func located(
    dataOffset sectionOffset: Int, alignment: Int, fileByteCount: Int
  ) throws(TensorFileError) -> TensorDescription {
    func malformed(_ message: String) -> TensorFileError {
      TensorFileError(.malformed, message, at: headerOffset, tensor: name)
    }
    // GGUF writes the innermost dimension first.
    guard let shape = TensorShape(dimensions.reversed()) else {
      throw malformed("the element count of \(dimensions) overflows")
    }
    guard let byteCount = shape.byteCount(of: type) else {
      throw malformed(
        "rows of \(shape.rowElementCount) elements are no whole number of \(type.name) blocks of \(type.blockElementCount), "
          + "or the size overflows")
    }
    guard dataOffset % UInt64(alignment) == 0 else {
      throw malformed("the offset \(dataOffset) is no multiple of the alignment \(alignment)")
    }
    guard let offset = Int(exactly: dataOffset) else { throw malformed("the offset \(dataOffset) is beyond any file") }
    let (start, overflow) = sectionOffset.addingReportingOverflow(offset)
    guard !overflow, start <= fileByteCount, byteCount <= fileByteCount - start else {
      throw malformed(
        "its \(byteCount) bytes from byte \(UInt64(sectionOffset) &+ dataOffset) on end beyond the file's \(fileByteCount) "
          + "bytes: the file is truncated or its header is wrong")
    }
    return TensorDescription(
      name: name, type: type, shape: shape, headerDimensions: dimensions, fileOffset: start, byteCount: byteCount)
  }
}

extension GGUFFile {
  static func readTensorHeaders(
    _ reader: inout BinaryReader, count: Int
  ) throws(TensorFileError) -> (list: [GGUFTensorHeader], indices: [String: Int]) {
    var list: [GGUFTensorHeader] = []
    var indices: [String: Int] = [:]
    list.reserveCapacity(count)
    indices.reserveCapacity(count)
    for index in 0..<count {
      let header = try readTensorHeader(&reader, index)
      guard indices.updateValue(index, forKey: header.name) == nil else {
        throw TensorFileError(.malformed, "two tensors have this name", at: header.headerOffset, tensor: header.name)
      }
      list.append(header)
    }
    return (list, indices)
  }

  private static func readTensorHeader(
    _ reader: inout BinaryReader, _ index: Int
  ) throws(TensorFileError) -> GGUFTensorHeader {
    let start = reader.offset
    let name = try readString(&reader, "the name of tensor \(index)", byteCountMax: GGUFLimits.tensorNameByteCountMax)
    let rankOffset = reader.offset
    let rank = try reading(&reader, "a tensor's rank") { (r) throws(BinaryReadingError) in try r.readUInt32() }
    guard rank <= GGUFLimits.rankMax else {
      throw TensorFileError(
        .limitExceeded, "it has \(rank) dimensions; at most \(GGUFLimits.rankMax) are read", at: rankOffset, tensor: name)
    }
    var dimensions: [UInt64] = []
    for _ in 0..<rank {
      dimensions.append(try reading(&reader, "a tensor's dimensions") { (r) throws(BinaryReadingError) in try r.readUInt64() })
    }
    let typeOffset = reader.offset
    let number = try reading(&reader, "a tensor's type") { (r) throws(BinaryReadingError) in try r.readUInt32() }
    guard let type = ElementType(ggmlNumber: number) else {
      throw TensorFileError(.unsupported, "its element type \(number) is not known", at: typeOffset, tensor: name)
    }
    let offset = try reading(&reader, "a tensor's offset") { (r) throws(BinaryReadingError) in try r.readUInt64() }
    return GGUFTensorHeader(name: name, dimensions: dimensions, type: type, dataOffset: offset, headerOffset: start)
  }
}

extension TensorDescription {
  /// Two tensors over the same bytes are never meant; a header that has them was made to confuse.
  static func requireDisjoint(_ tensors: [TensorDescription]) throws(TensorFileError) {
    let ordered = tensors.filter { $0.byteCount > 0 }.sorted { $0.fileOffset < $1.fileOffset }
    for (tensor, next) in zip(ordered, ordered.dropFirst()) where tensor.fileRange.upperBound > next.fileOffset {
      throw TensorFileError(
        .malformed, "it overlaps the tensor \"\(tensor.name)\", which ends at byte \(tensor.fileRange.upperBound)",
        at: next.fileOffset, tensor: next.name)
    }
  }
}
