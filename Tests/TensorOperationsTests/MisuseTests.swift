import TensorOperations
import Tensors
import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

/// Arguments that a guest may get wrong, by accident or on purpose. Each is refused with a sentence that names the operation and
/// the operand, before anything is read or written.
@Suite("Misuse of native tensor operations")
struct MisuseTests {
  private static func refused(_ parts: String..., call: (OperationBench) throws -> Void) throws {
    let bench = try OperationBench(.native, scratchPageCount: 2, weightsPageCount: 2, cachePageCount: 2)
    let before = try bench.memories.scratch.read(address: 0, byteCount: 1024)
    do {
      try call(bench)
      Issue.record("the call was not refused; expected \(parts)")
    } catch let misuse as OperationMisuse {
      for part in parts { #expect(misuse.description.contains(part), "\(misuse)") }
    }
    #expect(try bench.memories.scratch.read(address: 0, byteCount: 1024) == before, "a refused call writes nothing")
  }

  private static let end = 2 * OperationBench.page

  @Test("operands past the end of their memory")
  func pastTheEnd() throws {
    try Self.refused("tensor.add", "out", "0x1fffc", "out of bounds") { try $0.call("add", (Self.end - 4).at, 0, 64, 2) }
    try Self.refused("tensor.add", "a", "out of bounds") { try $0.call("add", 0, (Self.end - 4).at, 64, 2) }
    try Self.refused("tensor.silu", "x", "out of bounds") { try $0.call("silu", 0, UInt64.max.at, 4) }
    try Self.refused("tensor.matmul", "w", "memory weights") { try $0.call("matmul", 0, 4096, (Self.end - 4).at, 0, 1, 2, 1) }
  }

  @Test("sizes whose product overflows")
  func overflow() throws {
    try Self.refused("tensor.mul", "out", "2^64") { try $0.call("mul", 0, 0, 0, OperationBench.Argument(bits: 1 << 62)) }
    try Self.refused("tensor.softmax", "out", "out of bounds") { try $0.call("softmax", 0, 0, 0x7FFF_FFFF, 0x7FFF_FFFF) }
    try Self.refused("tensor.attention", "out") {
      try $0.call(
        "attention", 0, 0, 0, 0, 0, 0, 64, 64, 0x7FFF_FFFF, 0x7FFF_FFFF, 1, 0x7FFF_FFFF, 1, 1.0, 0, 0.0)
    }
  }

  @Test("negative counts")
  func negative() throws {
    try Self.refused("tensor.softmax", "rows", "at least 0", "-1") { try $0.call("softmax", 0, 0, -1, 4) }
    try Self.refused("tensor.add", "count", "at least 0") { try $0.call("add", 0, 0, 0, -8) }
  }

  @Test("unknown types, types of another kind, and rows that are no whole number of blocks")
  func types() throws {
    try Self.refused("tensor.matmul", "type", "99") { try $0.call("matmul", 0, 4096, 0, 99, 1, 32, 1) }
    try Self.refused("tensor.matmul", "type", "IQ2_XXS") { try $0.call("matmul", 0, 4096, 0, 16, 1, 256, 1) }
    try Self.refused("tensor.rms_norm", "type", "Q4_1") { try $0.call("rms_norm", 0, 4096, 0, 3, 1, 32, 1e-5) }
    try Self.refused("tensor.matmul", "w", "multiple of the 32") { try $0.call("matmul", 0, 4096, 0, 3, 1, 33, 1) }
  }

  @Test("ids and positions outside their ranges")
  func indices() throws {
    for id in [Int32(-1), 4, .max] {
      try Self.refused("tensor.get_rows", "ids", "\(id)") {
        try $0.memories.scratch.write(elements: [id], address: 1024)
        try $0.call("get_rows", 0, 0, 0, 1024, 1, 8, 4)
      }
    }
  }

  @Test("rules between arguments")
  func rules() throws {
    try Self.refused("tensor.rope", "rope_dim", "at most") { try $0.call("rope", 0, 4096, 1, 1, 4, 6, 1e4, 1.0, 0) }
    try Self.refused("tensor.rope", "rope_dim", "even") { try $0.call("rope", 0, 4096, 1, 1, 4, 3, 1e4, 1.0, 0) }
    try Self.refused("tensor.rope", "mode") { try $0.call("rope", 0, 4096, 1, 1, 4, 4, 1e4, 1.0, 2) }
    try Self.refused("tensor.top_k", "k", "at most") { try $0.call("top_k", 0, 1024, 4096, 1, 4, 5) }
    try Self.refused("tensor.attention", "heads", "multiple") {
      try $0.call("attention", 0, 4096, 8192, 8200, 0, 0, 64, 4096, 1, 3, 2, 8, 1, 1.0, 0, 0.0)
    }
    try Self.refused("tensor.attention", "heads", "multiple") {
      try $0.call("attention", 0, 4096, 8192, 8200, 0, 0, 64, 4096, 1, 3, 0, 8, 1, 1.0, 0, 0.0)
    }
  }

  @Test("outputs that overlap inputs, other than equal ones that may be equal")
  func overlap() throws {
    try Self.refused("tensor.add", "out", "overlaps a") { try $0.call("add", 4, 0, 4096, 8) }
    try Self.refused("tensor.matmul", "out", "overlaps x") { try $0.call("matmul", 0, 0, 0, 0, 1, 4, 4) }
    try Self.refused("tensor.get_rows", "out", "overlaps ids") { try $0.call("get_rows", 0, 0, 0, 4, 2, 8, 4) }
    try Self.refused("tensor.top_k", "values", "overlaps ids") { try $0.call("top_k", 0, 4, 4096, 1, 8, 4) }
    let bench = try OperationBench(.native)
    try bench.call("add", 0, 0, 4096, 8)
    try bench.call("add", 0, 0, 0, 8)
  }

  @Test("weights that are unmapped, and protected scratch cannot be reached")
  func pageStates() throws {
    try Self.refused("tensor.matmul", "w", "unmapped") {
      try $0.memories.weights.unmap(address: OperationBench.page, byteCount: OperationBench.page)
      try $0.call("matmul", 0, 4096, (OperationBench.page - 4).at, 0, 1, 2, 1)
    }
    try Self.refused("tensor.add_bias", "bias", "protected") {
      try $0.memories.weights.protect(address: 0, byteCount: OperationBench.page, protection: .none)
      try $0.call("add_bias", 0, 4096, 0, 0, 1, 4)
    }
  }

  @Test("cache rows that are not mapped, read-only or lead past the address range")
  func cache() throws {
    func attend(_ bench: OperationBench, base: Int64, position: Int32, stride: Int = 4096, window: Int = 0) throws {
      try bench.memories.scratch.write(elements: [base], address: 8192)
      try bench.memories.scratch.write(elements: [position], address: 8200)
      try bench.call(
        "attention", 0, 4096, 8192, 8200, 0, 2048, 64, stride.n, 1, 1, 1, 16, 1, 1.0, window.n, 0.0)
    }
    try Self.refused("tensor.attention", "bases", "unmapped") { try attend($0, base: 0, position: 0) }
    try Self.refused("tensor.attention", "bases", "at least 0") { try attend($0, base: -8, position: 0) }
    try Self.refused("tensor.attention", "positions", "at least 0") { try attend($0, base: 0, position: -1) }
    try Self.refused("tensor.attention", "bases") { try attend($0, base: .max, position: 0) }
    try Self.refused("tensor.attention", "chunk_stride", "at least") { try attend($0, base: 0, position: 100, stride: 0) }
    try Self.refused("tensor.attention", "bases", "positions") {
      _ = try $0.memories.cache.map(address: 0, byteCount: OperationBench.page, protection: .read)
      // 16 chunks of 4096 bytes fit the mapped page; position 1024 is the first of the 17th.
      try attend($0, base: 0, position: 1023)
      try $0.memories.scratch.write([UInt8](repeating: 0, count: 64), address: 0)
      try $0.memories.scratch.write([UInt8](repeating: 0, count: 16), address: 8192)
      try attend($0, base: 0, position: 1024)
    }
    // With a window only the last positions are read.
    let bench = try OperationBench(.native)
    _ = try bench.memories.cache.map(address: OperationBench.page, byteCount: OperationBench.page, protection: .read)
    try attend(bench, base: 0, position: 1100, window: 70)
    #expect(throws: OperationMisuse.self) { try attend(bench, base: 0, position: 1100, window: 78) }
    // A write needs more than read.
    #expect(throws: OperationMisuse.self) {
      try bench.call("cache_append", 4096, 8192, 8200, 0, 64, 4096, 1, 16, 1)
    }
  }
}

