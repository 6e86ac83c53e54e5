import Foundation
import Testing
import VirtualMemory
import _TestSupport

@Suite("Files")
struct MappedFileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

  @Test("a mapped file shows its bytes, whatever its length", arguments: [0, 1, 4095, 4096, 4097, 100_000, 3 << 20])
  func contents(_ count: Int) throws {
    let bytes = pattern(count)
    let file = try MappedFile(path: try folder.write(bytes, to: "f"))
    #expect(file.byteCount == count && file.file.byteCount == UInt64(count))
    let copy = unsafe file.withUnsafeBytes { unsafe Array($0) }
    #expect(copy == bytes)
    #expect(file.withBytes { $0.byteCount } == count)
    try file.checkNotLost()
  }

  @Test("a mapped file lives on after it is unlinked")
  func unlinked() throws {
    let path = try folder.write(pattern(10_000), to: "f")
    let file = try MappedFile(path: path)
    try FileManager.default.removeItem(atPath: path)
    #expect(unsafe file.withUnsafeBytes { unsafe Array($0) } == pattern(10_000))
  }

  @Test("only touched pages are resident, and eviction drops them without changing a byte")
  func residency() throws {
    let count = 8 << 20
    let file = try MappedFile(path: try folder.write(pattern(count), to: "f"))
    #expect(try file.residentByteCount() < count / 4)
    let sum = unsafe file.withUnsafeBytes { unsafe $0.reduce(0) { $0 &+ UInt64($1) } }
    #expect(try file.residentByteCount() >= count)
    try file.evict()
    #expect(try file.residentByteCount() < count / 4)
    #expect(unsafe file.withUnsafeBytes { unsafe $0.reduce(0) { $0 &+ UInt64($1) } } == sum)
  }

  @Test("a file that is truncated while it is mapped reads as zero and is reported lost")
  func truncated() throws {
    let path = try folder.write(pattern(1 << 20), to: "f")
    let file = try MappedFile(path: path)
    let other = try MappedFile(path: try folder.write(pattern(1 << 16), to: "g"))
    let pagesLostBefore = lostPageCount
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 4096)
    #expect(unsafe file.withUnsafeBytes { unsafe $0[100] } == pattern(101)[100])
    #expect(!file.isLost)
    #expect(unsafe file.withUnsafeBytes { unsafe $0[500_000] } == 0)
    #expect(file.isLost && lostPageCount > pagesLostBefore)
    let error = #expect(throws: VirtualMemoryError.self) { try file.checkNotLost() }
    #expect(error?.operation == .readFile && error?.path == path)
    try other.checkNotLost()
  }

  @Test("a missing file, a folder, a pipe and a path with a zero byte are errors that name the file")
  func refused() throws {
    let missing = folder.url.appending(path: "missing").path
    let error = #expect(throws: VirtualMemoryError.self) { try RegularFile(path: missing) }
    #expect(error?.operation == .openFile && error?.errno == ENOENT)
    #expect(error?.description == "cannot open '\(missing)': No such file or directory (errno 2)")

    let folderError = #expect(throws: VirtualMemoryError.self) { try RegularFile(path: folder.url.path) }
    #expect(folderError?.isNotRegularFile == true)

    let pipe = Pipe()
    let pipeError = #expect(throws: VirtualMemoryError.self) {
      try RegularFile(duplicating: pipe.fileHandleForReading.fileDescriptor)
    }
    #expect(pipeError?.isNotRegularFile == true && pipeError?.description.contains("not a regular file") == true)

    #expect(throws: VirtualMemoryError.self) { try RegularFile(path: "a\0b") }
    #expect(throws: VirtualMemoryError.self) { try RegularFile(duplicating: -1) }
  }

  @Test("a file that shrinks between opening and mapping is refused")
  func shrunk() throws {
    let path = try folder.write(pattern(10_000), to: "f")
    let file = try RegularFile(path: path)
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 10)
    let error = #expect(throws: VirtualMemoryError.self) { try MappedFile(file) }
    #expect(error?.description.contains("was 10000 bytes long when it was opened and is 10 now") == true)
  }

  @Test("reads give exactly what was asked for, or an error")
  func reads() throws {
    let file = try RegularFile(path: try folder.write(pattern(100), to: "f"))
    #expect(try file.read(at: 10, byteCount: 5) == Array(pattern(100)[10..<15]))
    #expect(try file.read(at: 100, byteCount: 0) == [])
    #expect(throws: VirtualMemoryError.self) { try file.read(at: 99, byteCount: 2) }
    #expect(throws: VirtualMemoryError.self) { try file.read(at: .max, byteCount: 2) }
    #expect(throws: VirtualMemoryError.self) { try file.read(at: 0, byteCount: -1) }
  }

  @Test("opening and closing leaves no descriptor behind")
  func descriptors() throws {
    let path = try folder.write(pattern(5000), to: "f")
    for _ in 0..<5000 { _ = try MappedFile(path: path) }
    // More than a process may have open by default, had they stayed open.
    #expect(try MappedFile(path: path).byteCount == 5000)
  }
}
