import Foundation
import TensorFiles
import TensorStore
import Tensors
import Testing
import VirtualMemory
import WasmRuntime
import _TestSupport

@Suite("Weight files in guest memory")
struct TensorStoreTests {
  /// A file with two tensors of F32 numbers.
  private static func file(_ first: Float = 1) -> [UInt8] {
    var gguf = GGUFBytes()
    gguf.add("general.architecture", "test")
    gguf.add("count", UInt32(7))
    gguf.add("scale", Float(0.5))
    gguf.add("flag", true)
    gguf.add("names", ["a", "b", "c"])
    gguf.tensors = [.init("one", dimensions: [4, 2], offset: 0), .init("two", dimensions: [3], offset: 32)]
    for value in 0..<11 { gguf.data += GGUFBytes.integer((first + Float(value)).bitPattern) }
    return gguf.bytes
  }

  @Test("the guest sees the file's bytes at the file's offsets, in every placement", arguments: WeightPlacement.allCases)
  func placements(placement: WeightPlacement) throws {
    let folder = try TemporaryFolder()
    let bytes = Self.file()
    let path = try folder.write(bytes, to: "w.gguf")
    let weights = try TensorStore().weights(paths: [path], placement: placement)
    #expect(try weights.memory.read(address: 0, byteCount: UInt64(bytes.count)) == bytes)
    let tensor = try #require(weights.files[0].catalog[tensor: "two"])
    #expect(try weights.memory.read(Float.self, address: UInt64(tensor.fileOffset), count: 3) == [9, 10, 11])
    #expect(weights.mappedByteCount == (placement == .map ? UInt64(bytes.count) : 0))
    let copyCount: UInt64 = placement == .map ? 0 : placement == .read ? 1 : 2
    #expect(weights.copiedByteCount == copyCount * UInt64(bytes.count))
    #expect(weights.memory.copiedByteCount == 0)
    withExtendedLifetime(folder) {}
  }

