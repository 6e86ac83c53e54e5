import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

@Suite("Memories where addresses or turns are scarce")
struct MemoryScarcityTests {
  #if os(Linux)
  @Test(
    "with little address space a plain memory gets less room to grow, and a virtual one is refused",
    .disabled(if: isAddressSanitized, "AddressSanitizer needs terabytes of addresses for itself"))
  func littleAddressSpace() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 5 << 30, rlim_max: 5 << 30)
      guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else { exit(2) }
      let plain = try Memories.plain(1)
      guard plain.grow(by: 1024) == 1, plain.grow(by: 40_000) == nil, plain.pageCount == 1025 else { exit(3) }
      try plain.write([1], address: 1025 * P - 1)
      do {
        _ = try Memories.virtual(0, 1 << 20)
        exit(4)
      } catch let error as MemoryAllocationError {
        guard error.description.hasPrefix("memory allocation failure: 68719476736 bytes: cannot reserve") else { exit(5) }
      }
    }
  }

  @Test("memories end before the mappings of the process do", .disabled(if: isAddressSanitized))
  func mappingsRunOut() async {
    await #expect(processExitsWith: .success) {
      let type = MemoryType(limits: Limits(minimum: 1, maximum: 1))
      var memories: [Memory] = []
      do {
        while memories.count < ProcessMemory.mappingCountMax { memories.append(try Memory(type: type)) }
        exit(2)
      } catch {
        guard "\(error)".contains("raise vm.max_map_count") else { exit(3) }
      }
      // What is left is enough for everything else of the process.
      guard try ProcessMemory.mappingCount() < ProcessMemory.mappingCountMax - 1000, memories.count > 10_000 else { exit(4) }
      memories.removeLast(10)
      memories.append(try Memory(type: type))
    }
  }
  #endif

  @Test("a copy that the system has no memory for is an error", .disabled(if: isAddressSanitized))
  func hugeCopies() throws {
    // Where the system promises more than it has, nothing is refused.
    let mode = try? String(contentsOfFile: "/proc/sys/vm/overcommit_memory", encoding: .utf8)
    guard mode?.first == "0" else { return }
    var limits = MemoryLimits()
    limits.reservationByteCountMax = 1 << 45
    let memory = try Memory(type: MemoryType(addressType: .i64, limits: Limits(minimum: 1 << 28, maximum: 1 << 28)), limits: limits)
    #expect(throws: MemoryAccessError(.allocationFailure, address: 0, byteCount: 1 << 44)) {
      try memory.read(address: 0, byteCount: 1 << 44)
    }
    #expect(throws: MemoryAccessError(.allocationFailure, address: 0, byteCount: 1 << 44)) {
      try memory.read(UInt32.self, address: 0, count: 1 << 42)
    }
    #expect(try memory.read(address: 1 << 43, byteCount: 3) == [0, 0, 0])
  }

  @Test("of two threads that map one page, exactly one succeeds and the other is told")
  func racingMap() async throws {
    let memory = try Memories.virtual(256, 256)
    for page in 0..<256 as Range<UInt64> {
      let outcomes = await withTaskGroup(of: MemoryFault?.self) { group in
        for _ in 0..<2 {
          group.addTask {
            do throws(MemoryAccessError) {
              guard try memory.map(address: page * P, byteCount: P, protection: .readWrite) else { return .allocationFailure }
              return nil
            } catch { return error.fault }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(outcomes.count { $0 == nil } == 1 && outcomes.count { $0 == .alreadyMapped } == 1)
    }
  }
}
