import Testing
import WasmRuntime
import WebAssembly

/// The instructions of the threads proposal on one thread: what the official scripts do not ask.
@Suite("Atomic instructions")
struct AtomicTests {
  /// A memory of one page, behind another one, with every kind of access.
  private static func guest(address: String, attributes: String = "", type: String = "1 2 shared") -> String {
    """
    (module (memory 1) (memory $m (export "memory") \(address) \(type) \(attributes))
      (func (export "load") (param \(address)) (result i32) (i32.atomic.load $m (local.get 0)))
      (func (export "load_far") (param \(address)) (result i64) (i64.atomic.load $m offset=0xfffffff0 (local.get 0)))
      (func (export "load8") (param \(address)) (result i32) (i32.atomic.load8_u $m (local.get 0)))
      (func (export "store") (param \(address) i32) (i32.atomic.store $m (local.get 0) (local.get 1)))
      (func (export "add") (param \(address) i32) (result i32) (i32.atomic.rmw.add $m (local.get 0) (local.get 1)))
      (func (export "add_twice") (param \(address) i64) (result i64)
        (i64.mul (i64.atomic.rmw.add $m (local.get 0) (local.get 1)) (i64.atomic.rmw.add $m (local.get 0) (local.get 1))))
      (func (export "exchange16") (param \(address) i64) (result i64) (i64.atomic.rmw16.xchg_u $m (local.get 0) (local.get 1)))
      (func (export "cas") (param \(address) i64 i64) (result i64)
        (i64.atomic.rmw32.cmpxchg_u $m (local.get 0) (local.get 1) (local.get 2)))
      (func (export "wait") (param \(address) i32 i64) (result i32)
        (memory.atomic.wait32 $m (local.get 0) (local.get 1) (local.get 2)))
      (func (export "wait64") (param \(address) i64 i64) (result i32)
        (memory.atomic.wait64 $m (local.get 0) (local.get 1) (local.get 2)))
      (func (export "notify") (param \(address) i32) (result i32) (memory.atomic.notify $m (local.get 0) (local.get 1)))
      (func (export "fence") (atomic.fence)))
    """
  }

  private func address(_ type: String, _ value: UInt64) -> Value { type == "i32" ? .i32(UInt32(value)) : .i64(value) }

  @Test("operations on any memory, shared or not, with addresses of both sizes", arguments: ["i32", "i64"])
  func operations(type: String) throws {
    for memory in ["1 2 shared", "1"] {
      for (name, engine) in TranslationTests.engines {
        let instance = try GuestModule.instantiate(Self.guest(address: type, type: memory), engine: engine)
        instance.store.fuel = 1_000_000
        let at = self.address(type, 8)
        #expect(try instance.i32("add", at, .i32(UInt32(5))) == 0, "\(name)")
        #expect(try instance.i32("add", at, .i32(UInt32.max)) == 5)
        #expect(try instance.i32("load", at) == 4)
        #expect(try instance.i64("add_twice", at, .i64(UInt64(3))) == 4 * 7)
        #expect(try instance.i64("exchange16", at, .i64(UInt64(0xFFFF_1234))) == 10)
        #expect(try instance.i32("load", at) == 0x1234)
        #expect(try instance.i64("cas", at, .i64(UInt64(0xABCD_0000_1234)), .i64(UInt64.max)) == 0x1234, "expected is wrapped")
        #expect(try instance.i32("load", at) == 0xFFFF_FFFF)
        #expect(try instance.i64("cas", at, .i64(UInt64(7)), .i64(UInt64(1))) == 0xFFFF_FFFF)
        try instance.call("store", at, .i32(UInt32(0x0102_0304)))
        #expect(try instance.i32("load8", self.address(type, 11)) == 1)
        #expect(try instance.memory("memory")?.read(UInt32.self, address: 8, count: 1) == [0x0102_0304])
        #expect(try instance.i32("notify", at, .i32(UInt32(1))) == 0)
        try instance.call("fence")
      }
    }
  }

