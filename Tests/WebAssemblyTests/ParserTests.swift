import Testing
import WebAssembly

private typealias B = ModuleBytes

@Suite struct ParserTests {
  @Test func `the smallest module is empty and valid`() throws {
    let module = try Module.parse(B.header)
    #expect(module.types.isEmpty && module.functionBodies.isEmpty && module.customSections.isEmpty)
    #expect(B.failure(B.header) == nil)
  }

  @Test(arguments: [
    ([], "unexpected end", 0),
    ([0x00, 0x61, 0x73], "unexpected end", 0),
    ([0x00, 0x61, 0x73, 0x6E, 0x01, 0x00, 0x00, 0x00], "magic header not detected", 0),
    ([0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00], "unexpected end", 4),
    ([0x00, 0x61, 0x73, 0x6D, 0x0D, 0x00, 0x00, 0x00], "unknown binary version", 4),
    (B.header + [0x0E, 0x00], "malformed section id", 8),
    (B.header + [0x01], "unexpected end", 9),
    (B.header + [0x01, 0x05, 0x00], "length out of bounds", 9),
    // A type section after a function section; a second type section.
    (B.header + [0x03, 0x01, 0x00, 0x01, 0x01, 0x00], "unexpected content after last section", 11),
    (B.header + [0x01, 0x01, 0x00, 0x01, 0x01, 0x00], "unexpected content after last section", 11),
    // A section that is longer, and one that is shorter than what it holds.
    (B.header + [0x01, 0x02, 0x00, 0x00], "section size mismatch", 11),
    (B.header + [0x01, 0x01, 0x01, 0x60, 0x00, 0x00], "section size mismatch", 14),
    // A function without a body; a body without a function.
    (B.header + [0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00],
     "function and code section have inconsistent lengths", 18),
    (B.header + [0x0A, 0x04, 0x01, 0x02, 0x00, 0x0B], "function and code section have inconsistent lengths", 14),
    (B.header + [0x0C, 0x01, 0x01], "data count and data section have inconsistent lengths", 11),
    // Custom section: name longer than the section; not UTF-8.
    (B.header + [0x00, 0x02, 0x05, 0x61], "length out of bounds", 10),
    (B.header + [0x00, 0x02, 0x01, 0xFF], "malformed UTF-8 encoding", 11),
    (B.header + [0x07, 0x04, 0x01, 0x00, 0x05, 0x00], "malformed export kind", 12),
    (B.header + [0x02, 0x04, 0x01, 0x00, 0x00, 0x05], "malformed import kind", 13),
    (B.header + [0x06, 0x05, 0x01, 0x7F, 0x02, 0x41, 0x00], "malformed mutability", 12),
    (B.header + [0x01, 0x05, 0x01, 0x60, 0x01, 0x55, 0x00], "malformed value type", 13),
  ] as [([UInt8], String, Int)])
  func `malformed bytes give the message and the offset`(bytes: [UInt8], message: String, offset: Int) throws {
    let failure = try #require(B.failure(bytes))
    #expect(failure.kind == .malformed)
    #expect(failure.message.hasPrefix(message), "\(failure)")
    #expect(failure.offset == offset, "\(failure)")
  }

  @Test(arguments: [
    ([0xFF], "illegal opcode ff", 23), ([0x16], "illegal opcode 16", 23), ([0xFC, 0x18], "illegal opcode fc 18", 23),
    ([0xFD, 0x9A, 0x01], "illegal opcode fd 9a", 23), ([0xFD, 0x80, 0x04], "illegal opcode fd", 23),
    ([0x05], "END opcode expected", 23), ([0x41, 0x80, 0x80, 0x80, 0x80, 0x70], "integer too large", 24),
    ([0x28, 0x80, 0x01, 0x00], "malformed memop flags", 24), ([0xFC, 0x08, 0x00, 0x00], "data count section required", 23),
    ([0xD0, 0x7F], "malformed reference type", 24), ([0x02, 0x41, 0x0B], "malformed block type", 24),
  ] as [([UInt8], String, Int)])
  func `malformed code gives the message and the offset`(code: [UInt8], message: String, offset: Int) throws {
    let failure = try #require(B.failure(B.code(code)))
    #expect(failure.kind == .malformed && failure.message.hasPrefix(message) && failure.offset == offset, "\(failure)")
  }

