import TensorOperations
import Tensors
import Testing
import WasmRuntime
import _TestSupport

/// A model program issues hundreds of operations a token: none of them may allocate, or ask the system for pages.
@Suite("Allocations of tensor operations", .enabled(if: ThreadCounts.areCounted))
struct OperationCountTests {
  /// One call of each import, small, with the arguments it takes.
  private static func calls(_ bench: OperationBench, rows: Int) throws -> [(name: String, arguments: [OperationBench.Argument])] {
    var random = RandomOperands(seed: 4)
    let (columns, columnsOut) = (64, 96)
    let x = try bench.scratch(random.floats(rows * columns))
    let y = try bench.scratch(random.floats(rows * columns))
    let out = try bench.output(rows * 256)
    let ids = try bench.scratch(ids: (0..<rows).map { Int32($0 % 16) })
    let positions = try bench.scratch(ids: (0..<rows).map { Int32($0) })
    let bases = try bench.scratch(bases: [Int64](repeating: 0, count: rows))
    let topIDs = try bench.scratch(ids: [Int32](repeating: 0, count: rows * 4))
    let norm = try bench.weights(random.weights(.f32, rows: 1, columns: columns))
    let table = try bench.weights(random.weights(.q8_0, rows: 16, columns: columns))
    let q8 = try bench.weights(random.weights(.q8_0, rows: columnsOut, columns: columns))
    let f32 = try bench.weights(random.weights(.f32, rows: columnsOut, columns: columns))
    _ = try? bench.memories.cache.map(address: 0, byteCount: 16 * OperationBench.page, protection: .readWrite)
    let (r, c, o) = (rows.n, columns.n, columnsOut.n)
    let elements = (rows * columns).n
    // Cache rows of f16: one chunk of 64 positions of keys, then one of values.
    let stride = OperationBench.page
    let values = UInt64(64 * columns * 2)
    return [
      ("matmul", [out.at, x.at, q8.at, ElementType.q8_0.n, r, c, o]),
      ("matmul", [out.at, x.at, f32.at, ElementType.f32.n, r, c, o]),
      ("get_rows", [out.at, table.at, ElementType.q8_0.n, ids.at, r, c, 16]),
      ("rms_norm", [out.at, x.at, norm.at, ElementType.f32.n, r, c, Float(1e-5).f]),
      ("layer_norm", [out.at, x.at, norm.at, norm.at, ElementType.f32.n, r, c, Float(1e-5).f]),
      ("rope", [x.at, positions.at, r, 2, 32, 32, Float(10_000).f, Float(1).f, 0]),
      ("cache_append", [x.at, bases.at, positions.at, 0, 64, stride.at, r, c, ElementType.f16.n]),
      ("cache_append", [x.at, bases.at, positions.at, values.at, 64, stride.at, r, c, ElementType.f16.n]),
      (
        "attention",
        [
          out.at, x.at, bases.at, positions.at, 0, values.at, 64, stride.at, r, 2, 2, 32, ElementType.f16.n, Float(0.1).f, 0,
          Float(0).f,
        ]
      ),
      ("add", [out.at, x.at, y.at, elements]), ("mul", [out.at, x.at, y.at, elements]),
      ("scale", [out.at, x.at, elements, Float(0.5).f]),
      ("add_bias", [out.at, x.at, norm.at, ElementType.f32.n, r, c]),
      ("silu", [out.at, x.at, elements]), ("gelu", [out.at, x.at, elements]), ("gelu_tanh", [out.at, x.at, elements]),
      ("silu_mul", [out.at, x.at, y.at, elements]), ("gelu_tanh_mul", [out.at, x.at, y.at, elements]),
      ("softmax", [out.at, x.at, r, c]),
      ("top_k", [out.at, topIDs.at, x.at, r, c, 4]),
    ]
  }

  @Test("no operation allocates, for one row and for many", arguments: [1, 48], OperationBench.Provider.allCases)
  func operations(rows: Int, provider: OperationBench.Provider) throws {
    let bench = try OperationBench(provider)
    let calls = try Self.calls(bench, rows: rows)
    #expect(Set(calls.map(\.name)) == Set(TensorOperation.imports.map(\.name)), "every import is called")
    for (name, arguments) in calls {
      let call = try bench.prepared(name, arguments)
      let counts = try ThreadCounts.steady(count: 16) { try call() }
      #expect(counts.allocations == 0 && counts.pageCalls == 0, "\(name) of \(rows) rows: \(counts)")
    }
  }
}