/// The wasm provider is a guest: it traps by itself, whatever the arguments.
@Suite("Misuse of tensor operations of the wasm provider")
struct WasmMisuseTests {
  @Test("every kind of misuse traps", arguments: [OperationBench.Provider.wasm, .wasmOnTwoThreads])
  func traps(provider: OperationBench.Provider) throws {
    let end = 2 * OperationBench.page
    func expectTrap(_ what: String, _ call: (OperationBench) throws -> Void) throws {
      let bench = try OperationBench(provider, scratchPageCount: 2, weightsPageCount: 2, cachePageCount: 2)
      #expect(throws: WasmError.self, "\(what)") { try call(bench) }
    }
    try expectTrap("past the end") { try $0.call("add", (end - 4).at, 0, 64, 2) }
    try expectTrap("past the end of the weights") { try $0.call("matmul", 0, 4096, (end - 4).at, 0, 1, 2, 1) }
    try expectTrap("unknown type") { try $0.call("matmul", 0, 4096, 0, 99, 1, 32, 1) }
    try expectTrap("no whole blocks") { try $0.call("matmul", 0, 4096, 0, 3, 1, 33, 1) }
    try expectTrap("id out of range") {
      try $0.memories.scratch.write(elements: [Int32(4)], address: 1024)
      try $0.call("get_rows", 0, 0, 0, 1024, 1, 8, 4)
    }
    try expectTrap("unmapped cache") {
      try $0.call("attention", 0, 4096, 8192, 8200, 0, 2048, 64, 4096, 1, 1, 1, 16, 1, 1.0, 0, 0.0)
    }
    try expectTrap("unmapped weights") {
      try $0.memories.weights.unmap(address: 0, byteCount: end)
      try $0.call("matmul", 0, 4096, 0, 0, 1, 2, 1)
    }
  }

