import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

@Suite("The guest kit's allocator")
struct GuestAllocatorTests {
  static let addressTypes: [AddressType] = [.i32, .i64]

  // MARK: Contents

  /// Allocations as the test knows them: every byte of each is its number.
  struct Model {
    var guest: GuestAllocator
    var live: [(address: UInt64, byteCount: UInt64, fill: UInt8)] = []

    mutating func add(_ address: UInt64, _ byteCount: UInt64, _ fill: UInt8) throws {
      // Checked with what the allocator says may be used, so that allocations cannot share a byte.
      let usable = try guest.call("malloc_usable_size", address)
      #expect(usable >= byteCount && address + usable <= guest.memory.byteCount)
      try guest.memory.write([UInt8](repeating: fill, count: Int(usable)), address: address)
      live.append((address, usable, fill))
    }

    func check(_ index: Int, first byteCount: UInt64? = nil, at address: UInt64? = nil) throws {
      let item = live[index]
      let bytes = try guest.memory.read(address: address ?? item.address, byteCount: byteCount ?? item.byteCount)
      #expect(bytes.allSatisfy { $0 == item.fill }, "an allocation of \(item.byteCount) bytes was overwritten")
    }
  }

  static func size(_ random: inout SeededGenerator) -> UInt64 {
    switch UInt64.random(in: 0..<100, using: &random) {
    case 0..<55: UInt64.random(in: 0...130, using: &random)
    case 55..<80: UInt64.random(in: 0...1100, using: &random)
    case 80..<92: UInt64.random(in: 0...5000, using: &random)
    case 92..<98: UInt64.random(in: 0...70_000, using: &random)
    default: UInt64.random(in: 0...400_000, using: &random)
    }
  }

