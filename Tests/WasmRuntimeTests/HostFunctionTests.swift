import Testing
import WasmRuntime
import WebAssembly

/// The border between host and guest, and between guests.
@Suite("Functions of the host and of other instances")
struct HostFunctionTests {
  private struct HostFailure: Error, Equatable { let code: Int }

  @Test("arguments and results of every type cross the border")
  func types() throws {
    let instance = try GuestModule.instantiate(
      """
      (module
        (import "host" "all" (func $all (param i32 i64 f32 f64 v128 externref) (result externref v128 f64 f32 i64 i32)))
        (func (export "call") (param i32 i64 f32 f64 v128 externref) (result externref v128 f64 f32 i64 i32)
          (call $all (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5))))
      """
    ) { store in
      var imports = Imports()
      let type = FunctionType(
        parameters: [.i32, .i64, .f32, .f64, .v128, .externref], results: [.externref, .v128, .f64, .f32, .i64, .i32])
      imports.define(
        module: "host", name: "all",
        .function(
          Function(store: store, type: type, name: "all") { caller, arguments, results in
            results.set(arguments.value(5, store: caller.store), at: 0)
            results.set(V128Bits(low: arguments.v128(4).high, high: arguments.v128(4).low), at: 1)
            results.set(-arguments.f64(3), at: 2)
            results.set(-arguments.f32(2), at: 3)
            results.set(arguments.i64(1) &+ 1, at: 4)
            results.set(arguments.i32(0) &+ 1, at: 5)
          }))
      return imports
    }
    let results = try instance.call(
      "call", .i32(UInt32.max), .i64(UInt64(41)), .f32(Float(1.5)), .f64(2.5), .v128(V128Bits(low: 1, high: 2)), .externref(7))
    guard case .externref(7) = results[0], case .v128(let vector) = results[1] else {
      Issue.record("found \(results)")
      return
    }
    #expect(vector == V128Bits(low: 2, high: 1))
    #expect(results[2].f64 == -2.5 && results[3].f32 == -1.5 && results[4].i64 == 42 && results[5].i32 == 0)
  }

  @Test("what a host function throws is the cause of the trap")
  func throwing() throws {
    let instance = try GuestModule.instantiate(
      """
      (module $guest (import "host" "fail" (func $fail (param i32)))
        (func $inner (param i32) (call $fail (local.get 0)))
        (func (export "outer") (param i32) (call $inner (local.get 0)))
        (func (export "tail") (param i32) (return_call $fail (local.get 0))))
      """
    ) { store in
      var imports = Imports()
      let fail = Function(store: store, type: FunctionType(parameters: [.i32], results: []), name: "fail") { _, arguments, _ in
        if arguments.i32(0) == 1 { throw MemoryFault.protected }
        if arguments.i32(0) == 2 { throw Trap(.unreachable, message: "unreachable by order") }
        if arguments.i32(0) > 2 { throw HostFailure(code: Int(arguments.i32(0))) }
      }
      imports.define(module: "host", name: "fail", .function(fail))
      return imports
    }
    for export in ["outer", "tail"] {
      #expect(try instance.trap(export, .i32(UInt32(0))) == nil)
      let trap = try #require(try instance.trap(export, .i32(UInt32(3))))
      #expect(trap.kind == .hostError)
      #expect(trap.cause as? HostFailure == HostFailure(code: 3))
      #expect(try instance.trap(export, .i32(UInt32(1)))?.kind == .memory(.protected))
      #expect(try instance.trap(export, .i32(UInt32(2)))?.message == "unreachable by order")
    }
    let trap = try #require(try instance.trap("outer", .i32(UInt32(3))))
    #expect(trap.backtrace.map(\.functionName) == ["inner", "outer"])
    #expect(trap.backtrace.allSatisfy { $0.moduleName == "guest" && $0.codeOffset != nil })
  }

  @Test("a host function may call back into the guest that called it")
  func reentrance() throws {
    let instance = try GuestModule.instantiate(
      """
      (module (import "host" "again" (func $again (param i32) (result i32)))
        (func (export "factorial") (param i32) (result i32)
          (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
            (then (i32.const 1))
            (else (i32.mul (local.get 0) (call $again (i32.sub (local.get 0) (i32.const 1))))))))
      """
    ) { store in
      var imports = Imports()
      let type = FunctionType(parameters: [.i32], results: [.i32])
      imports.define(
        module: "host", name: "again",
        .function(
          Function(store: store, type: type) { caller, arguments, results in
            guard let function = caller.instance?.function("factorial") else { return }
            results.set(try function(.i32(arguments.i32(0)))[0])
          }))
      return imports
    }
    #expect(try instance.i32("factorial", .i32(UInt32(10))) == 3_628_800)
  }

