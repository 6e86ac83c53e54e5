import Tensors

/// What a tensor file's header says, checked once: after it no code checks names, shapes or ranges again.
///
///     0                                    dataOffset                                        fileByteCount
///     | magic, counts | metadata | tensors | padding | tensor 0 | padding | tensor 1 |  ...  |
///                                                    ^ fileOffset, byteCount
///
/// Holds no bytes of the file: arrays of the metadata are ranges into it. A value, to be shared freely.
public struct TensorCatalog: Sendable {
  public enum Format: Hashable, Sendable {
    case gguf(version: UInt32)
    case safetensors
  }

  public let format: Format
  public let metadata: TensorFileMetadata
  /// In the order of the header.
  public let tensors: [TensorDescription]
  /// What every tensor's offset within the data section is a multiple of.
  public let alignment: Int
  /// Where the data section starts, from the start of the file.
  public let dataOffset: Int
  /// Length of the file that the header was checked against.
  public let fileByteCount: Int

  private let indices: [String: Int]

  /// Invariants, to be checked by whoever reads a header: names are unique, every range lies within the file, no two overlap,
  /// and `byteCount` follows from type and shape.
  init(
    format: Format, metadata: TensorFileMetadata, tensors: [TensorDescription], indices: [String: Int], alignment: Int,
    dataOffset: Int, fileByteCount: Int
  ) {
    self.format = format
    self.metadata = metadata
    self.tensors = tensors
    self.indices = indices
    self.alignment = alignment
    self.dataOffset = dataOffset
    self.fileByteCount = fileByteCount
  }

  /// The tensor of this name.
  public subscript(tensor name: String) -> TensorDescription? { indices[name].map { tensors[$0] } }

  /// Bytes of all tensors together, without padding.
  public var tensorByteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }
}

/// One tensor of a file: what it is called, how it is stored, where it lies.
public struct TensorDescription: Hashable, Sendable {
  /// As the checkpoint spells it: `blk.0.attn_q.weight`.
  public let name: String
  public let type: ElementType
  /// Row-major, outermost first: a weight matrix is `[columnsOut, columnsIn]`.
  public let shape: TensorShape
  /// As the header writes them: GGUF innermost first, safetensors outermost first.
  public let headerDimensions: [UInt64]
  /// From the start of the file. With the file bound at address 0 of a memory, also the guest address.
  public let fileOffset: Int
  public let byteCount: Int

  public var fileRange: Range<Int> { fileOffset..<fileOffset + byteCount }

  /// The largest power of two that the file offset is a multiple of, at most 4096.
  public var fileAlignment: Int { fileOffset == 0 ? 4096 : min(4096, 1 << fileOffset.trailingZeroBitCount) }

  init(
    name: String, type: ElementType, shape: TensorShape, headerDimensions: [UInt64], fileOffset: Int, byteCount: Int
  ) {
    self.name = name
    self.type = type
    self.shape = shape
    self.headerDimensions = headerDimensions
    self.fileOffset = fileOffset
    self.byteCount = byteCount
  }
}
