import Testing
import WebAssembly
import WebAssemblyText

/// Text that nests as deep as its length allows is translated by an explicit stack, in time and memory linear in its length.
@Suite("Deep text")
struct DeepTextTests {
  static let depth = 120_000

  struct Form: CustomTestStringConvertible, Sendable {
    let testDescription: String
    /// Around the levels.
    var before = "(module (func "
    let open: String
    var middle = ""
    let close: String
    var after = "))"
    /// Of each level in the code, in front of and behind the middle.
    let opening: [UInt8]
    let closing: [UInt8]
    var core: [UInt8] = []

    var text: [UInt8] {
      let (open, close) = (Array(open.utf8), Array(close.utf8))
      var text = Array(before.utf8)
      for _ in 0..<DeepTextTests.depth { text += open }
      text += Array(middle.utf8)
      for _ in 0..<DeepTextTests.depth { text += close }
      return text + Array(after.utf8)
    }

    /// The bytes that stand for the levels.
    var code: [UInt8] {
      var code: [UInt8] = []
      for _ in 0..<DeepTextTests.depth { code += opening }
      code += core
      for _ in 0..<DeepTextTests.depth { code += closing }
      return code
    }
  }

  static let forms: [Form] = [
    Form(testDescription: "folded block", open: "(block\n", close: ")", opening: [0x02, 0x40], closing: [0x0B]),
    Form(testDescription: "plain block", open: "block ", close: "end ", opening: [0x02, 0x40], closing: [0x0B]),
    Form(testDescription: "folded loop", open: "(loop ", close: ")", opening: [0x03, 0x40], closing: [0x0B]),
    Form(
      testDescription: "folded if and then", open: "(if (i32.const 0) (then ", close: "))", opening: [0x41, 0, 0x04, 0x40],
      closing: [0x0B]),
    Form(
      testDescription: "folded else", open: "(if (i32.const 0) (then) (else ", close: "))",
      opening: [0x41, 0, 0x04, 0x40, 0x05], closing: [0x0B]),
    Form(
      testDescription: "plain if and else", open: "i32.const 0 if else ", close: "end ", opening: [0x41, 0, 0x04, 0x40, 0x05],
      closing: [0x0B]),
    Form(
      testDescription: "condition of an if", open: "(if (result i32) ", middle: "(i32.const 7)",
      close: "(then (i32.const 1)) (else (i32.const 2)))", opening: [], closing: [0x04, 0x7F, 0x41, 1, 0x05, 0x41, 2, 0x0B],
      core: [0x41, 7]),
    Form(
      testDescription: "first operand", open: "(i32.add ", middle: "(i32.const 1)", close: "(i32.const 2))", opening: [],
      closing: [0x41, 2, 0x6A], core: [0x41, 1]),
    Form(
      testDescription: "second operand", open: "(i32.add (i32.const 2) ", middle: "(i32.const 1)", close: ")",
      opening: [0x41, 2], closing: [0x6A], core: [0x41, 1]),
    Form(
      testDescription: "operand of a load", open: "(i32.load offset=8 ", middle: "(i32.const 1)", close: ")", opening: [],
      closing: [0x28, 2, 8], core: [0x41, 1]),
    Form(
      testDescription: "block with a type", before: "(module (type $t (func)) (func ", open: "(block (type $t) ", close: ")",
      opening: [0x02, 0], closing: [0x0B]),
    Form(
      testDescription: "constant expression", before: "(module (global i32 ", open: "(i32.sub ", middle: "(i32.const 1)",
      close: "(i32.const 2))", opening: [], closing: [0x41, 2, 0x6B], core: [0x41, 1]),
    Form(
      testDescription: "offset of a segment", before: "(module (memory 1) (data (offset ", open: "(i32.mul ",
      middle: "(i32.const 1)", close: "(i32.const 2))", after: ") \"a\"))", opening: [], closing: [0x41, 2, 0x6C],
      core: [0x41, 1]),
    Form(
      testDescription: "element", before: "(module (table 1 funcref) (elem (i32.const 0) funcref ", open: "(i32.add ",
      middle: "(i32.const 1)", close: "(i32.const 2))", opening: [], closing: [0x41, 2, 0x6A], core: [0x41, 1]),
    Form(
      testDescription: "block in quoted text", before: "(module quote \"(func \" \"", open: "(block ", middle: "\" \"",
      close: ")", after: ")\")", opening: [0x02, 0x40], closing: [0x0B]),
    Form(testDescription: "comment", open: "(;", close: ";)", opening: [], closing: [], core: []),
    Form(testDescription: "annotation", open: "(@a ", close: ")", opening: [], closing: [], core: []),
  ]

  @Test("is translated, each level in its place", arguments: forms)
  func translates(form: Form) throws {
    let binary = try WebAssemblyText.binary(of: form.text)
    #expect(Self.contains(binary, form.code))
  }

