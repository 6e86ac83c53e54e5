import Foundation
import Testing
import WASI
import WasmRuntime
import _TestSupport

/// Calls of the import module one by one, made by a module that passes them on.
@Suite("Calls of WASI")
struct CallTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test("a range that the guest itself could not use ends it with the same trap, and nothing has been done")
  func refusedRanges() throws {
    let guest = try CallingGuest(folder: folder)
    let path = try folder.write(Array("0123456789".utf8), to: "file")
    let file = try guest.open("file", rights: 0x6)
    #expect(file.code == 0)
    // The second vector ends one byte past the memory: nothing is read into the first.
    try guest.memory.write(elements: [100, 4, 4 * 65536 - 3, 4] as [UInt32], address: 0)
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("fd_read", file.descriptor, 0, 2, 200) }
    #expect(try guest.memory.read(address: 100, byteCount: 4) == [0, 0, 0, 0])
    // The list itself, and the place of the result.
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("fd_read", file.descriptor, 4 * 65536 - 8, 2, 200) }
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("fd_read", file.descriptor, 0, 1, 4 * 65536 - 3) }
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("fd_read", file.descriptor, 0, 0x2000_0000, 200) }
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("random_get", 0xFFFF_FFFF, 8) }
    // The position has not moved.
    #expect(try guest.call("fd_read", file.descriptor, 0, 1, 200) == 0)
    #expect(try guest.memory.read(address: 100, byteCount: 4) == Array("0123".utf8))
    // A folder is not made if the program traps before.
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("path_open", 3, 0, 1000, 4, 1, 0x40, 0, 0, 4 * 65536) }
    #expect(FileManager.default.fileExists(atPath: path))
  }

  @Test("unmapped and protected pages are refused like any other access")
  func pageStates() throws {
    let guest = try CallingGuest(folder: folder, memory: "(memory (export \"memory\") virtual 4 4)")
    _ = try folder.write(Array(repeating: 7, count: 100_000), to: "file")
    let page: UInt64 = 65536
    #expect(try guest.memory.map(address: 0, byteCount: page, protection: .readWrite))
    #expect(try guest.memory.map(address: page, byteCount: page, protection: .read))
    let file = try guest.open("file")
    for (start, count, kind) in [(page - 4, 8, MemoryFault.protected), (2 * page, 1, .unmapped), (page - 1, 70_000, .protected)] {
      try guest.memory.write(elements: [UInt32(start), UInt32(count)], address: 0)
      guest.expectTrap(.memory(kind)) { _ = try guest.call("fd_read", file.descriptor, 0, 1, 200) }
    }
    // Reading from a page that only refuses writes is fine; over two mapped pages too.
    try guest.memory.write(elements: [UInt32(page - 4), 8], address: 0)
    #expect(try guest.call("fd_write", 1, 0, 1, 200) == 0)
    try guest.memory.protect(address: page, byteCount: page, protection: .readWrite)
    #expect(try guest.call("fd_read", file.descriptor, 0, 1, 200) == 0)
    #expect(try guest.memory.read(address: page - 4, byteCount: 8) == Array(repeating: 7, count: 8))
  }

  @Test("a sleeping program can be cancelled, and meets its deadline")
  func sleeping() async throws {
    let guest = try CallingGuest(folder: folder)
    // One hour on the monotonic clock.
    try guest.memory.write(elements: [42, 0, 1, 3_600_000_000_000, 0, 0] as [UInt64], address: 0)
    let handle = guest.store.interruptHandle
    let canceller = Task.detached {
      try? await Task.sleep(for: .milliseconds(20))
      handle.cancel()
    }
    guest.expectTrap(.cancelled) { _ = try guest.call("poll_oneoff", 0, 100, 1, 200) }
    await canceller.value
    handle.reset()
    guest.store.setTimeLimit(.milliseconds(20))
    guest.expectTrap(.deadlineExceeded) { _ = try guest.call("poll_oneoff", 0, 100, 1, 200) }
  }

  @Test("a program that waits for input that never comes meets its deadline")
  func waitingForInput() throws {
    let pipe = Pipe()
    let guest = try CallingGuest(folder: folder) { $0.standardInput = .descriptor(pipe.fileHandleForReading.fileDescriptor) }
    guest.store.setTimeLimit(.milliseconds(20))
    try guest.memory.write(elements: [100, 4] as [UInt32], address: 0)
    guest.expectTrap(.deadlineExceeded) { _ = try guest.call("fd_read", 0, 0, 1, 200) }
    guest.store.setTimeLimit(nil)
    try pipe.fileHandleForWriting.write(contentsOf: Data("abc".utf8))
    #expect(try guest.call("fd_read", 0, 0, 1, 200) == 0)
    #expect(try guest.memory.read(UInt32.self, address: 200, count: 1) == [3])
  }

  @Test("waiting tells which of several things happened, with the caller's marks")
  func polling() throws {
    let guest = try CallingGuest(folder: folder)
    let pipe = Pipe()
    try pipe.fileHandleForWriting.write(contentsOf: Data("abc".utf8))
    let reader = try CallingGuest(folder: folder) { $0.standardInput = .descriptor(pipe.fileHandleForReading.fileDescriptor) }
    // An hour; reading standard input; reading a descriptor that is not open; a clock that does not pass.
    var words = [UInt64](repeating: 0, count: 24)
    words.replaceSubrange(0..<4, with: [1, 0, 1, 3_600_000_000_000])
    words.replaceSubrange(6..<9, with: [2, 1, 0])
    words.replaceSubrange(12..<15, with: [3, 1, 77])
    words.replaceSubrange(18..<22, with: [4, 0, 3, 1])
    try reader.memory.write(elements: words, address: 0)
    #expect(try reader.call("poll_oneoff", 0, 1000, 4, 200) == 0)
    let count = Int(try reader.memory.read(UInt32.self, address: 200, count: 1)[0])
    var events: [UInt64: (errno: UInt64, byteCount: UInt64)] = [:]
    for index in 0..<count {
      let event = try reader.memory.read(UInt64.self, address: 1000 + UInt64(index) * 32, count: 4)
      events[event[0]] = (event[1] & 0xFFFF, event[2])
    }
    #expect(count == 3 && events[1] == nil)
    #expect(events[2]?.errno == 0 && events[2]?.byteCount == 3)
    #expect(events[3]?.errno == 8 && events[4]?.errno == 58)
    #expect(try guest.call("poll_oneoff", 0, 1000, 0, 200) == 28)
    // A time that has passed already.
    try guest.memory.write(elements: [9, 0, 0, 1, 0, 1] as [UInt64], address: 0)
    #expect(try guest.call("poll_oneoff", 0, 1000, 1, 200) == 0)
  }

  @Test("listings come in pieces of any size, each entry once, also when the buffer holds less than one")
  func listing() throws {
    let names = (0..<50).map { "entry-\($0)" + String(repeating: "x", count: $0) }
    for name in names { _ = try folder.write([], to: name) }
    for capacity in [24, 30, 100, 4096] as [UInt64] {
      let guest = try CallingGuest(folder: folder)
      var found: [String] = []
      var cookie: UInt64 = 0
      var bufferByteCount = capacity
      while true {
        #expect(try guest.call("fd_readdir", 3, 2000, bufferByteCount, cookie, 100) == 0)
        let used = UInt64(try guest.memory.read(UInt32.self, address: 100, count: 1)[0])
        let bytes = try guest.memory.read(address: 2000, byteCount: used)
        var offset = 0
        var isAdvanced = false
        while offset + 24 <= bytes.count {
          let length = bytes[offset + 16..<offset + 20].reversed().reduce(0) { $0 << 8 | Int($1) }
          guard offset + 24 + length <= bytes.count else { break }
          cookie = bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
          found.append(String(decoding: bytes[offset + 24..<offset + 24 + length], as: UTF8.self))
          offset += 24 + length
          isAdvanced = true
        }
        if used < bufferByteCount { break }
        if !isAdvanced { bufferByteCount *= 2 }
      }
      #expect(found.sorted() == ([".", ".."] + names).sorted(), "\(capacity) bytes")
    }
  }

  @Test("descriptors: lowest number first, a limit, renumbering, rights that can only be given up")
  func descriptors() throws {
    let guest = try CallingGuest(folder: folder) { $0.descriptorCountMax = 6 }
    _ = try folder.write(Array("abc".utf8), to: "file")
    #expect(try guest.open("file") == (0, 4))
    #expect(try guest.open("file") == (0, 5))
    #expect(try guest.open("file").code == 33)
    #expect(try guest.call("fd_close", 4) == 0 && guest.call("fd_close", 4) == 8)
    #expect(try guest.open("file") == (0, 4))
    #expect(try guest.call("fd_renumber", 5, 4) == 0 && guest.call("fd_close", 5) == 8)
    #expect(try guest.call("fd_renumber", 4, 9) == 8)
    try guest.memory.write(elements: [100, 2] as [UInt32], address: 0)
    #expect(try guest.call("fd_read", 4, 0, 1, 200) == 0)
    #expect(try guest.call("fd_write", 4, 0, 1, 200) == 76)
    #expect(try guest.call("fd_fdstat_set_rights", 4, 0x6, 0) == 76)
    #expect(try guest.call("fd_fdstat_set_rights", 4, 0, 0) == 0)
    #expect(try guest.call("fd_read", 4, 0, 1, 200) == 76)
    #expect(try guest.call("fd_fdstat_get", 4, 300) == 0)
    #expect(try guest.memory.read(UInt64.self, address: 300, count: 3) == [4, 0, 0])
    #expect(try guest.call("fd_seek", 1, 0, 0, 200) == 70 && guest.call("fd_seek", 3, 0, 0, 200) == 8)
    #expect(try guest.call("fd_seek", 99, 0, 0, 200) == 8 && guest.call("fd_seek", 4, 0, 3, 200) == 28)
    #expect(try guest.call("sock_recv", 4, 0, 0, 0, 0, 0) == 57)
    #expect(try guest.call("clock_time_get", 9, 0, 200) == 28)
    #expect(try guest.call("fd_prestat_get", 4, 200) == 8 && guest.call("fd_prestat_get", 3, 200) == 0)
  }

  @Test("paths: empty, with a zero, too long, absolute, with slashes at the end, and flags that contradict each other")
  func paths() throws {
    let guest = try CallingGuest(folder: folder)
    _ = try folder.write(Array("abc".utf8), to: "file")
    #expect(try guest.open("").code == 44 && guest.open("fi\0le").code == 28)
    #expect(try guest.open(String(repeating: "a", count: 300)).code == 37)
    #expect(try guest.call("path_open", 3, 0, 1000, 5000, 0, 2, 0, 0, 900) == 37)
    #expect(try guest.open("/file").code == 63 && guest.open("../file").code == 63)
    #expect(try guest.open("file/").code == 54 && guest.open("missing").code == 44)
    #expect(try guest.open("file", openFlags: 2).code == 54 && guest.open("file", openFlags: 5, rights: 0x40).code == 20)
    #expect(try guest.open("x", openFlags: 3).code == 28 && guest.open("x", openFlags: 16).code == 28)
    #expect(try guest.open("file", rights: 1 << 40).code == 76)
    #expect(try guest.call("path_open", 1, 0, 1000, 4, 0, 2, 0, 0, 900) == 54)
    try guest.memory.write(Array("a/b/".utf8), address: 1000)
    #expect(try guest.call("path_create_directory", 3, 1000, 2) == 0 && guest.call("path_create_directory", 3, 1000, 4) == 0)
    #expect(try guest.call("path_create_directory", 3, 1000, 4) == 20)
    try guest.memory.write(Array("..".utf8), address: 1000)
    #expect(try guest.call("path_create_directory", 3, 1000, 2) == 28)
    // Opening a pipe that nobody writes to does not wait.
    #expect(unsafe mkfifo(folder.url.appending(path: "pipe").path, 0o600) == 0)
    #expect(try guest.open("pipe").code == 0)
  }
}
