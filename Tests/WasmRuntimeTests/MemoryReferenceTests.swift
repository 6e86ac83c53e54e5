import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import WebAssemblyText
import _TestSupport

@Suite("Memories as values")
struct MemoryReferenceTests {
  private let engine: Engine
  private let store: Store

  init() {
    var configuration = EngineConfiguration()
    configuration.features.insert(.memoryReferences)
    engine = Engine(configuration: configuration)
    store = Store(engine: engine)
  }

  private func instance(_ text: String, _ imports: Imports = Imports()) throws -> Instance {
    try Instance(
      store: store, module: CompiledModule(engine: engine, bytes: WebAssemblyText.binary(of: Array(text.utf8))), imports: imports)
  }

  @Test("a host hands a bound file to a guest that declared no memory; page states and loss are those of every access")
  func boundFile() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let path = try folder.write(bytes, to: "tensor")
    let memory = try Memories.virtual(8, 8)
    let binding = try memory.bind(RegularFile(path: path), at: P)
    let guest = try instance(
      """
      (module
        (func (export "load") (param memref i64) (result i32) (i32.load8_u memref (local.get 0) (local.get 1)))
        (func (export "store") (param memref i64) (i32.store8 memref (local.get 0) (local.get 1) (i32.const 1))))
      """)
    let (load, store) = (try #require(guest.function("load")), try #require(guest.function("store")))
    let reference = Value.memref(self.store.reference(to: memory))
    for offset in [0, 1, 65_535, 65_536, 199_999] as [UInt64] {
      #expect(try load(reference, .i64(P + offset)).first?.i32 == UInt32(bytes[Int(offset)]))
    }
    func trap(_ body: () throws -> Void) -> TrapKind? {
      if case .trap(let trap)? = #expect(throws: WasmError.self, performing: body) { trap.kind } else { nil }
    }
    #expect(trap { try store(reference, .i64(P)) } == .memory(.protected))
    #expect(trap { try load(reference, .i64(UInt64(0))) } == .memory(.unmapped))
    #expect(trap { try load(.memref(nil), .i64(P)) } == .nullMemoryReference)
    // The view that the guest looks through follows the page states.
    try binding.unbind()
    #expect(trap { try load(reference, .i64(P)) } == .memory(.unmapped))
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    try store(reference, .i64(P))
    #expect(try memory.read(address: P, byteCount: 1) == [1])
  }

  @Test("references go to host functions and back, into globals and tables, and live as long as the store")
  func throughTheHost() throws {
    weak var forgotten: Memory?
    var imports = Imports()
    var seen: [UInt64] = []
    let type = FunctionType(parameters: [.memref], results: [.memref])
    let function = Function(store: store, type: type, name: "swap") { caller, arguments, results in
      guard case .memref(let reference?) = arguments.value(0, store: caller.store) else { return }
      seen.append(reference.memory.pageCount)
      let memory = try Memories.plain(7)
      forgotten = memory
      results.set(.memref(caller.store.reference(to: memory)))
    }
    imports.define(module: "host", name: "swap", .function(function))
    let guest = try instance(
      """
      (module
        (import "host" "swap" (func $swap (param memref) (result memref)))
        (memory $own 3)
        (global $g (export "g") (mut memref) (ref.null mem))
        (table $t (export "t") 2 memref)
        (func (export "run") (result i64)
          (global.set $g (call $swap (ref.mem $own)))
          (table.set $t (i32.const 1) (global.get $g))
          (i64.add (memory.size_ref (global.get $g)) (memory.size_ref (table.get $t (i32.const 1))))))
      """, imports)
    let run = try #require(guest.function("run"))
    #expect(try run().first?.i64 == 14)
    #expect(seen == [3] && forgotten != nil)
    guard case .global(let global)? = guest[export: "g"], case .memref(let reference?) = global.value else {
      Issue.record("the global holds a memory")
      return
    }
    #expect(reference.memory === forgotten)
    guard case .table(let table)? = guest[export: "t"] else {
      Issue.record("the table is exported")
      return
    }
    if case .memref(nil)? = table[0] {} else { Issue.record("the first element is null") }
    if case .memref(let element?)? = table[1] { #expect(element.memory === forgotten) } else { Issue.record("no memory") }
  }

  @Test("a reference of another store is refused")
  func otherStore() throws {
    let guest = try instance("(module (func (export \"f\") (param memref)))")
    let foreign = Store(engine: engine).reference(to: try Memories.plain(1))
    let function = try #require(guest.function("f"))
    #expect(throws: WasmError.self) { try function(.memref(foreign)) }
  }

  @Test("ten thousand accesses that alternate between memories leave no view behind")
  func alternating() throws {
    let memories = try (0..<3).map { _ in try Memories.plain(1, 2) }
    let guest = try instance(
      "(module (func (export \"add\") (param memref) (i64.store memref (local.get 0) (i64.const 8) (i64.add (i64.const 1) "
        + "(i64.load memref (local.get 0) (i64.const 8))))))")
    let add = try #require(guest.function("add"))
    for index in 0..<9999 { try add(.memref(store.reference(to: memories[index % 3]))) }
    for memory in memories { #expect(try memory.read(UInt64.self, address: 8, count: 1) == [3333]) }
    // A memory that is not looked at grows without anybody to tell.
    for memory in memories { #expect(memory.grow(by: 1) == 1) }
    try add(.memref(store.reference(to: memories[0])))
  }
}