  /// Whether `part`, a long run, stands somewhere in the bytes.
  private static func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard !part.isEmpty else { return true }
    // Nothing but headers of a few bytes stands in front of it.
    return (0..<min(128, bytes.count)).contains { bytes[$0...].starts(with: part) }
  }

  @Test("labels of deep blocks resolve, hidden ones too, in constant time each")
  func labels() throws {
    let count = Self.depth
    // Each block has a name of its own or hides the one around it; each branches to the outermost one.
    var text = "(module (func (block $outer "
    for index in 0..<count { text += index % 2 == 0 ? "(block $b\(index) (br $outer) " : "(block $same (br $same) (br $outer) " }
    text += String(repeating: ")", count: count) + " (br $outer))))"
    let module = try Module.parse(try WebAssemblyText.binary(of: Array(text.utf8)))
    var reader = module.instructions(of: module.functionBodies[0])
    var depth = -1
    var branchCount = 0
    while let instruction = try reader.next() {
      switch (instruction.opcode, instruction.immediates) {
      case (.block, _): depth += 1
      case (.end, _): depth -= 1
      case (.br, .label(let label)):
        branchCount += 1
        #expect(Int(label) == depth || label == 0 && depth % 2 == 0)
      default: break
      }
    }
    #expect(branchCount == count + count / 2 + 1)
    let hidden = try Module.parse(try WebAssemblyText.binary(of: Array("(module (func (block $a (block $a) (br $a))))".utf8)))
    #expect(try WebAssemblyText.text(of: hidden).contains("br 0"))
  }

  @Test("an error at the bottom has its place", arguments: ["(block ", "(i32.eqz ", "(if (i32.const 0) (then "])
  func errorPlace(open: String) throws {
    let text = "(module (func\n" + String(repeating: open + "\n", count: Self.depth) + "(i32.bad)"
      + String(repeating: ")", count: 2 * Self.depth + 2)
    let error = try #require(#expect(throws: TextFormatError.self) { try WebAssemblyText.binary(of: Array(text.utf8)) })
    #expect(error.message == "unknown operator i32.bad")
    #expect((error.line, error.column) == (Self.depth + 2, 2))
  }

  @Test("what is not closed or closed wrongly is refused")
  func unbalanced() {
    for (text, message) in [
      ("(module (func (block", "unexpected end of text: expected `)`"),
      ("(module (func (i32.eqz (i32.const 1)", "unexpected end of text: expected `)`"),
      ("(module (func (if (i32.const 1)", "unexpected end of text: expected `)`"),
      ("(module (func (if (i32.const 1) (then)", "unexpected end of text: expected `)`"),
      ("(module (func block", "unexpected end of text: expected `)`"),
      ("(module (func block))", "unexpected token ): expected an instruction or end"),
      ("(module (func (block loop)))", "unexpected token ): expected an instruction or end"),
      ("(module (func (block end)))", "unexpected token end: there is no block to it"),
      ("(module (func (loop else)))", "unexpected token else: there is no if to it"),
      ("(module (func (if (i32.const 1) (then else))))", "unexpected token else: there is no if to it"),
      ("(module (func (if (i32.const 1))))", "unexpected token ): expected (then"),
      ("(module (func (if (i32.const 1) (else))))", "unexpected token else: expected an instruction"),
      ("(module (func (if (i32.const 1) (then) (then))))", "unexpected token (: expected `)`"),
      ("(module (func (if (i32.const 1) (then) (else) (else))))", "unexpected token (: expected `)`"),
      ("(module (func (if (i32.const 1) nop (then))))", "unexpected token nop: expected (then"),
      ("(module (func (i32.eqz i32.const 1)))", "unexpected token i32.const: expected `)`"),
      ("(module (func (then)))", "unexpected token then: expected an instruction"),
      ("(module (func ()))", "unexpected token ): expected an instruction"),
      ("(module (global i32 (i32.const 1) (i32.const 2)", "unexpected end of text: expected `)`"),
      ("(module (func block $a end $b))", "mismatching label $b"),
    ] {
      let error = #expect(throws: TextFormatError.self) { try WebAssemblyText.binary(of: Array(text.utf8)) }
      #expect(error?.message == message, "\(text)")
    }
  }

  @Test("functions of one type with many parameters do not list them each time")
  func manyParameters() throws {
    let parameters = String(repeating: " i32", count: 20_000)
    let functions = String(repeating: "(func (type $t))", count: 20_000)
    let last = "(func (type $t) (local $x f32) (local.set $x (f32.const 0)))"
    let binary = try WebAssemblyText.binary(of: Array("(module (type $t (func (param\(parameters)))) \(functions) \(last))".utf8))
    // One group of one local; f32.const, local.set 20000, end. The name section behind it is short.
    let code: [UInt8] = [1, 1, 0x7D, 0x43, 0, 0, 0, 0, 0x21, 0xA0, 0x9C, 1, 0x0B]
    let tail = binary.suffix(80)
    #expect(tail.indices.contains { tail[$0...].starts(with: code) })
  }

  @Test("a script of one line has the places of its commands")
  func scriptPlaces() throws {
    let count = 50_000
    let text = String(repeating: "(assert_return (invoke \"\u{e9}\"))", count: count)
    let commands = try WebAssemblyText.script(Array(text.utf8)).commands
    #expect(commands.count == count)
    #expect(commands.last?.line == 1 && commands.last?.column == (count - 1) * 28 + 1)
    let lines = try WebAssemblyText.script(Array("(module)\n\n  (invoke \"a\") (invoke \"b\")".utf8)).commands
    #expect(lines.map { [$0.line, $0.column] } == [[1, 1], [3, 3], [3, 16]])
  }
}
