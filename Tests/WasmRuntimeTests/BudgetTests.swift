import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

/// One budget for all that a tenant makes the host spend, charged before it is spent.
@Suite("Budget of a store")
struct BudgetTests {
  private func instantiate(_ text: String, bytes: UInt64, limits: ResourceLimits = .init()) throws -> Instance {
    let engine = Engine()
    let store = Store(engine: engine, limits: limits, budget: ResourceBudget(byteCountMax: bytes))
    return try Instance(store: store, module: GuestModule.compile(text, engine: engine))
  }

  /// The sentence of the limit that a body runs into.
  private func limit(_ body: () throws -> Void) throws -> String? {
    do {
      try body()
      return nil
    } catch WasmError.limit(let sentence) {
      return sentence
    }
  }

  // MARK: Memories

  @Test("all memories of a store are paid for together", arguments: [2, 12])
  func memoriesTogether(count: Int) throws {
    let memories = (0..<count).map { "(memory $m\($0) 1 1000)" }.joined()
    let grow = (0..<count).map { "(func (export \"grow\($0)\") (param i32) (result i32) (memory.grow $m\($0) (local.get 0)))" }
    let text = "(module \(memories) \(grow.joined()))"
    let instance = try instantiate(text, bytes: UInt64(count + 10) << 16 + 60_000)
    let budget = instance.store.budget
    #expect(budget.usedByteCount(on: .memories) == UInt64(count) << 16)
    #expect(try instance.i32("grow0", .i32(UInt32(6))) == 1)
    #expect(try instance.i32("grow1", .i32(UInt32(5))) == .max, "4 pages are left, whichever memory asks")
    #expect(try instance.i32("grow1", .i32(UInt32(4))) == 1)
    #expect(try instance.i32("grow0", .i32(UInt32(1))) == .max)
    #expect(try instance.i32("grow0", .i32(UInt32(0))) == 7)
    #expect(budget.usedByteCount(on: .memories) == UInt64(count + 10) << 16)
    let sentence = try #require(try limit { _ = try instantiate(text, bytes: UInt64(count) << 16 - 1) })
    #expect(sentence.contains("the memory limit is \(count << 16 - 1) bytes"))
  }

  @Test("what a memory is charged is given back, by pages and with its end")
  func credit() throws {
    let budget = ResourceBudget(byteCountMax: 100 << 16)
    do {
      let memory = try Memory(
        type: MemoryType(addressType: .i64, limits: Limits(minimum: 1000, maximum: 1000), attributes: .init(isVirtual: true)), budget: budget)
      #expect(budget.usedByteCount == 0, "a virtual memory begins without pages")
      #expect(try memory.map(address: 0, byteCount: 60 << 16, protection: .readWrite))
      #expect(try !memory.map(address: 100 << 16, byteCount: 60 << 16, protection: .readWrite))
      #expect(budget.usedByteCount(on: .memories) == 60 << 16)
      try memory.unmap(address: 10 << 16, byteCount: 30 << 16)
      #expect(budget.usedByteCount(on: .memories) == 30 << 16)
      let perExtent = budget.usedByteCount(on: .pageStates) / 2
      #expect(memory.extentCount == 2 && perExtent >= 64, "extents are paid for as well")
      #expect(try memory.map(address: 100 << 16, byteCount: 60 << 16, protection: .readWrite))
      try memory.protect(address: 110 << 16, byteCount: 1 << 16, protection: .read)
      #expect(budget.usedByteCount(on: .pageStates) == 5 * perExtent)
      try memory.protect(address: 110 << 16, byteCount: 1 << 16, protection: .readWrite)
      #expect(budget.usedByteCount(on: .pageStates) == 3 * perExtent)
      #expect(budget.usedByteCount(on: .memories) == 90 << 16)
    }
    #expect(budget.usedByteCount == 0)
    #expect(budget.peakByteCount >= 90 << 16)
  }

