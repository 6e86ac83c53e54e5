import CTensorKernels
import TensorOperations
import Tensors
import Testing
import _TestSupport

// Nested, because suites that choose the level of instructions must not run at the same time.
extension NativeKernelsTests {
  @Suite("Attention and cache")
  struct AttentionTests {
    struct Shape: Sendable, CustomTestStringConvertible {
      var heads, keyValueHeads, headDimension: Int
      var window = 0
      var softcap: Float = 0
      var chunk = 64
      var type = ElementType.f16
      var testDescription: String {
        "\(heads)/\(keyValueHeads) heads of \(headDimension), window \(window), softcap \(softcap), "
          + "chunks of \(chunk), \(type.name)"
      }
    }
    static let shapes = [
      Shape(heads: 9, keyValueHeads: 3, headDimension: 64), Shape(heads: 4, keyValueHeads: 1, headDimension: 256, window: 40),
      Shape(heads: 8, keyValueHeads: 8, headDimension: 32, softcap: 20, chunk: 16, type: .f32),
      Shape(heads: 6, keyValueHeads: 2, headDimension: 20, window: 3, chunk: 7),
    ]
    static let seed = UInt64.random(in: 0...UInt64.max)

    /// Two sequences of 101 positions are appended row by row; then rows of both attend, as a whole and in slices.
    @Test(
      "rows of several sequences attend what was appended, as the reference says", arguments: NativeKernelsTests.levels, shapes)
    func attention(level: Int, shape: Shape) throws {
      try NativeKernelRun.at(level: level) {
        var random = SeededGenerator(seed: Self.seed)
        let width = shape.keyValueHeads * shape.headDimension
        let rowByteCount = width * shape.type.blockByteCount
        let layout = CacheLayout(
          chunkPositionCount: shape.chunk, chunkByteStride: 2 * shape.chunk * rowByteCount + 64, width: width, type: shape.type)
        let valuePlane = Int64(shape.chunk * rowByteCount)
        let sequenceBases = [Int64(2), Int64(2 + (100 / shape.chunk + 1) * layout.chunkByteStride)]
        var cache = [UInt8](repeating: 0, count: 2 * Int(sequenceBases[1]))
        var expectedCache = cache
        for base in sequenceBases {
          for plane in [0, valuePlane] {
            let positions = Array(Int32(0)...100)
            let bases = [Int64](repeating: base, count: positions.count)
            let x = random.normals(positions.count * width)
            try ReferenceKernels.cacheAppend(
              cache: &expectedCache, x: x, bases: bases, positions: positions, planeOffset: plane, layout: layout)
            // SAFETY: the cache holds both sequences whole; the operands have a row for each position.
            unsafe cache.withUnsafeMutableBytes {
              unsafe NativeKernels.cacheAppend(
                x: x, cache: $0.baseAddress!, bases: bases, positions: positions, planeOffset: plane,
                chunkPositions: Int64(shape.chunk), chunkStride: Int64(layout.chunkByteStride), rows: positions.count,
                width: width, type: shape.type.rawValue)
            }
          }
        }
        #expect(cache == expectedCache, "seed \(Self.seed)")

        let positions: [Int32] = [0, 5, 31, 32, 64, 100]
        let bases = positions.indices.map { sequenceBases[$0 % 2] }
        let query = random.normals(positions.count * shape.heads * shape.headDimension)
        let scale = 1 / Float(shape.headDimension).squareRoot()
        let expected = try ReferenceKernels.attention(
          cache: cache, query: query, bases: bases, positions: positions, keyPlaneOffset: 0, valuePlaneOffset: valuePlane,
          layout: layout, heads: shape.heads, keyValueHeads: shape.keyValueHeads, headDimension: shape.headDimension,
          scale: scale, window: shape.window, softcap: shape.softcap)
        let rowCount = positions.count
        let slices = [
          [(0..<rowCount, 0..<shape.heads)],
          [(0..<2, 0..<shape.heads), (2..<rowCount, 0..<1), (2..<rowCount, 1..<shape.heads)],
        ]
        for parts in slices {
          let found = unsafe NativeKernelRun.output(query.count) { out in
            // SAFETY: out and query have a row for each position, whose sequences lie in the cache up to position 100.
            unsafe cache.withUnsafeBytes { cache in
              for (rows, heads) in parts {
                unsafe NativeKernels.attentionSlice(
                  out: out, q: query, bases: bases, positions: positions, cache: cache.baseAddress!, keyPlaneOffset: 0,
                  valuePlaneOffset: valuePlane, chunkPositions: Int64(shape.chunk), chunkStride: Int64(layout.chunkByteStride),
                  rows: rowCount, heads: shape.heads, keyValueHeads: shape.keyValueHeads, headDimension: shape.headDimension,
                  type: shape.type.rawValue, scale: scale, window: Int32(shape.window), softcap: shape.softcap,
                  firstRow: rows.lowerBound, rowCount: rows.count, firstHead: heads.lowerBound, headCount: heads.count)
              }
            }
          }
          let error = KernelTolerance.normalizedSquaredError(of: found, against: expected)
          #expect(error <= ReferenceKernels.attentionTolerance.normalizedSquaredErrorMax, "error \(error), seed \(Self.seed)")
        }
        // In parts along the positions: within the tolerance, and without a window to the bit where blocks stay whole.
        func inParts(_ positionsPerPart: Int) -> [Float] {
          var state = [Float](repeating: .nan, count: 2 * rowCount * shape.heads)
          return unsafe NativeKernelRun.output(query.count) { out in
            // SAFETY: as above; the state has two numbers for each row and head.
            unsafe state.withUnsafeMutableBufferPointer { state in
              unsafe cache.withUnsafeBytes { cache in
                for first in stride(from: 0, to: 101, by: positionsPerPart) {
                  unsafe NativeKernels.attentionSlice(
                    out: out, q: query, bases: bases, positions: positions, cache: cache.baseAddress!, keyPlaneOffset: 0,
                    valuePlaneOffset: valuePlane, chunkPositions: Int64(shape.chunk), chunkStride: Int64(layout.chunkByteStride),
                    rows: rowCount, heads: shape.heads, keyValueHeads: shape.keyValueHeads, headDimension: shape.headDimension,
                    type: shape.type.rawValue, scale: scale, window: Int32(shape.window), softcap: shape.softcap, firstRow: 0,
                    rowCount: rowCount, firstHead: 0, headCount: shape.heads,
                    part: .init(positions: first..<first + positionsPerPart, state: state.baseAddress!))
                }
              }
            }
          }
        }
        let whole = inParts(1 << 20)
        for positionsPerPart in [1, 17, 32, 64] {
          let found = inParts(positionsPerPart)
          let error = KernelTolerance.normalizedSquaredError(of: found, against: expected)
          #expect(error <= ReferenceKernels.attentionTolerance.normalizedSquaredErrorMax, "\(positionsPerPart): error \(error)")
          if shape.window == 0, positionsPerPart % 32 == 0 {
            #expect(found.map(\.bitPattern) == whole.map(\.bitPattern), "parts of \(positionsPerPart), seed \(Self.seed)")
          }
        }
      }
    }
  }
}
