import Dispatch
import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

/// One memory, several stores, each on a thread of its own.
@Suite("Shared memories")
struct SharedMemoryTests {
  /// Imports the memory `m.m`. A lock is a word: 0 free, 1 taken, 2 taken with others waiting.
  private static func guest(_ type: String) -> String {
    """
    (module (import "m" "m" (memory \(type)))
      (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
      (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
      (func (export "atomic_store") (param i32 i32) (i32.atomic.store (local.get 0) (local.get 1)))
      (func (export "size") (result i32) (memory.size))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "wait") (param i32 i32 i64) (result i32) (memory.atomic.wait32 (local.get 0) (local.get 1) (local.get 2)))
      (func (export "notify") (param i32 i32) (result i32) (memory.atomic.notify (local.get 0) (local.get 1)))
      (func (export "notify_some") (param i32)
        (loop $again (br_if $again (i32.eqz (memory.atomic.notify (local.get 0) (i32.const 1))))))
      (func (export "count") (param $address i32) (param $times i32)
        (loop $again
          (drop (i32.atomic.rmw.add (local.get $address) (i32.const 1)))
          (drop (i32.atomic.rmw8.add_u offset=4 (local.get $address) (i32.const 1)))
          (drop (i64.atomic.rmw16.sub_u offset=8 (local.get $address) (i64.const 1)))
          (drop (i64.atomic.rmw.xor offset=16 (local.get $address) (i64.const 1)))
          (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))
      (func $lock (param $lock i32) (local $state i32)
        (local.set $state (i32.atomic.rmw.cmpxchg (local.get $lock) (i32.const 0) (i32.const 1)))
        (block $taken
          (loop $again
            (br_if $taken (i32.eqz (local.get $state)))
            (if (i32.or (i32.eq (local.get $state) (i32.const 2))
                        (i32.ne (i32.atomic.rmw.cmpxchg (local.get $lock) (i32.const 1) (i32.const 2)) (i32.const 0)))
              (then (drop (memory.atomic.wait32 (local.get $lock) (i32.const 2) (i64.const -1)))))
            (local.set $state (i32.atomic.rmw.cmpxchg (local.get $lock) (i32.const 0) (i32.const 2)))
            (br $again))))
      (func $unlock (param $lock i32)
        (if (i32.ne (i32.atomic.rmw.sub (local.get $lock) (i32.const 1)) (i32.const 1))
          (then
            (i32.atomic.store (local.get $lock) (i32.const 0))
            (drop (memory.atomic.notify (local.get $lock) (i32.const 1))))))
      (func (export "count_locked") (param $address i32) (param $times i32)
        (loop $again
          (call $lock (local.get $address))
          (i32.store offset=64 (local.get $address) (i32.add (i32.load offset=64 (local.get $address)) (i32.const 1)))
          (call $unlock (local.get $address))
          (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))
      (func (export "spin") (param i32) (loop $again (drop (i32.load (local.get 0))) (br $again)))
      (func (export "spin_storing") (param i32 i32) (loop $again (i32.store (local.get 0) (local.get 1)) (br $again)))
      (func (export "spin_filling") (param i32 i32)
        (loop $again
          (memory.fill (local.get 0) (i32.const 7) (local.get 1))
          (memory.copy (local.get 0) (i32.add (local.get 0) (i32.const 8)) (i32.sub (local.get 1) (i32.const 8)))
          (br $again)))
      (func (export "spin_until") (param i32) (loop $again (br_if $again (i32.eqz (i32.atomic.load (local.get 0))))))
      (func (export "sum_pages") (param $pages i32) (result i32) (local $sum i32)
        (loop $again
          (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
          (local.set $sum (i32.add (local.get $sum) (i32.load offset=65532 (i32.shl (local.get $pages) (i32.const 16)))))
          (br_if $again (local.get $pages)))
        (local.get $sum)))
    """
  }

  private struct World {
    let engine = Engine()
    let module: CompiledModule
    let memory: Memory

    init(_ type: String, _ memoryType: MemoryType, limits: MemoryLimits = .init()) throws {
      module = try GuestModule.compile(SharedMemoryTests.guest(type), engine: engine)
      memory = try Memory(type: memoryType, limits: limits)
    }

