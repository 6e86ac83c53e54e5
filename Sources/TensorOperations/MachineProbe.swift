import CTensorKernels
import Synchronization
import WasmRuntime

/// What this machine can do at most, at the level of instructions that the native kernels use and on as many threads: how fast
/// memory and caches are read and written, and arithmetic in registers. A benchmark gives speeds of kernels as shares of these.
///
/// Every probe computes something that a plain loop computes too, and says how much it did; the caller takes the time.
package final class MachineProbe {
  /// In what order bytes are read. Which is fastest depends on the processor, and on what its prefetchers make of it.
  package struct ReadPattern: Hashable, Sendable {
    /// Regions of equal length that are read side by side: 1, 2, 4 or 8.
    package let streams: Int
    /// How many bytes ahead each stream is prefetched by instructions; 0: not.
    package let ahead: Int

    package static let all = [1, 2, 4, 8].flatMap { streams in [0, 512, 2048].map { ReadPattern(streams: streams, ahead: $0) } }
  }

  /// What is done with each byte.
  package enum Traffic: String, Sendable, Hashable, CaseIterable {
    /// All bytes are read.
    case read
    /// Two thirds are read, one third is written.
    case add
    /// One half is read, the other written.
    case copy
    /// All bytes are read and written back, in place.
    case update
    /// All bytes are written.
    case fill

    /// Bytes that are moved for each byte of the range.
    package var bytesMovedPerByte: Double { self == .update ? 2 : 1 }
  }

  private let workers: WorkerPool

  package init(workers: WorkerPool) { self.workers = workers }

  // MARK: Reads and writes

  /// Reads bytes of a guest's memory once. Several threads take eight pieces each, as products give them out: where one is put
  /// aside, the others go on.
  /// - Parameter byteCount: a multiple of 4.
  /// - Returns: the sum of their 32-bit words, modulo 2^32.
  package func read(
    _ memory: Memory, address: UInt64, byteCount: Int, pattern: ReadPattern
  ) throws(MemoryAccessError) -> UInt32 {
    try unsafe memory.withUnsafeReadableBytes(address: address, byteCount: UInt64(byteCount)) { bytes throws(MemoryAccessError) in
      // SAFETY: the memory keeps the range readable for the time of the closure, in which all parts are done.
      guard let base = bytes.baseAddress else { return 0 }
      return unsafe sumOfParts(
        base, byteCount: byteCount, partCount: pieceCount, pattern: pattern, passes: 1)
    }
  }

  /// Goes `passes` times through bytes of a guest's memory, each thread through its part of them, and overwrites them unless the
  /// traffic is `read`.
  /// - Parameter pattern: for `read` only; the others read and write whole lines in ascending order.
  /// - Returns: for `read` the sum of the words read in all passes, modulo 2^32; otherwise 0.
  @discardableResult
  package func move(
    _ traffic: Traffic, _ memory: Memory, address: UInt64, byteCount: Int, pattern: ReadPattern = .all[0], passes: Int
  ) throws(MemoryAccessError) -> UInt32 {
    try unsafe memory.withUnsafeWritableBytes(address: address, byteCount: UInt64(byteCount)) { bytes throws(MemoryAccessError) in
      guard let address = bytes.baseAddress else { return 0 }
      if traffic == .read {
        // SAFETY: the memory keeps the range accessible for the time of the closure, in which all parts are done.
        return unsafe sumOfParts(address, byteCount: byteCount, partCount: workers.threadCount, pattern: pattern, passes: passes)
      }
      let (base, part) = (unsafe Place(address), byteCount / workers.threadCount & ~63)
      workers.run(pieceCount: workers.threadCount) { _, piece in
        // SAFETY: part `piece` of the range, cut into thirds or halves that do not overlap; no other thread touches it.
        let start = unsafe base.address + piece * part
        let (third, half) = (part / 3 & ~63, part / 2 & ~63)
        switch traffic {
        case .read: break
        case .add: unsafe tk_probe_write(start, start + third, start + 2 * third, 0, third, passes)
        case .copy: unsafe tk_probe_write(start, start + half, nil, 1, half, passes)
        case .update: unsafe tk_probe_write(start, start, nil, 1, part, passes)
        case .fill: unsafe tk_probe_write(start, nil, nil, 1, part, passes)
        }
      }
      return 0
    }
  }

  private var pieceCount: Int { workers.threadCount == 1 ? 1 : workers.threadCount * 8 }

  private func sumOfParts(
    _ base: UnsafeRawPointer, byteCount: Int, partCount: Int, pattern: ReadPattern, passes: Int
  ) -> UInt32 {
    // SAFETY: the parts lie side by side in the caller's range, whole words each; the last takes the rest.
    let base = unsafe Place(UnsafeMutableRawPointer(mutating: base))
    let sum = Total()
    let part = byteCount / partCount & ~3
    workers.run(pieceCount: partCount) { _, piece in
      let count = piece == partCount - 1 ? byteCount - piece * part : part
      sum.add(unsafe tk_probe_read(base.address + piece * part, count, CInt(pattern.streams), pattern.ahead, passes))
    }
    return sum.value
  }

  // MARK: Arithmetic

  /// Multiply-adds of f32 in registers, so many turns for each thread.
  /// - Returns: operations done, two for each multiply-add.
  package func floatOperations(turns: Int) -> Double {
    operations(turns) { turns in
      var sum: Float = 0
      // SAFETY: the result is this closure's own variable.
      return unsafe tk_probe_float(&sum, 0.5, 1, turns)
    }
  }

  /// Dot products of 8-bit integers in registers, as the products with quantised weights compute them, likewise.
  package func integerOperations(turns: Int) -> Double {
    operations(turns) { turns in
      var sum: UInt32 = 0
      // SAFETY: as above.
      return unsafe tk_probe_integer(&sum, 7, 3, turns)
    }
  }

  /// The instruction that multiplies 8-bit integers at the level in use.
  package static var integerInstruction: String {
    switch Int(tk_level()) {
    case TK_LEVEL_AVX512: "vpdpbusd"
    case TK_LEVEL_AVX2: "vpmaddubsw"
    default: "16-bit products"
    }
  }

  private func operations(_ turns: Int, _ body: @escaping @Sendable (_ turns: Int) -> Int) -> Double {
    let (total, all, pieces) = (Total(), turns * workers.threadCount, pieceCount)
    workers.run(pieceCount: pieces) { _, piece in
      total.addOperations(body(all * (piece + 1) / pieces - all * piece / pieces))
    }
    return Double(total.operations)
  }
}

/// Where the threads of a probe find the bytes.
@safe private struct Place: @unchecked Sendable {
  // Unchecked: the threads read, or write disjoint parts, and the caller waits for all of them.
  let address: UnsafeMutableRawPointer

  init(_ address: UnsafeMutableRawPointer) { unsafe self.address = address }
}

/// What the threads found, together.
private final class Total: Sendable {
  private let sum = Atomic<UInt32>(0)
  private let count = Atomic<Int>(0)

  func add(_ value: UInt32) { sum.wrappingAdd(value, ordering: .relaxed) }
  func addOperations(_ value: Int) { count.wrappingAdd(value, ordering: .relaxed) }
  var value: UInt32 { sum.load(ordering: .relaxed) }
  var operations: Int { count.load(ordering: .relaxed) }
}
