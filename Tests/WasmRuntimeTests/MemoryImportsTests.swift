import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import WebAssemblyText
import _TestSupport

@Suite("Buffers of the host, and guests that bind for themselves")
struct MemoryImportsTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31 &+ $0 >> 8) | 1) } }

  // MARK: HostBuffer

  @Test("a buffer bound twice in a row is a ring: what goes over the end is at the start")
  func ring() throws {
    let buffer = try HostBuffer(byteCount: Int(2 * P))
    let memory = try Memories.virtual(8, 8)
    let view = TestView(memory)
    let first = try memory.bind(buffer, at: P)
    try memory.bind(buffer, at: 3 * P)
    try memory.write([1, 2, 3, 4], address: 3 * P - 2)
    #expect(try memory.read(address: P, byteCount: 2) == [3, 4])
    #expect(view.access(3 * P - 8, sizeLog2: 4, isWrite: true) == nil)
    #expect(memory.extentCount == 2 && memory.mappedByteCount == 4 * P && memory.copiedByteCount == 0)
    expect(.hostMapped) { try memory.discard(address: P, byteCount: P) }
    try memory.protect(address: P, byteCount: P, protection: .read)
    #expect(view.store(P, 1) == .protected && view.store(3 * P, 9) == nil && view.load(P) == .success(9))
    try memory.protect(address: P, byteCount: P, protection: .readWrite)
    #expect(throws: MemoryBindError.notCopyOnWrite) { try first.revert() }
    try first.evict()
    try first.unbind()
    #expect(view.load(P) == .failure(.unmapped) && view.load(3 * P) == .success(9))
  }

  @Test("memories that share a buffer see each other's writes, and the host's, also after the buffer's object is gone")
  func shared() throws {
    let (a, b) = (try Memories.virtual(2, 2), try Memories.virtual(2, 2))
    do {
      let buffer = try HostBuffer(byteCount: 100)
      #expect(buffer.byteCount == hostPageByteCount)
      try a.bind(buffer, at: 0)
      try b.bind(buffer, byteCount: 100, at: P)
      unsafe buffer.withUnsafeBytes { bytes in unsafe bytes[5] = 55 }
    }
    #expect(try a.read(address: 5, byteCount: 1) == [55] && b.read(address: P + 5, byteCount: 1) == [55])
    try b.write([66], address: P + 99)
    #expect(try a.read(address: 99, byteCount: 1) == [66])
    // The rest of the page is the memory's own.
    try a.write([7], address: P - 1)
    #expect(try b.read(address: 2 * P - 1, byteCount: 1) == [0])
  }

  @Test("a part of a buffer starts at a host page; files are never bound shared")
  func refusedBuffers() throws {
    let buffer = try HostBuffer(byteCount: 4 * hostPageByteCount)
    let memory = try Memories.virtual(4, 4)
    #expect(throws: MemoryBindError.unalignedBuffer(offset: 1)) { try memory.bind(buffer, offset: 1, byteCount: 1, at: 0) }
    #expect(throws: MemoryBindError.emptyRegion) { try memory.bind(buffer, offset: UInt64(buffer.byteCount), at: 0) }
    #expect(throws: MemoryBindError.self) { try memory.bind(buffer, byteCount: UInt64(buffer.byteCount + 1), at: 0) }
    try memory.bind(buffer, offset: UInt64(hostPageByteCount), at: 0)
    try memory.write([3], address: 0)
    #expect(unsafe buffer.withUnsafeBytes { bytes in unsafe bytes[hostPageByteCount] } == 3)
    let file = try RegularFile(path: try folder.write([1, 2, 3], to: "f"))
    #expect(throws: MemoryBindError.sharedFile) { try memory.bind(FileRegion(file), at: P, mode: .shared) }
    #expect(throws: VirtualMemoryError.self) { try HostBuffer(byteCount: 0) }
    #expect(throws: VirtualMemoryError.self) { try HostBuffer(byteCount: -5) }
  }

  // MARK: bindery_memory

  private struct Guest {
    let instance: Instance
    let memory: Memory

    init(_ regions: [FileRegion]) throws {
      let text = """
        (module
          (import "bindery_memory" "bind" (func $bind (param i32 i32 i64 i64 i64 i32) (result i32)))
          (import "bindery_memory" "unbind" (func $unbind (param i32 i64 i64) (result i32)))
          (import "bindery_memory" "evict" (func $evict (param i32 i64 i64) (result i32)))
          (import "bindery_memory" "region_length" (func $length (param i32) (result i64)))
          (memory $plain 1)
          (memory $v (export "v") i64 virtual 8 16)
          (func (export "bind") (param i32 i32 i64 i64 i64 i32) (result i32)
            (call $bind (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)))
          (func (export "unbind") (param i32 i64 i64) (result i32) (call $unbind (local.get 0) (local.get 1) (local.get 2)))
          (func (export "evict") (param i32 i64 i64) (result i32) (call $evict (local.get 0) (local.get 1) (local.get 2)))
          (func (export "length") (param i32) (result i64) (call $length (local.get 0)))
          (func (export "load") (param i64) (result i32) (i32.load8_u $v (local.get 0)))
          (func (export "store") (param i64 i32) (i32.store8 $v (local.get 0) (local.get 1)))
          ;; Binds, reads, unbinds and binds elsewhere, within one call: windows follow.
          (func (export "page-through") (param i64) (result i32) (local $sum i32) (local $i i64)
            (loop $next
              (br_if 0 (i32.const 0))
              (drop (call $bind (i32.const 1) (i32.const 0) (i64.mul (local.get $i) (i64.const 65536)) (i64.const 65536)
                (i64.const 0) (i32.const 0)))
              (local.set $sum (i32.add (local.get $sum) (i32.load8_u $v (i64.const 7))))
              (drop (call $unbind (i32.const 1) (i64.const 0) (i64.const 65536)))
              (local.set $i (i64.add (local.get $i) (i64.const 1)))
              (br_if $next (i64.lt_u (local.get $i) (local.get 0))))
            (local.get $sum)))
        """
      let engine = Engine()
      let store = Store(engine: engine)
      var imports = Imports()
      MemoryImports(regions: regions).define(in: &imports, store: store)
      let module = try CompiledModule(engine: engine, bytes: WebAssemblyText.binary(of: Array(text.utf8)))
      instance = try Instance(store: store, module: module, imports: imports)
      memory = instance.memory("v")!
    }

    func bind(
      _ memory: UInt32 = 1, region: UInt32 = 0, offset: UInt64, _ byteCount: UInt64, at address: UInt64, mode: UInt32 = 0
    ) throws -> Int32 {
      try code("bind", [.i32(memory), .i32(region), .i64(offset), .i64(byteCount), .i64(address), .i32(mode)])
    }

    func code(_ name: String, _ arguments: [Value]) throws -> Int32 {
      let function = try #require(instance.function(name))
      guard case .i32(let bits)? = try function(arguments).first else { return .max }
      return Int32(bitPattern: bits)
    }

    func length(_ region: UInt32) throws -> Int64 {
      let function = try #require(instance.function("length"))
      guard case .i64(let bits)? = try function([.i32(region)]).first else { return .max }
      return Int64(bitPattern: bits)
    }
  }

  @Test("a guest binds what it was granted, and sees nothing beyond its region")
  func guestBinds() throws {
    let bytes = pattern(300_000)
    let file = try RegularFile(path: try folder.write(bytes, to: "f"))
    let region = FileRegion(file: file, offset: 10_000, byteCount: 200_000)
    let guest = try Guest([FileRegion(file), region])
    #expect(try guest.length(0) == 300_000 && guest.length(1) == 200_000 && guest.length(2) == -12)
    #expect(try guest.bind(region: 1, offset: 90_000, 110_000, at: P) == 0)
    let start = P + 100_000 % UInt64(hostPageByteCount)
    #expect(try guest.memory.read(address: start, byteCount: 110_000) == Array(bytes[100_000..<210_000]))
    // The file goes on after the region; the guest sees zeroes.
    #expect(try guest.memory.read(address: start + 110_000, byteCount: 100).allSatisfy { $0 == 0 })
    #expect(try guest.bind(region: 1, offset: 90_000, 110_001, at: 4 * P) == -6)
    #expect(try guest.bind(region: 1, offset: 200_000, 1, at: 4 * P) == -6)
    #expect(try guest.bind(region: 1, offset: .max, 1, at: 4 * P) == -6)
    #expect(try guest.bind(region: 0, offset: 90_000, 210_000, at: 4 * P) == 0)
    #expect(guest.memory.pageState(at: 1) == .mapped(.host(binding: 1, mode: .readOnly), .read))
  }

  @Test("errors are numbers, in the order of the checks; nothing a guest passes is more than an error")
  func guestErrors() throws {
    let file = try RegularFile(path: try folder.write(pattern(100_000), to: "f"))
    let guest = try Guest([FileRegion(file)])
    #expect(try guest.bind(2, offset: 0, 1, at: 0) == -13 && guest.bind(.max, offset: 0, 1, at: 0) == -13)
    #expect(try guest.bind(region: 1, offset: 0, 1, at: 0) == -12 && guest.bind(region: .max, offset: 0, 1, at: 0) == -12)
    #expect(try guest.bind(offset: 0, 1, at: 0, mode: 2) == -14 && guest.bind(offset: 0, 1, at: 0, mode: .max) == -14)
    #expect(try guest.bind(0, offset: 0, 0, at: 1) == -1)
    #expect(try guest.bind(offset: 0, 0, at: 1) == -2)
    #expect(try guest.bind(offset: 0, 0, at: 100 * P) == -3)
    #expect(try guest.bind(offset: 0, 100_001, at: 7 * P) == -4 && guest.bind(offset: 0, .max, at: 0) == -4)
    #expect(try guest.memory.map(address: 0, byteCount: P, protection: .none))
    #expect(try guest.bind(offset: 0, 100_001, at: 0) == -5)
    #expect(try guest.bind(offset: 0, 100_001, at: P) == -6)
    #expect(try guest.code("unbind", [.i32(1 as UInt32), .i64(1 as UInt64), .i64(P)]) == -2)
    #expect(try guest.code("unbind", [.i32(1 as UInt32), .i64(8 * P), .i64(P)]) == -4)
    #expect(try guest.code("unbind", [.i32(1 as UInt32), .i64(0 as UInt64), .i64(8 * P)]) == -10)
    #expect(try guest.code("unbind", [.i32(0 as UInt32), .i64(0 as UInt64), .i64(P)]) == -1)
    #expect(try guest.code("evict", [.i32(1 as UInt32), .i64(0 as UInt64), .i64(0 as UInt64)]) == -10)
    #expect(try guest.bind(offset: 0, 100_000, at: P) == 0)
    try guest.memory.pinForever(address: P, byteCount: 1)
    #expect(try guest.code("unbind", [.i32(1 as UInt32), .i64(P), .i64(P)]) == -11)
    #expect(try guest.code("evict", [.i32(1 as UInt32), .i64(P), .i64(2 * P)]) == 0)
    #expect(guest.memory.pageState(at: 0) == .mapped(.anonymous, .none))
  }

  @Test("a guest pages through a file in one window, and leaves nothing behind; unmap releases a binding too")
  func guestPages() throws {
    let pageCount = 64
    var bytes = [UInt8](repeating: 0, count: pageCount * Int(P))
    for page in 0..<pageCount { bytes[page * Int(P) + 7] = UInt8(page) }
    let file = try RegularFile(path: try folder.write(bytes, to: "f"))
    let guest = try Guest([FileRegion(file)])
    for _ in 0..<20 {
      #expect(try guest.code("page-through", [.i64(UInt64(pageCount))]) == Int32(pageCount * (pageCount - 1) / 2))
    }
    #expect(guest.memory.mappedByteCount == 0 && guest.memory.bindingCount == 0)
    #expect(try guest.bind(offset: 0, 3 * P, at: 0, mode: 1) == 0)
    #expect(guest.memory.bindingCount == 1)
    try guest.memory.write([9], address: P)
    try guest.memory.unmap(address: 0, byteCount: P)
    #expect(guest.memory.bindingCount == 1)
    #expect(try guest.code("unbind", [.i32(1 as UInt32), .i64(0 as UInt64), .i64(2 * P)]) == 0)
    #expect(try guest.memory.read(address: 2 * P + 7, byteCount: 1) == [2])
    try guest.memory.unmap(address: 0, byteCount: 8 * P)
    #expect(guest.memory.bindingCount == 0)
    // A binding of the host stays its own until it unbinds, however little is left of it.
    _ = guest.memory.grow(by: 8)
    let binding = try guest.memory.bind(FileRegion(file: file, offset: 0, byteCount: P), at: 0)
    try guest.memory.unmap(address: 0, byteCount: P)
    #expect(guest.memory.bindingCount == 1)
    try binding.unbind()
    #expect(guest.memory.bindingCount == 0)
  }
}
