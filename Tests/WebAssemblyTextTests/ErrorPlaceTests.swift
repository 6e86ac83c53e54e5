import Testing
import WebAssembly
import WebAssemblyText

@Suite("Where errors are")
struct ErrorPlaceTests {
  private func failure(of text: String) -> TextFormatError? {
    do throws(TextFormatError) {
      _ = try WebAssemblyText.binary(of: Array(text.utf8))
      return nil
    } catch { return error }
  }

  @Test("a parse error has the line, the column in characters, and the line with a marker under the place")
  func parseError() throws {
    let error = try #require(failure(of: "(module\n\t(func (export \"grüße\") i32.bad))\r\n"))
    #expect(error.message == "unknown operator i32.bad")
    #expect((error.line, error.column) == (2, 25))
    #expect(error.place.excerpt == "2 |  (func (export \"grüße\") i32.bad))\n  |" + String(repeating: " ", count: 25) + "^")
    #expect(error.description.hasPrefix("2:25: unknown operator i32.bad\n2 | "))
  }

  @Test("an error at the end of the text is behind its last character")
  func endOfText() throws {
    let error = try #require(failure(of: "(module\n  (func"))
    #expect(error.message.hasPrefix("unexpected end"))
    #expect((error.line, error.column) == (2, 8))
    #expect(failure(of: "") == nil)
  }

  @Test("a very long line is shown in part, the marker still under the place")
  func longLine() throws {
    let padding = String(repeating: "(; padding ;)", count: 1000)
    let error = try #require(failure(of: "(module \(padding) (oops) \(padding))"))
    #expect(error.column == 8 + 13_000 + 3)
    #expect(error.place.sourceLine.unicodeScalars.count < 200)
    let lines = error.place.excerpt.split(separator: "\n")
    let marker = try #require(lines.last?.firstIndex(of: "^"))
    let column = lines[1].distance(from: lines[1].startIndex, to: marker)
    #expect(lines[0].dropFirst(column).hasPrefix("oops"))
  }

  /// The line at which a validator's offset lies in the text; the marker stands in front of `at`.
  @Test(
    "validation errors lead back to the text",
    arguments: [
      ("(module\n (func (result i32)\n  (i32.add (i32.const 1)\n   (f32.const 2))))", 3, "i32.add"),
      ("(module\n (func (result i32)\n  i64.const 1\n ))", 4, ")"),
      ("(module\n (func (local i32)\n  local.get 1\n  drop))", 3, "local.get"),
      ("(module (memory 1)\n (func\n  (block\n   (if (i32.const 1) (then (br 9)))))\n)", 4, "br 9"),
      ("(module\n (func (block (result i32))\n  drop))", 2, ")"),
      ("(module\n (func (if (result i32) (i32.const 1) (then (i32.const 1))) drop))", 2, ")"),
      ("(module\n (func block (result i32)\n  i64.const 3\n  end drop))", 4, "end"),
      ("(module\n (global i32\n  (f32.const 1)))", 3, ")"),
      ("(module\n (memory 3 2))", 2, "memory"),
      ("(module (import \"a\" \"b\"\n  (memory 3 2)))", 1, "import"),
      ("(module\n (table 3 2 funcref))", 2, "table"),
      ("(module\n (func)\n (export \"a\" (func 7)))", 3, "export"),
      ("(module (func (export \"a\"))\n  (func\n (export \"a\")))", 3, "(export"),
      ("(module\n (func (param i32))\n (start 0))", 3, "start"),
      ("(module (memory 1)\n (data (i32.const 0) \"a\")\n (data (memory 4) (i32.const 0) \"a\"))", 3, "data"),
      ("(module (table 1 funcref)\n (elem (i64.const 0)\n  func))", 2, "elem|)|i64.const"),
      ("(module\n (func)\n (func (type 4)))", 3, "func"),
    ])
  func validationErrors(text: String, line: Int, at: String) throws {
    let translated = try WebAssemblyText.translate(Array(text.utf8))
    let module = try Module.parse(translated.bytes)
    let error = try #require(#expect(throws: ValidationError.self) { try Validator.validate(module) })
    let place = try #require(translated.sourceMap.place(ofByte: error.offset))
    #expect(place.line == line, "\(place.excerpt)")
    let rest = text.utf8.dropFirst(place.offset)
    #expect(at.split(separator: "|").contains { rest.starts(with: $0.utf8) }, "\(place.excerpt)")
  }

  @Test("what the parser of binaries refuses leads back to the text")
  func unsupportedTypes() throws {
    for (text, line, at) in [
      ("(module\n (type $t (func))\n (type (func (param (ref $t)))))", 3, "type"),
      ("(module\n (type $t (func))\n (func)\n (func (param (ref $t))))", 4, "func"),
      ("(module\n (type $t (func))\n (func\n (local (ref $t))))", 3, "func"),
    ] {
      let translated = try WebAssemblyText.translate(Array(text.utf8))
      let error = try #require(#expect(throws: WasmParseError.self) { try Module.parse(translated.bytes) })
      let place = try #require(translated.sourceMap.place(ofByte: error.offset))
      #expect(error.isUnsupported && place.line == line, "\(place.excerpt)")
      #expect(text.utf8.dropFirst(place.offset).starts(with: at.utf8), "\(place.excerpt)")
    }
  }

  @Test("every function's code leads back to its lines")
  func everyInstruction() throws {
    let count = 300
    let lines = (0..<count).map { "  (func (export \"f\($0)\") (result i32) (i32.const \($0)))" }
    let translated = try WebAssemblyText.translate(Array("(module\n\(lines.joined(separator: "\n"))\n)".utf8))
    let module = try Module.parse(translated.bytes)
    for (index, body) in module.functionBodies.enumerated() {
      #expect(translated.sourceMap.place(ofByte: body.codeRange.lowerBound)?.line == index + 2)
      #expect(translated.sourceMap.place(ofByte: body.codeRange.upperBound - 1)?.line == index + 2)
    }
    #expect(translated.sourceMap.textOffset(ofByte: 0) == nil)
  }

  @Test("what a stranger wrote is shown escaped and in part")
  func hostileText() throws {
    let control = try #require(failure(of: "(module (func $a (call $\"x\u{9b}2J\u{202e}y\")))"))
    #expect(control.message == "unknown func $\"x\\u{9b}2J\\u{202e}y\"")
    #expect(!control.description.unicodeScalars.contains { $0.value == 0x9B || $0.value == 0x202E })
    let long = try #require(failure(of: "(module (func (call $" + String(repeating: "a", count: 1_000_000) + ")))"))
    #expect(long.message.utf8.count < 200 && long.place.excerpt.utf8.count < 600)
  }

  @Test("commands and values of a script that nest deeply are refused")
  func scriptDepth() throws {
    func nested(_ open: String, _ close: String) -> String {
      String(repeating: open, count: 100_000) + String(repeating: close, count: 100_000)
    }
    let scripts = [nested("(thread $t ", ")"), "(assert_return (invoke \"f\") " + nested("(either ", ")") + ")"]
    for script in scripts {
      let error = #expect(throws: TextFormatError.self) { try WebAssemblyText.script(Array(script.utf8)) }
      #expect(error?.message.contains("deep") == true)
    }
  }
}
