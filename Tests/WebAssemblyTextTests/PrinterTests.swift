import Testing
import WebAssembly
import WebAssemblyText

/// Printing in bounded memory, and names that a stranger chose.
@Suite("Printing")
struct PrinterTests {
  private func module(_ text: String) throws -> Module {
    try Module.parse(try WebAssemblyText.binary(of: Array(text.utf8)), features: [.standard, .threads])
  }

  /// The parts that a sink is given.
  private func parts(_ module: Module) throws -> [[UInt8]] {
    var parts: [[UInt8]] = []
    try WebAssemblyText.write(module) { parts.append($0) }
    return parts
  }

  @Test(
    "no part of the text is longer than the buffer, whatever is long in the module",
    arguments: [
      "(module (memory 64) (data (i32.const 0) \"\(String(repeating: "\\00", count: 300_000))\"))",
      "(module (func (param i32) block (br_table\(String(repeating: " 0", count: 200_000)) (local.get 0)) end))",
      "(module (table 1 funcref) (func $a_function_with_a_name) (elem (i32.const 0)\(String(repeating: " 0", count: 100_000))))",
      "(module (table 1 funcref) (elem (i32.const 0) funcref\(String(repeating: " (ref.null func)", count: 50_000))))",
      "(module (func\((0..<600).map { " (param $p\($0)\(String(repeating: "y", count: 200)) i32)" }.joined())))",
      "(module (func (local\(String(repeating: " i64", count: 50_000)))))",
      "(module (func\(String(repeating: " nop", count: 100_000))))",
      "(module (global i32\(String(repeating: " (i32.const 0)", count: 9000))))",
      "(module (import \"\(String(repeating: "m", count: 90_000))\" \"\(String(repeating: "\u{e9}", count: 45_000))\" (func)))",
      "(module (@custom \"\(String(repeating: "c", count: 90_000))\" \"\(String(repeating: "\\ff", count: 90_000))\"))",
      "(module $\(String(repeating: "n", count: 60_000)) (func $\(String(repeating: "f", count: 60_000))))",
    ])
  func boundedParts(text: String) throws {
    let binary = try WebAssemblyText.binary(of: Array(text.utf8))
    let parts = try parts(try Module.parse(binary))
    #expect(parts.count > 1)
    // A part ends with what was being appended when the buffer became full: at most an identifier.
    #expect(parts.allSatisfy { $0.count < 1 << 18 }, "\(parts.map(\.count))")
    let printed = parts.flatMap { $0 }
    #expect(try WebAssemblyText.binary(of: printed) == binary)
  }