  @Test("a file that is only read is not charged, a copy-on-write one is, and the edges that were copied")
  func bindings() throws {
    let folder = try TemporaryFolder()
    let file = try RegularFile(path: folder.write([UInt8](repeating: 7, count: 10 << 16), to: "weights"))
    let budget = ResourceBudget(byteCountMax: 12 << 16)
    let memory = try Memory(
      type: MemoryType(addressType: .i64, limits: Limits(minimum: 1000, maximum: 1000), attributes: .init(isVirtual: true)), budget: budget)
    let first = try memory.bind(file, at: 0)
    #expect(budget.usedByteCount(on: .memories) == 0)
    let second = try memory.bind(file, at: 100 << 16, mode: .copyOnWrite)
    #expect(budget.usedByteCount(on: .memories) == 10 << 16)
    #expect(throws: MemoryBindError.limitReached) { try memory.bind(file, at: 200 << 16, mode: .copyOnWrite) }
    try second.unbind()
    #expect(budget.usedByteCount(on: .memories) == 0)
    // Bytes 100 to 200 of the file: a whole page is taken, none of it the file's.
    let part = try memory.bind(FileRegion(file: file, offset: 100, byteCount: 100), at: 300 << 16)
    #expect(budget.usedByteCount(on: .memories) == 1 << 16)
    try part.unbind()
    try first.unbind()
    #expect(budget.usedByteCount == 0)
  }

