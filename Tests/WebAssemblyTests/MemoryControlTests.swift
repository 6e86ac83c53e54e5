import Testing
import WebAssembly

private typealias B = ModuleBytes

/// Encoding and validation of memory control; the rules are those of the design note, sections 2 and 3.
@Suite struct MemoryControlTests {
  /// (memory 1 2 virtual), i32 and i64.
  static let virtual: [UInt8] = [0x21, 1, 2, 0x04]
  static let virtual64: [UInt8] = [0x25, 1, 2, 0x04]
  static let plain: [UInt8] = [0x00, 1]

  private func message(_ bytes: [UInt8], features: WasmFeatures = .standard) -> String? {
    B.failure(bytes, features: features).map { "\($0.kind): \($0.message)" }
  }

  @Test func `the virtual attribute parses and comes back`() throws {
    let bytes = B.memory(Self.virtual)
    let module = try Module.parse(bytes)
    #expect(B.failure(bytes) == nil)
    #expect(module.memories[0].attributes == MemoryAttributes(isVirtual: true))
    #expect(module.memories[0].limits == Limits(minimum: 1, maximum: 2))
    #expect(module.encode() == bytes)
  }

  @Test func `every attribute parses and comes back`() throws {
    for (type, attributes) in [
      ([0x20, 1, 0x01, 3], MemoryAttributes(noAccessPageCount: 3)),
      ([0x20, 1, 0x02, 0x80, 0x02], MemoryAttributes(readOnlyPageCount: 256)),
      ([0x20, 1, 0x03, 3, 4], MemoryAttributes(noAccessPageCount: 3, readOnlyPageCount: 4)),
      ([0x21, 1, 9, 0x08, 5], MemoryAttributes(mappablePageCount: 5)),
      ([0x2D, 1, 9, 0, 0x01, 5], MemoryAttributes(noAccessPageCount: 5)),
      // A count of 0 that is given comes back.
      ([0x20, 1, 0x03, 0, 0], MemoryAttributes(noAccessPageCount: 0, readOnlyPageCount: 0)),
    ] as [([UInt8], MemoryAttributes)] {
      let bytes = B.memory(type)
      #expect(B.failure(bytes) == nil)
      let module = try Module.parse(bytes)
      #expect(module.memories[0].attributes == attributes)
      #expect(module.encode() == bytes)
    }
  }

  @Test(arguments: [
    ([0x10, 1], "malformed limits flags", 11), ([0x40, 1], "malformed limits flags", 11),
    ([0x80, 1], "malformed limits flags", 11),
    ([0x20, 1, 0x00], "malformed memory attributes", 13), ([0x20, 1, 0x10, 1], "malformed memory attributes", 13),
    ([0x20, 1, 0x05, 1, 0x20], "section size mismatch", 15),
  ] as [([UInt8], String, Int)])
  func `malformed flags and attributes`(type: [UInt8], text: String, offset: Int) throws {
    let failure = try #require(B.failure(B.memory(type)))
    #expect(failure == .init(kind: .malformed, message: text, offset: offset))
  }

  @Test func `attributes cut off are an unexpected end`() {
    for type: [UInt8] in [[0x20, 1], [0x20, 1, 0x01], [0x20, 1, 0x03, 1], [0x21, 1, 2, 0x08], [0x20, 1, 0x01, 0x80]] {
      #expect(message(B.memory(type)) == "malformed: unexpected end of section or function")
    }
  }

  @Test func `tables have no attributes`() {
    #expect(message(B.module(B.section(4, [1, 0x70, 0x20, 1, 0x04]))) == "malformed: malformed limits flags")
  }