  @Test("a long random trace keeps every byte, aligned and apart", arguments: addressTypes)
  func randomTrace(addressType: AddressType) throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    let guest = try GuestAllocator(addressType)
    var model = Model(guest: guest)
    for step in 0..<12_000 {
      // Grows and shrinks in waves.
      let wanted = step / 1500 % 2 == 0 ? 700 : 60
      if model.live.count < wanted ? Int.random(in: 0..<3, using: &random) > 0 : Int.random(in: 0..<3, using: &random) == 0 {
        let byteCount = Self.size(&random), fill = UInt8.random(in: 1...255, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
          let address = try guest.call("calloc", 3, (byteCount + 2) / 3)
          let bytes = try guest.memory.read(address: address, byteCount: (byteCount + 2) / 3 * 3)
          #expect(address % 16 == 0 && bytes.allSatisfy { $0 == 0 }, "seed \(seed)")
          try model.add(address, byteCount, fill)
        case 1:
          let alignment = UInt64(1) << UInt64.random(in: 0...17, using: &random)
          let address = try guest.call("aligned_alloc", alignment, byteCount)
          #expect(address != 0 && address % max(alignment, 16) == 0, "seed \(seed), alignment \(alignment)")
          try model.add(address, byteCount, fill)
        default:
          let address = try guest.allocate(byteCount)
          #expect(address != 0 && address % 16 == 0, "seed \(seed)")
          try model.add(address, byteCount, fill)
        }
      } else if let index = model.live.indices.randomElement(using: &random) {
        try model.check(index)
        let item = model.live[index]
        if Int.random(in: 0..<4, using: &random) == 0 {
          let byteCount = Self.size(&random)
          let address = try guest.call("realloc", item.address, byteCount)
          #expect(address != 0 && address % 16 == 0, "seed \(seed)")
          try model.check(index, first: min(byteCount, item.byteCount), at: address)
          model.live.swapAt(index, model.live.count - 1)
          model.live.removeLast()
          try model.add(address, byteCount, item.fill)
        } else {
          model.live.swapAt(index, model.live.count - 1)
          try guest.free(item.address)
          model.live.removeLast()
        }
      }
      if step % 4000 == 3999 {
        #expect(try guest.statistic(.used) == model.live.reduce(0) { $0 + $1.byteCount }, "seed \(seed)")
      }
      // Somebody else may grow the memory.
      if step % 3000 == 1000 { _ = guest.memory.grow(by: 1) }
    }
    for index in model.live.indices { try model.check(index) }
    for item in model.live { try guest.free(item.address) }
    #expect(try guest.statistic(.used) == 0, "seed \(seed)")
    #expect(guest.logLines.isEmpty)
  }

  @Test("sizes and alignments at their limits", arguments: addressTypes)
  func limits(addressType: AddressType) throws {
    let guest = try GuestAllocator(addressType)
    let most: UInt64 = addressType == .i32 ? 0xFFFF_FFFF : .max
    for byteCount in [most, most - 15, most - 1023, most / 2, most / 2 + 1] { #expect(try guest.allocate(byteCount) == 0) }
    #expect(try guest.call("calloc", most / 2, 3) == 0)
    #expect(try guest.call("calloc", most, most) == 0)
    let some = try guest.allocate(100)
    #expect(try guest.call("realloc", some, most) == 0)
    #expect(try guest.call("malloc_usable_size", some) >= 100)
    #expect(try guest.call("aligned_alloc", 3, 16) == 0)
    #expect(try guest.call("aligned_alloc", 0, 16) == 0)
    #expect(try guest.call("aligned_alloc", most / 2 + 1, 16) == 0)
    #expect(try guest.call("posix_memalign", some, 24, 16) == 22)
    #expect(try guest.call("posix_memalign", some, 64, most) == 12)
    #expect(try guest.call("posix_memalign", some, 4096, 10) == 0)
    let pointer = try guest.memory.read(address: some, byteCount: 8)
    let address = UInt64(pointer[0]) | UInt64(pointer[1]) << 8 | UInt64(pointer[2]) << 16 | UInt64(pointer[3]) << 24
    #expect(address != 0 && address % 4096 == 0)
    try guest.free(address)
    try guest.free(0)
    let (a, b) = (try guest.allocate(0), try guest.allocate(0))
    #expect(a != 0 && b != 0 && a != b)
    #expect(try guest.call("realloc", 0, 10) != 0)
    #expect(guest.logLines.isEmpty)
  }

  // MARK: Exhaustion

  @Test("where the memory cannot grow the answer is null, and the heap goes on", arguments: addressTypes)
  func exhaustion(addressType: AddressType) throws {
    let guest = try GuestAllocator(addressType, memoryByteCountMax: 3 << 20)
    for byteCount: UInt64 in [24, 1000, 3000, 40_000, 300_000] {
      var addresses: [UInt64] = []
      while true {
        let address = try guest.allocate(byteCount)
        if address == 0 { break }
        addresses.append(address)
      }
      #expect(guest.memory.byteCount <= 3 << 20)
      // Stack and tables apart, nearly everything can be had.
      let usable = try guest.call("malloc_usable_size", addresses[0])
      #expect(UInt64(addresses.count) * usable > 2_700_000, "\(addresses.count) of \(byteCount) bytes")
      #expect(Set(addresses).count == addresses.count)
      #expect(try guest.allocate(byteCount) == 0)
      if byteCount > 64 {
        #expect(try guest.call("realloc", addresses[0], byteCount * 100) == 0)
        #expect(try guest.call("realloc", addresses[0], 30) != 0)
      }
      for address in addresses.dropFirst() { try guest.free(address) }
    }
    #expect(try guest.allocate(2_000_000) != 0)
    #expect(guest.logLines.isEmpty)
  }

  // MARK: Pages

  @Test("the pages of freed memory go back to the system, many with one instruction", arguments: addressTypes)
  func release(addressType: AddressType) throws {
    let guest = try GuestAllocator(addressType)
    _ = try guest.allocate(1)
    let before = try guest.memory.residentByteCount()
    for byteCount: UInt64 in [40, 2000, 100_000] {
      let count = (48 << 20) / byteCount
      #expect(try guest.call("churn", count, byteCount, 1) == 0)
      // What is left is below the threshold: a sixteenth of the heap.
      let left = try guest.memory.residentByteCount()
      #expect(guest.memory.byteCount > 48 << 20)
      #expect(left < before + 8 << 20, "\(left) bytes after allocations of \(byteCount)")
      let discards = try guest.statistic(.discards), bytes = try guest.statistic(.discarded)
      #expect(discards > 0 && bytes / discards >= 8 * 65536, "\(bytes) bytes with \(discards) instructions")
    }
    #expect(try guest.call("malloc_trim", 0) == 1)
    #expect(try guest.statistic(.dirtyPages) == 0)
    #expect(try guest.memory.residentByteCount() < before + 2 << 20)
    #expect(try guest.call("malloc_trim", 0) == 0)
    // And can be used again.
    #expect(try guest.call("churn", 1000, 1000, 2) == 0)
  }

  @Test("a program that allocates and frees in turns does not discard each time")
  func hysteresis() throws {
    let guest = try GuestAllocator()
    #expect(try guest.call("churn", 10, 60_000, 100) == 0)
    #expect(try guest.statistic(.discards) == 0)
    let large = try guest.allocate(32 << 20)
    #expect(try guest.call("churn", 30, 60_000, 100) == 0)
    #expect(try guest.statistic(.discards) == 0)
    try guest.free(large)
    // It was never written, but the allocator cannot know.
    #expect(try guest.statistic(.discards) == 1)
    #expect(try guest.statistic(.discarded) > 28 << 20)
  }

  @Test("calloc does not touch pages that are known to be zero")
  func calloc() throws {
    let guest = try GuestAllocator()
    #expect(try guest.call("churn", 100, 100_000, 1) == 0)
    _ = try guest.call("malloc_trim", 0)
    let resident = try guest.memory.residentByteCount()
    // Discarded pages are known to be zero: they are not touched.
    let address = try guest.call("calloc", 1, 6 << 20)
    #expect(try guest.memory.residentByteCount() < resident + 1 << 20)
    #expect(try guest.memory.read(address: address, byteCount: 6 << 20).allSatisfy { $0 == 0 })
  }

  // MARK: Misuse

  @Test("freeing twice is a trap with a line in the log, whatever happened between", arguments: addressTypes)
  func doubleFree(addressType: AddressType) throws {
    for byteCount: UInt64 in [1, 16, 48, 250, 500, 1000, 3000, 4096, 5000, 70_000, 300_000] {
      for spacer in [true, false] {
        let guest = try GuestAllocator(addressType)
        let addresses = try (0..<9).map { _ in try guest.allocate(byteCount) }
        if !spacer { for address in addresses.dropFirst() { try guest.free(address) } }
        try guest.free(addresses[0])
        guest.expectRefusal("double free") { try guest.free(addresses[0]) }
        guest.expectRefusal("double free") { _ = try guest.call("realloc", addresses[0], 10) }
        guest.expectRefusal("double free") { _ = try guest.call("malloc_usable_size", addresses[0]) }
        if spacer { guest.expectRefusal("double free") { try guest.free(addresses[0]) } }
        // The heap is as it was.
        #expect(try guest.statistic(.used) == (spacer ? 8 * guest.call("malloc_usable_size", addresses[1]) : 0))
        #expect(try guest.allocate(byteCount) != 0)
      }
    }
  }

  @Test("freeing what is no allocation is a trap with a line in the log", arguments: addressTypes)
  func invalidFree(addressType: AddressType) throws {
    let guest = try GuestAllocator(addressType)
    for byteCount: UInt64 in [48, 1000, 4000, 200_000] {
      let address = try guest.allocate(byteCount)
      for offset: UInt64 in [1, 8, 16, byteCount / 2] where offset < byteCount {
        guest.expectRefusal("invalid free") { try guest.free(address + offset) }
      }
      try guest.free(address)
    }
    for address in [8, 65536, guest.memory.byteCount - 16, guest.memory.byteCount, 0xFFFF_FFF0] as [UInt64] {
      guest.expectRefusal(" free: ") { try guest.free(address) }
    }
  }
}
