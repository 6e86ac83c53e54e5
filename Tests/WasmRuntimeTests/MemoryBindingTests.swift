import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

@Suite("Files bound into memories")
struct MemoryBindingTests {
  let folder: TemporaryFolder
  let H = UInt64(hostPageByteCount)

  init() throws { folder = try TemporaryFolder() }

  /// Bytes that differ from page to page, none of them zero.
  private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31 &+ $0 >> 8) | 1) } }

  private func file(_ bytes: [UInt8], _ name: String = "f") throws -> RegularFile {
    try RegularFile(path: try folder.write(bytes, to: name))
  }

  @Test("a whole file is bound without copying a byte, at every length", arguments: [1, 4095, 4096, 4097, 65536, 65537, 300_001])
  func wholeFile(_ count: Int) throws {
    let bytes = pattern(count)
    let memory = try Memories.virtual(8, 8)
    let binding = try memory.bind(try file(bytes), at: P)
    #expect(binding.guestAddress == P && binding.guestByteCount == UInt64(count) && memory.copiedByteCount == 0)
    #expect(binding.pageRange == 1..<(1 + (UInt64(count) + P - 1) / P))
    #expect(try memory.read(address: P, byteCount: UInt64(count)) == bytes)
    let end = binding.pageRange.upperBound * P
    #expect(try memory.read(address: P + UInt64(count), byteCount: end - P - UInt64(count)).allSatisfy { $0 == 0 })
    expect(.unmapped) { _ = try memory.read(address: 0, byteCount: P + 1) }
    expect(.unmapped) { _ = try memory.read(address: P, byteCount: end - P + 1) }
    #expect(memory.boundByteCount == end - P && memory.mappedByteCount == end - P)
  }

  @Test("advice about a binding is taken for its host pages, changes nothing that is read, and names pages that it cannot be about")
  func advice() throws {
    let bytes = pattern(300_001)
    let memory = try Memories.virtual(8, 8)
    let binding = try memory.bind(try file(bytes), at: P)
    for advice in MemoryAdvice.allCases where advice != .populateWrite {
      try memory.advise(advice, address: binding.guestAddress, byteCount: binding.guestByteCount)
      try memory.advise(advice, address: P + 5000, byteCount: 1)
    }
    if try memory.advise(.populateRead, address: P, byteCount: 300_001) {
      #expect(try memory.residentByteCount() == (300_001 + H - 1) / H * H)
    }
    #expect(try memory.read(address: P, byteCount: 300_001) == bytes)
    #expect(try memory.advise(.willNeed, address: P, byteCount: 0))
    expect(.unmapped) { try memory.advise(.willNeed, address: 0, byteCount: P + 1) }
    expect(.outOfBounds) { try memory.advise(.willNeed, address: P, byteCount: 8 * P) }
    expect(.protected) { try memory.advise(.populateWrite, address: P, byteCount: P) }
    try memory.protect(address: P, byteCount: P, protection: .none)
    expect(.protected) { try memory.advise(.willNeed, address: P, byteCount: P) }
    // Nothing stays pinned.
    try binding.unbind()
  }

  @Test("a slice shows its own bytes and zeroes around them, and copies at most its partial host pages")
  func slices() throws {
    let page = Int(H)
    let bytes = pattern(20 * page)
    let file = try file(bytes)
    var cases = [(0, 1), (0, page), (1, 1), (page - 1, 1), (page - 1, 2), (page, page), (3 * page + 5, 7 * page), (0, 20 * page)]
    cases += [(20 * page - 1, 1), (19 * page + 1, page - 1), (2 * page + 1, page - 1), (2 * page + 1, page), (5, 20 * page - 5)]
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<60 {
      let offset = Int.random(in: 0..<bytes.count, using: &generator)
      cases.append((offset, Int.random(in: 1...(bytes.count - offset), using: &generator)))
    }
    for (offset, count) in cases {
      for mode in [BindingMode.readOnly, .copyOnWrite] {
        let memory = try Memories.virtual(4, 4)
        let region = FileRegion(file: file, offset: UInt64(offset), byteCount: UInt64(count))
        let binding = try memory.bind(region, at: P, mode: mode)
        let start = P + UInt64(offset % page)
        #expect(binding.guestAddress == start, "offset \(offset), \(count) bytes")
        let pages = binding.pageRange
        #expect(pages.lowerBound == 1 && pages.upperBound == (start + UInt64(count) + P - 1) / P)
        let all = try memory.read(address: P, byteCount: (pages.upperBound - 1) * P)
        var expected = [UInt8](repeating: 0, count: all.count)
        expected.replaceSubrange((offset % page)..<(offset % page + count), with: bytes[offset..<(offset + count)])
        #expect(all == expected, "offset \(offset), \(count) bytes, seed 11")
        #expect(memory.copiedByteCount < 2 * H)
        if offset % page == 0, (offset + count) % page == 0 || offset + count == bytes.count {
          #expect(memory.copiedByteCount == 0)
        }
      }
    }
  }

  @Test("the checks of bind come in their order, and change nothing")
  func refused() throws {
    let file = try file(pattern(100_000))
    let whole = FileRegion(file)
    #expect(throws: MemoryBindError.notVirtual) { try Memories.plain(4).bind(whole, at: 1) }
    let memory = try Memories.virtual(4, 8)
    #expect(throws: MemoryBindError.unaligned(address: 1, pageByteCount: P)) {
      try memory.bind(FileRegion(file: file, offset: 0, byteCount: 0), at: 1)
    }
    #expect(throws: MemoryBindError.emptyRegion) {
      try memory.bind(FileRegion(file: file, offset: 0, byteCount: 0), at: 100 * P)
    }
    #expect(throws: MemoryBindError.outOfBounds(address: 3 * P, byteCount: 100_000, memoryByteCount: 4 * P)) {
      try memory.bind(whole, at: 3 * P)
    }
    for region in [
      FileRegion(file: file, offset: .max, byteCount: .max), FileRegion(file: file, offset: 0, byteCount: .max),
      FileRegion(file: file, offset: .max, byteCount: 1 << 63),
    ] {
      let error = #expect(throws: MemoryBindError.self) { try memory.bind(region, at: 0) }
      guard case .outOfBounds = error else { Issue.record("\(String(describing: error))"); return }
    }
    #expect(try memory.map(address: P, byteCount: P, protection: .none))
    #expect(throws: MemoryBindError.alreadyMapped(address: 0, byteCount: 100_000)) { try memory.bind(whole, at: 0) }
    for (offset, count) in [(UInt64(1), UInt64(100_000)), (100_000, 1), (UInt64.max - 1, 1)] {
      #expect(throws: MemoryBindError.pastEndOfFile(offset: offset, byteCount: count, fileByteCount: 100_000)) {
        try memory.bind(FileRegion(file: file, offset: offset, byteCount: count), at: 2 * P)
      }
    }
    let pipe = Pipe()
    #expect(throws: VirtualMemoryError.self) {
      try FileRegion(descriptor: pipe.fileHandleForReading.fileDescriptor, offset: 0, byteCount: 1)
    }
    #expect(memory.mappedByteCount == P && memory.boundByteCount == 0)

    var limits = MemoryLimits()
    limits.mappedByteCountMax = P
    #expect(throws: MemoryBindError.limitReached) { try Memories.virtual(4, 4, limits: limits).bind(whole, at: 0) }
    limits = MemoryLimits()
    limits.extentCountMax = 1
    let narrow = try Memories.virtual(8, 8, limits: limits)
    try narrow.bind(whole, at: 0)
    #expect(throws: MemoryBindError.limitReached) { try narrow.bind(whole, at: 2 * P) }
    #expect(throws: MemoryBindError.self) { try Memories.mappable(4, 8, 2).bind(whole, at: P) }
    try Memories.mappable(4, 8, 2).bind(whole, at: 0)
  }

  @Test("a guest may read a binding, take its access away and back, but neither write, discard nor map over it")
  func protections() throws {
    let memory = try Memories.virtual(4, 4)
    let view = TestView(memory)
    let bytes = pattern(Int(2 * P))
    try memory.bind(try file(bytes), at: 0)
    #expect(view.load(5) == .success(bytes[5]) && view.store(5, 1) == .protected)
    expect(.hostMappingReadOnly) { try memory.protect(address: 0, byteCount: P, protection: .readWrite) }
    try memory.protect(address: 0, byteCount: P, protection: .none)
    #expect(view.load(5) == .failure(.protected) && view.load(P) == .success(bytes[Int(P)]))
    expect(.hostMapped) { try memory.discard(address: P, byteCount: P) }
    expect(.hostMapped) { try memory.clearPages(start: 1, count: 1) }
    expect(.alreadyMapped) { _ = try memory.map(address: P, byteCount: P, protection: .read) }
    try memory.protect(address: 0, byteCount: P, protection: .read)
    #expect(try memory.read(address: 0, byteCount: 2 * P) == bytes)
    // A page of its own next to it, and a range with several kinds of refusing pages: the lowest decides.
    #expect(try memory.map(address: 2 * P, byteCount: P, protection: .read))
    expect(.hostMapped) { try memory.discard(address: P, byteCount: 2 * P) }
    #expect(view.access(2 * P - 8, sizeLog2: 4, isWrite: false) == nil)
  }

  @Test("unbinding unmaps what still belongs to the binding; a second time is an error")
  func unbind() throws {
    let memory = try Memories.virtual(8, 8)
    let view = TestView(memory)
    let bytes = pattern(Int(4 * P))
    let binding = try memory.bind(try file(bytes), at: P)
    #expect(view.load(2 * P) == .success(bytes[Int(P)]))
    try memory.unmap(address: 2 * P, byteCount: P)
    #expect(view.load(2 * P) == .failure(.unmapped) && view.load(3 * P) == .success(bytes[Int(2 * P)]))
    #expect(try memory.map(address: 2 * P, byteCount: P, protection: .readWrite))
    #expect(view.load(2 * P) == .success(0) && view.store(2 * P, 9) == nil)
    try binding.unbind()
    #expect(view.load(P) == .failure(.unmapped) && view.load(4 * P) == .failure(.unmapped) && view.load(2 * P) == .success(9))
    #expect(throws: MemoryBindError.notBound) { try binding.unbind() }
    #expect(throws: MemoryBindError.notBound) { try binding.evict() }
    #expect(try memory.map(address: 3 * P, byteCount: P, protection: .read))
    #expect(view.load(3 * P) == .success(0))
  }

  @Test("a binding does not outlive its memory")
  func memoryGone() throws {
    var memory: Memory? = try Memories.virtual(2, 2)
    let binding = try memory?.bind(try file(pattern(10)), at: 0)
    memory = nil
    #expect(throws: MemoryBindError.notBound) { try binding?.unbind() }
    #expect(binding?.isLost == false)
  }

  @Test("the file may be closed and unlinked; growing keeps bindings and addresses")
  func closedAndGrown() throws {
    let memory = try Memories.virtual(2, 8)
    let bytes = pattern(100_000)
    let path = try folder.write(bytes, to: "gone")
    let handle = try FileHandle(forReadingFrom: URL(filePath: path))
    try memory.bind(try FileRegion(descriptor: handle.fileDescriptor, offset: 0, byteCount: 100_000), at: 0)
    try handle.close()
    try FileManager.default.removeItem(atPath: path)
    let before = unsafe try memory.readablePointer(address: 0, byteCount: 1)
    #expect(memory.grow(by: 6) == 2)
    #expect(unsafe try memory.readablePointer(address: 0, byteCount: 1) == before)
    #expect(try memory.read(address: 0, byteCount: 100_000) == bytes)
  }

  @Test("only touched pages are resident; eviction drops them and keeps the contents")
  func residency() throws {
    let count = 16 << 20
    let bytes = [UInt8](repeating: 0x5A, count: count)
    let memory = try Memories.virtual(256, 256)
    let binding = try memory.bind(try file(bytes), at: 0)
    #expect(try memory.residentByteCount() == 0)
    #expect(try memory.read(address: 0, byteCount: 1) == [bytes[0]])
    #expect(try memory.residentByteCount() < UInt64(count) / 2)
    #expect(try memory.read(address: 0, byteCount: UInt64(count)) == bytes)
    #expect(try memory.residentByteCount() == UInt64(count))
    try binding.evict()
    #expect(try memory.residentByteCount() == 0)
    #expect(try memory.read(address: 0, byteCount: UInt64(count)) == bytes)
  }

  @Test("two memories bound to one file share its pages")
  func shared() throws {
    let count = 32 << 20
    let file = try file([UInt8](repeating: 3, count: count))
    let memories = [try Memories.virtual(512, 512), try Memories.virtual(512, 512)]
    for memory in memories {
      try memory.bind(file, at: 0)
      #expect(try memory.read(address: 0, byteCount: UInt64(count)).allSatisfy { $0 == 3 })
    }
    // Both hold all of it, and nothing of it is anonymous: shared pages cannot be told from private ones by their addresses,
    // but the pages of a private mapping that were not written are those of the page cache.
    #expect(try memories.map { try $0.residentByteCount() } == [UInt64(count), UInt64(count)])
    let anonymous = try memories.map { memory in
      let address = unsafe UInt(bitPattern: try memory.readablePointer(address: 0, byteCount: 1))
      return try Smaps.anonymousByteCount(in: address..<(address + UInt(count)))
    }
    #expect(anonymous == [0, 0])
  }

  @Test("what a copy-on-write guest writes stays in its memory, and revert forgets it", arguments: [0, 100])
  func copyOnWrite(_ offset: Int) throws {
    let bytes = pattern(100_000)
    let file = try file(bytes)
    let region = FileRegion(file: file, offset: UInt64(offset), byteCount: UInt64(90_000 - offset))
    let (first, second) = (try Memories.virtual(2, 2), try Memories.virtual(2, 2))
    let binding = try first.bind(region, at: 0, mode: .copyOnWrite)
    try second.bind(region, at: 0, mode: .copyOnWrite)
    let start = binding.guestAddress
    let expected = Array(bytes[offset..<90_000])
    for address in [start, start + 50_000, start + binding.guestByteCount - 1] { try first.write([0xEE], address: address) }
    try first.write([0xEE], address: 2 * P - 1)
    if offset > 0 { try first.write([0xEE], address: 0) }
    #expect(try first.read(address: start + 50_000, byteCount: 1) == [0xEE])
    #expect(try second.read(address: start, byteCount: binding.guestByteCount) == expected)
    #expect(try file.read(at: UInt64(offset), byteCount: expected.count) == expected)
    try first.protect(address: 0, byteCount: P, protection: .none)
    try binding.evict()
    try binding.revert()
    #expect(first.pageState(at: 0) == .mapped(.host(binding: 1, mode: .copyOnWrite), .none))
    try first.protect(address: 0, byteCount: P, protection: .readWrite)
    #expect(try first.read(address: start, byteCount: binding.guestByteCount) == expected)
    #expect(try first.read(address: 0, byteCount: start).allSatisfy { $0 == 0 })
    let tail = start + binding.guestByteCount
    #expect(try first.read(address: tail, byteCount: 2 * P - tail).allSatisfy { $0 == 0 })
    let readOnly = try Memories.virtual(2, 2).bind(region, at: 0)
    #expect(throws: MemoryBindError.self) { try readOnly.revert() }
  }

  @Test("pages that the host uses in place cannot be taken away, by host or guest")
  func pinned() throws {
    let memory = try Memories.virtual(4, 4)
    let binding = try memory.bind(try file(pattern(100)), at: 0)
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    try unsafe memory.withUnsafeReadableBytes(address: 10, byteCount: 20) { _ in
      #expect(throws: MemoryBindError.pinned) { try binding.unbind() }
      expect(.pinned) { try memory.unmap(address: 0, byteCount: 2 * P) }
      expect(.pinned) { try memory.protect(address: 0, byteCount: P, protection: .none) }
      #expect(throws: Never.self) { try memory.discard(address: P, byteCount: P) }
    }
    try unsafe memory.withUnsafeWritableBytes(address: P, byteCount: 1) { _ in
      expect(.pinned) { try memory.discard(address: P, byteCount: P) }
    }
    try memory.discard(address: P, byteCount: P)
    try binding.unbind()
  }

  @Test("pages pinned for good stay: nobody can unmap, protect, discard or unbind them")
  func pinnedForever() throws {
    let memory = try Memories.virtual(4, 4)
    let binding = try memory.bind(try file(pattern(100)), at: 0)
    #expect(try memory.map(address: P, byteCount: P, protection: .readWrite))
    expect(.unmapped) { try memory.pinForever(address: 0, byteCount: 3 * P) }
    try memory.pinForever(address: 0, byteCount: 2 * P)
    expect(.pinned) { try memory.unmap(address: 0, byteCount: P) }
    expect(.pinned) { try memory.protect(address: P, byteCount: P, protection: .read) }
    expect(.pinned) { try memory.discard(address: P, byteCount: P) }
    #expect(throws: MemoryBindError.pinned) { try binding.unbind() }
    try memory.write([1], address: P)
    #expect(try memory.map(address: 2 * P, byteCount: P, protection: .readWrite))
    try memory.unmap(address: 2 * P, byteCount: P)
  }

  @Test("a file that is truncated while bound reads as zero; memory and binding say that it was lost, until it is unbound")
  func truncated() throws {
    let memory = try Memories.virtual(8, 8)
    let view = TestView(memory)
    let path = try folder.write(pattern(400_000), to: "shrinks")
    let binding = try memory.bind(try RegularFile(path: path), at: 0)
    let other = try Memories.virtual(8, 8)
    try other.bind(try file(pattern(400_000)), at: 0)
    #expect(view.load(300_000) == .success(pattern(300_001)[300_000]))
    let count = lostPageCount
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 10_000)
    #expect(view.load(5000) == .success(pattern(5001)[5000]))
    #expect(!memory.isLost)
    #expect(view.load(300_000) == .success(0))
    #expect(lostPageCount > count && memory.isLost && binding.isLost && !other.isLost)
    expect(.lost) { try memory.checkNotLost() }
    expect(.lost) { _ = try memory.read(address: 350_000, byteCount: 4) }
    expect(.lost) { _ = try memory.read(address: 0, byteCount: 4) }
    try other.checkNotLost()
    try binding.unbind()
    try memory.checkNotLost()
    #expect(view.load(300_000) == .failure(.unmapped))
    #expect(try memory.map(address: 0, byteCount: 8 * P, protection: .readWrite))
    #expect(view.store(300_000, 1) == nil)
  }

  @Test("a copy-on-write binding of a truncated file can still be written to")
  func truncatedCopyOnWrite() throws {
    let memory = try Memories.virtual(2, 2)
    let path = try folder.write(pattern(100_000), to: "shrinks")
    let binding = try memory.bind(try RegularFile(path: path), at: 0, mode: .copyOnWrite)
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 0)
    let view = TestView(memory)
    #expect(view.store(50_000, 7) == nil && view.load(50_000) == .success(7) && binding.isLost)
  }
}

/// What /proc/self/smaps says about the mappings of an address range.
enum Smaps {
  private static func lines() throws -> [Substring] {
    String(decoding: try ProcessMemory.contents(of: "/proc/self/smaps"), as: UTF8.self).split(separator: "\n")
  }

  static func anonymousByteCount(in range: Range<UInt>) throws -> Int {
    var isInside = false
    var total = 0
    for line in try lines() {
      if let dash = line.firstIndex(of: "-"), let start = UInt(line[..<dash], radix: 16) {
        isInside = range.contains(start)
      } else if isInside, line.hasPrefix("Anonymous:") {
        total += (Int(line.split(separator: " ")[1]) ?? 0) * 1024
      }
    }
    return total
  }
}
