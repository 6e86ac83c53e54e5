import Foundation
import TensorOperations
import Tensors
import Testing
import WasmRuntime

/// What a guest asks for may take hours: its deadline, a cancellation and its fuel end it within a few pieces of work.
@Suite("Stopping tensor operations")
struct OperationStopTests {
  /// Generous: an operation stops after milliseconds, and would take minutes.
  private static let patience = 5.0

  private static func trap(of body: () throws -> Void) -> TrapKind? {
    do { try body() } catch let error as WasmError {
      if case .trap(let trap) = error { return trap.kind }
    } catch {}
    return nil
  }

  /// Attention of 65 536 rows over 524 288 positions each, all reading the same bytes: half a minute of native work.
  private static func longAttention(_ bench: OperationBench, rows: Int = 65536, position: Int32 = 524_287) throws -> () throws -> Void {
    _ = try bench.memories.cache.map(address: 0, byteCount: 64 * OperationBench.page, protection: .readWrite)
    let bases = try bench.scratch(bases: .init(repeating: 0, count: rows))
    let positions = try bench.scratch(ids: .init(repeating: position, count: rows))
    let (q, out) = (try bench.scratch(.init(repeating: 1, count: 4 * rows)), try bench.output(4 * rows))
    return try bench.prepared(
      "attention",
      [
        out.at, q.at, bases.at, positions.at, 0, 0, (1 << 20).n, (8 << 20).n, rows.n, 1, 1, 4, ElementType.f16.n, Float(1).f, 0,
        Float(0).f,
      ])
  }

  @Test("a deadline ends a long attention, with both providers, on one thread and several", arguments: OperationBench.Provider.allCases, [1, 4])
  func deadline(provider: OperationBench.Provider, threadCount: Int) throws {
    let bench = try OperationBench(provider, threadCount: threadCount)
    let call = try Self.longAttention(bench)
    let start = Date()
    bench.store.setTimeLimit(.milliseconds(100))
    #expect(Self.trap { try call() } == .deadlineExceeded)
    #expect(Date().timeIntervalSince(start) < Self.patience)
    // The store goes on when it may.
    bench.store.setTimeLimit(nil)
    let x = try bench.scratch([1, 2, 3])
    try bench.call("add", x.at, x.at, x.at, 3)
    #expect(try bench.floats(x, 3) == [2, 4, 6])
  }

  @Test("a cancellation from another thread ends it too", arguments: OperationBench.Provider.allCases)
  func cancellation(provider: OperationBench.Provider) throws {
    let bench = try OperationBench(provider)
    let call = try Self.longAttention(bench)
    let handle = bench.store.interruptHandle
    let start = Date()
    DispatchQueue.global().asyncAfter(deadline: .now() + 0.05) { handle.cancel() }
    #expect(Self.trap { try call() } == .cancelled)
    #expect(Date().timeIntervalSince(start) < Self.patience)
    #expect(Self.trap { try call() } == .cancelled, "as long as it is in force")
    handle.reset()
  }

  /// One row that cannot be cut by rows, heads or columns.
  @Test("a deadline ends operations on one row, and those that go in order", arguments: [1, 2])
  func oneRow(threadCount: Int) throws {
    let bench = try OperationBench(.native, scratchPageCount: 4096, weightsPageCount: 1024, cachePageCount: 16384, threadCount: threadCount)
    _ = try bench.memories.cache.map(address: 0, byteCount: 16384 * OperationBench.page, protection: .readWrite)
    let count = 1 << 20
    let x = try bench.scratch(.init(repeating: 0.5, count: count))
    let out = try bench.output(count)
    let ids = try bench.output(count)
    // 2^26 positions of 8 numbers.
    let positions = try bench.scratch(ids: [(1 << 26) - 1])
    let bases = try bench.scratch(bases: [0])
    let many = try bench.scratch(ids: .init(repeating: 0, count: 1 << 20))
    let manyBases = try bench.scratch(bases: .init(repeating: 0, count: 1 << 20))
    let calls: [(String, [OperationBench.Argument])] = [
      ("top_k", [out.at, ids.at, x.at, 1, count.n, count.n]),
      (
        "attention",
        [
          out.at, x.at, bases.at, positions.at, 0, 0, (1 << 26).n, (1 << 30).n, 1, 1, 1, 8, ElementType.f16.n, Float(1).f, 0, Float(0).f,
        ]
      ),
      // 2^20 rows of one number, each to the same place.
      ("cache_append", [x.at, manyBases.at, many.at, 0, 64, 4096, count.n, 1, ElementType.f16.n]),
      ("matmul", [out.at, x.at, 0, ElementType.q8_0.n, 1, (1 << 20).n, 60]),
    ]
    for (name, arguments) in calls {
      let call = try bench.prepared(name, arguments)
      let start = Date()
      bench.store.setTimeLimit(.milliseconds(1))
      var kind: TrapKind?
      // Some are done within the time when the machine is quick; the deadline has passed for the next one.
      for _ in 0..<1000 where kind == nil { kind = Self.trap { try call() } }
      #expect(kind == .deadlineExceeded, "\(name)")
      #expect(Date().timeIntervalSince(start) < Self.patience, "\(name)")
      bench.store.setTimeLimit(nil)
    }
  }

  @Test("stopping is asked for between pieces: an operation whose deadline has passed leaves most of its output alone")
  func leavesTheRest() throws {
    let bench = try OperationBench(.native)
    let count = 4 << 20
    let x = try bench.scratch(.init(repeating: 1, count: count))
    bench.store.interruptHandle.cancel()
    #expect(Self.trap { try bench.call("scale", x.at, x.at, count.n, Float(2).f) } == .cancelled)
    #expect(try bench.floats(x, count).allSatisfy { $0 == 1 })
  }

  // MARK: Fuel

  @Test("operations take fuel by their arithmetic", arguments: OperationBench.Provider.allCases)
  func fuel(provider: OperationBench.Provider) throws {
    let bench = try OperationBench(provider, consumesFuel: true)
    let (rows, columnsIn, columnsOut) = (16, 256, 512)
    let x = try bench.scratch(.init(repeating: 1, count: rows * columnsIn))
    let out = try bench.output(rows * columnsOut)
    let call = try bench.prepared("matmul", [out.at, x.at, 0, 0, rows.n, columnsIn.n, columnsOut.n])
    bench.store.fuel = 1_000_000_000
    try call()
    let taken = 1_000_000_000 - bench.store.fuel
    #expect(taken >= rows * columnsIn * columnsOut / 32, "\(taken)")
    if provider.isNative { #expect(taken >= rows * columnsIn * columnsOut) }
    bench.store.fuel = taken / 4
    #expect(Self.trap { try call() } == .fuelExhausted)
    bench.store.fuel = 4 * taken
    try call()
  }

  // MARK: Lanes

  @Test("the lanes of the wasm provider have the limits of the store that calls")
  func lanes() throws {
    var limits = ResourceLimits()
    limits.memoryByteCountMax = 1 << 16
    // The kernels define a memory of their own, which does not fit: for the lanes as for the instance that is linked.
    for threadCount in [1, 3] {
      #expect(throws: (any Error).self) { _ = try OperationBench(.wasm, threadCount: threadCount, limits: limits) }
    }
  }
}
