import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly

@Suite("Memory control")
struct MemoryControlTests {
  // MARK: discard

  @Test("a discarded page reads zero, its neighbours keep their bytes, and it can be written and discarded again")
  func discard() throws {
    let memory = try Memories.plain(3, 4)
    try memory.write(Array(repeating: 7, count: Int(3 * P)), address: 0)
    #expect(try memory.discard(address: P, byteCount: P) == .released)
    #expect(try memory.read(address: P - 1, byteCount: 2) == [7, 0])
    #expect(try memory.read(address: 2 * P - 1, byteCount: 2) == [0, 7])
    try memory.write([5], address: P)
    #expect(try memory.tryDiscard(address: P, byteCount: P) == .released)
    #expect(try memory.read(address: P, byteCount: 1) == [0])
    #expect(memory.grow(by: 1) == 3)
    try memory.write([1], address: 4 * P - 1)
    try memory.discard(address: 0, byteCount: 4 * P)
    #expect(try memory.read(address: 0, byteCount: 4 * P).allSatisfy { $0 == 0 })
  }

  @Test("discard checks alignment, then bounds; nothing changes when it is refused; no bytes is no work")
  func discardChecks() throws {
    for memory in [try Memories.plain(2, 4), try Memories.virtual(2, 4)] {
      if memory.type.attributes.isVirtual { _ = try memory.map(address: 0, byteCount: 2 * P, protection: .readWrite) }
      try memory.write([3], address: 0)
      expect(.unaligned) { try memory.discard(address: 1, byteCount: P) }
      expect(.unaligned) { try memory.discard(address: 0, byteCount: P + 1) }
      expect(.unaligned) { try memory.discard(address: 1, byteCount: 100 * P) }
      expect(.outOfBounds) { try memory.discard(address: 0, byteCount: 3 * P) }
      expect(.outOfBounds) { try memory.discard(address: 3 * P, byteCount: 0) }
      expect(.outOfBounds) { try memory.discard(address: UInt64.max - P + 1, byteCount: P) }
      expect(.outOfBounds) { try memory.discard(address: P, byteCount: UInt64.max - P + 1) }
      #expect(try memory.discard(address: 2 * P, byteCount: 0) == .released)
      #expect(try memory.tryDiscard(address: 0, byteCount: 0) == .released)
      #expect(try memory.read(address: 0, byteCount: 1) == [3])
    }
  }

  @Test("discarding 64 MiB gives its memory back")
  func discardReleases() throws {
    let memory = try Memories.plain(1024)
    try memory.write(Array(repeating: 1, count: 64 << 20), address: 0)
    let resident = try memory.residentByteCount()
    #expect(resident == 64 << 20)
    #expect(try memory.clearPages(start: 0, count: 1024) == .released)
    #expect(try memory.residentByteCount() < resident / 64)
  }

  @Test("the policy decides: zero in place, or refuse; it is asked with the byte count, and not for no bytes")
  func policy() throws {
    let asked = Counter()
    for decision in [MemoryLimits.DiscardDecision.zeroOnly, .refuse, .release] {
      var limits = MemoryLimits()
      limits.discardPolicy = {
        asked.add($0)
        return decision
      }
      let memory = try Memories.plain(2, 2, limits: limits)
      try memory.write([9], address: P)
      _ = try memory.tryDiscard(address: 0, byteCount: 0)
      #expect(asked.take() == [])
      let result = try memory.tryDiscard(address: 0, byteCount: 2 * P)
      #expect(asked.take() == [2 * P])
      #expect(result == [.zeroOnly: .zeroedOnly, .refuse: .refused, .release: .released][decision])
      #expect(try memory.read(address: P, byteCount: 1) == [decision == .refuse ? 9 : 0])
      #expect(try memory.discard(address: 0, byteCount: 2 * P) == (decision == .release ? .released : .zeroedOnly))
      #expect(try memory.read(address: P, byteCount: 1) == [0])
      _ = asked.take()
      try memory.clearPages(start: 0, count: 2)
      #expect(asked.take() == [])
    }
  }