  @Test func `counts that lie do not reserve memory`() {
    // 2^32 - 1 types, imports, functions, exports, bodies, segments in a section of a few bytes.
    for id: UInt8 in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11] {
      let failure = B.failure(B.module(B.section(id, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F])))
      #expect(failure?.kind == .malformed, "section \(id): \(String(describing: failure))")
    }
    // So do a br_table and a list of value types.
    #expect(B.failure(B.code([0x0E, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]))?.kind == .malformed)
    #expect(B.failure(B.code([0x1C, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]))?.kind == .malformed)
  }

  @Test func `locals are counted, not listed`() throws {
    // 2^32 - 1 locals of one type are a few bytes: more than any function may have; one more is malformed.
    func error(_ locals: [UInt8]) -> WasmParseError? {
      let body = locals + [0x0B]
      let bytes = B.module(B.section(1, [1, 0x60, 0, 0]), B.section(3, [1, 0]), B.section(10, [1, UInt8(body.count)] + body))
      do throws(WasmParseError) { _ = try Module.parse(bytes) } catch { return error }
      return nil
    }
    #expect(error([1, 0xD0, 0x86, 0x03, 0x7F]) == nil)
    #expect(error([1, 0xD1, 0x86, 0x03, 0x7F])?.reason == .overLimit)
    #expect(error([1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x7F])?.reason == .overLimit)
    let beyond = error([2, 0xFF, 0xFF, 0x02, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x7F])
    #expect(beyond?.reason == .malformed && beyond?.message.hasPrefix("too many locals") == true)
  }

  @Test func `a deep nest of blocks is parsed without recursion`() {
    let depth = 200_000
    var body: [UInt8] = [0x00]
    for _ in 0..<depth { body += [0x02, 0x40] }
    body += Array(repeating: 0x0B, count: depth + 1)
    func leb(_ value: Int) -> [UInt8] { (0..<5).map { UInt8(value >> ($0 * 7) & 0x7F) | ($0 < 4 ? 0x80 : 0) } }
    let code = [1] + leb(body.count) + body
    let bytes = B.module(B.section(1, [1, 0x60, 0, 0]), B.section(3, [1, 0])) + [10] + leb(code.count) + code
    #expect(B.failure(bytes) == nil)
  }

  @Test func `names compare by code points, not by what they look like`() {
    // "Å" precomposed, and "A" with a combining ring: two exports.
    let exports: [UInt8] = [2, 2, 0xC3, 0x85, 3, 0, 3, 0x41, 0xCC, 0x8A, 3, 0]
    let global: [UInt8] = [1, 0x7F, 0, 0x41, 0, 0x0B]
    #expect(B.failure(B.module(B.section(6, global), B.section(7, exports))) == nil)
    #expect(Name("\u{C5}") != Name("A\u{30A}"))
    #expect(Set([Name("\u{C5}"), Name("A\u{30A}"), Name("\u{C5}")]).count == 2)
    let twice: [UInt8] = [2, 1, 0x61, 3, 0, 1, 0x61, 3, 0]
    #expect(B.failure(B.module(B.section(6, global), B.section(7, twice)))?.message.hasPrefix("duplicate export name") == true)
  }

  @Test func `names of functions are read, and a damaged name section is no error`() throws {
    // Subsections: module "m"; functions 0 "f", 1 "g"; locals of function 0.
    let contents: [UInt8] =
      [4, 0x6E, 0x61, 0x6D, 0x65] + [0, 2, 1, 0x6D] + [1, 7, 2, 0, 1, 0x66, 1, 1, 0x67] + [2, 6, 1, 0, 1, 0, 1, 0x78]
    let names = try Module.parse(B.module(B.section(0, contents))).readNames()
    #expect(names.moduleName == "m")
    #expect(names.functionNames == [0: "f", 1: "g"])
    #expect(names.localNames == [0: [0: "x"]])
    for length in 5..<contents.count {
      let module = try Module.parse(B.module(B.section(0, Array(contents.prefix(length)))))
      _ = module.readNames()
    }
  }
}