  @Test("no guest and no host can change or unmap the weights", arguments: WeightPlacement.allCases)
  func pinned(placement: WeightPlacement) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.file(), to: "w.gguf")
    let memory = try TensorStore().weights(paths: [path], placement: placement).memory
    #expect(throws: MemoryAccessError.self) { try memory.write([1], address: 0) }
    #expect(throws: MemoryAccessError.self) { try memory.unmap(address: 0, byteCount: 65536) }
    #expect(throws: MemoryAccessError.self) { try memory.protect(address: 0, byteCount: 65536, protection: .none) }
    #expect(throws: MemoryAccessError.self) { try memory.protect(address: 0, byteCount: 65536, protection: .readWrite) }
    #expect(throws: MemoryAccessError.self) { try memory.discard(address: 0, byteCount: 65536) }
    withExtendedLifetime(folder) {}
  }

  @Test("weights whose file shrank say so, and are opened anew once the file is whole again, even if it looks the same")
  func lost() throws {
    let folder = try TemporaryFolder()
    var bytes = Self.file()
    bytes += [UInt8](repeating: 3, count: 100_000)
    let path = try folder.write(bytes, to: "w.gguf")
    let date = Date(timeIntervalSince1970: 1_700_000_000)
    try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
    let store = TensorStore()
    let weights = try store.weights(paths: [path], placement: .map)
    try weights.checkUnchanged()
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    try handle.truncate(atOffset: 4096)
    let shrunk = #expect(throws: TensorStoreError.self) { try weights.checkUnchanged() }
    #expect(shrunk?.kind == .environment && shrunk?.path == path)
    #expect(shrunk?.message.contains("shrank from \(bytes.count) to 4096 bytes") == true, "\(String(describing: shrunk))")
    #expect(!weights.isLost, "nobody has read the lost bytes yet")
    #expect(throws: MemoryAccessError.self) { try weights.memory.read(address: 90_000, byteCount: 1) }
    #expect(weights.isLost)
    try handle.seek(toOffset: 0)
    try handle.write(contentsOf: Data(bytes))
    try handle.close()
    try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
    let whole = #expect(throws: TensorStoreError.self) { try weights.checkUnchanged() }
    #expect(whole?.message.contains("open the model again") == true)
    let again = try store.weights(paths: [path], placement: .map)
    #expect(again !== weights)
    try again.checkUnchanged()
    #expect(try again.memory.read(address: 90_000, byteCount: 1) == [3])
    withExtendedLifetime(folder) {}
  }

  @Test("weights whose file was written to in place say so; a file that was replaced by renaming is another one")
  func changed() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.file(), to: "w.gguf")
    let store = TensorStore()
    let (mapped, copied) = (
      try store.weights(paths: [path], placement: .map), try store.weights(paths: [path], placement: .copy)
    )
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1_700_000_000)], ofItemAtPath: path)
    let error = #expect(throws: TensorStoreError.self) { try mapped.checkUnchanged() }
    #expect(error?.message.contains("was written to") == true)
    try copied.checkUnchanged()
    let fresh = try store.weights(paths: [path], placement: .map)
    let other = try folder.write(Self.file(5), to: "other.gguf")
    #expect(unsafe rename(other, path) == 0)
    try fresh.checkUnchanged()
    #expect(try store.weights(paths: [path], placement: .map) !== fresh)
    withExtendedLifetime(folder) {}
  }

  @Test("a file that is too large to be copied is refused, whatever its size")
  func hugeCopy() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.file(), to: "w.gguf")
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 1 << 39)
    let error = #expect(throws: TensorStoreError.self) { try TensorStore().weights(paths: [path], placement: .copy) }
    #expect(error?.kind == .environment && error?.message.contains("map the file instead") == true)
    withExtendedLifetime(folder) {}
  }

  @Test("a file is placed once per process, as long as somebody uses it")
  func sharing() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.file(), to: "w.gguf")
    let link = folder.url.appending(path: "link.gguf").path
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
    let store = TensorStore()
    let first = try store.weights(paths: [path], placement: .map)
    #expect(try store.weights(paths: [path], placement: .map) === first)
    #expect(try store.weights(paths: [link], placement: .map) === first, "another name, the same file")
    #expect(try store.weights(paths: [path], placement: .read) !== first, "another placement")
    // A file that was replaced is another file; who uses the old one keeps it.
    let replacement = try folder.write(Self.file(100), to: "new.gguf")
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: replacement, toPath: path)
    let second = try store.weights(paths: [path], placement: .map)
    #expect(second !== first)
    let place = UInt64(try #require(second.files[0].catalog[tensor: "one"]).fileOffset)
    #expect(try second.memory.read(Float.self, address: place, count: 1) == [100])
    #expect(try first.memory.read(Float.self, address: place, count: 1) == [1])
    withExtendedLifetime(folder) {}
  }

  @Test("what nobody uses any more is let go")
  func lettingGo() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.file(), to: "w.gguf")
    let store = TensorStore()
    weak var memory: Memory?
    do {
      let weights = try store.weights(paths: [path], placement: .map)
      memory = weights.memory
      #expect(memory != nil)
    }
    #expect(memory == nil)
    withExtendedLifetime(folder) {}
  }

  @Test("several files lie one after another, each at a multiple of 2 MiB, with nothing between", arguments: WeightPlacement.allCases)
  func shards(_ placement: WeightPlacement) throws {
    let folder = try TemporaryFolder()
    let paths = [try folder.write(Self.file(), to: "a.gguf"), try folder.write(Self.file(50), to: "b.gguf")]
    let weights = try TensorStore().weights(paths: paths, placement: placement)
    let second: UInt64 = 2 << 20
    #expect(weights.files.map(\.address) == [0, second])
    let offset = UInt64(try #require(weights.files[1].catalog[tensor: "one"]).fileOffset)
    #expect(try weights.memory.read(Float.self, address: second + offset, count: 2) == [50, 51])
    #expect(throws: MemoryAccessError.self) { try weights.memory.read(address: second - 1, byteCount: 1) }
    #expect(weights.memory.mappedByteCount == 2 * 65536)
    withExtendedLifetime(folder) {}
  }

  @Test("files that cannot be used are refused with their path and a reason")
  func refusals() throws {
    let folder = try TemporaryFolder()
    let store = TensorStore()
    func refused(_ path: String, _ kind: TensorStoreError.Kind, _ part: String) {
      for placement in WeightPlacement.allCases {
        do {
          _ = try store.weights(paths: [path], placement: placement)
          Issue.record("\(path) was accepted")
        } catch {
          #expect(error.kind == kind)
          #expect(error.message.contains(path) && error.message.contains(part), "\(error.message)")
        }
      }
    }
    refused("/nowhere.gguf", .environment, "cannot open")
    refused(folder.url.path, .environment, "regular file")
    refused(try folder.write([], to: "empty.gguf"), .malformedInput, "empty")
    refused(try folder.write(Array("hello".utf8), to: "text.gguf"), .malformedInput, "GGUF")
    refused(try folder.write(Array(Self.file().dropLast(20)), to: "short.gguf"), .malformedInput, "tensor")
    withExtendedLifetime(folder) {}
  }

  @Test("a file that is truncated while it is bound is an error, not the end of the process")
  func truncation() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.file() + [UInt8](repeating: 7, count: 100_000), to: "w.gguf")
    let weights = try TensorStore().weights(paths: [path], placement: .map)
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.truncate(atOffset: 4096)
    #expect(throws: MemoryAccessError.self) { try weights.memory.read(address: 65536, byteCount: 1) }
    #expect(throws: TensorStoreError.self) { _ = try weights.withBytes(ofFile: 0) { $0.byteCount } }
    withExtendedLifetime(folder) {}
  }
}