  @Test("a recursion through the host ends as call stack exhausted")
  func recursionThroughHost() throws {
    var configuration = EngineConfiguration()
    configuration.callDepthMax = 200
    let instance = try GuestModule.instantiate(
      """
      (module (import "host" "again" (func $again)) (func (export "run") (call $again)))
      """, engine: Engine(configuration: configuration)
    ) { store in
      var imports = Imports()
      imports.define(
        module: "host", name: "again",
        .function(
          Function(store: store, type: FunctionType(parameters: [], results: [])) { caller, _, _ in
            try caller.instance?.function("run")?.callAsFunction([])
          }))
      return imports
    }
    #expect(try instance.trap("run")?.kind == .callStackExhausted)
  }

  @Test("the caller's memories are at the host's hands")
  func callerMemory() throws {
    let instance = try GuestModule.instantiate(
      """
      (module (import "host" "log" (func $log (param i32 i32) (result i32)))
        (memory 1) (data (i32.const 100) "hello")
        (func (export "run") (result i32) (call $log (i32.const 100) (i32.const 5)))
        (func (export "beyond") (result i32) (call $log (i32.const 65535) (i32.const 2))))
      """
    ) { store in
      var imports = Imports()
      imports.define(
        module: "host", name: "log",
        .function(
          Function(store: store, type: FunctionType(parameters: [.i32, .i32], results: [.i32])) { caller, arguments, results in
            guard let memory = caller.memory() else { return }
            let bytes = try memory.read(address: UInt64(arguments.i32(0)), byteCount: UInt64(arguments.i32(1)))
            results.set(bytes == Array("hello".utf8) ? UInt32(1) : 0)
          }))
      return imports
    }
    #expect(try instance.i32("run") == 1)
    #expect(try instance.trap("beyond")?.kind == .memory(.outOfBounds))
  }

  // MARK: Other instances

  /// A counter with a global, a memory and a table of its own, and a guest that calls it in every way.
  private static func linked() throws -> (counter: Instance, guest: Instance) {
    let engine = Engine()
    let store = Store(engine: engine)
    let counter = try Instance(
      store: store,
      module: GuestModule.compile(
        """
        (module $counter (memory 1) (global $count (mut i32) (i32.const 100))
          (func $next (export "next") (param i32) (result i32)
            (global.set $count (i32.add (global.get $count) (local.get 0)))
            (i32.store (i32.const 8) (global.get $count))
            (i32.load (i32.const 8)))
          (func (export "tail_next") (param i32) (result i32) (return_call $next (local.get 0)))
          (func (export "fail") (param i32) (result i32) (unreachable))
          (table (export "table") 4 funcref) (elem (i32.const 0) $next))
        """, engine: engine))
    var imports = Imports()
    imports.define(module: "counter", exportsOf: counter)
    let guest = try Instance(
      store: store,
      module: GuestModule.compile(
        """
        (module $guest (type $unary (func (param i32) (result i32)))
          (import "counter" "next" (func $next (type $unary)))
          (import "counter" "tail_next" (func $tail_next (type $unary)))
          (import "counter" "fail" (func $fail (type $unary)))
          (import "counter" "table" (table $table 4 funcref))
          (memory 1) (global $mine (mut i32) (i32.const 7)) (data (i32.const 8) "\\2a")
          (func $own (type $unary) (i32.add (global.get $mine) (i32.load (i32.const 8))))
          (elem (i32.const 1) $own)
          (func (export "direct") (param i32) (result i32) (i32.add (call $next (local.get 0)) (call $own (i32.const 0))))
          (func (export "through_tail") (param i32) (result i32) (i32.add (call $tail_next (local.get 0)) (call $own (i32.const 0))))
          (func (export "tail") (param i32) (result i32) (return_call $next (local.get 0)))
          (func (export "indirect") (param i32 i32) (result i32)
            (i32.add (call_indirect (type $unary) (local.get 1) (local.get 0)) (call $own (i32.const 0))))
          (func $deep (export "deep") (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (call $tail_next (i32.const 1)))
              (else (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))))
          (func $calls_fail (export "calls_fail") (param i32) (result i32) (i32.add (call $fail (local.get 0)) (i32.const 1)))
          (func (export "tail_indirect") (param i32 i32) (result i32)
            (return_call_indirect (type $unary) (local.get 1) (local.get 0))))
        """, engine: engine),
      imports: imports)
    return (counter, guest)
  }

  @Test("calls between instances run on the callee's memory and globals, and come back to the caller's")
  func crossInstanceCalls() throws {
    let (_, guest) = try Self.linked()
    // $own gives 7 + 42 whatever the counter did to its own memory and global.
    #expect(try guest.i32("direct", .i32(UInt32(1))) == 101 + 49)
    #expect(try guest.i32("through_tail", .i32(UInt32(1))) == 102 + 49)
    #expect(try guest.i32("tail", .i32(UInt32(1))) == 103)
    #expect(try guest.i32("indirect", .i32(UInt32(0)), .i32(UInt32(1))) == 104 + 49)
    #expect(try guest.i32("indirect", .i32(UInt32(1)), .i32(UInt32(1))) == 49 + 49)
    #expect(try guest.i32("tail_indirect", .i32(UInt32(0)), .i32(UInt32(1))) == 105)
    #expect(try guest.i32("deep", .i32(UInt32(50))) == 106 + 50)
    #expect(try guest.trap("indirect", .i32(UInt32(2)), .i32(UInt32(1)))?.kind == .uninitializedElement)
    #expect(try guest.trap("indirect", .i32(UInt32(4)), .i32(UInt32(1)))?.kind == .undefinedElement)
  }

