import Foundation
import TensorOperations
import WasmRuntime

/// What this machine gives to a plain loop that moves as many bytes as an operation, and to arithmetic in registers.
///
/// Every figure is the best of two dozen short runs, of all of the loop's variants: what disturbs a loop only makes it slower,
/// and no kernel should be faster. Kernels and loops take turns, so that a busy neighbour disturbs both.
struct KernelCeiling {
  private let probe: MachineProbe
  private let caches = CacheSizes()
  private let threadCount: Int
  /// Twice each pattern of reading.
  private static let runCount = 24
  /// More than this is read from the stage's ring, less in its scratch.
  private static let scratchByteCount = 16 << 20

  init(workers: WorkerPool) {
    probe = MachineProbe(workers: workers)
    threadCount = workers.threadCount
  }

  /// Bytes that must be read between two readings of the same byte, so that it comes from memory: twice the largest cache of
  /// this processor, at least 1 GB, at most a quarter of the memory. A virtual machine is told the size of the whole cache, which
  /// it shares with others: what it gets of it changes, and is less.
  static func ringByteCount(_ caches: CacheSizes) -> Int {
    let largest = caches.byteCounts.map(\.byteCount).max() ?? 0
    let wanted = max(1_000_000_000, 2 * largest)
    let whole = KernelCase.matvecByteCount
    return max(1, min((wanted + whole - 1) / whole, Int(ProcessInfo.processInfo.physicalMemory / 4) / whole)) * whole
  }

  func level(of entry: KernelCase) -> String {
    entry.ring != nil ? "memory" : caches.name(holding: entry.footprint, threadCount: threadCount)
  }

  // MARK: Bytes

  /// GB/s of the loop that does with as many bytes what the operation does: for weights in a ring with those bytes themselves,
  /// otherwise in the scratch that most operands are in, which it overwrites. A cache finds room for bytes by their physical
  /// addresses, so the same loop differs by up to a third between one set of pages and another.
  func loop(
    _ entry: KernelCase, _ arguments: [Value], _ stage: KernelStage, _ position: KernelStage.RingPosition
  ) throws -> Double {
    guard let ring = entry.ring?(stage), case .i64(let first) = arguments[ring.parameter] else {
      return try fastest(entry.traffic, stage, byteCount: entry.footprint).gigabytesPerSecond
    }
    return try fastestRead(stage, byteCount: Int(ring.byteCount) & ~3) {
      first + UInt64(position.next(of: ring.count)) * ring.byteCount
    }.gigabytesPerSecond
  }

  /// How fast bytes are read by how many they are: from the first level of cache to memory.
  /// - Parameter ring: where the stage's ring lies, written before.
  func reads(_ stage: KernelStage, ring: UInt64, rounds: Int) throws -> [KernelBenchmark.Read] {
    var byteCounts = caches.byteCounts.filter { $0.level < 3 }.map { $0.byteCount * 2 / 3 / 4000 * 4000 }
    byteCounts += [16, 64, 128, 256].map { $0 * 1_000_000 } + [stage.ringByteCount]
    let known = byteCounts.filter { $0 <= stage.ringByteCount }
    var measured = known.map { _ in (speeds: [Double](), pattern: MachineProbe.ReadPattern.all[0]) }
    for _ in 0..<rounds {
      for (index, byteCount) in known.enumerated() {
        let found: Found
        if byteCount == stage.ringByteCount {
          // As much at a time as the products take.
          let (piece, position) = (KernelCase.matvecByteCount, KernelStage.RingPosition())
          found = try fastestRead(stage, byteCount: piece) { ring + UInt64(position.next(of: byteCount / piece) * piece) }
        } else if byteCount * threadCount <= Self.scratchByteCount {
          found = try fastest(.read, stage, byteCount: byteCount * threadCount)
        } else {
          found = try fastestRead(stage, byteCount: byteCount) { ring }
        }
        measured[index].speeds.append(found.gigabytesPerSecond)
        measured[index].pattern = found.pattern
      }
    }
    return zip(known, measured).map { byteCount, found in
      let level = byteCount == stage.ringByteCount ? "memory" : caches.name(holding: byteCount, threadCount: 1)
      return KernelBenchmark.Read(
        bytes: byteCount, level: level, gigabytesPerSecond: median(found.speeds), streams: found.pattern.streams,
        ahead: found.pattern.ahead)
    }
  }

  private typealias Found = (gigabytesPerSecond: Double, pattern: MachineProbe.ReadPattern)

  /// In the stage's scratch, from its first byte on.
  private func fastest(_ traffic: MachineProbe.Traffic, _ stage: KernelStage, byteCount: Int) throws -> Found {
    let scratch = stage.memories.scratch
    // Pages that were never written are all the same one.
    try probe.move(.fill, scratch, address: 0, byteCount: byteCount, passes: 1)
    // A third of a millisecond at 100 GB/s.
    let passes = max(1, (1 << 25) / max(1, byteCount))
    let moved = Double(byteCount) * traffic.bytesMovedPerByte * Double(passes)
    return try fastest(patterns: traffic == .read ? MachineProbe.ReadPattern.all : [.all[0]], bytes: moved) { pattern in
      try probe.move(traffic, scratch, address: 0, byteCount: byteCount, pattern: pattern, passes: passes)
    }
  }

  private func fastestRead(_ stage: KernelStage, byteCount: Int, address: () -> UInt64) throws -> Found {
    try fastest(patterns: MachineProbe.ReadPattern.all, bytes: Double(byteCount)) { pattern in
      _ = try probe.read(stage.memories.weights, address: address(), byteCount: byteCount, pattern: pattern)
    }
  }

  private func fastest(
    patterns: [MachineProbe.ReadPattern], bytes: Double, _ body: (MachineProbe.ReadPattern) throws -> Void
  ) rethrows -> Found {
    var best: Found = (0, .all[0])
    for _ in 0..<(Self.runCount / patterns.count) {
      for pattern in patterns {
        let (time, _) = try Benchmarking.seconds { try body(pattern) }
        best = max(best, (bytes / time / 1e9, pattern)) { $0.gigabytesPerSecond < $1.gigabytesPerSecond }
      }
    }
    return best
  }

  // MARK: Arithmetic

  /// GFLOP/s (for integers: 10^9 operations a second) in registers.
  func peak(_ arithmetic: KernelCase.Arithmetic) -> Double {
    (0..<Self.runCount / 2).reduce(0) { best, _ in
      // About half a millisecond.
      let (time, operations) = Benchmarking.seconds {
        arithmetic == .float ? probe.floatOperations(turns: 250_000) : probe.integerOperations(turns: 250_000)
      }
      return max(best, operations / time / 1e9)
    }
  }
}

/// The larger of two by an order.
private func max<Value>(_ first: Value, _ second: Value, by isLess: (Value, Value) -> Bool) -> Value {
  isLess(first, second) ? second : first
}
