import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly

@Suite("Plain memories")
struct MemoryPlainTests {
  @Test("a memory starts at its minimum, zero, and grows to its maximum and no further")
  func grows() throws {
    let memory = try Memories.plain(1, 3)
    #expect(memory.byteCount == P && memory.pageCount == 1 && memory.mappedByteCount == P)
    #expect(try memory.read(address: 0, byteCount: P).allSatisfy { $0 == 0 })
    try memory.write([1, 2, 3], address: P - 3)
    #expect(memory.grow(by: 0) == 1)
    #expect(memory.grow(by: 1) == 1)
    #expect(memory.grow(by: 2) == nil)
    #expect(memory.grow(by: .max) == nil)
    #expect(memory.grow(by: 1) == 2)
    #expect(memory.grow(by: 1) == nil)
    #expect(memory.pageCount == 3)
    #expect(try memory.read(address: P - 3, byteCount: 4) == [1, 2, 3, 0])
    try memory.write([9], address: 3 * P - 1)
  }

  @Test("accesses end exactly at the size; addresses near 2^64 do not wrap around")
  func bounds() throws {
    let memory = try Memories.plain(1, 2, .i64)
    #expect(try memory.read(address: P, byteCount: 0) == [])
    #expect(try memory.read(address: P - 1, byteCount: 1) == [0])
    for (address, byteCount) in [
      (P, 1), (P - 1, 2), (P + 1, 0), (UInt64.max, 1), (UInt64.max, 2), (UInt64.max - 7, 8), (0, UInt64.max), (1, UInt64.max),
    ] as [(UInt64, UInt64)] {
      expect(.outOfBounds) { _ = try memory.read(address: address, byteCount: byteCount) }
      expect(.outOfBounds) { _ = unsafe try memory.writablePointer(address: address, byteCount: byteCount) }
    }
    expect(.outOfBounds) { _ = try memory.read(UInt32.self, address: 0, count: .max) }
    expect(.outOfBounds) { _ = try memory.read(UInt32.self, address: 0, count: -1) }
  }

  @Test("a view decides every access size at the boundary without the slow path, and follows growth")
  func view() throws {
    let memory = try Memories.plain(1, 2)
    let view = TestView(memory)
    var trapCount = 0
    for log2 in 0...4 as ClosedRange<UInt32> {
      let last = P - (1 << UInt64(log2))
      for isWrite in [false, true] {
        #expect(view.access(last, sizeLog2: log2, isWrite: isWrite) == nil)
        #expect(view.slowPathCount == trapCount)
        trapCount += 3
        #expect(view.access(last + 1, sizeLog2: log2, isWrite: isWrite) == .outOfBounds)
        #expect(view.access(.max, sizeLog2: log2, isWrite: isWrite) == .outOfBounds)
        #expect(view.access(.max - 15, sizeLog2: log2, isWrite: isWrite) == .outOfBounds)
      }
    }
    let before = view.slowPathCount
    #expect(memory.grow(by: 1) == 1)
    #expect(view.access(P, sizeLog2: 4, isWrite: true) == nil)
    #expect(view.store(2 * P - 1, 5) == nil)
    #expect(view.slowPathCount == before)
    #expect(try memory.read(address: 2 * P - 1, byteCount: 1) == [5])
  }

  @Test("a memory of no pages refuses everything but the empty access")
  func empty() throws {
    let memory = try Memories.plain(0)
    let view = TestView(memory)
    #expect(view.access(0, sizeLog2: 0, isWrite: false) == .outOfBounds)
    #expect(view.range(0, 0, isWrite: true) == nil)
    #expect(view.range(1, 0, isWrite: true) == .outOfBounds)
    #expect(memory.grow(by: 1) == 0)
    #expect(view.store(0, 1) == nil)
  }

  @Test("a 32-bit memory without maximum reaches 4 GiB, whose last byte can be used")
  func fourGiB() throws {
    let memory = try Memories.plain(1)
    #expect(memory.grow(by: 65536) == nil)
    #expect(memory.grow(by: 65535) == 1)
    #expect(memory.byteCount == 1 << 32)
    let view = TestView(memory)
    #expect(view.store((1 << 32) - 1, 3) == nil)
    #expect(view.access((1 << 32) - 1, sizeLog2: 1, isWrite: false) == .outOfBounds)
    #expect(try memory.read(address: (1 << 32) - 2, byteCount: 2) == [0, 3])
  }

