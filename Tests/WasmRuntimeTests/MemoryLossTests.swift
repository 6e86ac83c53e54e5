import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

@Suite("Bound files that shrink, in memories that guests have changed")
struct MemoryLossTests {
  let folder: TemporaryFolder
  private static let page: UInt64 = 1 << 16

  init() throws { folder = try TemporaryFolder() }

  @Test("what a guest has put in the place of a lost file stays, also between what is left of the file")
  func holes() throws {
    let page = Self.page
    let memory = try Memory(
      type: MemoryType(
        addressType: .i64, limits: Limits(minimum: 64, maximum: 64), isShared: false, pageByteCountLog2: 16,
        attributes: MemoryAttributes(isVirtual: true)))
    let view = TestView(memory)
    let path = try folder.write(Array(repeating: 1, count: 64 << 16), to: "shrinks")
    let other = try folder.write(Array(repeating: 2, count: 4 << 16), to: "stays")
    try memory.bind(try RegularFile(path: path), at: 0)
    // Anonymous pages in the middle, another file behind them, a hole at the end.
    try memory.unmap(address: 20 * page, byteCount: 8 * page)
    #expect(try memory.map(address: 20 * page, byteCount: 2 * page, protection: .readWrite))
    try memory.write([7], address: 21 * page)
    try memory.bind(try RegularFile(path: other), at: 23 * page)
    try memory.unmap(address: 63 * page, byteCount: page)
    try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 100)
    let losses = lostPageCount
    for index in [19, 28, 62, 2] as [UInt64] {
      #expect(throws: MemoryAccessError.self) { try memory.read(address: index * page, byteCount: 1) }
    }
    // Two pieces of the file are left: at most a fault for each of them. (Other suites may lose pages meanwhile.)
    #expect(memory.isLost && lostPageCount >= losses + 2)
    // As a guest reads them that is between two safepoints.
    #expect(view.load(21 * page) == .success(7))
    #expect(view.load(23 * page) == .success(2) && view.load(26 * page) == .success(2))
    #expect(view.load(2 * page) == .success(0) && view.load(63 * page) == .failure(.unmapped))
  }
}
