import Dispatch
import Synchronization
import TensorFiles
import Tensors
import VirtualMemory
import WasmRuntime
import WebAssembly

/// Opens weight files, checks their headers, and brings them into a guest memory; each set of files once per process, however
/// many models and sessions use it.
///
/// Files are told apart by device, inode, length and time of modification, so that a file that was replaced is opened anew while
/// those who use the old one keep it.
public final class TensorStore: Sendable {
  private struct Key: Hashable {
    let files: [RegularFile.Identity]
    let placement: WeightPlacement
  }

  private enum Entry {
    case placed(Placed)
    case placing(Placing)
  }

  private struct Placed {
    weak var weights: WeightSet?
  }

  /// What those wait for who want files that somebody is placing.
  private final class Placing: Sendable {
    private let done = DispatchSemaphore(value: 0)
    private let result = Mutex<Result<WeightSet, TensorStoreError>?>(nil)

    func end(_ result: Result<WeightSet, TensorStoreError>) {
      self.result.withLock { $0 = result }
      done.signal()
    }

    func wait() throws(TensorStoreError) -> WeightSet {
      done.wait()
      // For the next one who waits.
      done.signal()
      guard let result = result.withLock({ $0 }) else { preconditionFailure("the result is there before the signal") }
      return try result.get()
    }
  }

  private enum Step {
    case take(WeightSet)
    case wait(Placing)
    case place(Placing)
  }

  private let entries = Mutex<[Key: Entry]>([:])

  public init() {}

  /// The files in one memory. What another caller still holds is shared; otherwise the files are opened, verified and placed, and
  /// stay as long as somebody holds the result.
  ///
  /// - Parameter paths: at least one; several for a model in shards.
  /// - Throws: `malformedInput` for a file that is no readable tensor file, `environment` where the system refuses.
  public func weights(paths: [String], placement: WeightPlacement) throws(TensorStoreError) -> WeightSet {
    precondition(!paths.isEmpty, "a weight set has at least one file")
    var opened: [RegularFile] = []
    for path in paths {
      do { opened.append(try RegularFile(path: path)) } catch {
        throw TensorStoreError(.environment, path: path, Self.withoutPath(error), cause: error)
      }
    }
    let key = Key(files: opened.map(\.identity), placement: placement)
    switch nextStep(for: key) {
    case .take(let weights): return weights
    case .wait(let placing): return try placing.wait()
    case .place(let placing):
      // Outside the lock: a header may be long and a device slow, and others want other files.
      let result = Result { () throws(TensorStoreError) in try Self.place(opened, paths: paths, placement: placement) }
      entries.withLock { entries in
        entries = entries.filter { if case .placed(let placed) = $0.value { placed.weights != nil } else { true } }
        if case .success(let weights) = result {
          entries[key] = .placed(Placed(weights: weights))
        } else {
          entries[key] = nil
        }
      }
      placing.end(result)
      return try result.get()
    }
  }

  /// Two callers of the same files must not both place them.
  private func nextStep(for key: Key) -> Step {
    entries.withLock { entries in
      switch entries[key] {
      case .placing(let placing): return .wait(placing)
      // Lost weights stay lost, also where the file looks again as it did.
      case .placed(let placed):
        if let weights = placed.weights, !weights.isLost { return .take(weights) }
      case nil: break
      }
      let placing = Placing()
      entries[key] = .placing(placing)
      return .place(placing)
    }
  }

  // MARK: Placing

  private static func place(
    _ opened: [RegularFile], paths: [String], placement: WeightPlacement
  ) throws(TensorStoreError) -> WeightSet {
    let page: UInt64 = 1 << 16
    var addresses: [UInt64] = []
    var end: UInt64 = 0
    for (file, path) in zip(opened, paths) {
      // Where address and file offset are equal modulo a large page, the system maps large folios of the page cache as such: 260 page
      // faults for 512 MB instead of 8200, and the first pass takes a quarter of the time. `end` is at most 1 TiB.
      let large = UInt64(AddressReservation.largePageByteCount)
      end = (end + large - 1) / large * large
      addresses.append(end)
      let (padded, overflow) = file.byteCount.addingReportingOverflow(page - 1)
      let (next, pastEnd) = end.addingReportingOverflow(padded / page * page)
      guard !overflow, !pastEnd, next / page <= weightsPageCountMax else {
        throw TensorStoreError(.malformedInput, path: path, "\(file.byteCount) bytes do not fit the memory of weights (1 TiB)")
      }
      guard file.byteCount > 0 else { throw TensorStoreError(.malformedInput, path: path, "it is empty, expected a GGUF file") }
      end = next
    }
    let memory: Memory
    do {
      memory = try Memory(
        type: MemoryType(
          addressType: .i64, limits: Limits(minimum: end / page, maximum: end / page), isShared: false, pageByteCountLog2: 16,
          attributes: MemoryAttributes(isVirtual: true)))
    } catch {
      throw TensorStoreError(.environment, path: paths[0], "no address space for its \(end) bytes: \(error)", cause: error)
    }
    var files: [WeightSet.File] = []
    var copied: UInt64 = 0
    for (index, file) in opened.enumerated() {
      copied += try fill(memory, with: file, at: addresses[index], path: paths[index], placement: placement)
      let catalog = try readCatalog(memory, file, at: addresses[index], path: paths[index])
      files.append(
        WeightSet.File(
          path: paths[index], catalog: catalog, address: addresses[index], byteCount: file.byteCount, opened: file))
    }
    // Of a whole file bound at a multiple of the page nothing is copied; the memory's own count says so.
    copied += memory.copiedByteCount
    let total = opened.reduce(0) { $0 + $1.byteCount }
    return WeightSet(
      memory: memory, files: files, placement: placement, mappedByteCount: placement == .map ? total - copied : 0,
      copiedByteCount: copied)
  }

