import CTensorKernels
import TensorOperations
import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

/// The probes compute what plain arithmetic computes: what they are timed for is really done, all of it, at every level.
@Suite("Machine probes", .serialized)
struct MachineProbeTests {
  private static let seed = UInt64.random(in: 0...UInt64.max)

  @Test("reads add up every word once in each pass, in any order of reading", arguments: NativeKernelsTests.levels)
  func reads(level: Int) {
    var random = SeededGenerator(seed: Self.seed)
    NativeKernelRun.at(level: level) {
      for wordCount in [0, 1, 63, 64, 65, 511, 2048, 2049, 10_007] {
        let words = (0..<wordCount).map { _ in UInt32.random(in: 0...UInt32.max, using: &random) }
        let sum = words.reduce(0, &+)
        for streams in [1, 2, 3, 4, 8] {
          for (ahead, passes) in [(0, 1), (512, 1), (0, 3), (64, 2)] {
            // SAFETY: all bytes of the array, read only.
            let found = unsafe words.withUnsafeBytes { bytes in
              unsafe bytes.baseAddress.map { unsafe tk_probe_read($0, 4 * wordCount, CInt(streams), ahead, passes) } ?? 0
            }
            #expect(
              found == sum &* UInt32(passes),
              "\(wordCount) words, \(streams) streams, \(ahead) ahead, \(passes) passes, seed \(Self.seed)")
          }
        }
      }
    }
  }

  @Test("writes leave what plain additions leave, and nothing beside it", arguments: NativeKernelsTests.levels)
  func writes(level: Int) {
    var random = SeededGenerator(seed: Self.seed)
    NativeKernelRun.at(level: level) {
      for count in [0, 1, 15, 63, 64, 65, 1000] {
        let (a, b) = ((0..<count + 1).map { _ in random.next() }, (0..<count + 1).map { _ in random.next() })
        let (x, y) = (a.map { UInt32(truncatingIfNeeded: $0) }, b.map { UInt32(truncatingIfNeeded: $0) })
        func written(_ body: (UnsafeMutablePointer<UInt32>) -> Void) -> [UInt32] {
          var out = [UInt32](repeating: 7, count: count + 1)
          unsafe out.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress!) }
          return out
        }
        // SAFETY: every array has one word more than is read or written.
        let sums = unsafe written { unsafe tk_probe_write($0, x, y, 5, 4 * count, 1) }
        let shifted = unsafe written { unsafe tk_probe_write($0, x, nil, 5, 4 * count, 1) }
        let filled = unsafe written { unsafe tk_probe_write($0, nil, nil, 5, 4 * count, 2) }
        let added = unsafe written { unsafe tk_probe_write($0, $0, nil, 5, 4 * count, 3) }
        #expect(sums == (0..<count).map { x[$0] &+ y[$0] } + [7], "seed \(Self.seed)")
        #expect(shifted == (0..<count).map { x[$0] &+ 5 } + [7], "seed \(Self.seed)")
        #expect(filled == [UInt32](repeating: 5, count: count) + [7])
        #expect(added == [UInt32](repeating: 7 + 3 * 5, count: count) + [7], "in place, three times")
      }
    }
  }

  /// x = x · a + b from 0: with numbers that f32 holds exactly, each lane is the same, and the sum says how many lanes there are.
  @Test("multiply-adds give the sum that as many operations give", arguments: NativeKernelsTests.levels)
  func multiplyAdds(level: Int) {
    NativeKernelRun.at(level: level) {
      for (a, b, turns) in [(Float(1), Float(1), 1), (1, 3, 1000), (0.5, 1, 10), (-1, 2, 7), (2, 1, 12)] {
        var sum: Float = .nan
        // SAFETY: the result is this function's own variable.
        let operations = unsafe tk_probe_float(&sum, a, b, turns)
        let expected = (0..<turns).reduce(Float(0)) { x, _ in x * a + b }
        #expect(operations > 0 && operations % (2 * turns) == 0)
        let laneCount = operations / (2 * turns)
        #expect(sum == expected * Float(laneCount), "a \(a), b \(b), \(turns) turns, \(laneCount) lanes")
      }
    }
  }

  @Test("integer dot products give the sum that as many operations give", arguments: NativeKernelsTests.levels)
  func integerProducts(level: Int) {
    NativeKernelRun.at(level: level) {
      for (a, b, turns) in [(UInt8(1), Int8(1), 1), (15, 127, 1), (15, -127, 3), (7, -3, 1000), (0, 5, 2), (9, 0, 2)] {
        var sum: UInt32 = 99
        // SAFETY: the result is this function's own variable.
        let operations = unsafe tk_probe_integer(&sum, a, b, turns)
        #expect(operations > 0 && operations % (2 * turns) == 0)
        let expected = UInt32(truncatingIfNeeded: operations / 2 * Int(a) * Int(b))
        #expect(sum == expected, "a \(a), b \(b), \(turns) turns")
      }
    }
  }

  @Test("several threads read every word of a guest's memory, and do as many times the arithmetic", arguments: [1, 2, 3])
  func threads(threadCount: Int) throws {
    var random = SeededGenerator(seed: Self.seed)
    let memory = try Memory(type: MemoryType(addressType: .i64, limits: Limits(minimum: 4, maximum: 4)))
    let words = (0..<20_003).map { _ in UInt32.random(in: 0...UInt32.max, using: &random) }
    try memory.write(elements: words, address: 12)
    let probe = MachineProbe(workers: WorkerPool(threadCount: threadCount))
    try memory.write(elements: (0..<10_000).map { UInt32($0) }, address: 131_072)
    for pattern in MachineProbe.ReadPattern.all {
      let found = try probe.read(memory, address: 12, byteCount: 4 * words.count, pattern: pattern)
      #expect(found == words.reduce(0, &+), "\(pattern), seed \(Self.seed)")
      let own = try probe.move(.read, memory, address: 131_072, byteCount: 40_000, pattern: pattern, passes: 3)
      #expect(own == 3 * 9999 * 10_000 / 2, "words 0 ..< 10 000")
    }
    #expect(throws: MemoryAccessError.self) {
      try probe.read(memory, address: 4 << 16, byteCount: 4, pattern: MachineProbe.ReadPattern.all[0])
    }
    let single = MachineProbe(workers: WorkerPool(threadCount: 1))
    #expect(probe.floatOperations(turns: 10) == Double(threadCount) * single.floatOperations(turns: 10))
    #expect(probe.integerOperations(turns: 10) == Double(threadCount) * single.integerOperations(turns: 10))
    // Whole lines of each thread's part.
    let part = 40_000 / threadCount & ~63
    func stored() throws -> [UInt32] { try memory.read(UInt32.self, address: 131_072, count: 10_000) }
    try probe.move(.update, memory, address: 131_072, byteCount: 40_000, passes: 2)
    let grown = part / 4 * threadCount
    #expect(try stored() == (0..<10_000).map { UInt32($0 < grown ? $0 + 2 : $0) }, "every word two larger")
    try probe.move(.fill, memory, address: 131_072, byteCount: 40_000, passes: 1)
    #expect(try stored() == (0..<10_000).map { UInt32($0 < grown ? 1 : $0) }, "every word 1")
    try probe.move(.copy, memory, address: 131_072, byteCount: 40_000, passes: 1)
    let copied = try stored()
    let halfCount = (part / 2 & ~63) / 4
    #expect(copied.filter { $0 == 2 }.count == halfCount * threadCount && copied[0] == 2, "half of them 1 + 1")
    try probe.move(.add, memory, address: 131_072, byteCount: 40_000, passes: 1)
    let third = (part / 3 & ~63) / 4
    let sum: UInt32 = copied[third] + copied[2 * third]
    #expect(try stored()[0] == sum, "the sum of the other thirds")
    #expect(throws: MemoryAccessError.self) { try probe.move(.fill, memory, address: 4 << 16, byteCount: 64, passes: 1) }
  }

  @Test("OpenBLAS multiplies as the reference does, from any place in the weights", arguments: [1, 2])
  func openBLAS(threadCount: Int) throws {
    var random = SeededGenerator(seed: Self.seed)
    for (rows, columnsIn, columnsOut) in [(1, 40, 24), (5, 33, 17)] {
      let (x, w) = (random.normals(rows * columnsIn), random.normals(columnsOut * columnsIn))
      var out = [Float](repeating: .nan, count: rows * columnsOut)
      let isDone = NativeKernels.openBLASProduct(
        out: &out, x: x, weights: [9, 9, 9] + w, first: 3, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut,
        threadCount: threadCount)
      #expect(isDone == NativeKernels.hasOpenBLAS && (NativeKernels.openBLASCore != nil) == isDone)
      guard isDone else { continue }
      for row in 0..<rows {
        for column in 0..<columnsOut {
          let exact = (0..<columnsIn).reduce(0.0) { $0 + Double(x[row * columnsIn + $1]) * Double(w[column * columnsIn + $1]) }
          #expect(abs(Double(out[row * columnsOut + column]) - exact) < 1e-4, "row \(row), column \(column), seed \(Self.seed)")
        }
      }
    }
  }
}
