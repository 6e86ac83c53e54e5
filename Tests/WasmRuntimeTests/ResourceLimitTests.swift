import Testing
import WasmRuntime
import WebAssembly

@Suite("Limits of a store")
struct ResourceLimitTests {
  private func isLimit(_ body: () throws -> Void) -> Bool {
    do {
      try body()
      return false
    } catch WasmError.limit {
      return true
    } catch {
      return false
    }
  }

  @Test("a memory grows up to the store's limit, and not a page further")
  func memoryGrowth() throws {
    var limits = ResourceLimits()
    limits.memoryByteCountMax = 3 * 65536
    let text = """
      (module (memory 1 10) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "size") (result i32) (memory.size)))
      """
    let instance = try GuestModule.instantiate(text, limits: limits)
    #expect(try instance.i32("grow", .i32(UInt32(3))) == .max)
    #expect(try instance.i32("grow", .i32(UInt32(2))) == 1)
    #expect(try instance.i32("grow", .i32(UInt32(1))) == .max)
    #expect(try instance.i32("grow", .i32(UInt32(0))) == 3)
    #expect(try instance.i32("size") == 3)
    limits.memoryByteCountMax = 65535
    #expect(isLimit { _ = try GuestModule.instantiate(text, limits: limits) })
  }

  @Test("a 64-bit memory gives -1 of 64 bits when it cannot grow")
  func memory64Growth() throws {
    let instance = try GuestModule.instantiate(
      "(module (memory i64 1 2) (func (export \"grow\") (param i64) (result i64) (memory.grow (local.get 0))))")
    #expect(try instance.i64("grow", .i64(UInt64(1) << 40)) == .max)
    #expect(try instance.i64("grow", .i64(UInt64.max)) == .max)
    #expect(try instance.i64("grow", .i64(UInt64(1))) == 1)
  }

  @Test("tables are limited at creation and when they grow")
  func tables() throws {
    var limits = ResourceLimits()
    limits.tableElementCountMax = 100
    let text = """
      (module (table 90 funcref)
        (func (export "grow") (param i32) (result i32) (table.grow 0 (ref.null func) (local.get 0)))
        (func (export "is_null") (param i32) (result i32) (ref.is_null (table.get 0 (local.get 0)))))
      """
    let instance = try GuestModule.instantiate(text, limits: limits)
    #expect(try instance.i32("grow", .i32(UInt32(11))) == .max)
    #expect(try instance.i32("grow", .i32(UInt32(10))) == 90)
    #expect(try instance.i32("grow", .i32(UInt32(1))) == .max)
    #expect(try instance.i32("is_null", .i32(UInt32(99))) == 1)
    #expect(try instance.trap("is_null", .i32(UInt32(100)))?.kind == .outOfBoundsTableAccess)
    limits.tableElementCountMax = 89
    #expect(isLimit { _ = try GuestModule.instantiate(text, limits: limits) })
  }

  @Test("a table stops at its own maximum")
  func tableMaximum() throws {
    let instance = try GuestModule.instantiate(
      "(module (table 1 3 externref) (func (export \"grow\") (param i32) (result i32) (table.grow 0 (ref.null extern) (local.get 0))))")
    #expect(try instance.i32("grow", .i32(UInt32(3))) == .max)
    #expect(try instance.i32("grow", .i32(UInt32(2))) == 1)
    #expect(try instance.i32("grow", .i32(UInt32(1))) == .max)
  }

  @Test("instances of a store are limited")
  func instances() throws {
    var limits = ResourceLimits()
    limits.instanceCountMax = 2
    let engine = Engine()
    let store = Store(engine: engine, limits: limits)
    let module = try GuestModule.compile("(module)", engine: engine)
    _ = try Instance(store: store, module: module)
    _ = try Instance(store: store, module: module)
    #expect(isLimit { _ = try Instance(store: store, module: module) })
  }

  @Test("a function with more locals than a frame holds is refused, the largest one runs")
  func locals() throws {
    func text(_ count: Int) -> String {
      "(module (func (export \"f\") (result i32) (local " + String(repeating: "i32 ", count: count)
        + ") (local.set \(count - 1) (i32.const 5)) (local.get \(count - 1))))"
    }
    #expect(try GuestModule.instantiate(text(30000)).i32("f") == 5)
    #expect(isLimit { _ = try GuestModule.compile(text(40000)) })
  }

  @Test("instances over one memory see each other's pages, and views follow growth")
  func sharedMemoryObject() throws {
    let engine = Engine()
    let memory = try Memory(type: MemoryType(limits: Limits(minimum: 1, maximum: 4)))
    let module = try GuestModule.compile(
      """
      (module (import "host" "memory" (memory 1 4))
        (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
        (func (export "get") (param i32) (result i32) (i32.load (local.get 0)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1))))
      """, engine: engine)
    var imports = Imports()
    imports.define(module: "host", name: "memory", .memory(memory))
    // Two stores: a memory belongs to none.
    let first = try Instance(store: Store(engine: engine), module: module, imports: imports)
    let second = try Instance(store: Store(engine: engine), module: module, imports: imports)
    try first.call("set", .i32(UInt32(100)), .i32(UInt32(7)))
    #expect(try second.i32("get", .i32(UInt32(100))) == 7)
    #expect(try second.trap("get", .i32(UInt32(65536)))?.kind == .memory(.outOfBounds))
    #expect(try first.i32("grow") == 1)
    #expect(try second.i32("get", .i32(UInt32(65536))) == 0)
    #expect(memory.pageCount == 2)
  }
}
