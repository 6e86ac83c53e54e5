import Foundation
import Testing
import WasmRuntime
import WebAssembly

/// Deadlines and cancellation reach bulk instructions, instantiation and straight code.
@Suite("Deadlines")
struct DeadlineTests {
  /// Instructions that take long by themselves, each the last of its function: without a pause inside, the function returns.
  private static let bulk = """
    (module
      (memory $m 65536 65536) (memory $n 32768 32768)
      (memory $v i64 virtual 1048576 1048576)
      (table $t 10000000 funcref) (table $u 0 100000000 funcref)
      (func (export "fill") (memory.fill $m (i32.const 0) (i32.const 1) (i32.const -1)))
      (func (export "copy_up") (memory.copy $m $m (i32.const 4096) (i32.const 0) (i32.const 0xffff0000)))
      (func (export "copy_down") (memory.copy $m $m (i32.const 0) (i32.const 65536) (i32.const 0xffff0000)))
      (func (export "copy_across") (memory.copy $m $n (i32.const 0) (i32.const 0) (i32.const 0x7fffffff)))
      (func (export "discard") (memory.fill $m (i32.const 0) (i32.const 1) (i32.const 200000000))
        (loop $l (memory.discard $m (i32.const 0) (i32.const 0xffff0000)) (br $l)))
      (func (export "table_fill") \(String(repeating: "(table.fill $t (i32.const 0) (ref.null func) (i32.const 10000000))", count: 200)))
      (func (export "table_copy") \(String(repeating: "(table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 9999999))", count: 100)))
      (func (export "table_grow") (loop $l (br_if $l (i32.ne (i32.const -1) (table.grow $u (ref.func 0) (i32.const 1000000)))))
        (loop $l (br $l))))
    """

  private static let names = ["fill", "copy_up", "copy_down", "copy_across", "discard", "table_fill", "table_copy", "table_grow"]

  @Test("a bulk instruction ends soon after its deadline", arguments: names)
  func bulkInstructions(name: String) throws {
    let engine = Engine()
    var limits = ResourceLimits()
    limits.tableElementCountMax = 100_000_000
    // In place, so that zeroing takes its time.
    limits.memoryLimits.discardPolicy = { _ in .zeroOnly }
    let store = Store(engine: engine, limits: limits, budget: ResourceBudget(byteCountMax: 1 << 40))
    let instance = try Instance(store: store, module: GuestModule.compile(Self.bulk, engine: engine))
    let start = ContinuousClock.now
    store.setDeadline(start + .milliseconds(30))
    #expect(try instance.trap(name)?.kind == .deadlineExceeded)
    let elapsed = ContinuousClock.now - start
    #expect(elapsed >= .milliseconds(30) && elapsed < .seconds(5), "\(elapsed)")
  }

  @Test("another thread cancels a bulk instruction", arguments: ["fill", "copy_down", "table_fill"])
  func cancellation(name: String) throws {
    let engine = Engine()
    let store = Store(engine: engine, budget: ResourceBudget(byteCountMax: 1 << 40))
    let instance = try Instance(store: store, module: GuestModule.compile(Self.bulk, engine: engine))
    let handle = store.interruptHandle
    Thread.detachNewThread {
      Thread.sleep(forTimeInterval: 0.02)
      handle.cancel()
    }
    #expect(try instance.trap(name)?.kind == .cancelled)
  }

  @Test("straight code stops at its next bulk instruction, however small")
  func straightCode() throws {
    // No loop and no call: every other instruction goes on.
    let text = """
      (module (import "host" "late" (func $late)) (memory (export "memory") 1) (global $g (export "reached") (mut i32) (i32.const 0))
        (func (export "fill") (call $late) (global.set $g (i32.const 1)) (memory.fill (i32.const 0) (i32.const 7) (i32.const 1)))
        (func (export "copy") (call $late) (global.set $g (i32.const 1)) (memory.copy (i32.const 0) (i32.const 1) (i32.const 1)))
        (func (export "grow") (call $late) (global.set $g (i32.const 1)) (drop (memory.grow (i32.const 0)))))
      """
    for name in ["fill", "copy", "grow"] {
      let instance = try GuestModule.instantiate(text) { store in
        var imports = Imports()
        imports.define(
          module: "host", name: "late",
          .function(
            Function(store: store, type: FunctionType(parameters: [], results: [])) { caller, _, _ in
              // Passed before this returns: no timer is waited for.
              caller.store.setDeadline(ContinuousClock.now - .seconds(1))
            }))
        return imports
      }
      #expect(try instance.trap(name)?.kind == .deadlineExceeded, "\(name)")
      guard case .global(let reached)? = instance[export: "reached"] else { continue }
      #expect(reached.value.i32 == 1, "the code before it ran")
    }
  }