  @Test("a backtrace crosses instances and names modules and functions")
  func crossInstanceBacktrace() throws {
    let (_, guest) = try Self.linked()
    let trap = try #require(try guest.trap("calls_fail", .i32(UInt32(1))))
    #expect(trap.kind == .unreachable)
    #expect(trap.backtrace.map(\.moduleName) == ["counter", "guest"])
    #expect(trap.backtrace.map(\.functionName) == ["fail", "calls_fail"])
    let offsets = trap.backtrace.compactMap(\.codeOffset)
    #expect(offsets.count == 2)
    #expect(trap.description.contains("guest!calls_fail"))
    #expect(try guest.i32("tail", .i32(UInt32(1))) == 101, "both instances go on")
  }

  @Test("functions of the host in a table are called like any other")
  func hostFunctionInTable() throws {
    let engine = Engine()
    let store = Store(engine: engine)
    let table = try Table(store: store, type: TableType(elementType: .funcref, limits: Limits(minimum: 2, maximum: 4)))
    let double = Function(store: store, type: FunctionType(parameters: [.i32], results: [.i32])) { _, arguments, results in
      results.set(arguments.i32(0) &* 2)
    }
    #expect(try table.set(.funcref(double), at: 1))
    #expect(try table.set(.funcref(double), at: 2) == false)
    var imports = Imports()
    imports.define(module: "host", name: "table", .table(table))
    let instance = try Instance(
      store: store,
      module: GuestModule.compile(
        """
        (module (import "host" "table" (table 2 funcref)) (type $unary (func (param i32) (result i32))) (type $none (func))
          (func (export "call") (param i32) (result i32) (call_indirect (type $unary) (i32.const 21) (local.get 0)))
          (func (export "wrong") (param i32) (call_indirect (type $none) (local.get 0)))
          (func (export "tail") (param i32) (result i32) (return_call_indirect (type $unary) (i32.const 4) (local.get 0)))
          (func (export "get") (param i32) (result funcref) (table.get 0 (local.get 0))))
        """, engine: engine), imports: imports)
    #expect(try instance.i32("call", .i32(UInt32(1))) == 42)
    #expect(try instance.i32("tail", .i32(UInt32(1))) == 8)
    #expect(try instance.trap("wrong", .i32(UInt32(1)))?.kind == .indirectCallTypeMismatch)
    guard case .funcref(let function?)? = try instance.call("get", .i32(UInt32(1))).first else {
      Issue.record("table.get gives the function")
      return
    }
    #expect(try function(.i32(UInt32(3))).first?.i32 == 6)
  }

  @Test("arguments that do not fit are refused before anything runs")
  func argumentMismatch() throws {
    let instance = try GuestModule.instantiate("(module (func (export \"f\") (param i32 i64)))")
    let function = try #require(instance.function("f"))
    for arguments: [Value] in [[], [.i32(UInt32(1))], [.i64(UInt64(1)), .i32(UInt32(1))], [.i32(UInt32(1)), .i64(UInt64(1)), .i32(UInt32(1))]] {
      let error = #expect(throws: WasmError.self) { try function(arguments) }
      guard case .argumentMismatch? = error else {
        Issue.record("found \(String(describing: error))")
        continue
      }
    }
    #expect(throws: Never.self) { try function(.i32(UInt32(1)), .i64(UInt64(1))) }
  }

  @Test("imports that are missing or of another type are link errors that say which")
  func linkErrors() throws {
    let engine = Engine()
    let store = Store(engine: engine)
    let module = try GuestModule.compile("(module (import \"host\" \"f\" (func (param i32))))", engine: engine)
    func link(_ value: ExternalValue?) -> LinkError? {
      var imports = Imports()
      if let value { imports.define(module: "host", name: "f", value) }
      do throws(WasmError) {
        _ = try Instance(store: store, module: module, imports: imports)
        return nil
      } catch {
        guard case .link(let error) = error else { return nil }
        return error
      }
    }
    #expect(link(nil)?.code == .unknownImport)
    let wrong = Function(store: store, type: FunctionType(parameters: [.i64], results: [])) { _, _, _ in }
    #expect(link(.function(wrong))?.code == .incompatibleImportType)
    #expect(link(.function(wrong))?.description.contains("host.f") == true)
    let foreign = Function(store: Store(engine: engine), type: FunctionType(parameters: [.i32], results: [])) { _, _, _ in }
    #expect(link(.function(foreign))?.code == .incompatibleImportType, "a function of another store")
    #expect(link(.memory(try Memory(type: MemoryType(limits: Limits(minimum: 1)))))?.code == .incompatibleImportType)
  }
}