  @Test("a 64-bit memory may declare any maximum; it stops growing at the limit of address space")
  func hugeMaximum() throws {
    let memory = try Memories.plain(0, 1 << 48, .i64)
    #expect(memory.grow(by: (1 << 24) + 1) == nil)
    #expect(memory.grow(by: 1 << 24) == 0)
    try memory.write([1], address: (1 << 40) - 1)
    #expect(try Memories.plain(1, nil, .i64).grow(by: 1 << 47) == nil)
  }

  @Test("a minimum above the limits is an allocation failure, not a crash")
  func refused() throws {
    let error = #expect(throws: MemoryAllocationError.self) { try Memories.plain(1 << 47, 1 << 48, .i64) }
    #expect(error?.description.hasPrefix("memory allocation failure: ") == true)
    #expect(throws: MemoryAllocationError.self) { try Memories.plain(.max, .max, .i64) }
    #expect(throws: MemoryAllocationError.self) { try Memories.plain(65537) }
    var limits = MemoryLimits()
    limits.mappedByteCountMax = 2 * P
    #expect(throws: MemoryAllocationError.self) { try Memories.plain(3, limits: limits) }
    let memory = try Memories.plain(1, limits: limits)
    #expect(memory.grow(by: 2) == nil)
    #expect(memory.grow(by: 1) == 1)
    limits.reservationByteCountMax = 4 * P
    #expect(try Memories.plain(0, limits: limits).grow(by: 5) == nil)
    let strange = MemoryType(limits: Limits(minimum: 0), pageByteCountLog2: 40)
    #expect(throws: MemoryAllocationError.self) { try Memory(type: strange) }
  }

  @Test("pages of one byte: any size, any boundary")
  func bytePages() throws {
    let memory = try Memory(type: MemoryType(limits: Limits(minimum: 5, maximum: 10_000), pageByteCountLog2: 0))
    let view = TestView(memory)
    #expect(memory.byteCount == 5 && memory.pageByteCount == 1)
    #expect(view.store(4, 1) == nil && view.store(5, 1) == .outOfBounds)
    #expect(view.access(1, sizeLog2: 2, isWrite: false) == nil && view.access(2, sizeLog2: 2, isWrite: false) == .outOfBounds)
    #expect(memory.grow(by: 9995) == 5)
    #expect(view.store(9999, 1) == nil && memory.grow(by: 1) == nil)
    #expect(try memory.discard(address: 3, byteCount: 9000) == .zeroedOnly)
    #expect(view.load(4) == .success(0) && view.load(9999) == .success(1))
    let unbounded = try Memory(type: MemoryType(limits: Limits(minimum: 0), pageByteCountLog2: 0))
    #expect(unbounded.grow(by: 1 << 32) == nil)
    #expect(unbounded.grow(by: (1 << 32) - 1) == 0)
  }

  @Test("several views follow one memory, and an unregistered one is left alone")
  func views() throws {
    let memory = try Memories.plain(1, 4)
    let first = TestView(memory)
    do {
      let second = TestView(memory)
      #expect(memory.grow(by: 1) == 1)
      #expect(first.byteCount == 2 * P && second.byteCount == 2 * P)
    }
    #expect(memory.grow(by: 1) == 2)
    #expect(first.byteCount == 3 * P)
  }

  @Test("typed reads and writes work at any alignment")
  func typed() throws {
    let memory = try Memories.plain(1)
    try memory.write(elements: [1.5, -2, 3] as [Float], address: 3)
    #expect(try memory.read(Float.self, address: 3, count: 3) == [1.5, -2, 3])
    try memory.write(elements: [] as [UInt64], address: P)
    #expect(try memory.read(UInt64.self, address: P, count: 0) == [])
    expect(.outOfBounds) { try memory.write(elements: [1] as [UInt64], address: P - 7) }
  }
}