  @Test("a deadline that has passed stops everything at once, and can be set anew")
  func passed() throws {
    let instance = try GuestModule.instantiate("(module (memory 1) (func (export \"f\") (result i32) (i32.const 5)))")
    let store = instance.store
    for round in 0..<100 {
      store.setDeadline(ContinuousClock.now - .seconds(round % 2))
      #expect(try instance.trap("f")?.kind == .deadlineExceeded)
      #expect(store.stopSignal.trapKind == .deadlineExceeded)
      store.setDeadline(round % 3 == 0 ? nil : ContinuousClock.now + .seconds(1000))
      #expect(try instance.i32("f") == 5)
      #expect(store.stopSignal.trapKind == nil)
    }
    store.setTimeLimit(.seconds(-1))
    #expect(try instance.trap("f")?.kind == .deadlineExceeded)
    store.setTimeLimit(.seconds(Int64.max))
    #expect(try instance.i32("f") == 5)
  }

  @Test("an epoch that has passed is not forgotten when a time limit is set, nor the other way round")
  func twoDeadlines() throws {
    let engine = Engine()
    let instance = try GuestModule.instantiate("(module (func (export \"f\")))", engine: engine)
    instance.store.setEpochDeadline(ticks: 1)
    engine.incrementEpoch()
    instance.store.setTimeLimit(.seconds(1000))
    #expect(try instance.trap("f")?.kind == .deadlineExceeded)
    instance.store.setDeadline(ContinuousClock.now)
    instance.store.setEpochDeadline(ticks: nil)
    #expect(try instance.trap("f")?.kind == .deadlineExceeded)
    instance.store.setDeadline(nil)
    #expect(try instance.trap("f") == nil)
  }

  /// What takes long before the first function is called.
  private static let instantiations = [
    "(module (func $f (loop $l (br $l))) (start $f))",
    "(module \(String(repeating: "(table 10000000 funcref (ref.func $f))", count: 100)) (func $f))",
    "(module (memory 1) (func $f (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l))) (start $f))",
  ]

  @Test("making an instance is under the deadline that was set before", arguments: instantiations.indices)
  func instantiation(index: Int) throws {
    let engine = Engine()
    let module = try GuestModule.compile(Self.instantiations[index], engine: engine)
    func kind(_ limit: Duration) throws -> TrapKind? {
      let store = Store(engine: engine, budget: ResourceBudget(byteCountMax: 1 << 40))
      store.setTimeLimit(limit)
      do {
        _ = try Instance(store: store, module: module)
      } catch WasmError.trap(let trap) {
        return trap.kind
      }
      return nil
    }
    #expect(try kind(.milliseconds(20)) == .deadlineExceeded)
    #expect(try kind(.zero) == .deadlineExceeded)
  }

  @Test("deadlines of many stores strike in their order, not one before its time")
  func manyStores() {
    let engine = Engine()
    var generator = SystemRandomNumberGenerator()
    let stores = (0..<300).map { _ in Store(engine: engine) }
    let start = ContinuousClock.now
    let times = stores.map { _ in Duration.milliseconds(Int64.random(in: 20...150, using: &generator)) }
    for (store, time) in zip(stores, times) { store.setDeadline(start + .seconds(3600)) ; store.setDeadline(start + time) }
    // Every third is lifted, every other third is set later.
    for index in stride(from: 0, to: 300, by: 3) { stores[index].setDeadline(nil) }
    for index in stride(from: 1, to: 300, by: 3) { stores[index].setDeadline(start + times[index] + .milliseconds(40)) }
    var open = Set(0..<300)
    while ContinuousClock.now - start < .seconds(10), open.count > 100 {
      for index in open {
        let isStruck = stores[index].stopSignal.trapKind == .deadlineExceeded
        guard isStruck else { continue }
        let elapsed = ContinuousClock.now - start
        #expect(index % 3 != 0 && elapsed >= times[index] + (index % 3 == 1 ? .milliseconds(40) : .zero), "\(index) after \(elapsed)")
        open.remove(index)
      }
    }
    #expect(open == Set(stride(from: 0, to: 300, by: 3)))
  }