  @Test("alignment comes before bounds, then `expected shared memory`, then page states", arguments: ["i32", "i64"])
  func orderOfTraps(type: String) throws {
    let plain = try GuestModule.instantiate(Self.guest(address: type, type: "1"))
    let zero = Value.i64(UInt64(0))
    #expect(try plain.trap("load", address(type, 65537))?.message == "unaligned atomic")
    #expect(try plain.trap("load", address(type, 65536))?.kind == .memory(.outOfBounds))
    #expect(try plain.trap("load", address(type, 65534))?.kind == .unalignedAtomic)
    #expect(try plain.trap("load_far", address(type, 1))?.kind == .unalignedAtomic)
    #expect(try plain.trap("load_far", address(type, 0))?.kind == .memory(.outOfBounds))
    #expect(try plain.trap("wait", address(type, 65538), .i32(UInt32(0)), zero)?.kind == .unalignedAtomic)
    #expect(try plain.trap("wait", address(type, 65536), .i32(UInt32(0)), zero)?.kind == .memory(.outOfBounds))
    #expect(try plain.trap("wait", address(type, 0), .i32(UInt32(0)), zero)?.message == "expected shared memory")
    #expect(try plain.trap("wait64", address(type, 4), zero, zero)?.kind == .unalignedAtomic)
    #expect(try plain.trap("notify", address(type, 2), .i32(UInt32(0)))?.kind == .unalignedAtomic)
    #expect(try plain.trap("notify", address(type, 65536), .i32(UInt32(0)))?.kind == .memory(.outOfBounds))
    if type == "i64" {
      #expect(try plain.trap("load_far", .i64(UInt64.max - 15))?.kind == .memory(.outOfBounds), "the sum carries")
      #expect(try plain.trap("load_far", .i64(UInt64.max - 14))?.kind == .unalignedAtomic, "the sum carries, and is odd")
    }

    let unsharedVirtual = try GuestModule.instantiate(
      Self.guest(address: "\(type) virtual", type: "1 2").replacingParameters(type))
    #expect(try unsharedVirtual.trap("wait", address(type, 0), .i32(UInt32(0)), zero)?.kind == .expectedSharedMemory)

    let instance = try GuestModule.instantiate(Self.guest(address: "\(type) virtual").replacingParameters(type))
    let memory = try #require(instance.memory("memory"))
    #expect(try instance.trap("load", address(type, 1))?.kind == .unalignedAtomic)
    #expect(try instance.trap("load", address(type, 0))?.kind == .memory(.unmapped))
    #expect(try instance.trap("wait", address(type, 0), .i32(UInt32(0)), zero)?.kind == .memory(.unmapped))
    #expect(try instance.trap("notify", address(type, 0), .i32(UInt32(0)))?.kind == .memory(.unmapped))
    #expect(try memory.map(address: 0, byteCount: 65536, protection: .read))
    #expect(try instance.i32("load", address(type, 0)) == 0)
    #expect(try instance.i32("wait", address(type, 0), .i32(UInt32(1)), zero) == 1, "a wait needs no more than reading")
    #expect(try instance.i32("notify", address(type, 0), .i32(UInt32(1))) == 0)
    for (name, arguments) in [
      ("store", [Value.i32(UInt32(0))]), ("add", [.i32(UInt32(0))]), ("cas", [.i64(UInt64(9)), .i64(UInt64(1))]),
    ] {
      let function = try #require(instance.function(name))
      let error = #expect(throws: WasmError.self) { try function([address(type, 0)] + arguments) }
      guard case .trap(let trap)? = error else { continue }
      #expect(trap.kind == .memory(.protected), "\(name), even if it would not change anything")
    }
    try memory.protect(address: 0, byteCount: 65536, protection: .none)
    #expect(try instance.trap("notify", address(type, 0), .i32(UInt32(0)))?.kind == .memory(.protected))
    #expect(try instance.trap("wait", address(type, 0), .i32(UInt32(0)), zero)?.kind == .memory(.protected))
  }

  @Test("without the feature the instructions and shared memories do not exist, and alignment must be natural")
  func validation() throws {
    var configuration = EngineConfiguration()
    configuration.features.remove(.threads)
    let engine = Engine(configuration: configuration)
    #expect(throws: WasmError.self) { try GuestModule.compile("(module (memory 1 2 shared))", engine: engine) }
    #expect(throws: WasmError.self) { try GuestModule.compile("(module (func (atomic.fence)))", engine: engine) }
    for align in [1, 2, 8] {
      let error = #expect(throws: WasmError.self) {
        try GuestModule.compile("(module (memory 1) (func (drop (i32.atomic.load align=\(align) (i32.const 0)))))")
      }
      guard case .invalid(let error)? = error else { continue }
      #expect(error.description.contains("atomic alignment must be natural"))
    }
    _ = try GuestModule.compile("(module (memory 1) (func (drop (i32.atomic.load align=4 (i32.const 0)))))")
  }
}

extension String {
  /// `i32 virtual` stands before a memory's limits; parameters have the plain type.
  fileprivate func replacingParameters(_ type: String) -> String {
    var result = ""
    var rest = self[...]
    while let range = rest.firstRange(of: "(param \(type) virtual") {
      result += rest[..<range.lowerBound] + "(param \(type)"
      rest = rest[range.upperBound...]
    }
    return result + rest
  }
}
