import Testing
import WebAssembly

private typealias B = ModuleBytes

/// Parts of WebAssembly that this version does not have are named, not called malformed.
@Suite struct UnsupportedPartTests {
  @Test(arguments: [
    // Sections, imports, exports, and what is no core module.
    (B.module([0x0D, 0x03, 0x01, 0x00, 0x00]), "exception handling (tag section)"),
    (B.module(B.section(2, [1, 0, 0, 4, 0, 0])), "exception handling (import of a tag)"),
    (B.module(B.section(7, [1, 0, 4, 0])), "exception handling (export of a tag)"),
    (B.module(B.section(2, [1, 1, 0x6D, 0, 0x7F, 1, 1, 0x61, 0, 0])), "compact imports"),
    (B.module(B.section(2, [1, 1, 0x6D, 0, 0x7E, 3, 0x7F, 0, 1, 1, 0x61])), "compact imports"),
    (B.module(B.section(2, [1, 0, 0, 0x20, 0])), "custom descriptors"),
    ([0x00, 0x61, 0x73, 0x6D, 0x0D, 0x00, 0x01, 0x00], "component model"),
    // Types: exnref, struct, array, rec, sub, cont; references to a type.
    (B.module(B.section(1, [1, 0x60, 1, 0x69, 0])), "exception handling (exnref)"),
    (B.module(B.section(1, [1, 0x5F, 0])), "garbage collection"), (B.module(B.section(1, [1, 0x5E, 0x7F, 0])), "garbage collection"),
    (B.module(B.section(1, [1, 0x4E, 1, 0x60, 0, 0])), "garbage collection"),
    (B.module(B.section(1, [1, 0x50, 0, 0x60, 0, 0])), "garbage collection"),
    (B.module(B.section(1, [1, 0x5D, 0])), "stack switching"),
    (B.module(B.section(1, [1, 0x60, 1, 0x63, 0x70, 0])), "typed function references"),
    (B.module(B.section(1, [1, 0x60, 1, 0x6E, 0])), "garbage collection"),
    // Instructions and block types.
    (B.code([0x1F, 0x40, 0, 0x0B]), "exception handling (try_table)"), (B.code([0x06, 0x40, 0x0B]), "exception handling (try)"),
    (B.code([0x08, 0]), "exception handling (throw)"), (B.code([0x0A]), "exception handling (throw_ref)"),
    (B.code([0x02, 0x69, 0x0B]), "exception handling (exnref)"), (B.code([0xD0, 0x69, 0x1A]), "exception handling (exnref)"),
    (B.code([0x14, 0]), "typed function references (call_ref)"), (B.code([0xD4]), "typed function references (ref.as_non_null)"),
    (B.code([0xFB, 0x00, 0x00]), "garbage collection"), (B.code([0xD3]), "garbage collection (ref.eq)"),
    (B.code([0xE2, 0]), "stack switching"), (B.code([0xFC, 0x13]), "wide arithmetic"),
  ] as [([UInt8], String)])
  func `the error names the part`(bytes: [UInt8], part: String) throws {
    do {
      _ = try Module.parse(bytes)
      Issue.record("parsed: \(bytes)")
    } catch {
      #expect(error.isUnsupported && error.message.contains("not supported: \(part)"), "\(error)")
      #expect(!error.description.contains("malformed"))
    }
  }

  @Test func `codes that nobody uses are malformed as before`() {
    for code: [UInt8] in [[0xFF], [0x16], [0xFC, 0x18], [0xD7], [0xE7]] {
      #expect(B.failure(B.code(code))?.message.hasPrefix("illegal opcode") == true, "\(code)")
    }
    #expect(B.failure(B.module([0x0E, 0]))?.message == "malformed section id")
    #expect(B.failure(B.module(B.section(2, [1, 0, 0, 5, 0])))?.message == "malformed import kind")
    // An import with a name is not one of the compact form.
    #expect(B.failure(B.module(B.section(2, [1, 0, 1, 0x61, 0x7F, 0])))?.message == "malformed import kind")
  }

  @Test(arguments: [
    // -64 (nothing) and -1 (i32) in two and in five bytes; -65; 2^32; other negative numbers.
    [0xC0, 0x7F], [0xFF, 0x7F], [0xC0, 0xFF, 0xFF, 0xFF, 0x7F], [0xFF, 0xFF, 0xFF, 0xFF, 0x7F], [0xBF, 0x7F],
    [0x80, 0x80, 0x80, 0x80, 0x70], [0x41], [0x40 | 0x20 | 0x19],
  ] as [[UInt8]])
  func `a block type that is negative stands in one byte`(type: [UInt8]) {
    for opcode: UInt8 in [0x02, 0x03] {
      let failure = B.failure(B.code([opcode] + type + [0x0B]))
      #expect(failure?.kind == .malformed, "\(type)")
    }
    #expect(B.failure(B.code([0x41, 0, 0x04] + type + [0x0B]))?.kind == .malformed, "\(type)")
  }

  @Test func `an index of a block type may be longer than it need be`() {
    for index: [UInt8] in [[0x00], [0x80, 0x00], [0x80, 0x80, 0x80, 0x80, 0x00]] {
      #expect(B.failure(B.code([0x02] + index + [0x0B])) == nil, "\(index)")
    }
    #expect(B.failure(B.code([0x02, 0x80, 0x80, 0x80, 0x80, 0x20, 0x0B]))?.kind == .malformed)
    #expect(B.failure(B.code([0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x0B]))?.message == "integer representation too long")
  }
}