  @Test("what the sink throws ends the printing at once")
  func failingSink() throws {
    struct Full: Error {}
    let module = try module("(module (func\(String(repeating: " nop", count: 200_000))))")
    var count = 0
    #expect(throws: Full.self) {
      try WebAssemblyText.write(module) { _ in
        count += 1
        throw Full()
      }
    }
    #expect(count == 1)
  }

  @Test("a function of too many locals is refused before anything is written")
  func tooManyLocals() throws {
    // Two functions; the second declares a thousand million locals.
    let bytes: [UInt8] = [
      0, 0x61, 0x73, 0x6D, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 3, 2, 0, 0, 10, 13, 2, 2, 0, 0x0B, 8, 1, 0x80, 0x94, 0xEB, 0xDC, 3,
      0x7F, 0x0B,
    ]
    var count = 0
    let error = #expect(throws: WasmParseError.self) { try WebAssemblyText.write(try Module.parse(bytes)) { _ in count += 1 } }
    #expect(count == 0 && error?.message.contains("too many locals") == true)
  }

  @Test("a text that grows beyond all bounds is refused")
  func tooLong() throws {
    // Each of many calls writes a name of a megabyte.
    let name = String(repeating: "n", count: 1_000_000)
    let module = try module("(module (func $\(name)\(String(repeating: " call 0", count: 3000))))")
    var byteCount = 0
    let error = #expect(throws: WasmParseError.self) { try WebAssemblyText.write(module) { byteCount += $0.count } }
    #expect(error?.message.contains("the text would be longer") == true)
    #expect(byteCount <= 1 << 30 + 64 * module.bytes.count)
  }

  @Test("indentation shows nesting and is bounded", arguments: [10, 1000, 50_000])
  func indentation(depth: Int) throws {
    let text = "(module (func " + String(repeating: "block ", count: depth) + String(repeating: "end ", count: depth) + "))"
    let module = try module(text)
    let printed = try WebAssemblyText.text(of: module)
    #expect(printed.utf8.count < 60 * depth + 200)
    let lines = printed.split(separator: "\n")
    let indents = lines.map { $0.prefix { $0 == " " }.count }
    #expect(indents.max() == min(2 * (depth + 1), 46))
    // Behind the module, its type and the function.
    #expect(indents[3...9].elementsEqual((3...9).map { 2 * ($0 - 1) }))
    #expect(try WebAssemblyText.binary(of: Array(printed.utf8)) == module.bytes)
  }

  @Test("names that a terminal would obey are escaped, and survive")
  func hostileNames() throws {
    let names = [
      "plain", "with blank", "gr\u{fc}n", "\u{1b}[31mred", "c1\u{9b}2J", "rtl\u{202e}txt", "line\u{2028}break", "\u{feff}bom",
      "quote\"back\\slash", "tab\tnew\nline", "del\u{7f}", "tag\u{e0041}", "\u{1F600}",
    ]
    func escaped(_ name: String) -> String { name.utf8.map { "\\" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
    for name in names {
      let quoted = "\"\(escaped(name))\""
      let binary = try WebAssemblyText.binary(
        of: Array(
          """
          (module $\(quoted) (import \(quoted) \(quoted) (global $\(quoted) i32))
            (func $\(quoted) (export \(quoted)) (param $\(quoted) i32) local.get 0 drop call 0)
            (@custom \(quoted) \(quoted)))
          """.utf8))
      let printed = try WebAssemblyText.text(of: try Module.parse(binary))
      #expect(try WebAssemblyText.binary(of: Array(printed.utf8)) == binary, "\(name.debugDescription)")
      #expect(printed.unicodeScalars.allSatisfy { $0 == "\n" || $0.isShownInText }, "\(name.debugDescription)")
    }
    #expect(try WebAssemblyText.text(of: try module("(module (func (export \"gr\u{fc}n\")))")).contains("\"gr\u{fc}n\""))
  }

  @Test("names that cannot be identifiers are kept in the section alone")
  func unusableNames() throws {
    // Functions: 0 "a", 1 "a", 2 "", 3 "b" and "c", 9 "d" (not there); locals of function 3, twice.
    let functions: [UInt8] = [6, 0, 1, 0x61, 1, 1, 0x61, 2, 0, 3, 1, 0x62, 3, 1, 0x63, 9, 1, 0x64]
    let locals: [UInt8] = [3, 3, 1, 0, 1, 0x78, 0, 1, 0, 1, 0x79, 3, 2, 0, 1, 0x7A, 5, 1, 0x77]
    let section = [1, UInt8(functions.count)] + functions + [2, UInt8(locals.count)] + locals
    let contents = section.map { "\\" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let binary = try WebAssemblyText.binary(
      of: Array("(module (func) (func) (func) (func (param i32) local.get 0 drop) (@custom \"name\" \"\(contents)\"))".utf8))
    let printed = try WebAssemblyText.text(of: try Module.parse(binary))
    #expect(printed.contains("(func $b (type 1) (param $z i32)") && printed.contains("local.get $z"))
    #expect(!printed.contains("$a") && !printed.contains("$c") && !printed.contains("$d") && !printed.contains("$y"))
    #expect(printed.contains("(@custom \"name\""))
    #expect(try WebAssemblyText.binary(of: Array(printed.utf8)) == binary)
  }
}
