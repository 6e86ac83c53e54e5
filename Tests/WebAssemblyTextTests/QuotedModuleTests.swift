import Testing
import WebAssembly
import WebAssemblyText

/// Files of one module in strings, and texts of proposals that are not supported.
@Suite("Modules in strings and unsupported proposals")
struct QuotedModuleTests {
  private func failure(of text: String) -> TextFormatError? {
    #expect(throws: TextFormatError.self) { try WebAssemblyText.binary(of: Array(text.utf8)) }
  }

  @Test("a binary in strings is these bytes")
  func binary() throws {
    let magic: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 1, 0, 0, 0]
    for text in [
      #"(module binary "\00asm" "\01\00\00\00")"#, #"(module $m binary "\00asm\01\00\00\00")"#,
      "(;c;) (module ;;\n binary \"\\00\" \"asm\" \"\" \"\\01\\00\\00\\00\" ) ;; end",
    ] { #expect(try WebAssemblyText.binary(of: Array(text.utf8)) == magic) }
    #expect(try WebAssemblyText.binary(of: Array(#"(module binary)"#.utf8)).isEmpty)
    // Translation does not look at the bytes.
    #expect(try WebAssemblyText.binary(of: Array(#"(module binary "\ff")"#.utf8)) == [0xFF])
  }

  @Test("a quoted text is translated, and its errors stand where the quoted text stands")
  func quote() throws {
    let text = "(module quote\n \"(func $a)\" \"(func\"\n \"(export \\22b\\22) call $a)\")"
    let module = try Module.parse(try WebAssemblyText.binary(of: Array(text.utf8)))
    #expect(module.functionBodies.count == 2 && module.exports.first?.name == "b")
    let error = try #require(failure(of: "(module quote\n \"(func $a)\"\n \"(func (export \\22b\\22) call $c)\")"))
    #expect(error.message == "unknown func $c")
    #expect((error.line, error.column) == (3, 31))
    let invalid = try WebAssemblyText.translate(Array("(module quote\n \"(func\"\n \"(result i32)\" \"nop i64.const 1)\")".utf8))
    let problem = try #require(#expect(throws: ValidationError.self) { try Validator.validate(try Module.parse(invalid.bytes)) })
    #expect(invalid.sourceMap.place(ofByte: problem.offset)?.line == 3)
  }

  @Test("an error of a binary in strings leads to its string")
  func binaryPlace() throws {
    let text = "(module binary\n \"\\00asm\\01\\00\\00\\00\"\n \"\\01\\02\\01\\40\")"
    let module = try WebAssemblyText.translate(Array(text.utf8))
    let error = try #require(#expect(throws: WasmParseError.self) { try Module.parse(module.bytes) })
    let place = try #require(module.sourceMap.place(ofByte: error.offset))
    #expect(place.line == 3 && place.column == 12, "\(place.excerpt)")
  }

  @Test(
    "wrong forms are refused",
    arguments: [
      "(module binary", "(module binary x)", "(module binary \"a\" (func))", "(module binary \"\\zz\")", "(module quote 1)",
      "(module binary \"a\") (module)", "(module quote \"(module quote \\22\\22)\")", "(module quote \"(module binary)\")",
    ])
  func wrongForms(text: String) { #expect(failure(of: text) != nil) }

  @Test(
    "a word of a proposal that is not supported is named",
    arguments: [
      ("(module (tag $e))", "exception handling"), ("(module (import \"a\" \"b\" (tag)))", "exception handling"),
      ("(module (tag $e) (export \"e\" (tag $e)))", "exception handling"), ("(module (func (throw 0)))", "exception handling"),
      ("(module (func (try_table (catch_all 0))))", "exception handling"), ("(module (func try end))", "exception handling"),
      ("(module (func (param exnref)))", "exception handling"), ("(module (global (ref null exn) (ref.null exn)))", "exception handling"),
      ("(module (export \"e\" (tag 0)))", "exception handling"),
      ("(module (type (struct (field i32))))", "garbage collection"), ("(module (type (array i8)))", "garbage collection"),
      ("(module (rec (type (func))))", "garbage collection"), ("(module (type (sub (func))))", "garbage collection"),
      ("(module (func (result anyref) (ref.null any)))", "garbage collection"),
      ("(module (func (drop (ref.null any))))", "garbage collection"),
      ("(module (func (struct.new 0)))", "garbage collection"), ("(module (func (param (ref null eq))))", "garbage collection"),
      ("(module (func (param (ref i31))))", "garbage collection"),
      ("(module (type $f (func)) (func (call_ref $f)))", "typed function references"),
      ("(module (type (cont 0)))", "stack switching"), ("(module (func (suspend 0)))", "stack switching"),
      ("(module (func (i64.add128)))", "wide arithmetic"), ("(module (func (f16x8.add)))", "half-precision vectors"),
      ("(component)", "component model"), ("(component (core module))", "component model"),
    ])
  func unsupported(text: String, proposal: String) throws {
    let error = try #require(failure(of: text))
    #expect(error.message.hasPrefix("not supported: \(proposal) ("), "\(error.message)")
  }
}
