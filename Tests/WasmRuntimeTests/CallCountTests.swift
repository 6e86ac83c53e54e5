import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import _TestSupport

/// What crossing the border costs in allocations and calls of the system. A call in a loop over tokens or tensors must cost none.
@Suite("Allocations of calls and of memory instructions", .enabled(if: ThreadCounts.areCounted))
struct CallCountTests {
  private static let text = """
    (module
      (import "host" "add" (func $add (param i32 i64 f32) (result i64)))
      (import "host" "memory" (memory $pages i64 virtual 64 64))
      (memory $plain (export "memory") 2)
      (func (export "nothing"))
      (func (export "sum") (param i32 i64 f32) (result i64)
        (i64.add (local.get 1) (i64.extend_i32_u (local.get 0))))
      (func (export "call_host") (param $count i32) (result i64) (local $sum i64)
        (loop $again
          (local.set $sum (call $add (local.get $count) (local.get $sum) (f32.const 1)))
          (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
        (local.get $sum))
      (func (export "map") (param i64)
        (drop (memory.map $pages readwrite (local.get 0) (i64.const 65536))))
      (func (export "unmap") (param i64) (memory.unmap $pages (local.get 0) (i64.const 65536)))
      (func (export "protect") (param i64)
        (memory.protect $pages read (local.get 0) (i64.const 65536))
        (memory.protect $pages readwrite (local.get 0) (i64.const 65536)))
      (func (export "discard") (param i64)
        (i64.store $pages (local.get 0) (i64.const 1))
        (memory.discard $pages (local.get 0) (i64.const 65536)))
      (func (export "touch") (param i64) (i64.store $pages (local.get 0) (i64.const 1))))
    """

  private let instance: Instance
  private let pages: Memory

  init() throws {
    let memory = try Memories.virtual(64, 64)
    pages = memory
    instance = try GuestModule.instantiate(Self.text) { try Self.imports($0, memory) }
  }

  private static func imports(_ store: Store, _ memory: Memory) throws -> Imports {
    var imports = Imports()
    imports.define(module: "host", name: "memory", .memory(memory))
    imports.define(
      module: "host", name: "add",
      .function(
        Function(store: store, type: FunctionType(parameters: [.i32, .i64, .f32], results: [.i64]), name: "add") {
          _, arguments, results in
          results.set(arguments.i64(1) &+ UInt64(arguments.i32(0)) &+ UInt64(arguments.f32(2)))
        }))
    return imports
  }

