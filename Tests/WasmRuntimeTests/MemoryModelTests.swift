import Foundation
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

/// Random operations on a memory, compared with a model that keeps a state and a byte per page.
@Suite("Memories against a model")
struct MemoryModelTests {
  /// The naive truth: one entry per page.
  struct Model {
    struct Page: Equatable {
      var protection: PageProtection?
      var binding: Int?
      /// What every byte of the page reads, for anonymous pages.
      var value: UInt8 = 0
    }
    var pages: [Page]

    func fault(_ address: UInt64, _ byteCount: UInt64, isWrite: Bool) -> MemoryFault? {
      let (end, overflow) = address.addingReportingOverflow(byteCount)
      guard !overflow, end <= UInt64(pages.count) * P else { return .outOfBounds }
      guard byteCount > 0 else { return nil }
      for page in pages[Int(address / P)...Int((end - 1) / P)] {
        guard let protection = page.protection else { return .unmapped }
        guard protection >= (isWrite ? .readWrite : .read) else { return .protected }
      }
      return nil
    }
  }

  @Test("fifteen thousand random operations give the faults, values and windows of the model", arguments: [1, 2, 3] as [UInt64])
  func randomOperations(_ seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let folder = try TemporaryFolder()
    let fileBytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 4096 + 128) }
    let file = try RegularFile(path: try folder.write(fileBytes, to: "f"))
    let memory = try Memories.virtual(24, 40)
    var model = Model(pages: Array(repeating: .init(), count: 24))
    var bindings: [(binding: MemoryBinding, id: Int)] = []
    var nextID = 0
    let views = [TestView(memory), TestView(memory)]

    for step in 0..<5_000 {
      let context: Comment = "seed \(seed), step \(step)"
      let first = Int.random(in: 0..<model.pages.count, using: &generator)
      let count = Int.random(in: 1...6, using: &generator)
      let (address, byteCount) = (UInt64(first) * P, UInt64(count) * P)
      let range = first..<min(first + count, model.pages.count)
      let isInBounds = first + count <= model.pages.count
      let slice = model.pages[range]
      let protection = PageProtection.allCases.randomElement(using: &generator)!
      var actual: MemoryFault?
      var expected: MemoryFault? = isInBounds ? nil : .outOfBounds
      func attempt(_ body: () throws(MemoryAccessError) -> Void) {
        do throws(MemoryAccessError) { try body() } catch { actual = error.fault }
      }
      switch Int.random(in: 0..<20, using: &generator) {
      case 0..<6:
        if isInBounds, slice.contains(where: { $0.protection != nil }) { expected = .alreadyMapped }
        attempt { () throws(MemoryAccessError) in
          #expect(try memory.map(address: address, byteCount: byteCount, protection: protection), context)
        }
        if expected == nil { for page in range { model.pages[page] = .init(protection: protection) } }
      case 6..<9:
        attempt { () throws(MemoryAccessError) in try memory.unmap(address: address, byteCount: byteCount) }
        if expected == nil { for page in range { model.pages[page] = .init() } }
      case 9..<13:
        if isInBounds {
          for page in slice where expected == nil {
            if page.protection == nil { expected = .unmapped }
            if page.binding != nil, protection == .readWrite { expected = .hostMappingReadOnly }
          }
        }
        attempt { () throws(MemoryAccessError) in
          try memory.protect(address: address, byteCount: byteCount, protection: protection)
        }
        if expected == nil { for page in range { model.pages[page].protection = protection } }
      case 13..<16:
        if isInBounds {
          for page in slice where expected == nil {
            if page.binding != nil { expected = .hostMapped } else if page.protection == .read { expected = .protected }
          }
        }
        attempt { () throws(MemoryAccessError) in
          #expect(try memory.tryDiscard(address: address, byteCount: byteCount) == .released, context)
        }
        if expected == nil { for page in range { model.pages[page].value = 0 } }
      case 16:
        let length = UInt64.random(in: 1...300_000, using: &generator)
        let needed = Int((length + P - 1) / P)
        let bound = first..<min(first + needed, model.pages.count)
        let isFree = first + needed <= model.pages.count && model.pages[bound].allSatisfy { $0.protection == nil }
        let binding = try? memory.bind(FileRegion(file: file, offset: 0, byteCount: length), at: address)
        #expect((binding != nil) == isFree, context)
        if let binding, isFree {
          for page in bound { model.pages[page] = .init(protection: .read, binding: nextID) }
          bindings.append((binding, nextID))
          nextID += 1
        }
        expected = nil
      case 17:
        if let index = bindings.indices.randomElement(using: &generator) {
          let (binding, id) = bindings.remove(at: index)
          try binding.unbind()
          for page in model.pages.indices where model.pages[page].binding == id { model.pages[page] = .init() }
        }
        expected = nil
      case 18:
        if model.pages.count < 40 {
          #expect(memory.grow(by: 1) == UInt64(model.pages.count), context)
          model.pages.append(.init())
        }
        expected = nil
      default:
        // Fill one writable page with a value, through a view.
        let page = first
        let value = UInt8.random(in: 1..<128, using: &generator)
        let fault = views[0].range(UInt64(page) * P, P, isWrite: true)
        #expect(fault == model.fault(UInt64(page) * P, P, isWrite: true), context)
        if fault == nil {
          try memory.write(Array(repeating: value, count: Int(P)), address: UInt64(page) * P)
          model.pages[page].value = value
        }
        expected = nil
      }
      #expect(actual == expected, context)

      // Accesses of both views, most of them near a page boundary.
      for view in views {
        for _ in 0..<3 {
          let log2 = UInt32.random(in: 0...4, using: &generator)
          let boundary = UInt64.random(in: 0...UInt64(model.pages.count), using: &generator) &* P
          let access = boundary &+ UInt64.random(in: 0..<40, using: &generator) &- 20
          let isWrite = Bool.random(using: &generator)
          let expected = model.fault(access, 1 << UInt64(log2), isWrite: isWrite)
          let actual = view.access(access, sizeLog2: log2, isWrite: isWrite)
          #expect(actual == expected, "\(context): \(1 << log2) bytes at \(access), write \(isWrite)")
          if actual == nil, expected == nil, case .success(let byte) = view.load(access) {
            let page = model.pages[Int(access / P)]
            if page.binding == nil { #expect(byte == page.value, context) } else { #expect(byte == 0 || byte >= 128, context) }
          }
        }
      }
      #expect(memory.mappedByteCount == UInt64(model.pages.count { $0.protection != nil }) * P, context)
    }
    // Runs of equal state and backing.
    var runs = 0
    for (index, page) in model.pages.enumerated() where page.protection != nil {
      let previous = index > 0 ? model.pages[index - 1] : .init()
      if previous.protection != page.protection || previous.binding != page.binding { runs += 1 }
    }
    #expect(memory.extentCount == runs, "seed \(seed)")
  }

  @Test("while one thread takes pages away and gives them back, others read values or trap, and the process lives")
  func racing() async throws {
    let folder = try TemporaryFolder()
    let file = try RegularFile(path: try folder.write(Array(repeating: 5, count: Int(8 * P)), to: "f"))
    let memory = try Memories.virtual(32, 32)
    let views = (TestView(memory), TestView(memory))
    #expect(try memory.map(address: 0, byteCount: 16 * P, protection: .readWrite))
    await withTaskGroup(of: String?.self) { group in
      for worker in 0..<2 as Range<UInt64> {
        group.addTask {
          let view = TestView(memory)
          for step in 0..<100_000 as Range<UInt64> {
            let address = (step &* 40_503) % (24 * P)
            if address < 16 * P, step % 3 == worker {
              if let fault = view.store(address, 0), fault != .unmapped, fault != .protected { return "store: \(fault)" }
            } else {
              switch view.load(address) {
              case .success(let byte): if byte != 0, byte != 5 { return "load: \(byte)" }
              case .failure(let fault): if fault != .unmapped, fault != .protected { return "load: \(fault)" }
              }
            }
          }
          return nil
        }
      }
      group.addTask {
        do {
          for step in 0..<1500 as Range<UInt64> {
            let address = step % 15 * P
            try memory.protect(address: address, byteCount: 2 * P, protection: step % 2 == 0 ? .none : .read)
            try memory.unmap(address: address, byteCount: P)
            guard try memory.map(address: address, byteCount: P, protection: .readWrite) else { return "map" }
            try memory.protect(address: address + P, byteCount: P, protection: .readWrite)
            try memory.bind(file, at: 16 * P).unbind()
          }
          return nil
        } catch { return "\(error)" }
      }
      for await failure in group { #expect(failure == nil) }
    }
    _ = views
  }

  @Test("threads with a view each work in one memory while it grows, and while pages are mapped beside them")
  func threads() async throws {
    let memory = try Memories.virtual(64, 64)
    #expect(try memory.map(address: 0, byteCount: 8 * P, protection: .readWrite))
    await withTaskGroup(of: Bool.self) { group in
      for worker in 0..<4 as Range<UInt64> {
        group.addTask {
          let view = TestView(memory)
          for step in 0..<20_000 as Range<UInt64> {
            let address = worker * 2 * P + step % (2 * P)
            let value = UInt8(worker + 1)
            guard view.store(address, value) == nil, view.load(address) == .success(value) else { return false }
          }
          return true
        }
      }
      group.addTask {
        for step in 0..<2000 as Range<UInt64> {
          let address = (16 + step % 40) * P
          guard (try? memory.map(address: address, byteCount: P, protection: .readWrite)) == true,
            (try? memory.write([1], address: address)) != nil, (try? memory.unmap(address: address, byteCount: P)) != nil
          else { return false }
        }
        return true
      }
      for await isRight in group { #expect(isRight) }
    }
  }
}
