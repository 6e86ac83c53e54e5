import TensorOperations
import Tensors
import Testing
import WasmRuntime

/// Attention of shapes that no model has and every guest may ask for: very many heads, very many rows, very long histories.
@Suite("Attention of unusual shapes")
struct AttentionShapeTests {
  /// With one position the softmax is 1 and the result is the value. Numbers of pieces near 2^20 once made kernels run for rows below 0, with
  /// the whole process for a stake, or every thread sleep for ever.
  @Test("about 2^20 heads, on 1, 2, 4 and 8 threads", arguments: [1, 2, 4, 8])
  func manyHeads(threadCount: Int) throws {
    let bench = try OperationBench(.native, threadCount: threadCount)
    _ = try bench.memories.cache.map(address: 0, byteCount: 64 * OperationBench.page, protection: .readWrite)
    let values = (0..<1 << 20).map { Float($0 % 4099) }
    try bench.memories.cache.write(elements: values, address: 0)
    let q = try bench.scratch(.init(repeating: 1, count: 1 << 20))
    let (bases, positions) = (try bench.scratch(bases: [0]), try bench.scratch(ids: [0]))
    for heads in [9, 7, 4, 3, 2, 1, 0].map({ (1 << 20) - $0 }) {
      for _ in 0..<3 {
        let out = try bench.output(0)
        try bench.memories.scratch.write(elements: [Float](repeating: .nan, count: heads), address: out)
        try bench.call(
          "attention", out.at, q.at, bases.at, positions.at, 0, 0, 1, (4 << 20).n, 1, heads.n, heads.n, 1, ElementType.f32.n, 1.0, 0, 0.0)
        #expect(try bench.floats(out, heads) == Array(values.prefix(heads)), "\(heads) heads")
      }
    }
  }

  @Test("2^20 rows of one head, on 1, 2, 4 and 8 threads", arguments: [1, 2, 4, 8])
  func manyRows(threadCount: Int) throws {
    let bench = try OperationBench(.native, scratchPageCount: 1024, threadCount: threadCount)
    _ = try bench.memories.cache.map(address: 0, byteCount: 64 * OperationBench.page, protection: .readWrite)
    // Positions 0 and 1 of 1000 sequences.
    try bench.memories.cache.write(elements: (0..<2000).map { Float($0 / 2) }, address: 0)
    let rows = 1 << 20
    let q = try bench.scratch(.init(repeating: 0, count: rows))
    let bases = try bench.scratch(bases: (0..<rows).map { Int64($0 % 1000 * 8) })
    let positions = try bench.scratch(ids: (0..<rows).map { Int32($0 % 2) })
    let out = try bench.output(rows)
    try bench.call(
      "attention", out.at, q.at, bases.at, positions.at, 0, 0, 2, 8, rows.n, 1, 1, 1, ElementType.f32.n, 1.0, 0, 0.0)
    #expect(try bench.floats(out, rows) == (0..<rows).map { Float($0 % 1000) })
  }

  /// Keys of zero weigh all positions alike, so the result is the mean of the values: 0 for the first half, 2 for the second.
  @Test("a history that is done in parts gives what it gives in one", arguments: [1, 2, 4], [0, 100_000])
  func longHistory(threadCount: Int, window: Int) throws {
    let bench = try OperationBench(.native, cachePageCount: 256, threadCount: threadCount)
    _ = try bench.memories.cache.map(address: 0, byteCount: 256 * OperationBench.page, protection: .readWrite)
    let count = 200_000
    let valuePlane = count * 8 * 2
    let half = [UInt16](repeating: 0x4000, count: count / 2 * 8)
    try bench.memories.cache.write(elements: half, address: UInt64(valuePlane + count / 2 * 8 * 2))
    // Two rows: the last position, and one in the middle of a part.
    let q = try bench.scratch(.init(repeating: 1, count: 2 * 2 * 8))
    let bases = try bench.scratch(bases: [0, 0])
    let positions = try bench.scratch(ids: [Int32(count - 1), 149_999])
    let out = try bench.output(2 * 2 * 8)
    try bench.call(
      "attention", out.at, q.at, bases.at, positions.at, 0, valuePlane.n, count.n, (2 * valuePlane).n, 2, 2, 1, 8, ElementType.f16.n, 1.0,
      window.n, 0.0)
    let found = try bench.floats(out, 32)
    let expected: [Float] = window == 0 ? [1, 2.0 / 3] : [2, 1]
    for row in 0..<2 {
      for value in found[row * 16..<row * 16 + 16] {
        #expect(abs(value - expected[row]) < 1e-3, "row \(row): \(value), expected \(expected[row])")
      }
    }
  }
}