  @Test(arguments: [
    // virtual and mappable without a maximum
    ([0x20, 1, 0x04], "virtual memory must have maximum"), ([0x20, 1, 0x08, 1], "virtual memory must have maximum"),
    // with pages of one byte
    ([0x29, 1, 2, 0x00, 0x04], "virtual memory must have default page size"),
    ([0x29, 1, 2, 0x00, 0x08, 1], "virtual memory must have default page size"),
    // combinations
    ([0x21, 1, 2, 0x06, 1], "conflicting memory attributes"), ([0x21, 1, 2, 0x05, 1], "conflicting memory attributes"),
    ([0x21, 1, 2, 0x0C, 1], "conflicting memory attributes"), ([0x21, 1, 2, 0x09, 1, 1], "conflicting memory attributes"),
    ([0x21, 1, 2, 0x0A, 1, 1], "conflicting memory attributes"),
    // a count of 0 is not an absent attribute
    ([0x21, 1, 2, 0x05, 0], "conflicting memory attributes"), ([0x21, 1, 2, 0x06, 0], "conflicting memory attributes"),
    ([0x21, 1, 2, 0x0C, 0], "conflicting memory attributes"), ([0x21, 1, 2, 0x09, 0, 1], "conflicting memory attributes"),
    ([0x21, 1, 2, 0x0B, 0, 0, 0], "conflicting memory attributes"),
    ([0x20, 1, 0x08, 0], "virtual memory must have maximum"),
    ([0x29, 1, 2, 0x00, 0x08, 0], "virtual memory must have default page size"),
    // a mappable part larger than the memory, or of no page
    ([0x21, 1, 2, 0x08, 3], "mappable size must not exceed maximum"),
    ([0x21, 1, 4, 0x08, 0], "mappable size must not exceed maximum"),
    ([0x21, 0, 0, 0x08, 0], "mappable size must not exceed maximum"),
    ([0x21, 0, 0, 0x08, 1], "mappable size must not exceed maximum"),
    ([0x25, 1, 4, 0x08, 0], "mappable size must not exceed maximum"),
    // sections that push the memory out of the address range: 65536 pages, of which one is declared readonly
    ([0x20, 0x80, 0x80, 0x04, 0x02, 1], "memory size"), ([0x21, 1, 0x80, 0x80, 0x04, 0x01, 1], "memory size"),
    ([0x20, 1, 0x03] + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 1], "memory size"),
    // two broken rules: the first of the table decides
    ([0x28, 1, 0x00, 0x06, 1], "virtual memory must have maximum"),
    ([0x29, 1, 2, 0x00, 0x06, 1], "virtual memory must have default page size"),
  ] as [([UInt8], String)])
  func `rules of memory types`(type: [UInt8], text: String) throws {
    let failure = try #require(B.failure(B.memory(type)))
    #expect(failure.kind == .invalid && failure.message.hasPrefix(text), "\(failure)")
  }

  @Test(arguments: [
    [0x21, 1, 2, 0x08, 2], [0x20, 0xFF, 0xFF, 0x03, 0x02, 1], [0x28, 1, 0x00, 0x01, 16],
    // Sections of no page stand for nothing, and are allowed.
    [0x20, 1, 0x01, 0], [0x20, 1, 0x02, 0], [0x21, 0, 0, 0x03, 0, 0],
  ] as [[UInt8]])
  func `the bounds of the rules are valid`(type: [UInt8]) {
    #expect(B.failure(B.memory(type)) == nil)
  }

  /// Address and length of the type of the memory, then the instruction on it.
  private func code(_ instruction: [UInt8], memory: [UInt8], is64: Bool = false, results: [UInt8] = []) -> [UInt8] {
    let number: UInt8 = is64 ? 0x42 : 0x41
    return B.code([number, 0, number, 0] + instruction, memories: [memory], results: results)
  }

  @Test func `the five instructions have the types of the memory's addresses`() {
    for (memory, is64, type) in [(Self.virtual, false, 0x7F), (Self.virtual64, true, 0x7E)] as [([UInt8], Bool, UInt8)] {
      #expect(message(code([0xFC, 0x12, 0], memory: memory, is64: is64)) == nil)
      #expect(message(code([0xFC, 0x20, 0, 2], memory: memory, is64: is64, results: [type])) == nil)
      #expect(message(code([0xFC, 0x21, 0], memory: memory, is64: is64)) == nil)
      #expect(message(code([0xFC, 0x22, 0, 1], memory: memory, is64: is64)) == nil)
      // try_discard leaves an i32 whatever the address type.
      #expect(message(code([0xFC, 0x23, 0], memory: memory, is64: is64, results: [0x7F])) == nil)
      // Operands of the other type do not fit.
      #expect(message(code([0xFC, 0x12, 0], memory: memory, is64: !is64))?.hasPrefix("invalid: type mismatch") == true)
    }
    for (instruction, result) in [([0xFC, 0x20, 0, 2], 0x7F), ([0xFC, 0x23, 0], 0x7E)] as [([UInt8], UInt8)] {
      let wrong = message(code(instruction, memory: Self.virtual64, is64: true, results: [result]))
      #expect(wrong?.hasPrefix("invalid: type mismatch") == true)
    }
  }

  @Test func `the protection byte is none, read or readwrite`() throws {
    for protection: UInt8 in 0...2 { #expect(message(code([0xFC, 0x22, 0, protection], memory: Self.virtual)) == nil) }
    let failure = try #require(B.failure(code([0xFC, 0x22, 0, 3], memory: Self.virtual)))
    #expect(failure.kind == .malformed && failure.message == "malformed memory protection")
  }

  @Test func `map, unmap and protect need a virtual or mappable memory, discard does not`() {
    let readonly: [UInt8] = [0x20, 1, 0x02, 1]
    let mappable: [UInt8] = [0x21, 1, 2, 0x08, 1]
    for instruction: [UInt8] in [[0xFC, 0x20, 0, 1, 0x1A], [0xFC, 0x21, 0], [0xFC, 0x22, 0, 1]] {
      #expect(message(code(instruction, memory: Self.plain)) == "invalid: memory is not virtual")
      #expect(message(code(instruction, memory: readonly)) == "invalid: memory is not virtual")
      #expect(message(code(instruction, memory: mappable)) == nil)
    }
    #expect(message(code([0xFC, 0x12, 0], memory: Self.plain)) == nil)
    #expect(message(code([0xFC, 0x23, 0, 0x1A], memory: Self.plain)) == nil)
    #expect(message(code([0xFC, 0x12, 1], memory: Self.plain))?.hasPrefix("invalid: unknown memory 1") == true)
  }

  @Test func `no instruction of memory control is constant`() {
    let global: [UInt8] = [1, 0x7F, 0] + [0x41, 0, 0x41, 0, 0xFC, 0x23, 0, 0x0B]
    #expect(message(B.module(B.section(5, [1] + Self.plain), B.section(6, global))) == "invalid: constant expression required")
  }

  @Test func `with the feature off, instructions and attributes do not exist`() {
    let features = WasmFeatures.standard.subtracting(.memoryControl)
    #expect(message(B.memory(Self.virtual), features: features) == "malformed: malformed limits flags")
    #expect(message(code([0xFC, 0x12, 0], memory: Self.plain), features: features) == "malformed: illegal opcode fc 12")
  }
}
