import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

/// What the first pass of a guest over its weights costs in page faults and copies, by how they got into its memory.
@Suite("Page faults of weights", .enabled(if: PageFaultCounts.ofThisThread != nil), .disabled(if: isAddressSanitized))
struct WeightFaultTests {
  private static let text = """
    (module
      (import "host" "weights" (memory $weights i64 virtual 64 64))
      ;; The sum of the first byte of each 4096.
      (func (export "pass") (param $end i64) (result i64) (local $address i64) (local $sum i64)
        (loop $again
          (local.set $sum (i64.add (local.get $sum) (i64.load8_u $weights (local.get $address))))
          (local.set $address (i64.add (local.get $address) (i64.const 4096)))
          (br_if $again (i64.lt_u (local.get $address) (local.get $end))))
        (local.get $sum)))
    """
  private static let byteCount = 64 << 16

  /// A file that is wholly in the page cache, and clean.
  private static func file(_ folder: TemporaryFolder) throws -> RegularFile {
    let path = try folder.write([UInt8](repeating: 1, count: byteCount), to: "weights")
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    try handle.synchronize()
    try handle.close()
    return try RegularFile(path: path)
  }

  /// Faults of loading, of the first pass and of the second: the fewest of several guests, each with a memory of its own. (A page
  /// that the system writes back or moves at that moment is not mapped along with its neighbours.)
  private static func faults(_ load: (Memory) throws -> Void) throws -> (load: Int, first: Int, second: Int, copied: UInt64) {
    var best = (load: Int.max, first: Int.max, second: Int.max, copied: UInt64(0))
    let module = try GuestModule.compile(text)
    for _ in 0..<5 {
      let memory = try Memories.virtual(64, 64)
      let store = Store(engine: module.engine)
      var imports = Imports()
      imports.define(module: "host", name: "weights", .memory(memory))
      let instance = try Instance(store: store, module: module, imports: imports)
      let pass = try #require(instance.function("pass"))
      let (loading, _) = try ThreadCounts.of { try load(memory) }
      let argument: [Value] = [.i64(UInt64(byteCount))]
      let (first, sum) = try ThreadCounts.of { try pass(argument) }
      let (second, _) = try ThreadCounts.of { try pass(argument) }
      #expect(sum[0].i64 == UInt64(byteCount / 4096))
      best = (
        min(best.load, loading.pageFaults), min(best.first, first.pageFaults), min(best.second, second.pageFaults),
        memory.copiedByteCount
      )
    }
    return best
  }

  /// Faults of touching each page of a mapping of the file made by hand: how this machine's system brings in file pages.
  private static func faultsByHand(_ file: RegularFile) throws -> Int {
    var best = Int.max
    for _ in 0..<5 {
      let reservation = try AddressReservation(byteCount: byteCount)
      try reservation.map(file, fileOffset: 0, at: 0, byteCount: byteCount, access: .read)
      let (counts, sum) = ThreadCounts.of {
        var sum = 0
        for offset in stride(from: 0, to: byteCount, by: hostPageByteCount) {
          // SAFETY: the mapping is as long as the file.
          sum += Int(unsafe (reservation.base + offset).load(as: UInt8.self))
        }
        return sum
      }
      #expect(sum == byteCount / hostPageByteCount)
      best = min(best, counts.pageFaults)
    }
    return best
  }

  @Test("bound weights fault as a mapping does, only in the first pass; read ones once a page, when they are read")
  func boundAndRead() throws {
    let folder = try TemporaryFolder()
    let file = try Self.file(folder)
    let bound = try Self.faults { try $0.bind(file, at: 0) }
    let read = try Self.faults { memory in
      #expect(try memory.map(address: 0, byteCount: UInt64(Self.byteCount), protection: .readWrite))
      try memory.readFile(FileRegion(file), at: 0)
    }
    let (byHand, pageCount) = (try Self.faultsByHand(file), SystemPages.count(Self.byteCount))
    #expect(bound.load <= 1 && bound.copied == 0, "\(bound)")
    // Two more for the first touch of the stacks that the guest runs on: registers and frames.
    #expect(bound.first > 0 && bound.first <= byHand + 2, "\(bound), by hand \(byHand)")
    // At most one in 64 KiB, unless this machine's owner has set something else.
    if byHand < pageCount / 2 { #expect(bound.first <= Self.byteCount / SystemPages.faultAroundByteCount + 2, "\(bound)") }
    #expect(bound.second == 0, "\(bound)")
    #expect(read.second == 0 && read.first <= 2, "\(read)")
    if SystemPages.faultsBringOnePage { #expect(read.load >= pageCount, "\(read)") }
    #expect(read.load <= pageCount + 1, "\(read)")
  }
}
