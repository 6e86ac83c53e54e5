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
    /// The file as it was opened.
    let opened: RegularFile
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

  // MARK: Files that change

  /// True once a page of a mapped file could not be read: all that was read since may be zeroes. One atomic load as long as no page
  /// was ever lost in this process.
  public var isLost: Bool { memory.isLost }

  /// Asks the system whether the mapped files are what they were when they were opened. A few microseconds.
  ///
  /// Noticed are a file that shrank, one that could not be read, and one that was written to in place (by its length and its time of
  /// modification). A file of another name, or one that was replaced by renaming, stays what it was for those who have it open.
  /// Weights that were read or copied are the process's own, whatever becomes of the file.
  /// - Throws: `environment`, with the file and what to do.
  public func checkUnchanged() throws(TensorStoreError) {
    guard placement == .map else { return }
    for file in files { try check(file) }
    if isLost, let file = files.first {
      throw TensorStoreError(
        .environment, path: file.path,
        "the weight file could not be read while it was in use: it was cut and written again, or its device failed; check it, "
          + "then open the model again")
    }
  }

  private func check(_ file: File) throws(TensorStoreError) {
    let now: RegularFile.Identity
    do throws(VirtualMemoryError) { now = try file.opened.currentIdentity() } catch {
      throw TensorStoreError(.environment, path: file.path, error.description, cause: error)
    }
    guard now != file.opened.identity else { return }
    if now.byteCount < file.byteCount {
      throw TensorStoreError(
        .environment, path: file.path,
        "the weight file shrank from \(file.byteCount) to \(now.byteCount) bytes while it was in use; restore it, then open the model "
          + "again")
    }
    throw TensorStoreError(
      .environment, path: file.path,
      "the weight file was written to while it was in use; open the model again, and replace weight files by renaming, which leaves "
        + "those in use alone")
  }

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
      try checkUnchanged()
      throw TensorStoreError(
        .environment, path: file.path, "its contents disappeared while they were in use: \(error)", cause: error)
    }
  }
}
