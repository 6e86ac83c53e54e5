import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly

@Suite("Memories that core dumps leave out")
struct MemoryDumpTests {
  /// The flags of the mapping that an address is in, as /proc/self/smaps has them.
  private func flags(at address: UInt) throws -> [Substring] {
    let file = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/smaps"))
    let text = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
    var isInside = false
    for line in text.split(separator: "\n") {
      let range = line.prefix { $0 != " " }.split(separator: "-")
      if range.count == 2, let start = UInt(range[0], radix: 16), let end = UInt(range[1], radix: 16) {
        isInside = (start..<end).contains(address)
      } else if isInside, line.hasPrefix("VmFlags:") {
        return line.split(separator: " ")
      }
    }
    return []
  }

  @Test(
    "pages that are mapped, grown, unmapped and mapped again stay out of core dumps",
    .enabled(if: FileManager.default.fileExists(atPath: "/proc/self/smaps")), arguments: [true, false])
  func flags(isVirtual: Bool) throws {
    for isExcluded in [true, false] {
      var limits = MemoryLimits()
      limits.isExcludedFromDumps = isExcluded
      let memory = try Memory(
        type: MemoryType(
          addressType: .i64, limits: Limits(minimum: 4, maximum: 8), isShared: false, pageByteCountLog2: 16,
          attributes: MemoryAttributes(isVirtual: isVirtual)), limits: limits)
      for round in 0..<2 {
        if isVirtual { #expect(try memory.map(address: 65536, byteCount: 65536, protection: .readWrite)) }
        try memory.write([1, 2, 3], address: 70_000)
        // SAFETY: only the address is used.
        let address = try unsafe memory.withUnsafeReadableBytes(address: 70_000, byteCount: 1) { UInt(bitPattern: $0.baseAddress) }
        #expect(try flags(at: address).contains("dd") == isExcluded, "round \(round)")
        if isVirtual { try memory.unmap(address: 65536, byteCount: 65536) } else { memory.grow(by: 1) }
      }
    }
  }
}
