import Foundation
import Testing
import WasmRuntime
import WebAssembly

/// Everything that ends a run from outside: limits, other threads, time, fuel.
@Suite("Stopping a guest")
struct StoppingTests {
  private static let guest = """
    (module
      (func $recurse (export "recurse") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
          (then (i32.const 0))
          (else (i32.add (i32.const 1) (call $recurse (i32.sub (local.get 0) (i32.const 1)))))))
      (func $forever (export "recurse_forever") (call $forever))
      (table 1 funcref) (elem (i32.const 0) $indirect) (type $none (func))
      (func $indirect (export "recurse_indirect") (call_indirect (type $none) (i32.const 0)))
      (func $tail (export "tail_forever") (return_call $tail))
      (func (export "loop") (loop $again (br $again)))
      (func (export "loop_if") (param i32) (loop $again (br_if $again (local.get 0))))
      (func (export "loop_count") (param i32)
        (loop $again
          (local.set 0 (i32.add (local.get 0) (i32.const 2)))
          (br_if $again (i32.ne (local.get 0) (i32.const 1)))))
      (func (export "loop_table") (param i32)
        (block $out (loop $again (br_table $again $out (local.get 0)))))
      (func (export "sum") (param i32) (result i32) (local i32)
        (loop $again
          (local.set 1 (i32.add (local.get 1) (local.get 0)))
          (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1)))
    """

  /// Every loop that does not end, in the forms that the translator gives back-edges.
  private static let endless: [(name: String, argument: UInt32?)] = [
    ("loop", nil), ("loop_if", 1), ("loop_count", 0), ("loop_table", 0), ("tail_forever", nil),
  ]

  @Test("recursion without end exhausts the call stack", arguments: ["recurse_forever", "recurse_indirect"])
  func stackExhaustion(export: String) throws {
    let instance = try GuestModule.instantiate(Self.guest)
    for _ in 0..<3 {
      let trap = try #require(try instance.trap(export))
      #expect(trap.kind == .callStackExhausted)
      #expect(trap.message == "call stack exhausted")
    }
    #expect(try instance.i32("recurse", .i32(UInt32(1000))) == 1000, "the stack is usable again")
  }

  @Test("the depth of calls is that of the configuration")
  func callDepth() throws {
    var configuration = EngineConfiguration()
    configuration.callDepthMax = 100
    let instance = try GuestModule.instantiate(Self.guest, engine: Engine(configuration: configuration))
    #expect(try instance.i32("recurse", .i32(UInt32(90))) == 90)
    #expect(try instance.trap("recurse", .i32(UInt32(110)))?.kind == .callStackExhausted)
  }

  @Test("registers are limited too")
  func stackByteCount() throws {
    var configuration = EngineConfiguration()
    configuration.stackByteCount = 8192
    let instance = try GuestModule.instantiate(Self.guest, engine: Engine(configuration: configuration))
    #expect(try instance.i32("recurse", .i32(UInt32(10))) == 10)
    #expect(try instance.trap("recurse", .i32(UInt32(1000)))?.kind == .callStackExhausted)
  }

  @Test("another thread cancels a run", arguments: endless.indices)
  func cancellation(index: Int) throws {
    let (name, argument) = Self.endless[index]
    let arguments = argument.map { [Value.i32($0)] } ?? []
    let instance = try GuestModule.instantiate(Self.guest)
    let handle = instance.store.interruptHandle
    let canceller = Thread {
      Thread.sleep(forTimeInterval: 0.02)
      handle.cancel()
    }
    canceller.start()
    let function = try #require(instance.function(name))
    let error = #expect(throws: WasmError.self) { try function(arguments) }
    guard case .trap(let trap)? = error else { return }
    #expect(trap.kind == .cancelled)
    #expect(handle.isCancelled)
    #expect(try instance.trap("loop")?.kind == .cancelled, "stays in force")
    handle.reset()
    #expect(try instance.i32("sum", .i32(UInt32(10))) == 55)
  }

  @Test("a time limit ends a run, and can be lifted")
  func timeLimit() throws {
    let instance = try GuestModule.instantiate(Self.guest)
    instance.store.setTimeLimit(.milliseconds(20))
    #expect(try instance.trap("loop")?.kind == .deadlineExceeded)
    #expect(try instance.trap("loop")?.kind == .deadlineExceeded, "the time is still up")
    instance.store.setTimeLimit(.milliseconds(20))
    instance.store.setTimeLimit(nil)
    Thread.sleep(forTimeInterval: 0.05)
    #expect(try instance.i32("sum", .i32(UInt32(10))) == 55, "a limit that was taken back does not strike")
  }

  @Test("an epoch deadline ends runs of the stores that asked for it")
  func epochs() throws {
    let engine = Engine()
    let bounded = try GuestModule.instantiate(Self.guest, engine: engine)
    let other = try GuestModule.instantiate(Self.guest, engine: engine)
    bounded.store.setEpochDeadline(ticks: 2)
    engine.incrementEpoch()
    #expect(try bounded.i32("sum", .i32(UInt32(10))) == 55)
    engine.incrementEpoch()
    #expect(try bounded.trap("sum", .i32(UInt32(10)))?.kind == .deadlineExceeded)
    #expect(try other.i32("sum", .i32(UInt32(10))) == 55)
    bounded.store.setEpochDeadline(ticks: nil)
    #expect(try bounded.i32("sum", .i32(UInt32(10))) == 55)
  }

  @Test("fuel runs out, exactly and repeatably")
  func fuel() throws {
    var configuration = EngineConfiguration()
    configuration.consumesFuel = true
    let instance = try GuestModule.instantiate(Self.guest, engine: Engine(configuration: configuration))
    let store = instance.store
    #expect(try instance.trap("sum", .i32(UInt32(1)))?.kind == .fuelExhausted, "a store starts without fuel")
    store.fuel = 100_000
    #expect(try instance.i32("sum", .i32(UInt32(10))) == 55)
    let ten = 100_000 - store.fuel
    store.fuel = 100_000
    try instance.call("sum", .i32(UInt32(110)))
    let elevenTens = 100_000 - store.fuel
    #expect((elevenTens - ten) % 100 == 0, "every turn costs the same")
    #expect((elevenTens - ten) / 100 >= 7, "no instruction is free: \(elevenTens) \(ten)")
    store.fuel = ten
    #expect(try instance.i32("sum", .i32(UInt32(10))) == 55)
    #expect(store.fuel == 0)
    store.fuel = ten - 1
    #expect(try instance.trap("sum", .i32(UInt32(10)))?.kind == .fuelExhausted)
    store.fuel = 1_000_000
    #expect(try instance.trap("loop")?.kind == .fuelExhausted)
    store.fuel = 1_000_000
    #expect(try instance.trap("tail_forever")?.kind == .fuelExhausted)
  }
}
