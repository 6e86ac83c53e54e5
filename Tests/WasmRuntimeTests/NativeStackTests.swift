import Foundation
import Synchronization
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

/// The stacks: the thread's own, which calls between host and guest take, and those of stores.
@Suite("Stacks")
struct NativeStackTests {
  /// Runs on a thread with a stack of that size.
  private func onThread<Result: Sendable>(stackByteCount: Int, _ body: @escaping @Sendable () throws -> Result) throws -> Result {
    let result = Mutex<Swift.Result<Result, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      let outcome = Swift.Result { try body() }
      result.withLock { $0 = outcome }
      done.signal()
    }
    thread.stackSize = stackByteCount
    thread.start()
    done.wait()
    return try #require(result.withLock { $0 }).get()
  }

  /// Host and guest call each other for ever: what that ends with, and how deep it went.
  private static func reenter(callsBefore: Int = 0, wastedByteCount: Int = 0, throughTable: Bool = false) throws -> (Trap?, depth: Int, again: UInt32?) {
    let call = throughTable ? "(call_indirect (param) (i32.const 0))" : "(call $h)"
    let text = """
      (module (import "host" "f" (func $h)) (table 1 funcref) (elem (i32.const 0) $h)
        (func (export "f") \(call)) (func (export "g") (result i32) (i32.const 42)))
      """
    var depth = 0
    let instance = try GuestModule.instantiate(text) { store in
      var imports = Imports()
      var export: Function?
      imports.define(
        module: "host", name: "f",
        .function(
          Function(store: store, type: FunctionType(parameters: [], results: [])) { caller, _, _ in
            depth += 1
            if export == nil { export = caller.instance?.function("f") }
            // A host function that needs some stack of its own.
            // SAFETY: the bytes are written and not used.
            try unsafe withUnsafeTemporaryAllocation(byteCount: wastedByteCount, alignment: 16) { bytes in
              unsafe bytes.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: depth))
              try export?()
            }
          }))
      return imports
    }
    let trap = try instance.trap("f")
    return (trap, depth, try instance.i32("g"))
  }

  @Test("calls between host and guest end by the stack that is left", arguments: [256, 512, 1024, 2048, 8192])
  func reentrance(stackKiB: Int) throws {
    for (waste, throughTable) in [(0, false), (600, false), (0, true)] {
      let (trap, depth, again) = try onThread(stackByteCount: stackKiB << 10) {
        try Self.reenter(wastedByteCount: waste, throughTable: throughTable)
      }
      #expect(trap?.kind == .callStackExhausted)
      #expect(trap?.message == "call stack exhausted")
      #expect(depth > stackKiB / 16, "\(depth) levels of \(stackKiB) KiB")
      #expect(again == 42, "the store is usable again")
    }
  }

  @Test("two stores that call each other end in the same way")
  func acrossStores() throws {
    let kinds = try onThread(stackByteCount: 1 << 20) {
      var other: [Function] = []
      let engine = Engine()
      func instance(_ index: Int) throws -> Instance {
        try GuestModule.instantiate("(module (import \"host\" \"f\" (func $h)) (func (export \"f\") (call $h)))", engine: engine) { store in
          var imports = Imports()
          imports.define(
            module: "host", name: "f",
            .function(Function(store: store, type: FunctionType(parameters: [], results: [])) { _, _, _ in try other[1 - index]() }))
          return imports
        }
      }
      let instances = try [instance(0), instance(1)]
      other = instances.compactMap { $0.function("f") }
      let kind = try instances[0].trap("f")?.kind
      other = []
      return kind
    }
    #expect(kinds == .callStackExhausted)
  }

  @Test("instances that make instances in their start functions end by the stack that is left")
  func nestedInstantiation() throws {
    let kind = try onThread(stackByteCount: 512 << 10) { () -> TrapKind? in
      let engine = Engine()
      let module = try GuestModule.compile("(module (import \"host\" \"f\" (func $h)) (start $h))", engine: engine)
      let store = Store(engine: engine)
      var imports = Imports()
      let function = Function(store: store, type: FunctionType(parameters: [], results: [])) { caller, _, _ in
        _ = try Instance(store: caller.store, module: module, imports: imports)
      }
      imports.define(module: "host", name: "f", .function(function))
      defer { imports = Imports() }
      do {
        _ = try Instance(store: store, module: module, imports: imports)
      } catch WasmError.trap(let trap) { return trap.kind }
      return nil
    }
    #expect(kind == .callStackExhausted)
  }

  private static let recursive = """
    (module (func $f (export "f") (param i32) (result i32) (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
      (if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0)))))
    """

  @Test("stacks of a store are charged as they are used, and end where the budget does")
  func budget() throws {
    func run(_ bytes: UInt64, _ depth: UInt32) throws -> (kind: TrapKind?, used: UInt64) {
      let engine = Engine()
      let store = Store(engine: engine, budget: ResourceBudget(byteCountMax: bytes))
      let instance = try Instance(store: store, module: GuestModule.compile(Self.recursive, engine: engine))
      #expect(store.budget.usedByteCount(on: .stacks) == 0, "nothing before the first call")
      #expect(try instance.i32("f", .i32(UInt32(3))) == 3)
      let kind = try instance.trap("f", .i32(depth))?.kind
      #expect(try instance.i32("f", .i32(UInt32(3))) == 3)
      return (kind, store.budget.usedByteCount(on: .stacks))
    }
    let deep = try run(1 << 30, 20_000)
    #expect(deep.kind == nil && deep.used > 20_000 * 200 && deep.used < 10 << 20)
    let shallow = try run(1 << 30, 10)
    #expect(shallow.used <= 64 << 10)
    let refused = try run(1 << 20, 20_000)
    #expect(refused.kind == .callStackExhausted && refused.used <= 1 << 20)
  }

  // In a process of its own: other tests count mappings meanwhile.
  @Test("ten thousand stores with an instance and a memory each fit a process", .disabled(if: isAddressSanitized))
  func manyStores() async {
    await #expect(processExitsWith: .success) {
      let engine = Engine()
      let module = try GuestModule.compile(
        "(module (memory 1) (func (export \"f\") (result i32) (i32.store (i32.const 65532) (i32.const 7)) (i32.load (i32.const 65532))))",
        engine: engine)
      let (mappings, resident) = (try ProcessMemory.mappingCount(), try ProcessMemory.residentAnonymousByteCount())
      var instances: [Instance] = []
      for _ in 0..<10_000 {
        let instance = try Instance(store: Store(engine: engine), module: module)
        guard try instance.i32("f") == 7 else { exit(2) }
        instances.append(instance)
      }
      // Two or three for each memory, and some for the stacks of all.
      guard try ProcessMemory.mappingCount() - mappings <= 3 * instances.count + 2000 else { exit(3) }
      guard try (ProcessMemory.residentAnonymousByteCount() - resident) / instances.count < 40 << 10 else { exit(4) }
    }
  }

  @Test("before a memory lie 2 GiB without access, and some behind it", arguments: [false, true])
  func guards(isVirtual: Bool) throws {
    let memory = try Memory(
      type: MemoryType(addressType: .i64, limits: Limits(minimum: 16, maximum: 16), attributes: .init(isVirtual: isVirtual)))
    if isVirtual { #expect(try memory.map(address: 0, byteCount: 16 << 16, protection: .readWrite)) }
    // SAFETY: the address is only compared.
    let base = unsafe try memory.withUnsafeReadableBytes(address: 0, byteCount: 1) { UInt(bitPattern: $0.baseAddress!) }
    let file = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/maps"))
    let maps = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
    var (before, behind): (UInt, UInt) = (0, 0)
    for line in maps.split(separator: "\n") {
      let fields = line.split(separator: " ")
      let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard fields[1].hasPrefix("---") else { continue }
      if ends[1] == base { before = ends[1] - ends[0] }
      if ends[0] == base + 16 << 16 { behind = ends[1] - ends[0] }
    }
    #expect(before >= 2 << 30 && behind >= 64 << 10, "\(before) \(behind)")
  }
}
