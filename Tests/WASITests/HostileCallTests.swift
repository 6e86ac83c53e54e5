import Foundation
import SystemFiles
import Testing
import WASI
import WasmRuntime
import _TestSupport

/// Calls with numbers that no honest program uses, and calls that would take for ever.
@Suite("Hostile calls of WASI")
struct HostileCallTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let mebibyte: UInt64 = 1 << 20

  /// A file that is long and takes no disk.
  private func sparseFile(_ name: String, byteCount: UInt64) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: folder.write([], to: name)))
    try handle.truncate(atOffset: byteCount)
    try handle.close()
  }

  // MARK: Long transfers

  @Test("transfers larger than a piece are whole, whatever the vectors", arguments: [1, 4096, (1 << 20) - 1, 1 << 20, (3 << 20) + 17])
  func wholeTransfers(byteCount: Int) throws {
    let guest = try CallingGuest(folder: folder, memory: "(memory (export \"memory\") 256)")
    var generator = SeededGenerator(seed: UInt64(byteCount))
    let start: UInt64 = 1 << 20
    let bytes = (0..<byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
    try guest.memory.write(bytes, address: start)
    // Vectors of uneven lengths, empty ones among them.
    var vectors: [UInt32] = []
    var done = 0
    while done < byteCount {
      let length = min(byteCount - done, Int.random(in: 0...(byteCount / 5 + 1), using: &generator))
      vectors += [UInt32(start) + UInt32(done), UInt32(length), UInt32(start), 0]
      done += length
    }
    try guest.memory.write(elements: vectors, address: 4096)
    let count = UInt64(vectors.count / 2)
    let file = try guest.open("file", openFlags: 1, rights: 0x2 | 0x4 | 0x40)
    #expect(file.code == 0)
    #expect(try guest.call("fd_write", file.descriptor, 4096, count, 808) == 0)
    #expect(try guest.result() == byteCount)
    #expect(try Data(contentsOf: folder.url.appending(path: "file")) == Data(bytes))
    try guest.memory.write([UInt8](repeating: 0, count: byteCount), address: start)
    #expect(try guest.call("fd_pread", file.descriptor, 4096, count, 0, 808) == 0)
    #expect(try guest.result() == byteCount)
    #expect(try guest.memory.read(address: start, byteCount: UInt64(byteCount)) == bytes)
    // At its end: nothing more, and the position is where it was.
    #expect(try guest.call("fd_read", file.descriptor, 4096, count, 808) == 0 && guest.result() == 0)
  }

  @Test("a transfer of many gigabytes meets its deadline, and counts no more than 32 bits hold")
  func endlessTransfer() throws {
    try sparseFile("long", byteCount: 1 << 37)
    let guest = try CallingGuest(folder: folder, memory: "(memory (export \"memory\") 1024)")
    let vectors = (0..<1024).flatMap { _ in [UInt32(1 << 20), UInt32(48 << 20)] }
    try guest.memory.write(elements: vectors, address: 4096)
    let file = try guest.open("long", rights: 0x6)
    #expect(file.code == 0)
    for (name, extra) in [("fd_read", []), ("fd_pread", [UInt64(0)])] {
      guest.store.setTimeLimit(.milliseconds(30))
      let start = ContinuousClock.now
      guest.expectTrap(.deadlineExceeded) {
        _ = extra.isEmpty
          ? try guest.call(name, file.descriptor, 4096, 1024, 808) : try guest.call(name, file.descriptor, 4096, 1024, 0, 808)
      }
      #expect(ContinuousClock.now - start < .seconds(5))
      guest.store.setTimeLimit(nil)
    }
  }

  @Test("a gibibyte of random numbers meets its deadline; a little of them is whole")
  func random() throws {
    let guest = try CallingGuest(folder: folder, memory: "(memory (export \"memory\") 16384)")
    guest.store.setTimeLimit(.milliseconds(30))
    guest.expectTrap(.deadlineExceeded) { _ = try guest.call("random_get", 0, 1 << 30) }
    guest.store.setTimeLimit(nil)
    // Where the first call cannot have come to.
    let start: UInt64 = (1000 << 20) + 100
    #expect(try guest.call("random_get", start, 3 << 20) == 0)
    let tail = try guest.memory.read(address: start + (3 << 20) - 64, byteCount: 128)
    #expect(tail[..<64].contains { $0 != 0 } && tail[64...].allSatisfy { $0 == 0 })
  }

  @Test("a write to a pipe that nobody empties meets its deadline; to one that nobody has, is an error")
  func pipes() throws {
    let pipe = Pipe()
    let guest = try CallingGuest(folder: folder, memory: "(memory (export \"memory\") 64)") {
      $0.standardOutput = .descriptor(pipe.fileHandleForWriting.fileDescriptor)
    }
    guest.store.setTimeLimit(.milliseconds(30))
    guest.expectTrap(.deadlineExceeded) { _ = try guest.transfer("fd_write", 1, Self.mebibyte, 2 * Self.mebibyte) }
    guest.store.setTimeLimit(nil)
    // What fits is written whole, with a reader.
    let reader = Thread { while let data = try? pipe.fileHandleForReading.read(upToCount: 1 << 16), !data.isEmpty {} }
    reader.start()
    #expect(try guest.transfer("fd_write", 1, Self.mebibyte, 2 * Self.mebibyte) == 0 && guest.result() == 2 << 20)
    try pipe.fileHandleForWriting.close()

    let other = Pipe()
    let writer = try CallingGuest(folder: folder) { $0.standardOutput = .descriptor(other.fileHandleForWriting.fileDescriptor) }
    try other.fileHandleForReading.close()
    #expect(try writer.transfer("fd_write", 1, 0, 10) == 64)
  }

  // MARK: Numbers

  @Test("offsets and sizes up to the largest number", arguments: [UInt64.max, 1 << 63, UInt64(Int64.max), UInt64(Int64.max) - 1, 1 << 62])
  func offsets(offset: UInt64) throws {
    let guest = try CallingGuest(folder: folder)
    let file = try guest.open("file", openFlags: 1, rights: 0x2 | 0x4 | 0x40 | 0x100 | 0x40_0000 | 0x80_0000 | 0x80)
    #expect(file.code == 0)
    // Invalid, or nothing there; too large, or no room.
    #expect(try [0, 28].contains(guest.transfer("fd_pread", file.descriptor, 0, 100, offset: offset)))
    // Some file systems take files of 2^62 bytes.
    #expect(try [22, 28, 51].contains(guest.transfer("fd_pwrite", file.descriptor, 0, 100, offset: offset)) || offset == 1 << 62)
    #expect(try [22, 28, 51, 58].contains(guest.call("fd_allocate", file.descriptor, offset, offset)))
    #expect(try [22, 28, 51, 58].contains(guest.call("fd_allocate", file.descriptor, 1, offset)))
    #expect(try [0, 22, 28].contains(guest.call("fd_filestat_set_size", file.descriptor, offset)))
    #expect(try [0, 28, 61].contains(guest.call("fd_seek", file.descriptor, offset, 0, 200)))
    #expect(try [0, 28, 61].contains(guest.call("fd_seek", file.descriptor, offset, 2, 200)))
    #expect(try [0, 28].contains(guest.call("fd_advise", file.descriptor, offset, offset, 4)))
    #expect(try [0, 28, 61].contains(guest.call("fd_filestat_set_times", file.descriptor, offset, offset, 5)))
    #expect(try [0, 28].contains(guest.call("fd_readdir", 3, 1000, 100, offset, 200)))
  }

  @Test("counts of vectors and subscriptions up to the largest number", arguments: [1 << 15, 1 << 30, 1 << 31, UInt64(UInt32.max)])
  func counts(count: UInt64) throws {
    let guest = try CallingGuest(folder: folder)
    for name in ["fd_read", "fd_write"] {
      guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call(name, name == "fd_read" ? 0 : 1, 8, count, 808) }
    }
    #expect(try guest.call("poll_oneoff", 0, 100, count, 200) == 28)
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("random_get", 8, max(count, 1 << 18)) }
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("fd_readdir", 3, 8, max(count, 1 << 18), 0, 200) }
    #expect(try guest.call("path_open", 3, 0, 1000, count, 0, 2, 0, 0, 900) == 37)
    #expect(try guest.call("path_symlink", 0, count, 3, 0, 4) == 37)
  }

  @Test("clocks that end beyond all numbers wait, and meet their deadline")
  func clocks() throws {
    let guest = try CallingGuest(folder: folder)
    for (timeout, flags) in [(UInt64.max, 0), (UInt64.max, 1), (UInt64(Int64.max), 0), (1 << 63, 1)] as [(UInt64, UInt64)] {
      for clock in [0, 1] as [UInt64] {
        try guest.memory.write(elements: [42, 0, clock, timeout, 0, flags] as [UInt64], address: 0)
        guest.store.setTimeLimit(.milliseconds(10))
        guest.expectTrap(.deadlineExceeded) { _ = try guest.call("poll_oneoff", 0, 100, 1, 200) }
        guest.store.setTimeLimit(nil)
      }
    }
    // Too many subscriptions for one call, and as many as are allowed.
    let many = try CallingGuest(folder: folder) { $0.descriptorCountMax = 6 }
    let subscriptions: [UInt64] = (0..<71).flatMap { [UInt64($0), 0, 1, 0, 0, 0] as [UInt64] }
    try many.memory.write(elements: subscriptions, address: 10_000)
    #expect(try many.call("poll_oneoff", 10_000, 20_000, 70, 200) == 0 && many.result(at: 200) == 70)
    #expect(try many.call("poll_oneoff", 10_000, 20_000, 71, 200) == 28)
  }

  // MARK: What the host holds for a guest

  @Test("the files behind standard streams are written to, and otherwise left alone")
  func streamFiles() throws {
    let log = try FileHandle(forUpdating: URL(filePath: folder.write(Array("before".utf8), to: "log")))
    try log.seekToEnd()
    let input = try FileHandle(forReadingFrom: URL(filePath: folder.write(Array("input".utf8), to: "input")))
    let guest = try CallingGuest(folder: folder) {
      $0.standardInput = .descriptor(input.fileDescriptor)
      $0.standardOutput = .descriptor(log.fileDescriptor)
    }
    try guest.memory.write(Array("after".utf8), address: 1000)
    for number in [0, 1] as [UInt64] {
      #expect(try guest.call("fd_filestat_set_size", number, 0) == 76)
      #expect(try guest.call("fd_allocate", number, 0, 1 << 20) == 76)
      #expect(try guest.call("fd_filestat_set_times", number, 0, 0, 5) == 76)
      #expect(try guest.call("fd_fdstat_set_flags", number, 1) == 76)
      #expect(try guest.transfer("fd_pwrite", number, 1000, 5, offset: 0) == 76)
    }
    #expect(try guest.call("fd_seek", 1, 0, 0, 200) == 76 && guest.call("fd_seek", 1, 0, 1, 200) == 0)
    #expect(try guest.call("fd_seek", 0, 2, 0, 200) == 0)
    #expect(try guest.transfer("fd_read", 0, 2000, 100) == 0 && guest.result() == 3)
    #expect(try guest.transfer("fd_write", 1, 1000, 5) == 0)
    #expect(try String(contentsOf: folder.url.appending(path: "log"), encoding: .utf8) == "beforeafter")
  }

  @Test("a listing is charged to the budget while it is held")
  func listing() throws {
    for index in 0..<300 { _ = try folder.write([], to: "entry-\(index)-" + String(repeating: "x", count: 150)) }
    let guest = try CallingGuest(folder: folder, budget: ResourceBudget(byteCountMax: 1 << 30))
    let budget = guest.store.budget
    // The guest's stack is charged when it first runs.
    #expect(try guest.call("fd_close", 99) == 8)
    let before = budget.usedByteCount(on: .hostBuffers)
    // All but a little is spent on something else.
    let spent = budget.byteCountMax - budget.usedByteCount - 30_000
    #expect(budget.charge(spent, to: .hostBuffers))
    #expect(try guest.call("fd_readdir", 3, 1000, 1000, 0, 200) == 48)
    #expect(budget.usedByteCount(on: .hostBuffers) == before + spent)
    budget.credit(spent, to: .hostBuffers)
    #expect(try guest.call("fd_readdir", 3, 1000, 1000, 0, 200) == 0)
    let held = budget.usedByteCount(on: .hostBuffers)
    #expect(held > before + 300 * 150)
    // Begun again, the old one is given back.
    #expect(try guest.call("fd_readdir", 3, 1000, 1000, 0, 200) == 0)
    #expect(budget.usedByteCount(on: .hostBuffers) == held)
    #expect(try guest.call("fd_close", 3) == 0)
    #expect(budget.usedByteCount(on: .hostBuffers) == before)
  }

  @Test("descriptors have a limit, and what cannot be opened is not created either")
  func descriptorLimit() throws {
    _ = try folder.write([1], to: "file")
    let guest = try CallingGuest(folder: folder)
    var count = 0
    while try guest.open("file").code == 0 { count += 1 }
    #expect(count == 256 - 4)
    #expect(try guest.open("new", openFlags: 1, rights: 0x40).code == 33)
    #expect(try guest.open("file", openFlags: 8, rights: 0x40).code == 33)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["file"])
    #expect(try Data(contentsOf: folder.url.appending(path: "file")).count == 1)
  }

  @Test("a deep path does not take the process's descriptors", arguments: [true, false])
  func deepPaths(usesKernel: Bool) throws {
    let guest = try CallingGuest(folder: folder)
    guest.wasi.resolvesPathsInKernel = usesKernel
    var path = ""
    for _ in 0..<300 {
      path += "a/"
      try FileManager.default.createDirectory(atPath: folder.url.appending(path: path).path, withIntermediateDirectories: true)
    }
    let code = try guest.open(path, openFlags: 2, rights: 0x4000).code
    #expect(code == (usesKernel ? 0 : 33))
  }

  // MARK: Text

  @Test("arguments and environment are bytes; their places are checked")
  func strings() throws {
    let guest = try CallingGuest(folder: folder) {
      $0.arguments = [SystemString([0x61, 0xFF]), ""]
      $0.environment = [("K", SystemString([0xC3]))]
    }
    #expect(try guest.call("args_get", 0, 100) == 0)
    #expect(try guest.memory.read(address: 100, byteCount: 4) == [0x61, 0xFF, 0, 0])
    #expect(try guest.memory.read(UInt32.self, address: 0, count: 2) == [100, 103])
    #expect(try guest.call("args_sizes_get", 0, 4) == 0 && guest.memory.read(UInt32.self, address: 0, count: 2) == [2, 4])
    #expect(try guest.call("environ_get", 0, 200) == 0)
    #expect(try guest.memory.read(address: 200, byteCount: 4) == [0x4B, 0x3D, 0xC3, 0])
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("args_get", 0, 4 * 65536 - 3) }
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("args_get", 4 * 65536 - 4, 0) }
    guest.expectTrap(.memory(.outOfBounds)) { _ = try guest.call("args_get", 0, UInt64(UInt32.max)) }
  }

  @Test("what a terminal is given shows itself, however it comes in pieces")
  func terminalFilter() {
    // A character in two parts, escape sequences of both kinds, and bytes that are no text.
    let bytes =
      Array("a\u{1B}]0;title\u{7}\tbé\n".utf8) + [0xC2, 0x9B, 0x9B, 0xFF] + Array("\u{202E}\u{1F34E}\r\n".utf8) + [0xE2, 0x82, 0x41]
      + [0xF0, 0x9F]
    let expected = "a\\u{1b}]0;title\\u{7}\tbé\n\\u{9b}\\x9b\\xff\\u{202e}\u{1F34E}\\r\n\\xe2\\x82A"
    for pieceByteCount in 1...bytes.count {
      var filter = TerminalFilter()
      var shown: [UInt8] = []
      for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
        shown += filter.filter(Array(bytes[start..<min(start + pieceByteCount, bytes.count)]))
      }
      #expect(String(decoding: shown, as: UTF8.self) == expected, "\(pieceByteCount)")
    }
  }
}