  @Test("a segment that maps the pages of a virtual memory is charged")
  func segments() throws {
    let text = "(module (memory i64 virtual 100 100) (data (i64.const 65530) \"0123456789\"))"
    let instance = try instantiate(text, bytes: 3 << 16)
    withExtendedLifetime(instance) { #expect(instance.store.budget.usedByteCount(on: .memories) == 2 << 16) }
    #expect(throws: WasmError.self) { try instantiate(text, bytes: 1 << 16) }
  }

  // MARK: Tables

  @Test("elements are charged, of all tables together", arguments: ["funcref", "externref"])
  func tables(type: String) throws {
    let text = """
      (module (table $a i64 1000 \(type)) (table $b 0 \(type)) (table $c 5 1000000 \(type))
        (func (export "growa") (param i64) (result i64) (table.grow $a (ref.null \(type.dropLast(3))) (local.get 0)))
        (func (export "growb") (param i32) (result i32) (table.grow $b (ref.null \(type.dropLast(3))) (local.get 0)))
        (func (export "growc") (param i32) (result i32) (table.grow $c (ref.null \(type.dropLast(3))) (local.get 0)))
        (func (export "sizeb") (result i32) (table.size $b))
        (func (export "endless") (result i32) (loop (br_if 0 (i32.ne (i32.const -1) (table.grow $b (ref.null \(type.dropLast(3))) (i32.const 17)))))
          (table.size $b)))
      """
    // Room for 201 005 elements, and less than one more.
    let instance = try instantiate(text, bytes: 8 * 201_005 + 7)
    let budget = instance.store.budget
    #expect(budget.usedByteCount(on: .tables) == 8 * 1005)
    #expect(try instance.i64("growa", .i64(UInt64(1) << 40)) == .max)
    #expect(try instance.i64("growa", .i64(UInt64.max)) == .max)
    #expect(try instance.i32("growc", .i32(UInt32(100_000))) == 5)
    #expect(try instance.i32("growb", .i32(UInt32(100_001))) == .max, "one element too many")
    #expect(try instance.i64("growa", .i64(UInt64(50_000))) == 1000)
    let count = try #require(try instance.i32("endless"))
    #expect(count <= 50_000 && count > 50_000 - 17 - 8192, "stacks are paid for too: \(count)")
    #expect(budget.usedByteCount(on: .tables) == 8 * UInt64(151_005 + count))
  }

  @Test("a module whose tables do not fit is refused, and nothing of it is paid for afterwards", arguments: [1, 20, 100])
  func refusedTables(count: Int) throws {
    let table = "(table 10000000 funcref)"
    let text = "(module \(String(repeating: table, count: count)) (func (export \"f\")))"
    let engine = Engine()
    let module = try GuestModule.compile(text, engine: engine)
    let budget = ResourceBudget(byteCountMax: UInt64(count) * 80_000_000 - 1)
    let before = try ProcessMemory.residentAnonymousByteCount()
    let sentence = try limit { _ = try Instance(store: Store(engine: engine, budget: budget), module: module) }
    #expect(try #require(sentence).contains("a table of 10000000 elements"))
    #expect(budget.usedByteCount == 0)
    let store = Store(engine: engine, budget: ResourceBudget(byteCountMax: UInt64(count) * 80_000_000 + 1 << 20))
    try Instance(store: store, module: module).call("f")
    let grown = try ProcessMemory.residentAnonymousByteCount() - before
    #expect(grown < 40_000_000, "null elements take no memory: \(grown)")
  }

  @Test("more than a hundred tables are refused, imported ones among them", arguments: [101, 1000])
  func tableCount(count: Int) throws {
    let engine = Engine()
    func compile(_ text: String) throws -> CompiledModule { try GuestModule.compile(text, engine: engine) }
    let store = Store(engine: engine)
    // Translation may refuse as well: either way, no instance.
    #expect(throws: WasmError.self) {
      _ = try Instance(store: store, module: compile("(module \(String(repeating: "(table 0 funcref)", count: count)))"))
    }
    let exporter = try Instance(store: store, module: compile("(module (table (export \"t\") 1 funcref))"))
    var imports = Imports()
    imports.define(module: "m", name: "t", try #require(exporter[export: "t"]))
    func importer(_ importCount: Int) -> String {
      "(module \(String(repeating: "(import \"m\" \"t\" (table 1 funcref))", count: importCount)) (table 0 funcref))"
    }
    _ = try Instance(store: store, module: compile(importer(99)), imports: imports)
    #expect(throws: WasmError.self) { _ = try Instance(store: store, module: compile(importer(100)), imports: imports) }
    #expect(store.budget.usedByteCount(on: .tables) == 8)
  }

  @Test("a table grown from small to large keeps its elements, and what is new is null")
  func growthKeepsElements() throws {
    let instance = try instantiate(
      """
      (module (table $t 3 funcref) (elem (table $t) (i32.const 1) func $f) (elem declare func $f)
        (func $f (export "f") (result i32) (i32.const 42))
        (func (export "grow") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
        (func (export "growf") (param i32) (result i32) (table.grow $t (ref.func $f) (local.get 0)))
        (func (export "call") (param i32) (result i32) (call_indirect $t (result i32) (local.get 0)))
        (func (export "null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0)))))
      """, bytes: 1 << 30)
    for count in [5, 8000, 300, 200_000, 1] as [UInt32] { _ = try instance.i32("grow", .i32(count)) }
    #expect(try instance.i32("call", .i32(UInt32(1))) == 42)
    for index in [0, 2, 7, 8, 8191, 8192, 8307, 208_308] as [UInt32] { #expect(try instance.i32("null", .i32(index)) == 1, "\(index)") }
    #expect(try instance.i32("growf", .i32(UInt32(100_000))) == 208_309)
    #expect(try instance.i32("call", .i32(UInt32(308_308))) == 42)
    #expect(try instance.trap("call", .i32(UInt32(308_309)))?.kind == .undefinedElement)
  }

  @Test("references of element segments are charged until they are dropped")
  func elementSegments() throws {
    let text = """
      (module (func $f) (elem $e funcref \(String(repeating: "(ref.func $f)", count: 1000)))
        (func (export "drop") (elem.drop $e)))
      """
    let instance = try instantiate(text, bytes: 1 << 20)
    #expect(instance.store.budget.usedByteCount(on: .tables) == 8000)
    try instance.call("drop")
    #expect(instance.store.budget.usedByteCount(on: .tables) == 0)
    #expect(try limit { _ = try instantiate(text, bytes: 7999) } != nil)
  }
}