  @Test("rows that no kernel cuts, and more of them than are checked one by one")
  func limits() throws {
    let bench = try OperationBench(.native, scratchPageCount: 4096, weightsPageCount: 1024)
    func refused(_ name: String, _ parts: [String], _ arguments: OperationBench.Argument...) throws {
      let call = try bench.prepared(name, arguments)
      do {
        try call()
        Issue.record("tensor.\(name) was not refused")
      } catch let misuse as OperationMisuse {
        for part in parts { #expect(misuse.description.contains(part), "\(misuse)") }
      }
    }
    let (most, over) = (1 << 20, (1 << 20) + 1)
    try refused("softmax", ["columns", "1048576", "1048577"], 0, 0, 1, over.n)
    try refused("top_k", ["columns", "1048577"], 0, (64 << 20).n, (128 << 20).n, 1, over.n, 1)
    try refused("rope", ["heads", "head_dim", "2097152"], 0, (64 << 20).n, 1, 2, most.n, 2, Float(1).f, Float(1).f, 0)
    try refused("matmul", ["columns_in"], 0, (64 << 20).n, 0, 0, 1, over.n, 1)
    try bench.call("softmax", 0, 0, 1, most.n)
    try bench.call("matmul", (64 << 20).n, 0, 0, 0, 1, most.n, 1)
    // 2^20 + 1 rows are too many for positions; without index operands they are not.
    try refused("rope", ["rows", "allocation refused"], 0, (64 << 20).n, over.n, 1, 2, 2, Float(1).f, Float(1).f, 0)
    try refused("get_rows", ["rows", "allocation refused"], 0, 0, 0, (64 << 20).n, over.n, 1, 1)
    try bench.call("softmax", 0, 0, over.n, 2)
  }

  @Test("what the host would have to allocate is charged to the budget first")
  func budget() throws {
    let budget = ResourceBudget(byteCountMax: 1_000_000)
    let bench = try OperationBench(.native, budget: budget)
    // 12 bytes a row are copied.
    let rows = 100_000
    let bases = try bench.scratch(bases: .init(repeating: 0, count: rows))
    let positions = try bench.scratch(ids: .init(repeating: 0, count: rows))
    _ = try bench.memories.cache.map(address: 0, byteCount: OperationBench.page, protection: .readWrite)
    func message(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return ""
    }
    let x = try bench.scratch(.init(repeating: 1, count: 2 * rows))
    let refusal = message {
      try bench.call(
        "attention", (x + UInt64(4 * rows)).at, x.at, bases.at, positions.at, 0, 0, 64, 4096, rows.n, 1, 1, 1, 1, 1.0, 0, 0.0)
    }
    #expect(refusal.contains("tensor.attention: rows") && refusal.contains("allocation refused"), "\(refusal)")
    #expect(budget.usedByteCount(on: .hostBuffers) == 0)
    // 256 rows of 4096 inputs: 1.6 MB of quantised activations.
    let product = message { try bench.call("matmul", 0, (4 << 20).n, 0, ElementType.q8_0.n, 256, 4096, 1) }
    #expect(product.contains("allocation refused"), "\(product)")
    try bench.call("matmul", 0, (4 << 20).n, 0, ElementType.q8_0.n, 4, 4096, 1)
    #expect(budget.usedByteCount(on: .hostBuffers) > 0 && budget.usedByteCount <= 1_000_000)
  }

  @Test("buffers of one giant call are given back")
  func givesBack() throws {
    let budget = ResourceBudget(byteCountMax: 1 << 30)
    let bench = try OperationBench(.native, scratchPageCount: 8192, budget: budget)
    let rows = 1 << 20
    let positions = try bench.scratch(ids: .init(repeating: 0, count: rows))
    let bases = try bench.scratch(bases: .init(repeating: 0, count: rows))
    let x = try bench.scratch(.init(repeating: 1, count: 2 * rows))
    _ = try bench.memories.cache.map(address: 0, byteCount: OperationBench.page, protection: .readWrite)
    try bench.call(
      "attention", (x + UInt64(4 * rows)).at, x.at, bases.at, positions.at, 0, 0, 64, 4096, rows.n, 1, 1, 1, 1, 1.0, 0, 0.0)
    #expect(budget.peakByteCount >= 12 << 20)
    #expect(budget.usedByteCount <= 32 << 20)
  }

  @Test("memories that guests share are refused: pages could go away between a check and its use")
  func sharedMemories() throws {
    let shared = try Memory(type: MemoryType(addressType: .i64, limits: Limits(minimum: 1, maximum: 1), isShared: true))
    let plain = try Memory(type: MemoryType(addressType: .i64, limits: Limits(minimum: 1, maximum: 1)))
    var imports = Imports()
    #expect(throws: WasmError.self) {
      try TensorModule.define(
        in: &imports, store: Store(engine: Engine()), memories: ProgramMemories(weights: plain, cache: plain, scratch: shared),
        provider: .native, workers: WorkerPool(threadCount: 1))
    }
  }
}