  @Test("a host that copies for a guest stops between pieces")
  func hostCopies() throws {
    let store = Store(engine: Engine())
    let memory = try Memories.plain(100)
    let bytes = [UInt8](repeating: 7, count: 3 << 20)
    try memory.write(bytes, address: 5, stop: store.stopSignal)
    #expect(try memory.read(address: 5, byteCount: 3 << 20) == bytes)
    let fault = #expect(throws: Trap.self) { try memory.write(bytes, address: 100 << 16 - 5, stop: store.stopSignal) }
    #expect(fault?.kind == .memory(.outOfBounds))
    store.setDeadline(ContinuousClock.now)
    let trap = #expect(throws: Trap.self) { try memory.write([1], address: 5, stop: store.stopSignal) }
    #expect(trap?.kind == .deadlineExceeded)
    #expect(try memory.read(address: 5, byteCount: 1) == [7])
  }

  @Test("copies longer than a piece do what a copy at once does, whichever way the ranges overlap")
  func overlappingCopies() throws {
    let text = """
      (module (memory (export "memory") 80 80) (table $t 400000 externref)
        (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2))))
      """
    let instance = try GuestModule.instantiate(text)
    let memory = try #require(instance.memory("memory"))
    let pattern = (0..<(80 << 16)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
    let piece = 1 << 20
    for (destination, source, count) in [
      (5, 0, 3 * piece), (0, 5, 3 * piece), (piece, 0, 2 * piece + 17), (0, piece, 2 * piece + 17), (piece - 1, 0, 3 * piece + 1),
      (0, piece - 1, 3 * piece + 1), (piece + 1, 0, 3 * piece), (100, 100, 2 * piece), (2 * piece, 0, piece), (0, 0, 0),
    ] {
      try memory.write(pattern, address: 0)
      try instance.call("copy", .i32(UInt32(destination)), .i32(UInt32(source)), .i32(UInt32(count)))
      var expected = pattern
      expected.replaceSubrange(destination..<(destination + count), with: pattern[source..<(source + count)])
      #expect(try memory.read(address: 0, byteCount: UInt64(pattern.count)) == expected, "\(destination) \(source) \(count)")
    }
  }

  @Test("the same for tables")
  func overlappingTableCopies() throws {
    let text = """
      (module (table $t 400000 funcref) (table $marks 3 funcref) (elem (table $marks) (i32.const 0) func $a $b $c)
        (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2)) (func $c (result i32) (i32.const 3))
        (func (export "set") (local $i i32)
          (loop $l
            (table.set $t (local.get $i) (table.get $marks (i32.rem_u (i32.mul (local.get $i) (i32.const 40503)) (i32.const 3))))
            (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 400000)))))
        (func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
        (func (export "get") (param i32) (result i32) (call_indirect $t (result i32) (local.get 0))))
      """
    let instance = try GuestModule.instantiate(text)
    func original(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: index &* 40503) % 3 + 1 }
    for (destination, source, count) in [(3, 0, 399_997), (0, 3, 399_997), (131_072, 0, 200_000), (0, 131_072, 200_000), (131_071, 0, 262_200)] {
      try instance.call("set")
      try instance.call("copy", .i32(UInt32(destination)), .i32(UInt32(source)), .i32(UInt32(count)))
      for index in stride(from: 0, to: 400_000, by: 997) {
        let expected = index >= destination && index < destination + count ? original(index - destination + source) : original(index)
        #expect(try instance.i32("get", .i32(UInt32(index))) == expected, "\(destination) \(source) \(count) \(index)")
      }
    }
  }
}