  @Test("clearPages works in pages and refuses ranges past the end")
  func clearPages() throws {
    let memory = try Memories.plain(2)
    try memory.write([1], address: P)
    try memory.clearPages(start: 1, count: 0)
    #expect(try memory.read(address: P, byteCount: 1) == [1])
    try memory.clearPages(start: 1, count: 1)
    #expect(try memory.read(address: P, byteCount: 1) == [0])
    expect(.outOfBounds) { try memory.clearPages(start: 1, count: 2) }
    expect(.outOfBounds) { try memory.clearPages(start: .max, count: 1) }
    expect(.outOfBounds) { try memory.clearPages(start: 1, count: .max) }
  }

  // MARK: map, unmap, protect

  @Test("pages are unmapped until they are mapped, then zero, with the protection asked for")
  func map() throws {
    let memory = try Memories.virtual(4, 8)
    let view = TestView(memory)
    #expect(view.load(0) == .failure(.unmapped) && view.store(0, 1) == .unmapped)
    #expect(try memory.map(address: 0, byteCount: P, protection: .readWrite))
    #expect(try memory.map(address: P, byteCount: P, protection: .read))
    #expect(try memory.map(address: 2 * P, byteCount: P, protection: .none))
    #expect(view.load(0) == .success(0) && view.store(0, 1) == nil && view.load(0) == .success(1))
    #expect(view.load(P) == .success(0) && view.store(P, 1) == .protected)
    #expect(view.load(2 * P) == .failure(.protected) && view.store(2 * P, 1) == .protected)
    #expect(view.load(3 * P) == .failure(.unmapped))
    #expect(view.load(4 * P) == .failure(.outOfBounds))
    #expect(memory.pageState(at: 1) == .mapped(.anonymous, .read) && memory.pageState(at: 3) == .unmapped)
    #expect(memory.mappedByteCount == 3 * P)
  }

  @Test("map, unmap and protect check alignment, bounds, length, then page states, and change nothing when they refuse")
  func checks() throws {
    let memory = try Memories.virtual(4, 8)
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    try memory.write([5], address: P)
    let operations: [(UInt64, UInt64) throws -> Void] = [
      { _ = try memory.map(address: $0, byteCount: $1, protection: .read) },
      { try memory.unmap(address: $0, byteCount: $1) },
      { try memory.protect(address: $0, byteCount: $1, protection: .none) },
    ]
    for operation in operations {
      expect(.unaligned) { try operation(1, P) }
      expect(.unaligned) { try operation(0, 1) }
      expect(.unaligned) { try operation(1, 100 * P) }
      expect(.outOfBounds) { try operation(0, 5 * P) }
      expect(.outOfBounds) { try operation(4 * P, P) }
      expect(.outOfBounds) { try operation(5 * P, 0) }
      expect(.outOfBounds) { try operation(UInt64.max - P + 1, P) }
      expect(.zeroLength) { try operation(4 * P, 0) }
      expect(.zeroLength) { try operation(P, 0) }
    }
    expect(.alreadyMapped) { _ = try memory.map(address: 0, byteCount: 2 * P, protection: .read) }
    expect(.unmapped) { try memory.protect(address: P, byteCount: 2 * P, protection: .read) }
    #expect(memory.pageState(at: 0) == .unmapped && memory.pageState(at: 1) == .mapped(.anonymous, .readWrite))
    #expect(try memory.read(address: P, byteCount: 1) == [5])
    for plain in [try Memories.plain(4), try Memory(type: MemoryType(limits: Limits(minimum: 4), pageByteCountLog2: 0))] {
      expect(.notVirtual) { _ = try plain.map(address: 0, byteCount: P, protection: .read) }
      expect(.notVirtual) { try plain.unmap(address: 0, byteCount: P) }
      expect(.notVirtual) { try plain.protect(address: 0, byteCount: P, protection: .read) }
    }
  }