@Suite("The catalog for model programs")
struct ProgramCatalogTests {
  @Test("scalars, lengths of arrays and tensors are encoded as documented")
  func encoding() throws {
    let folder = try TemporaryFolder()
    var gguf = GGUFBytes()
    gguf.add("general.architecture", "x")
    gguf.add("n", UInt32(300))
    gguf.add("f", Float(0.5))
    gguf.add("b", true)
    gguf.add("list", ["a", "b"])
    gguf.tensors = [.init("t", dimensions: [32, 3], type: 8, offset: 0)]
    gguf.data = [UInt8](repeating: 0, count: 102)
    let weights = try TensorStore().weights(paths: [try folder.write(gguf.bytes, to: "w.gguf")], placement: .map)
    func u32(_ value: Int) -> [UInt8] { GGUFBytes.integer(UInt32(value)) }
    func u64(_ value: UInt64) -> [UInt8] { GGUFBytes.integer(value) }
    func text(_ value: String) -> [UInt8] { u32(value.utf8.count) + Array(value.utf8) }
    var expected = u32(0x4344_4E42) + u32(1) + u32(5) + u32(1)
    expected += text("general.architecture") + [3] + text("x")
    expected += text("n") + [1] + u64(300)
    expected += text("f") + [2] + u64((0.5).bitPattern)
    expected += text("b") + [0] + u64(1)
    expected += text("list.count") + [1] + u64(2)
    let offset = UInt64(try #require(weights.files[0].catalog[tensor: "t"]).fileOffset)
    expected += text("t") + u32(8) + u32(2) + u64(3) + u64(32) + u64(offset) + u64(102)
    #expect(ProgramCatalog.encode(weights) == expected)
    withExtendedLifetime(folder) {}
  }
}

@Suite("Opening the same and other files at once")
struct TensorStoreConcurrencyTests {
  @Test("callers of the same files get one set, errors reach all of them, and nobody waits for other files")
  func together() async throws {
    let folder = try TemporaryFolder()
    var gguf = GGUFBytes()
    gguf.add("general.architecture", "test")
    gguf.tensors = [.init("one", dimensions: [4], offset: 0)]
    gguf.data = [UInt8](repeating: 0, count: 16)
    let good = try folder.write(gguf.bytes, to: "good.gguf")
    let bad = try folder.write(Array(gguf.bytes.prefix(40)), to: "bad.gguf")
    let store = TensorStore()
    for _ in 0..<20 {
      let sets = await withTaskGroup(of: WeightSet?.self) { group in
        for index in 0..<16 {
          group.addTask { try? store.weights(paths: [index % 2 == 0 ? good : bad], placement: .map) }
        }
        return await group.reduce(into: [WeightSet?]()) { $0.append($1) }
      }
      let found = sets.compactMap { $0 }
      #expect(found.count == 8 && found.allSatisfy { $0 === found[0] })
    }
    withExtendedLifetime(folder) {}
  }
}