  private func function(_ name: String) throws -> Function { try #require(instance.function(name)) }

  @Test("a call by the host")
  func hostToGuest() throws {
    let (nothing, sum) = (try function("nothing"), try function("sum"))
    let arguments: [Value] = [.i32(UInt32(1)), .i64(UInt64(2)), .f32(Float(3))]
    var counts = try ThreadCounts.steady(count: 100) { _ = try nothing([]) }
    #expect(counts.allocations == 0, "no arguments and no results")
    counts = try ThreadCounts.steady(count: 100) { _ = try sum(arguments) }
    try RecordedCounts.check("allocations of 100 calls by the host with a result", counts.allocations, dependsOn: .compiler)
    #expect(counts.releases == counts.allocations && counts.pageCalls == 0)
    var results: [Value] = []
    counts = try ThreadCounts.steady(count: 100) { try sum.call(arguments, results: &results) }
    #expect(counts.allocations == 0, "with an array for the results that is used again")
    #expect(results.count == 1 && results[0].i64 == 3)
  }

  @Test("a call of the host by a guest allocates nothing")
  func guestToHost() throws {
    let call = try function("call_host")
    func counts(_ count: Int32) throws -> ThreadCounts {
      let arguments: [Value] = [.i32(count)]
      return try ThreadCounts.steady(count: 4) { _ = try call(arguments) }
    }
    let (one, many) = (try counts(1), try counts(10_001))
    #expect(many == one, "10 000 calls more cost nothing more")
    #expect(try call(.i32(Int32(3)))[0].i64 == 9, "1 + 2 + 3 and 3 times 1")
  }

  @Test("memory.map, unmap, protect and discard allocate nothing, and ask the system once each")
  func memoryInstructions() throws {
    let names = ["map", "touch", "protect", "discard", "unmap"]
    let functions = try names.map { try function($0) }
    let arguments: [Value] = [.i64(UInt64(8 << 16))]
    var sums = [ThreadCounts](repeating: ThreadCounts(), count: names.count)
    for round in 0..<20 {
      for (index, function) in functions.enumerated() {
        let (counts, _) = try ThreadCounts.of { try function(arguments) }
        guard round >= 4 else { continue }
        sums[index] = sums[index] + counts
      }
    }
    #expect(sums.map { $0.allocations } == [0, 0, 0, 0, 0], "\(names)")
    #expect(sums.map { $0.pageCalls } == [16, 0, 32, 16, 16], "\(names)")
  }

  @Test("mapping the next pages of a growing range allocates nothing, however many ranges there are")
  func growingRange() throws {
    let memory = try Memories.virtual(4096, 4096)
    for page in stride(from: UInt64(0), to: 1000, by: 2) {
      #expect(try memory.map(address: page * P, byteCount: P, protection: .readWrite))
    }
    var page: UInt64 = 2000
    let counts = try ThreadCounts.steady(count: 100) {
      guard try memory.map(address: page * P, byteCount: P, protection: .readWrite) else { throw WasmError.limit("refused") }
      page += 1
    }
    #expect(counts.allocations == 0 && counts.pageCalls == 100)
  }

  @Test("reading and writing by the host")
  func hostAccess() throws {
    let bytes = [UInt8](repeating: 7, count: 1000)
    let memory = try #require(instance.memory("memory"))
    var counts = try ThreadCounts.steady(count: 100) { try memory.write(bytes, address: 5) }
    #expect(counts.allocations == 0 && counts.pageCalls == 0, "the bytes are copied once, from the array to where they belong")
    counts = try ThreadCounts.steady(count: 100) { _ = try memory.read(address: 5, byteCount: 1000) }
    #expect(counts.allocations == 100, "the array that is returned")
    counts = try ThreadCounts.steady(count: 100) {
      // SAFETY: the bytes are not read.
      _ = unsafe try memory.withUnsafeReadableBytes(address: 5, byteCount: 1000) { $0.count }
    }
    #expect(counts.allocations == 0 && counts.pageCalls == 0)
  }

  @Test("binding and unbinding a file costs a constant, whatever the size of the file")
  func binding() throws {
    let folder = try TemporaryFolder()
    var found: [ThreadCounts] = []
    for pageCount in [1, 32] {
      let path = try folder.write([UInt8](repeating: 1, count: pageCount << 16), to: "weights\(pageCount)")
      let file = try RegularFile(path: path)
      found.append(
        try ThreadCounts.steady(count: 16) {
          let binding = try pages.bind(file, at: 0)
          try binding.unbind()
        })
    }
    #expect(found[0] == found[1], "1 page and 32")
    try RecordedCounts.check("allocations of 16 times bind and unbind", found[0].allocations, dependsOn: .compiler)
    try RecordedCounts.check("page calls of 16 times bind and unbind", found[0].pageCalls)
    #expect(found[0].releases == found[0].allocations)
  }

  @Test("an instance costs a few allocations, however much code it has")
  func instantiating() throws {
    let engine = Engine()
    let functions = (0..<500).map { "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const \($0))))" }.joined()
    let small = try GuestModule.compile(Self.text, engine: engine)
    let large = try GuestModule.compile(String(Self.text.dropLast()) + functions + ")", engine: engine)
    func counts(_ module: CompiledModule) throws -> ThreadCounts {
      try ThreadCounts.steady(count: 8) {
        let store = Store(engine: engine)
        _ = try Instance(store: store, module: module, imports: try Self.imports(store, pages))
      }
    }
    let (few, many) = (try counts(small), try counts(large))
    #expect(few.allocations == many.allocations && few.pageCalls == many.pageCalls, "500 functions more")
    try RecordedCounts.check("allocations of 8 instances, each in a store of its own", few.allocations, dependsOn: .compiler)
    try RecordedCounts.check("page calls of 8 instances, each in a store of its own", few.pageCalls)
    // What stays of a store that is gone is the engine's weak reference, until it looks through its list, which it does now and then.
    #expect(few.allocations - few.releases <= 8, "nothing else stays when the store is gone: \(few)")
  }
}
