import Testing
import WasmRuntime
import WebAssembly

/// Fuel for work by the byte: paid before the work is done.
@Suite("Fuel of bulk work")
struct BulkFuelTests {
  private static let text = """
    (module (memory $m (export "memory") 100 1000) (memory $v i64 virtual 1000 1000)
      (table $t 10000000 funcref) (table $g 0 funcref) (data $d "\(String(repeating: "x", count: 3200))")
      (elem $e funcref \(String(repeating: "(ref.null func)", count: 1000)))
      (func (export "fill") (memory.fill $m (i32.const 0) (i32.const 7) (i32.const 1048576)))
      (func (export "copy") (memory.copy $m $m (i32.const 0) (i32.const 7) (i32.const 1048577)))
      (func (export "init") (memory.init $m $d (i32.const 0) (i32.const 0) (i32.const 3200)))
      (func (export "table_fill") (table.fill $t (i32.const 0) (ref.null func) (i32.const 10000000)))
      (func (export "table_copy") (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 9999999)))
      (func (export "table_init") (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1000)))
      (func (export "table_grow") (drop (table.grow $g (ref.null func) (i32.const 1000))))
      (func (export "grow") (drop (memory.grow $m (i32.const 10))))
      (func (export "map") (drop (memory.map $v readwrite (i64.const 0) (i64.const 655360))))
      (func (export "unmap") (memory.unmap $v (i64.const 0) (i64.const 655360)))
      (func (export "discard") (memory.discard $m (i32.const 0) (i32.const 655360)))
      (func (export "protect") (memory.protect $v none (i64.const 0) (i64.const 655360)))
      (func (export "refused") (drop (memory.grow $m (i32.const 65536)))  (drop (table.grow $t (ref.null func) (i32.const -1))))
      (func (export "none") (memory.fill $m (i32.const 0) (i32.const 7) (i32.const 0)))
      (func (export "endless") (loop (table.fill $t (i32.const 0) (ref.null func) (i32.const 10000000)) (br 0))))
    """

  private func instance() throws -> Instance {
    var configuration = EngineConfiguration()
    configuration.consumesFuel = true
    return try GuestModule.instantiate(Self.text, engine: Engine(configuration: configuration))
  }

  @Test(
    "bulk work costs 1 for each 16 bytes, page work 1 for each 256",
    arguments: [
      ("fill", 65536), ("copy", 65537), ("init", 200), ("table_fill", 5_000_000), ("table_copy", 5_000_000), ("table_init", 500),
      ("table_grow", 500), ("grow", 2560), ("map", 2560), ("unmap", 2560), ("discard", 2560), ("protect", 2560), ("refused", 0), ("none", 0),
    ] as [(String, Int64)])
  func costs(name: String, work: Int64) throws {
    let instance = try instance()
    let store = instance.store
    let amount: Int64 = 10_000_000
    if name == "protect" {
      store.fuel = amount
      try instance.call("map")
    }
    store.fuel = amount
    try instance.call(name)
    let cost = amount - store.fuel
    #expect(cost >= work && cost <= work + 16, "\(cost)")
    guard work > 0 else { return }
    // One less than it takes: nothing is done, and nothing is left.
    store.fuel = cost - 1
    #expect(try instance.trap(name)?.kind == .fuelExhausted)
    #expect(store.fuel == 0)
  }

  @Test("what cannot be paid is not done")
  func paidBefore() throws {
    let instance = try instance()
    let memory = try #require(instance.memory("memory"))
    instance.store.fuel = 65536
    #expect(try instance.trap("fill")?.kind == .fuelExhausted)
    #expect(try memory.read(address: 0, byteCount: 1 << 20) == [UInt8](repeating: 0, count: 1 << 20))
    instance.store.fuel = 2560
    #expect(try instance.trap("grow")?.kind == .fuelExhausted)
    #expect(memory.pageCount == 100)
  }

  @Test("ten million of fuel do not fill ten million elements again and again")
  func endlessFill() throws {
    let instance = try instance()
    instance.store.fuel = 10_000_000
    let start = ContinuousClock.now
    #expect(try instance.trap("endless")?.kind == .fuelExhausted)
    #expect(ContinuousClock.now - start < .seconds(5))
    // However often it is tried without fuel, none comes back.
    for _ in 0..<100 { #expect(try instance.trap("endless")?.kind == .fuelExhausted) }
    #expect(instance.store.fuel == 0)
  }
}
