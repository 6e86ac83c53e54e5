import TensorFiles
import Tensors
import VirtualMemory
import WasmRuntime

/// How weight files get into the memory `weights`.
public enum WeightPlacement: String, Hashable, Sendable, CaseIterable {
  /// The file is mapped: no byte is read before it is used, none is copied, and all processes share the pages.
  case map
  /// The system reads the file into pages of the guest memory: one copy.
  case read
  /// The system reads the file into a buffer of the host, which is then copied into the guest memory: the two copies of a
  /// loader that knows nothing of the guest's memory. Kept, as `read` is, to measure what copies cost.
  case copy
}

/// The weight files of a model in one guest memory, ready to be imported by any number of instances on any number of threads.
///
///     0                     addresses[1]                          (multiples of 2 MiB)
///     |  file 0, as on disk |  file 1, as on disk  |  ...  |
///
/// The address of a tensor is the address of its file plus its offset in the file. The memory's pages are read-only and pinned:
/// no guest can unmap or change what another one reads.
public final class WeightSet: Sendable {
  public struct File: Sendable {
    public let path: String
    public let catalog: TensorCatalog
    /// Where the file starts in the memory.
    public let address: UInt64
    public let byteCount: UInt64
  }

  /// A 64-bit virtual memory.
  public let memory: Memory
  public let files: [File]
  public let placement: WeightPlacement
  /// Bytes of weight files that are mappings of the files.
  public let mappedByteCount: UInt64
  /// Bytes that were copied to get the weight files into the memory: with `copy` each byte twice.
  public let copiedByteCount: UInt64

  init(memory: Memory, files: [File], placement: WeightPlacement, mappedByteCount: UInt64, copiedByteCount: UInt64) {
    self.memory = memory
    self.files = files
    self.placement = placement
    self.mappedByteCount = mappedByteCount
    self.copiedByteCount = copiedByteCount
  }

  /// The metadata of the model: that of the first file.
  public var metadata: TensorFileMetadata { files[0].catalog.metadata }

  /// The bytes of a file, in place, for the time of `body`: for what the catalog leaves in the file, such as a vocabulary.
  /// - Throws: `environment` if the file was truncated or its device failed since it was bound.
  public func withBytes<Result>(
    ofFile index: Int, _ body: (RawSpan) throws -> Result
  ) throws(TensorStoreError) -> Swift.Result<Result, any Error> {
    let file = files[index]
    do throws(MemoryAccessError) {
      return try unsafe memory.withUnsafeReadableBytes(address: file.address, byteCount: file.byteCount) {
        bytes throws(MemoryAccessError) in
        // SAFETY: the memory keeps the range readable for the time of the closure, and the span does not leave it.
        let span = unsafe RawSpan(_unsafeBytes: bytes)
        return Swift.Result { try body(span) }
      }
    } catch {
      throw TensorStoreError(
        .environment, path: file.path, "its contents disappeared while they were in use: \(error)", cause: error)
    }
  }
}
