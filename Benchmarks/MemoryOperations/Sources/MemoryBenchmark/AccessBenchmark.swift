import Foundation
import VirtualMemory
import WasmRuntime
import WebAssembly

/// The same loop of loads and stores over a plain memory and over a virtual one, in turns.
///
///     (module (memory i64 [virtual] 16 16)
///       (func (export "run") (param $rounds i64) (result i64) (local $i i64) (local $sum i64)
///         (loop $outer
///           (local.set $i (i64.const 0))
///           (loop $inner
///             (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $i))))            ;; four of these, 8 bytes apart
///             (i64.store offset=32 (local.get $i) (local.get $sum))                            ;; with `writes`
///             (local.set $i (i64.add (local.get $i) (i64.const 64)))
///             (br_if $inner (i64.lt_u (local.get $i) (i64.const 1048512))))
///           (br_if $outer (i64.ne (local.tee $rounds (i64.sub (local.get $rounds) (i64.const 1))) (i64.const 0))))
///         (local.get $sum)))
struct AccessBenchmark {
  let name: String
  private let run: Function
  private let store: Store
  private(set) var nanoseconds: [Double] = []

  static let accessesPerRound = 1_048_512 / 64 * 4

  init(_ name: String, isVirtual: Bool, is64: Bool, writes: Bool) throws {
    self.name = name
    let engine = Engine()
    store = Store(engine: engine)
    let bytes = Self.module(isVirtual: isVirtual, is64: is64, writes: writes)
    let instance = try Instance(store: store, module: CompiledModule(engine: engine, bytes: bytes))
    if isVirtual { _ = try instance.memory("memory")?.map(address: 0, byteCount: 16 * page, protection: .readWrite) }
    guard let run = instance.function("run") else { preconditionFailure("the module exports it") }
    self.run = run
  }

  mutating func measure(rounds: UInt64) throws {
    let start = clock.now
    _ = try run(.i64(rounds))
    let time = clock.now - start
    nanoseconds.append(Double(time.components.attoseconds) / 1e9 / Double(rounds) / Double(Self.accessesPerRound))
  }

  /// Writes the binary: the address type decides some opcodes, and attributes follow the limits of a virtual memory.
  private static func module(isVirtual: Bool, is64: Bool, writes: Bool) -> [UInt8] {
    func section(_ id: UInt8, _ contents: [UInt8]) -> [UInt8] { [id] + leb(contents.count) + contents }
    func leb(_ value: Int) -> [UInt8] { value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + leb(value >> 7) }
    let flags: UInt8 = 1 | (is64 ? 4 : 0) | (isVirtual ? 0x20 : 0)
    let limits: [UInt8] = [flags, 16, 16] + (isVirtual ? [4] : [])
    let address: UInt8 = is64 ? 0x7E : 0x7F
    let (constant, add, less): (UInt8, UInt8, UInt8) = is64 ? (0x42, 0x7C, 0x54) : (0x41, 0x6A, 0x49)
    var inner: [UInt8] = []
    for offset in [0, 8, 16, 24] as [UInt8] { inner += [0x20, 2, 0x20, 1, 0x29, 3, offset, 0x7C, 0x21, 2] }
    if writes { inner += [0x20, 1, 0x20, 2, 0x37, 3, 32] }
    inner += [0x20, 1, constant, 0xC0, 0x00, add, 0x22, 1, constant, 0xC0, 0xFF, 0x3F, less, 0x0D, 0]
    let outer: [UInt8] = [constant, 0, 0x21, 1, 0x03, 0x40] + inner + [0x0B, 0x20, 0, 0x42, 1, 0x7D, 0x22, 0, 0x42, 0, 0x52, 0x0D, 0]
    let body: [UInt8] = [2, 1, address, 1, 0x7E, 0x03, 0x40] + outer + [0x0B, 0x20, 2, 0x0B]
    let exports: [UInt8] = [2, 3] + Array("run".utf8) + [0, 0, 6] + Array("memory".utf8) + [2, 0]
    return [0, 0x61, 0x73, 0x6D, 1, 0, 0, 0] + section(1, [1, 0x60, 1, 0x7E, 1, 0x7E]) + section(3, [1, 0])
      + section(5, [1] + limits) + section(7, exports) + section(10, [1] + leb(body.count) + body)
  }

  /// Compares kinds of memory in turns, and prints medians and their ratio: the first one is 1.
  static func compare(_ pairs: inout [AccessBenchmark], turns: Int, rounds: UInt64) throws {
    for _ in 0..<turns {
      for index in pairs.indices { try pairs[index].measure(rounds: rounds) }
    }
    let first = median(pairs[0].nanoseconds)
    for benchmark in pairs {
      let ratios = zip(benchmark.nanoseconds, pairs[0].nanoseconds).map { $0 / $1 }
      print(
        benchmark.name.padding(toLength: 58, withPad: " ", startingAt: 0),
        String(format: "%10.3f ns per load, %.3f of the first (median of the turns' ratios %.3f)", median(benchmark.nanoseconds),
          median(benchmark.nanoseconds) / first, median(ratios)))
    }
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
