#if os(Linux)
import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import WebAssemblyText
import _TestSupport

/// Many memories, big ones, and many changes: what the process holds is counted, in a process of its own, not timed.
@Suite(
  "Memories at scale", .serialized,
  .disabled(if: isAddressSanitized, "AddressSanitizer keeps freed memory, so there is nothing to count"))
struct MemoryScaleTests {
  @Test("sixty-four instances, each with a virtual memory of a terabyte, take less than a megabyte together")
  func terabytes() async {
    await #expect(processExitsWith: .success) {
      let engine = Engine()
      let module = try compile(
        """
        (module (memory i64 virtual 16777216 16777216)
          (func (export "use") (param i64) (result i32)
            (drop (memory.map readwrite (local.get 0) (i64.const 65536)))
            (i32.store8 (local.get 0) (i32.const 7))
            (i32.load8_u (local.get 0))))
        """, engine)
      // The first one pays for what the process makes once.
      _ = try Instance(store: Store(engine: engine), module: module)
      let before = try Footprint.current()
      let store = Store(engine: engine)
      // As many as fit a process of 128 TiB at a time.
      let instances = try (0..<64).map { _ in try Instance(store: store, module: module) }
      let held = try Footprint.current()
      #expect(held.anonymousByteCount - before.anonymousByteCount < 1 << 20, "\(held), before: \(before)")
      #expect(held.mappingCount - before.mappingCount <= 64 * 2 + 8, "\(held), before: \(before)")
      for (index, instance) in instances.enumerated() {
        // From the last page downwards, 16 GiB apart.
        let address = (1 << 40) - 65536 - UInt64(index) * (1 << 34)
        let use = try #require(instance.function("use"))
        #expect(throws: WasmError.self) { _ = try use(.i64(UInt64(1) << 40)) }
        guard case .i32(7)? = try use(.i64(address)).first else { exit(3) }
      }
      for _ in 0..<1000 { _ = try Memory(type: terabyte) }
      let after = try Footprint.current()
      #expect(after.mappingCount - before.mappingCount <= 64 * 4 + 8, "\(after), before: \(before)")
    }
  }

  @Test("ten thousand instances with one bound weight file live in one process")
  func tenThousand() async {
    await #expect(processExitsWith: .success) {
      let count = 10_000
      let folder = try TemporaryFolder()
      let weights = (0..<(4 << 20)).map { UInt8(truncatingIfNeeded: $0 >> 12 &+ $0 &* 7) }
      let file = try RegularFile(path: try folder.write(weights, to: "weights"))
      let engine = Engine()
      // 8 GiB of addresses each: together 80 TiB of the 128 that a process has.
      let module = try compile(
        """
        (module (memory (export "weights") i64 virtual 64 131072)
          (func (export "load") (param i64) (result i32) (i32.load8_u (local.get 0))))
        """, engine)
      let store = Store(engine: engine)
      _ = try Instance(store: store, module: module).memory("weights")?.bind(file, at: 0)
      let before = try Footprint.current()
      var instances: [Instance] = []
      for _ in 0..<(count - 1) {
        let instance = try Instance(store: store, module: module)
        _ = try instance.memory("weights")?.bind(file, at: 0)
        instances.append(instance)
      }
      for (index, instance) in instances.enumerated() {
        let address = index * 419 % weights.count
        let load = try #require(instance.function("load"))
        let byte = try load(.i64(UInt64(address))).first
        guard case .i32(let found)? = byte, found == UInt32(weights[address]) else { exit(3) }
      }
      let after = try Footprint.current()
      // A reservation, its bound part and its rest: at most three mappings each, of the 65530 that a process may have.
      #expect(after.mappingCount - before.mappingCount <= 3 * count, "\(after), before: \(before)")
      // The file is open once, and its pages are the page cache's: what is of the process are the instances' records.
      #expect(after.descriptorCount == before.descriptorCount, "\(after), before: \(before)")
      #expect(after.anonymousByteCount - before.anonymousByteCount < 16384 * count, "\(after), before: \(before)")
      #expect(instances.count == count - 1)
    }
  }

  @Test("a hundred thousand bindings, made and undone, leave no mapping, no descriptor and no memory behind")
  func cycles() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let path = try folder.write(Array(repeating: 5, count: 200_000), to: "f")
      let file = try RegularFile(path: path)
      let memory = try Memories.virtual(16, 16)
      func cycle(_ index: UInt64) throws {
        // Slices at every offset: whole pages mapped, edges copied; and now and then a file of its own, or the guest's unmap.
        let region = FileRegion(file: file, offset: index % 100_000, byteCount: 100_000)
        let binding = try memory.bind(region, at: index % 8 * P, mode: index % 3 == 0 ? .copyOnWrite : .readOnly)
        if index % 5 == 0 {
          try memory.unmap(address: index % 8 * P, byteCount: P)
          _ = try memory.map(address: index % 8 * P, byteCount: P, protection: .readWrite)
        }
        try binding.unbind()
        if index % 5 == 0 { try memory.unmap(address: index % 8 * P, byteCount: P) }
        if index % 100 == 0 { try memory.bind(try RegularFile(path: path), at: 8 * P).unbind() }
      }
      for index in 0..<1000 as Range<UInt64> { try cycle(index) }
      let before = try Footprint.current()
      for index in 0..<100_000 as Range<UInt64> { try cycle(index) }
      let after = try Footprint.current()
      #expect(memory.mappedByteCount == 0 && memory.bindingCount == 0 && memory.extentCount == 0)
      #expect(after.mappingCount <= before.mappingCount + 2, "\(after), before: \(before)")
      #expect(after.descriptorCount == before.descriptorCount, "\(after), before: \(before)")
      #expect(after.anonymousByteCount - before.anonymousByteCount < 4 << 20, "\(after), before: \(before)")
    }
  }

  @Test("a bound file of ten gigabytes takes as many mappings and bytes of the process as one of a megabyte")
  func sparseFiles() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let memory = try Memories.virtual(1 << 18, 1 << 18)
      var costs: [Int] = []
      // The first one pays for what the process makes once.
      try memory.bind(RegularFile(path: folder.write([1], to: "first")), at: 0).unbind()
      for megabytes in [1, 100, 10_240] as [UInt64] {
        let path = try folder.write([], to: "\(megabytes)")
        let handle = try FileHandle(forWritingTo: URL(filePath: path))
        try handle.truncate(atOffset: megabytes << 20)
        try handle.close()
        let before = try Footprint.current()
        let binding = try memory.bind(try RegularFile(path: path), at: 0)
        costs.append(try Footprint.current().mappingCount - before.mappingCount)
        #expect(memory.extentCount == 1 && memory.copiedByteCount == 0)
        #expect(try memory.read(address: (megabytes << 20) - 1, byteCount: 1) == [0])
        #expect(try memory.residentByteCount() < 1 << 20)
        try binding.unbind()
      }
      #expect(costs == [costs[0], costs[0], costs[0]], "\(costs)")
    }
  }
}

private let terabyte = MemoryType(
  addressType: .i64, limits: Limits(minimum: 1 << 24, maximum: 1 << 24), attributes: MemoryAttributes(isVirtual: true))

private func compile(_ text: String, _ engine: Engine) throws -> CompiledModule {
  try CompiledModule(engine: engine, bytes: WebAssemblyText.binary(of: Array(text.utf8)))
}

/// What the process holds.
private struct Footprint {
  let anonymousByteCount: Int
  let mappingCount: Int
  let descriptorCount: Int

  static func current() throws -> Footprint {
    Footprint(
      anonymousByteCount: try ProcessMemory.current().residentAnonymousByteCount,
      mappingCount: try ProcessMemory.mappingCount(),
      descriptorCount: try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count)
  }
}
#endif