  /// The largest `weights` memory that model programs import: 2^24 pages.
  static let weightsPageCountMax: UInt64 = 1 << 24

  /// - Returns: the bytes copied here, by the system into memory and from one memory into another.
  private static func fill(
    _ memory: Memory, with file: RegularFile, at address: UInt64, path: String, placement: WeightPlacement
  ) throws(TensorStoreError) -> UInt64 {
    let byteCount = (file.byteCount + 0xFFFF) / 0x10000 * 0x10000
    var copied: UInt64 = 0
    do {
      switch placement {
      case .map:
        try memory.bind(file, at: address, mode: .readOnly)
        // What is not in the page cache yet is then read 4 MiB at a time into folios of 2 MiB, whatever the device's read-ahead (128 KiB
        // by default). Advice: only time depends on it.
        _ = try? memory.advise(.hugePages, address: address, byteCount: file.byteCount)
      case .read:
        try mapPages(memory, address, byteCount, path)
        try memory.readFile(FileRegion(file), at: address)
        copied += file.byteCount
        try memory.protect(address: address, byteCount: byteCount, protection: .read)
      case .copy:
        copied += try copy(file, to: memory, at: address, byteCount: byteCount, path: path)
        try memory.protect(address: address, byteCount: byteCount, protection: .read)
      }
      try memory.pinForever(address: address, byteCount: byteCount)
      return copied
    } catch let error as TensorStoreError {
      throw error
    } catch let error as VirtualMemoryError {
      throw TensorStoreError(.environment, path: path, withoutPath(error), cause: error)
    } catch {
      throw TensorStoreError(.environment, path: path, "it cannot be placed in the memory of weights: \(error)", cause: error)
    }
  }

  /// Reads a file into a buffer of the host, and copies that.
  private static func copy(
    _ file: RegularFile, to memory: Memory, at address: UInt64, byteCount: UInt64, path: String
  ) throws -> UInt64 {
    // Pages of the system, not an array: room for a file that is larger than memory is refused, with an error.
    guard file.byteCount <= ResourceBudget.byteCountMaxDefault else {
      throw TensorStoreError(
        .environment, path: path,
        "\(file.byteCount) bytes cannot be copied: twice as many do not fit the memory of this machine; map the file instead")
    }
    let buffer = try AddressReservation(byteCount: Int(file.byteCount))
    try buffer.commit(at: 0, byteCount: buffer.byteCount)
    // SAFETY: the reservation is at least as long as the file, and lives to the end of this function.
    let bytes = unsafe UnsafeMutableRawBufferPointer(start: buffer.base, count: Int(file.byteCount))
    try unsafe file.read(at: 0, into: bytes)
    try mapPages(memory, address, byteCount, path)
    try unsafe memory.withUnsafeWritableBytes(address: address, byteCount: file.byteCount) { target in
      // SAFETY: the counts are equal.
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(bytes))
    }
    return 2 * file.byteCount
  }

  private static func mapPages(
    _ memory: Memory, _ address: UInt64, _ byteCount: UInt64, _ path: String
  ) throws {
    guard try memory.map(address: address, byteCount: byteCount, protection: .readWrite) else {
      throw TensorStoreError(.environment, path: path, "\(byteCount) bytes of memory for it were refused by the system")
    }
  }

  /// The header, read where it lies in the memory: the file is mapped once, not a second time for its header.
  private static func readCatalog(
    _ memory: Memory, _ file: RegularFile, at address: UInt64, path: String
  ) throws(TensorStoreError) -> TensorCatalog {
    let result: Result<TensorCatalog, TensorFileError>
    do {
      result = try unsafe memory.withUnsafeReadableBytes(address: address, byteCount: file.byteCount) {
        bytes throws(MemoryAccessError) in
        // SAFETY: the memory keeps the range readable for the time of the closure, and the span does not leave it.
        let span = unsafe RawSpan(_unsafeBytes: bytes)
        return Result { () throws(TensorFileError) in
          guard GGUFFile.isGGUF(span) else {
            throw TensorFileError(.malformed, "it does not begin with the letters GGUF, so it is no GGUF file", at: 0)
          }
          return try GGUFFile.readCatalog(span)
        }
      }
    } catch {
      throw TensorStoreError(
        .environment, path: path, "its contents disappeared while the header was read (\(error)): was it cut, or is it still being written?",
        cause: error)
    }
    switch result {
    case .success(let catalog): return catalog
    case .failure(let error): throw TensorStoreError(.malformedInput, path: path, error.description, cause: error)
    }
  }

  /// The reason of a file error, without the path that the message names already.
  private static func withoutPath(_ error: VirtualMemoryError) -> String {
    VirtualMemoryError(
      operation: error.operation, errno: error.errno, byteCount: error.byteCount, path: nil, reason: error.reason
    ).description
  }
}