    static func plain(minimum: UInt64 = 1, maximum: UInt64 = 64) throws -> World {
      try World("\(minimum) \(maximum) shared", MemoryType(limits: Limits(minimum: minimum, maximum: maximum), isShared: true))
    }

    static func virtual(pages: UInt64 = 16) throws -> World {
      let type = MemoryType(
        limits: Limits(minimum: pages, maximum: pages), isShared: true, attributes: MemoryAttributes(isVirtual: true))
      return try World("virtual \(pages) \(pages) shared", type)
    }

    func instance() throws -> Instance {
      var imports = Imports()
      imports.define(module: "m", name: "m", .memory(memory))
      return try Instance(store: Store(engine: engine), module: module, imports: imports)
    }
  }

  /// A guest on a thread of its own.
  private final class Running: @unchecked Sendable {
    // The instance and its store are used by the thread alone, once it runs; the outcome is under the lock.
    private let instance: Instance
    private let handle: InterruptHandle
    private let done = DispatchSemaphore(value: 0)
    private let lock = NSLock()
    private var outcome: Result<[UInt32?], any Error>?

    init(_ instance: Instance, _ name: String, _ arguments: [UInt32], timeout: Int64? = nil) {
      self.instance = instance
      self.handle = instance.store.interruptHandle
      Thread.detachNewThread {
        let outcome = Result { () throws -> [UInt32?] in
          guard let function = self.instance.function(name) else { throw MissingExport(name: name) }
          let wait = timeout.map { [Value.i64(UInt64(bitPattern: $0))] } ?? []
          return try function(arguments.map { .i32($0) } + wait).map(\.i32)
        }
        self.lock.withLock { self.outcome = outcome }
        self.done.signal()
      }
    }

    /// Calls one export in a new store.
    convenience init(_ world: World, _ name: String, _ arguments: UInt32..., timeout: Int64? = nil) throws {
      self.init(try world.instance(), name, arguments, timeout: timeout)
    }

    func cancel() { handle.cancel() }

    /// The result or the trap; a guest that does not end is stopped, and the trap says so.
    func end(seconds: Double = 60) throws -> Result<[UInt32?], any Error> {
      if done.wait(timeout: .now() + seconds) == .timedOut {
        cancel()
        done.wait()
      }
      return try #require(lock.withLock { outcome })
    }

    var isRunning: Bool { lock.withLock { outcome == nil } }

    func trap() throws -> Trap? {
      guard case .failure(let error) = try end() else { return nil }
      guard case .trap(let trap)? = error as? WasmError else { throw error }
      return trap
    }

    func results() throws -> [UInt32?] { try end().get() }
  }

  private func waitUntil(_ condition: () throws -> Bool) rethrows {
    while !(try condition()) { Thread.sleep(forTimeInterval: 0.001) }
  }

  // MARK: Plain shared memories