  @Test("unmapping loses the contents; mapping again gives zeroes; unmapping nothing is fine")
  func unmap() throws {
    let memory = try Memories.virtual(3, 3)
    let view = TestView(memory)
    #expect(try memory.map(address: 0, byteCount: 3 * P, protection: .readWrite))
    for page in 0..<3 as Range<UInt64> { #expect(view.store(page * P, 7) == nil) }
    try memory.unmap(address: P, byteCount: P)
    #expect(view.load(P) == .failure(.unmapped) && view.load(0) == .success(7) && view.load(2 * P) == .success(7))
    try memory.unmap(address: P, byteCount: P)
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    #expect(view.load(P) == .success(0))
    try memory.unmap(address: 0, byteCount: 3 * P)
    #expect(memory.mappedByteCount == 0 && memory.extentCount == 0)
    #expect(try memory.residentByteCount() == 0)
  }

  @Test("protect keeps the bytes, and an open window closes at once")
  func protect() throws {
    let memory = try Memories.virtual(2, 2)
    let view = TestView(memory)
    #expect(try memory.map(address: 0, byteCount: 2 * P, protection: .readWrite))
    #expect(view.store(P, 6) == nil && view.load(P) == .success(6))
    try memory.protect(address: P, byteCount: P, protection: .read)
    #expect(view.store(P, 1) == .protected && view.load(P) == .success(6) && view.store(0, 1) == nil)
    try memory.protect(address: P, byteCount: P, protection: .none)
    #expect(view.load(P) == .failure(.protected))
    try memory.protect(address: P, byteCount: P, protection: .readWrite)
    #expect(view.load(P) == .success(6) && view.store(P, 8) == nil)
    #expect(memory.extentCount == 1)
  }

  @Test("an access across two accessible pages succeeds, whatever their protections; across a refusing one it traps")
  func straddling() throws {
    let memory = try Memories.virtual(4, 4)
    let view = TestView(memory)
    #expect(try memory.map(address: 0, byteCount: P, protection: .readWrite))
    #expect(try memory.map(address: P, byteCount: P, protection: .read))
    #expect(view.access(P - 4, sizeLog2: 3, isWrite: false) == nil)
    #expect(view.access(P - 4, sizeLog2: 3, isWrite: true) == .protected)
    #expect(view.access(2 * P - 15, sizeLog2: 4, isWrite: false) == .unmapped)
    #expect(view.range(0, 2 * P, isWrite: false) == nil && view.range(0, 2 * P + 1, isWrite: false) == .unmapped)
    #expect(view.range(0, 4 * P + 1, isWrite: false) == .outOfBounds)
    // Protected below, unmapped above: the lowest page decides.
    #expect(view.range(P, 2 * P, isWrite: true) == .protected)
    #expect(view.range(3 * P, 0, isWrite: true) == nil)
  }

  @Test("discard zeroes pages that are writable or without access, skips unmapped ones, and refuses read-only ones")
  func discardVirtual() throws {
    let memory = try Memories.virtual(4, 4)
    #expect(try memory.map(address: 0, byteCount: 2 * P, protection: .readWrite))
    try memory.write([1], address: 0)
    try memory.write([2], address: P)
    try memory.protect(address: P, byteCount: P, protection: .none)
    #expect(try memory.tryDiscard(address: 0, byteCount: 4 * P) == .released)
    try memory.protect(address: P, byteCount: P, protection: .read)
    #expect(try memory.read(address: 0, byteCount: 1) == [0] && memory.read(address: P, byteCount: 1) == [0])
    try memory.write([3], address: 0)
    expect(.protected) { try memory.discard(address: 0, byteCount: 2 * P) }
    #expect(try memory.read(address: 0, byteCount: 1) == [3])
  }

  @Test("growing adds unmapped pages and touches no state")
  func grow() throws {
    let memory = try Memories.virtual(1, 3)
    let view = TestView(memory)
    #expect(try memory.map(address: 0, byteCount: P, protection: .read))
    expect(.outOfBounds) { _ = try memory.map(address: P, byteCount: P, protection: .read) }
    #expect(memory.grow(by: 1) == 1)
    #expect(view.load(P) == .failure(.unmapped) && view.load(0) == .success(0))
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    #expect(view.store(P, 1) == nil && memory.pageState(at: 0) == .mapped(.anonymous, .read))
  }

  // MARK: quotas

  @Test("a quota refuses with a value and changes nothing; a smaller map works afterwards")
  func quota() throws {
    var limits = MemoryLimits()
    limits.mappedByteCountMax = 2 * P
    let memory = try Memories.virtual(8, 8, limits: limits)
    #expect(try !memory.map(address: 0, byteCount: 3 * P, protection: .readWrite))
    #expect(memory.pageState(at: 0) == .unmapped && memory.mappedByteCount == 0)
    #expect(try memory.map(address: 0, byteCount: 2 * P, protection: .readWrite))
    #expect(try !memory.map(address: 4 * P, byteCount: P, protection: .readWrite))
    try memory.unmap(address: 0, byteCount: P)
    #expect(try memory.map(address: 4 * P, byteCount: P, protection: .readWrite))
  }

  @Test("the extent limit refuses a third run, and equal neighbours merge into one")
  func extents() throws {
    var limits = MemoryLimits()
    limits.extentCountMax = 2
    let memory = try Memories.virtual(8, 8, limits: limits)
    #expect(try memory.map(address: 0, byteCount: P, protection: .readWrite))
    #expect(try memory.map(address: 2 * P, byteCount: P, protection: .readWrite))
    #expect(try !memory.map(address: 4 * P, byteCount: P, protection: .readWrite))
    #expect(try !memory.map(address: P, byteCount: P, protection: .read))
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    #expect(memory.extentCount == 1)
    #expect(try memory.map(address: 4 * P, byteCount: P, protection: .read))
    // unmap and protect are never refused for the number of runs.
    try memory.protect(address: P, byteCount: P, protection: .read)
    #expect(memory.extentCount == 4)
    let view = TestView(memory)
    #expect(view.store(P, 1) == .protected && view.store(2 * P, 1) == nil)
    try memory.protect(address: P, byteCount: P, protection: .readWrite)
    #expect(view.store(P, 1) == nil && memory.extentCount == 2)
  }

  @Test("a memory cut into thousands of runs by unmap and protect keeps its bytes and does not use up the process's mappings")
  func manyExtents() throws {
    let pageCount: UInt64 = 60_000
    let memory = try Memories.virtual(pageCount, pageCount)
    #expect(try memory.map(address: 0, byteCount: pageCount * P, protection: .readWrite))
    try memory.write([4], address: (pageCount - 1) * P)
    let before = try ProcessMemory.mappingCount()
    for page in stride(from: 0, to: pageCount, by: 2) {
      if page % 4 == 0 {
        try memory.unmap(address: page * P, byteCount: P)
      } else {
        try memory.protect(address: page * P, byteCount: P, protection: .read)
      }
    }
    #expect(try ProcessMemory.mappingCount() - before < 20_000)
    #expect(memory.extentCount == 45_000)
    let view = TestView(memory)
    #expect(view.load(40_000 * P) == .failure(.unmapped) && view.store(40_002 * P, 1) == .protected)
    #expect(view.store(40_001 * P, 1) == nil && view.load((pageCount - 1) * P) == .success(4))
    // A page that was unmapped while protections were not mirrored any more is zero when it comes back.
    #expect(try !memory.map(address: 40_000 * P, byteCount: P, protection: .read))
    for page in stride(from: 2, to: pageCount, by: 4) {
      try memory.protect(address: page * P, byteCount: P, protection: .readWrite)
      #expect(view.store(page * P, 1) == nil)
    }
  }

  @Test("a virtual memory of a terabyte is made and used with next to no memory")
  func terabyte() throws {
    let memory = try Memories.virtual(0, 1 << 24)
    #expect(memory.grow(by: 1 << 24) == 0)
    let last = (UInt64(1) << 40) - P
    #expect(try memory.map(address: last, byteCount: P, protection: .readWrite))
    try memory.write([1], address: last + P - 1)
    #expect(try memory.residentByteCount() <= 2 * P)
    #expect(throws: MemoryAllocationError.self) { try Memories.virtual(0, (1 << 24) + 1) }
  }

  @Test("the mappable part is like a virtual memory, the rest like a plain one")
  func mappable() throws {
    let memory = try Memories.mappable(4, 8, 2)
    let view = TestView(memory)
    #expect(view.load(0) == .failure(.unmapped) && view.store(2 * P, 1) == nil)
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    #expect(view.access(2 * P - 8, sizeLog2: 4, isWrite: true) == nil)
    for range in [(2 * P, P), (P, 2 * P), (3 * P, UInt64(0))] {
      expect(.outOfBounds) { _ = try memory.map(address: range.0, byteCount: range.1, protection: .read) }
      expect(.outOfBounds) { try memory.unmap(address: range.0, byteCount: range.1) }
      expect(.outOfBounds) { try memory.protect(address: range.0, byteCount: range.1, protection: .read) }
    }
    #expect(memory.grow(by: 4) == 4)
    #expect(view.store(8 * P - 1, 1) == nil && view.load(0) == .failure(.unmapped))
    try memory.discard(address: 0, byteCount: 8 * P)
    #expect(view.load(2 * P) == .success(0))
    // Smaller than its mappable part: the pages beyond the size are out of bounds until it grows, and unmapped then.
    let small = try Memories.mappable(1, 4, 2)
    expect(.outOfBounds) { _ = try small.map(address: P, byteCount: P, protection: .read) }
    #expect(small.grow(by: 2) == 1)
    #expect(small.pageState(at: 1) == .unmapped && small.pageState(at: 2) == .mapped(.anonymous, .readWrite))
  }

  // MARK: static sections and segments

  @Test("static sections are filled by the module that defines them, then locked; sizes count them")
  func staticSections() throws {
    let type = MemoryType(
      limits: Limits(minimum: 1, maximum: 3), attributes: MemoryAttributes(noAccessPageCount: 1, readOnlyPageCount: 1))
    let memory = try Memory(type: type, limits: .init(), deferringStaticSections: true)
    #expect(memory.pageCount == 3)
    try memory.initialize([1, 2], at: P)
    memory.lockStaticSections()
    let view = TestView(memory)
    #expect(view.load(0) == .failure(.protected) && view.load(P) == .success(1) && view.store(P, 1) == .protected)
    #expect(view.store(2 * P, 1) == nil && view.access(P - 1, sizeLog2: 1, isWrite: false) == .protected)
    expect(.protected) { try memory.initialize([9], at: P) }
    expect(.protected) { try memory.discard(address: 0, byteCount: P) }
    expect(.protected) { try memory.clearPages(start: 1, count: 1) }
    expect(.notVirtual) { try memory.protect(address: P, byteCount: P, protection: .readWrite) }
    #expect(memory.grow(by: 2) == 3 && memory.grow(by: 1) == nil)
    #expect(view.store(5 * P - 1, 1) == nil && view.load(0) == .failure(.protected))
    let bytes = try Memory(
      type: MemoryType(
        limits: Limits(minimum: 4), pageByteCountLog2: 0, attributes: MemoryAttributes(noAccessPageCount: 16)))
    let byteView = TestView(bytes)
    #expect(byteView.load(15) == .failure(.protected) && byteView.load(16) == .success(0) && bytes.pageCount == 20)
  }

  @Test("an active segment maps the pages it needs, and a refused one maps and writes nothing")
  func segments() throws {
    var limits = MemoryLimits()
    limits.mappedByteCountMax = 3 * P
    let memory = try Memories.virtual(8, 8, limits: limits)
    try memory.initialize([1, 2, 3], at: P - 1)
    #expect(memory.pageState(at: 0) == .mapped(.anonymous, .readWrite) && memory.pageState(at: 1) != .unmapped)
    try memory.initialize([4], at: P + 9)
    #expect(try memory.read(address: P - 1, byteCount: 3) == [1, 2, 3])
    try memory.protect(address: 0, byteCount: P, protection: .read)
    expect(.protected) { try memory.initialize([1], at: 0) }
    try memory.unmap(address: P, byteCount: P)
    expect(.protected) { try memory.initialize([1, 1], at: P - 1) }
    #expect(memory.pageState(at: 1) == .unmapped)
    try memory.initialize([], at: 8 * P)
    expect(.outOfBounds) { try memory.initialize([], at: 8 * P + 1) }
    expect(.outOfBounds) { try memory.initialize([1, 2], at: 8 * P - 1) }
    #expect(memory.mappedByteCount == P)
    expect(.allocationFailure) { try memory.initialize(Array(repeating: 1, count: Int(3 * P)), at: 4 * P) }
    // A hole between mapped pages: both of its runs are mapped, or none.
    #expect(try memory.map(address: 5 * P, byteCount: P, protection: .readWrite))
    expect(.allocationFailure) { try memory.initialize(Array(repeating: 1, count: Int(3 * P)), at: 4 * P) }
    #expect(memory.pageState(at: 4) == .unmapped && memory.mappedByteCount == 2 * P)
  }

  // MARK: import

  @Test("import matching compares kind, page size, attributes, the size now and the maximum")
  func matching() throws {
    func type(_ minimum: UInt64, _ maximum: UInt64?, _ attributes: MemoryAttributes = .init()) -> MemoryType {
      MemoryType(limits: Limits(minimum: minimum, maximum: maximum), attributes: attributes)
    }
    let memory = try Memory(type: type(2, 4))
    #expect(memory.matches(type(2, 4)) && memory.matches(type(0, 5)) && memory.matches(type(1, nil)))
    #expect(!memory.matches(type(3, 4)) && !memory.matches(type(2, 3)))
    #expect(memory.grow(by: 1) == 2)
    #expect(memory.matches(type(3, 4)))
    #expect(!memory.matches(MemoryType(addressType: .i64, limits: Limits(minimum: 0))))
    #expect(!memory.matches(MemoryType(limits: Limits(minimum: 0), pageByteCountLog2: 0)))
    #expect(!memory.matches(MemoryType(limits: Limits(minimum: 0, maximum: 4), isShared: true)))
    #expect(try !Memory(type: type(1, nil)).matches(type(1, 4)))
    for attributes in [
      MemoryAttributes(isVirtual: true), MemoryAttributes(mappablePageCount: 1), MemoryAttributes(noAccessPageCount: 1),
      MemoryAttributes(readOnlyPageCount: 1),
    ] {
      #expect(!memory.matches(type(0, nil, attributes)))
      let other = try Memory(type: type(2, 4, attributes))
      #expect(other.matches(type(2, 4, attributes)) && !other.matches(type(0, nil)) && !other.matches(type(9, 9, attributes)))
    }
  }
}

/// Collects numbers from any thread.
final class Counter: @unchecked Sendable {
  private var values: [UInt64] = []
  func add(_ value: UInt64) { values.append(value) }
  func take() -> [UInt64] {
    defer { values = [] }
    return values
  }
}

extension Memory {
  func initialize(_ bytes: [UInt8], at address: UInt64) throws(MemoryAccessError) {
    var failure: MemoryAccessError?
    unsafe bytes.withUnsafeBytes { buffer in
      do throws(MemoryAccessError) { try unsafe initialize(buffer, address: address) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
