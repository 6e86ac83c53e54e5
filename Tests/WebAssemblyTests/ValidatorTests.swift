import Testing
import WebAssembly
import WebAssemblyText

private typealias B = ModuleBytes

@Suite struct ValidatorTests {
  private func failure(_ text: String) throws -> B.Failure? { B.failure(try WebAssemblyText.binary(of: Array(text.utf8))) }

  @Test(arguments: [
    ("(func (result i32) i64.const 0)", "type mismatch: expected i32, found i64"),
    ("(func (result i32))", "type mismatch: expected i32, found nothing"),
    ("(func i32.const 0)", "type mismatch: values remain"),
    ("(func (block (result i32) (br 0)) drop)", "type mismatch"),
    ("(func (if (result i32) (i32.const 0) (then (i32.const 1))) drop)", "type mismatch"),
    ("(func (br 1))", "unknown label 1"),
    ("(func (local.get 0) drop)", "unknown local 0"),
    ("(func (global.get 0) drop)", "unknown global 0"),
    ("(func (call 1))", "unknown function 1"),
    ("(func (drop (i32.load (i32.const 0))))", "unknown memory 0"),
    ("(memory 1) (func (drop (i32.load align=8 (i32.const 0))))", "alignment must not be larger than natural"),
    ("(memory 1) (func (drop (v128.load8_lane 16 (i32.const 0) (v128.const i64x2 0 0))))", "invalid lane index"),
    ("(memory i64 1) (func (drop (i32.load (i32.const 0))))", "type mismatch: expected i64, found i32"),
    ("(func (drop (table.size 0)))", "unknown table 0"),
    ("(memory 1) (data \"\") (func (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 0)))", "unknown data segment 1"),
    ("(func $f) (func (drop (ref.func $f)))", "undeclared function reference 0"),
    ("(global i32 (i32.const 0)) (func (global.set 0 (i32.const 0)))", "immutable global"),
    ("(global (mut i32) (i32.const 0)) (global i32 (global.get 0))", "constant expression required"),
    ("(global i32 (global.get 1)) (global i32 (i32.const 0))", "unknown global 1"),
    ("(global i32 (i32.const 0) (i32.const 0))", "type mismatch"),
    ("(global i32 (i32.const 0) (i64.const 0) i32.add)", "type mismatch"),
    ("(global f32 (f32.neg (f32.const 0)))", "constant expression required"),
    ("(memory 2 1)", "size minimum must not be greater than maximum"),
    ("(memory 65537)", "memory size must be at most"),
    ("(memory i64 0x1000000000001)", "memory size must be at most"),
    ("(memory 1 (pagesize 2))", "invalid custom page size"),
    ("(table 2 1 funcref)", "size minimum must not be greater than maximum"),
    ("(func (param i32)) (start 0)", "start function"),
    ("(func (return_call 0) ) (func (result i32) (return_call 0))", "type mismatch"),
    ("(table 1 externref) (type (func)) (func (call_indirect (type 0) (i32.const 0)))", "type mismatch"),
    ("(table 1 externref) (elem (i32.const 0) funcref)", "type mismatch"),
    ("(func (param externref) (drop (select (local.get 0) (local.get 0) (i32.const 0))))", "type mismatch"),
    ("(func (br_table 0 1 (i32.const 0)) (block (result i32) (br_table 0 1 (i32.const 0) (i32.const 0))) drop)", "unknown label"),
    ("(memory i64 1) (memory 1) (func (memory.copy 0 1 (i64.const 0) (i32.const 0) (i64.const 0)))", "type mismatch"),
  ])
  func `broken rules are named`(fields: String, message: String) throws {
    let failure = try #require(try failure("(module \(fields))"))
    #expect(failure.kind == .invalid && failure.message.hasPrefix(message), "\(failure)")
  }

  @Test(arguments: [
    "(func (result i32) unreachable)", "(func (result i32) unreachable i32.add)", "(func unreachable select drop)",
    "(func (result i64) (block (result i64) unreachable (i32.const 0) select))",
    "(func (result i32) (loop (result i32) (br 0)))",
    "(func (result i32) (return (i32.const 1)) (i64.const 0) drop)",
    "(func (block (result i32 i64) unreachable (br_table 0 0 (i32.const 0))) drop drop)",
    "(func (param i32) (result i32) local.get 0 (if (param) (result i32) (then i32.const 1) (else i32.const 2)))",
    "(memory i64 1) (memory 1) (func (memory.copy 0 1 (i64.const 0) (i32.const 0) (i32.const 0)))",
    "(func $f) (elem declare func $f) (func (drop (ref.func $f)))",
    "(global i32 (i32.const 1)) (global i32 (i32.add (global.get 0) (i32.mul (i32.const 2) (i32.const 3))))",
    "(global externref (ref.null extern)) (table 3 externref (ref.null extern))",
  ])
  func `valid modules pass`(fields: String) throws {
    #expect(try failure("(module \(fields))") == nil)
  }

  @Test func `the offset is that of the instruction`() {
    // nop; i32.const 0; i64.eqz at byte 26; drop
    let failure = B.failure(B.code([0x01, 0x41, 0x00, 0x50, 0x1A]))
    #expect(failure == .init(kind: .invalid, message: "type mismatch: expected i64, found i32", offset: 26))
  }

  @Test func `parts of the language that are switched off do not exist`() throws {
    func failure(_ text: String, without feature: WasmFeatures) throws -> String? {
      let bytes = try WebAssemblyText.binary(of: Array("(module \(text))".utf8))
      #expect(B.failure(bytes) == nil)
      return B.failure(bytes, features: .standard.subtracting(feature))?.message
    }
    #expect(try failure("(func (drop (v128.const i64x2 0 0)))", without: .simd)?.hasPrefix("illegal opcode") == true)
    #expect(try failure("(func (return_call 0))", without: .tailCall) == "illegal opcode 12")
    #expect(try failure("(memory i64 1)", without: .memory64) == "malformed limits flags")
    #expect(try failure("(memory 1 (pagesize 1))", without: .customPageSizes) == "malformed limits flags")
    #expect(try failure("(memory 1) (memory 1)", without: .multiMemory) == "multiple memories")
    #expect(try failure("(func (result i32 i32) unreachable)", without: .multiValue) == "invalid result arity")
    let sum = "(global i32 (i32.add (i32.const 0) (i32.const 0)))"
    #expect(try failure(sum, without: .extendedConstants) == "constant expression required")
    #expect(try failure("(func (drop (i32.extend8_s (i32.const 0))))", without: .signExtension) == "illegal opcode c0")
  }
}