  @Test("additions of several threads all count")
  func atomicCounters() throws {
    let world = try World.plain()
    let guests = try (0..<4).map { _ in try Running(world, "count", 128, 5000) }
    for guest in guests { #expect(try guest.results() == []) }
    #expect(try world.memory.read(UInt32.self, address: 128, count: 2) == [20000, 20000 & 0xFF])
    #expect(try world.memory.read(UInt64.self, address: 136, count: 2) == [UInt64(65536 - 20000), 0])
  }

  @Test("a lock made of wait and notify excludes others, for plain accesses too")
  func lockFromWaits() throws {
    let world = try World.plain()
    let guests = try (0..<4).map { _ in try Running(world, "count_locked", 256, 3000) }
    for guest in guests { #expect(try guest.results() == []) }
    #expect(try world.memory.read(UInt32.self, address: 320, count: 1) == [12000])
    #expect(try world.memory.read(UInt32.self, address: 256, count: 1) == [0])
  }

  @Test("growth by one thread is seen by all")
  func growth() throws {
    let world = try World.plain(minimum: 1, maximum: 40)
    let grower = try world.instance()
    for pages in stride(from: UInt32(1), to: 40, by: 3) {
      let reader = try Running(world, "spin_until", 4 * pages)
      #expect(try grower.i32("grow", .i32(UInt32(3))) == pages)
      try grower.call("store", .i32(65536 * (pages + 3) - 4), .i32(UInt32(7)))
      try grower.call("atomic_store", .i32(4 * pages), .i32(UInt32(1)))
      #expect(try reader.results() == [])
      #expect(try Running(world, "size").results() == [pages + 3])
      #expect(try Running(world, "sum_pages", pages + 3).results() == [7 * ((pages + 2) / 3)])
    }
    let growers = try (0..<4).map { _ in try Running(world, "grow", 1) }
    #expect(try growers.allSatisfy { try $0.results() == [UInt32.max] }, "the maximum is reached")
  }

  @Test("racing growth: every page is given out once")
  func racingGrowth() throws {
    let world = try World.plain(minimum: 1, maximum: 33)
    let growers = try (0..<32).map { _ in try Running(world, "grow", 1) }
    #expect(try Set(growers.map { try #require(try $0.results().first ?? nil) }) == Set(1...32))
    #expect(world.memory.pageCount == 33)
  }

  // MARK: Waiting

  @Test("a wait ends at once, by its time, or by a notification")
  func waits() throws {
    let world = try World.plain()
    #expect(try Running(world, "wait", 0, 1, timeout: -1).results() == [1], "not equal")
    #expect(try Running(world, "wait", 0, 0, timeout: 0).results() == [2], "no time")
    #expect(try Running(world, "wait", 0, 0, timeout: 5_000_000).results() == [2])
    let waiting = try (0..<3).map { _ in try Running(world, "wait", 0, 0, timeout: -1) }
    let elsewhere = try Running(world, "wait", 4, 0, timeout: -1)
    #expect(try world.memory.notify(address: 0, count: 0) == 0)
    var woken: UInt32 = 0
    try waitUntil {
      woken += try world.memory.notify(address: 0, count: 1)
      return woken == 3
    }
    for guest in waiting { #expect(try guest.results() == [0]) }
    #expect(elsewhere.isRunning)
    try waitUntil { try Running(world, "notify", 4, UInt32.max).results() == [1] }
    #expect(try elsewhere.results() == [0])
  }

  @Test("the host waits and notifies too")
  func hostWaits() throws {
    let world = try World.plain()
    let memory = world.memory
    #expect(try memory.wait(address: 8, whileEqualTo: UInt32(1)) == .notEqual)
    #expect(try memory.wait(address: 8, whileEqualTo: UInt64(0), timeout: .milliseconds(2)) == .timedOut)
    #expect(throws: Trap.self) { try memory.wait(address: 4, whileEqualTo: UInt64(0)) }
    #expect(throws: Trap.self) { try memory.notify(address: 65536) }
    let notifier = try Running(world, "notify_some", 8)
    #expect(try memory.wait(address: 8, whileEqualTo: UInt32(0)) == .woken)
    #expect(try notifier.results() == [])
    let plain = try Memory(type: MemoryType(limits: Limits(minimum: 1)))
    #expect(throws: Trap.self) { try plain.wait(address: 0, whileEqualTo: UInt32(0)) }
    #expect(try plain.notify(address: 0) == 0)
  }

  @Test("a waiting guest is cancelled, and ends at its deadlines", arguments: ["cancel", "time", "epoch"])
  func interruptedWaits(means: String) throws {
    let world = try World.plain()
    let instance = try world.instance()
    let store = instance.store
    let handle = store.interruptHandle
    let engine = world.engine
    switch means {
    case "time": store.setTimeLimit(.milliseconds(20))
    case "epoch": store.setEpochDeadline(ticks: 2)
    default: break
    }
    Thread.detachNewThread {
      Thread.sleep(forTimeInterval: 0.02)
      switch means {
      case "cancel": handle.cancel()
      case "epoch":
        engine.incrementEpoch()
        engine.incrementEpoch()
      default: break
      }
    }
    let trap = try instance.trap("wait", .i32(UInt32(0)), .i32(UInt32(0)), .i64(UInt64.max))
    #expect(trap?.kind == (means == "cancel" ? .cancelled : .deadlineExceeded))
    #expect(try world.memory.notify(address: 0) == 0, "nobody waits any more")
    handle.reset()
  }

  @Test("a page that is unmapped under a waiting thread does not wake it; notifying there traps")
  func unmapUnderWait() throws {
    let world = try World.virtual()
    let memory = world.memory
    #expect(try memory.map(address: 0, byteCount: 65536, protection: .readWrite))
    let waiting = try Running(world, "wait", 16, 0, timeout: -1)
    let timed = try Running(world, "wait", 32, 0, timeout: 200_000_000)
    // It waits once a second one on the same address is not alone.
    var woken: UInt32 = 0
    Thread.sleep(forTimeInterval: 0.05)
    try memory.unmap(address: 0, byteCount: 65536)
    #expect(try Running(world, "notify", 16, 1).trap()?.kind == .memory(.unmapped))
    #expect(throws: Trap.self) { try memory.notify(address: 16) }
    // A thread that had not come to wait yet traps; one that waits goes on waiting.
    switch try timed.end() {
    case .success(let results): #expect(results == [2])
    case .failure(let error): #expect("\(error)".contains("unmapped"))
    }
    #expect(try memory.map(address: 0, byteCount: 65536, protection: .read))
    if waiting.isRunning {
      try waitUntil {
        woken += try memory.notify(address: 16)
        return woken == 1 || !waiting.isRunning
      }
    }
    switch try waiting.end() {
    case .success(let results): #expect(results == [0])
    case .failure(let error): #expect("\(error)".contains("unmapped"))
    }
  }

  // MARK: Page states

  @Test("a guest that spins in loads is stopped by what happens to its page", arguments: ["unmap", "protect"])
  func spinningGuest(change: String) throws {
    for _ in 0..<20 {
      let world = try World.virtual()
      #expect(try world.memory.map(address: 65536, byteCount: 65536, protection: .readWrite))
      let guests = [try Running(world, "spin", 65540), try Running(world, "spin_storing", 65540, 7)]
      Thread.sleep(forTimeInterval: 0.001)
      if change == "unmap" {
        try world.memory.unmap(address: 65536, byteCount: 65536)
      } else {
        try world.memory.protect(address: 65536, byteCount: 65536, protection: .none)
      }
      for guest in guests { #expect(try guest.trap()?.kind == .memory(change == "unmap" ? .unmapped : .protected)) }
    }
  }

  @Test("loads, stores and bulk operations race with every change of page states: values or traps, and nothing else")
  func racingChanges() throws {
    let seed: UInt64 = 20_261_121
    var random = SeededGenerator(seed: seed)
    let world = try World.virtual(pages: 4)
    let memory = world.memory
    let names = ["spin", "spin_storing", "spin_filling", "spin_filling"]
    func start(_ index: Int) throws -> Running {
      let page = UInt32(index % 4) * 65536
      return index % 4 < 2
        ? try Running(world, names[index], page + 128, 9) : try Running(world, names[index], page &- (index == 3 ? 256 : 0), 1024)
    }
    var guests = try (0..<4).map { index in try index == 0 ? Running(world, "spin", 128) : start(index) }
    var trapCount = 0
    // On a busy machine the guests may not have had a turn yet: then for longer.
    var round = 0
    while round < 1500 || (trapCount == 0 && round < 100_000) {
      round += 1
      if round.isMultiple(of: 16) { Thread.sleep(forTimeInterval: 0.0005) }
      let page = UInt64.random(in: 0..<4, using: &random) * 65536
      do throws(MemoryAccessError) {
        switch Int.random(in: 0..<7, using: &random) {
        case 0: try memory.unmap(address: page, byteCount: 65536)
        case 1, 2: _ = try memory.map(address: page, byteCount: 65536, protection: .readWrite)
        case 3: try memory.protect(address: page, byteCount: 65536, protection: .none)
        case 4: try memory.protect(address: page, byteCount: 65536, protection: .read)
        case 5: try memory.protect(address: page, byteCount: 65536, protection: .readWrite)
        default: try memory.discard(address: page, byteCount: 65536)
        }
      } catch {
        #expect([.alreadyMapped, .unmapped, .protected].contains(error.fault), "seed \(seed)")
      }
      for index in guests.indices where !guests[index].isRunning {
        let kind = try guests[index].trap()?.kind
        #expect(kind == .memory(.unmapped) || kind == .memory(.protected), "seed \(seed): \(String(describing: kind))")
        trapCount += 1
        guests[index] = try index == 0 ? Running(world, "spin", 128) : start(index)
      }
    }
    #expect(trapCount > 0)
    for guest in guests {
      guest.cancel()
      _ = try guest.end()
    }
  }

  @Test("a file is bound over pages that guests were storing to a moment ago, and stays what it is")
  func bindUnderStores() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<65536).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let path = try folder.write(bytes, to: "bound.bin")
    let world = try World.virtual()
    let memory = world.memory
    for _ in 0..<100 {
      #expect(try memory.map(address: 0, byteCount: 65536, protection: .readWrite))
      let guests = [try Running(world, "spin_storing", 4096, 0xEEEE_EEEE), try Running(world, "spin_filling", 8192, 4096)]
      Thread.sleep(forTimeInterval: 0.0005)
      try memory.unmap(address: 0, byteCount: 65536)
      let binding = try memory.bind(RegularFile(path: path), at: 0, mode: .readOnly)
      for guest in guests {
        let kind = try guest.trap()?.kind
        #expect(kind == .memory(.unmapped) || kind == .memory(.protected))
      }
      #expect(try memory.read(address: 0, byteCount: 65536) == bytes)
      try binding.unbind()
    }
  }

  @Test("of two guests that map one page, exactly one succeeds")
  func racingMaps() throws {
    let engine = Engine()
    let module = try GuestModule.compile(
      """
      (module (import "m" "m" (memory virtual 64 64 shared))
        (func (export "map") (param $page i32) (result i32) (memory.map readwrite (local.get $page) (i32.const 65536))))
      """, engine: engine)
    let memory = try Memory(
      type: MemoryType(limits: Limits(minimum: 64, maximum: 64), isShared: true, attributes: MemoryAttributes(isVirtual: true)))
    func instance() throws -> Instance {
      var imports = Imports()
      imports.define(module: "m", name: "m", .memory(memory))
      return try Instance(store: Store(engine: engine), module: module, imports: imports)
    }
    for page in 0..<64 {
      let guests = try (0..<2).map { _ in Running(try instance(), "map", [UInt32(page * 65536)]) }
      let traps = try guests.map { try $0.trap()?.kind }
      #expect(traps.filter { $0 == nil }.count == 1)
      #expect(traps.contains(.memory(.alreadyMapped)))
    }
    #expect(memory.mappedByteCount == 64 * 65536)
  }

  @Test("guests in several stores of one thread see each other's changes, and a store may join while it runs")
  func joiningInside() throws {
    let world = try World.virtual()
    let store = Store(engine: world.engine)
    // The host function makes an instance with a shared memory in the store whose guest is calling.
    var inner: Instance?
    let join = Function(store: store, type: FunctionType(parameters: [], results: []), name: "join") { _, _, _ in
      var imports = Imports()
      imports.define(module: "m", name: "m", .memory(world.memory))
      inner = try Instance(store: store, module: world.module, imports: imports)
      _ = try world.memory.map(address: 0, byteCount: 65536, protection: .readWrite)
      try inner?.call("store", .i32(UInt32(0)), .i32(UInt32(5)))
    }
    var imports = Imports()
    imports.define(module: "h", name: "join", .function(join))
    let outer = try Instance(
      store: store,
      module: GuestModule.compile(
        """
        (module (import "h" "join" (func $join))
          (func (export "run") (param i32) (result i32)
            (call $join)
            (loop $again (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (i32.const 1)))
        """, engine: world.engine), imports: imports)
    #expect(try outer.i32("run", .i32(UInt32(1000))) == 1)
    #expect(try inner?.i32("load", .i32(UInt32(0))) == 5)
    try world.memory.unmap(address: 0, byteCount: 65536)
    #expect(try inner?.trap("load", .i32(UInt32(0)))?.kind == .memory(.unmapped))
  }
}
