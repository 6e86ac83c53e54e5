import Foundation
import Testing
import WebAssembly
import WebAssemblyText
import _TestSupport

@Suite("Printing modules and reading them back")
struct RoundTripTests {
  static let features: WasmFeatures = [.standard, .threads]

  /// Every module of the suite that decodes, whether it is valid or not.
  @Test("a printed module reads back to the same bytes", arguments: SuiteTextTests.scripts)
  func suiteModules(script: String) throws {
    for (line, bytes) in try SuiteTextTests.expectedModules(script) {
      guard let bytes, let module = try? Module.parse(bytes, features: Self.features) else { continue }
      // Four thousand million locals take five bytes of binary and as many words of text: the printer refuses them.
      if module.functionBodies.contains(where: { $0.localCount > 50_000 }) {
        #expect(throws: WasmParseError.self) { try WebAssemblyText.text(of: module) }
        continue
      }
      let text = try WebAssemblyText.text(of: module)
      let again = try WebAssemblyText.binary(of: Array(text.utf8))
      #expect(again == bytes || Self.handWritten.contains(script), "\(script):\(line)\n\(text.prefix(2000))")
      // Once printed, nothing changes any more.
      #expect(try WebAssemblyText.text(of: Module.parse(again, features: Self.features)) == text, "\(script):\(line)")
      let plain = try WebAssemblyText.text(of: module, customSections: false)
      #expect(!plain.contains("(@custom"))
    }
  }

  /// Scripts with binaries written by hand that say the same in more bytes than needed: over-long numbers, an explicit page size
  /// of 65 536, empty sections, groups of no locals. Their modules still have to print the same once read back.
  static let handWritten: Set = [
    "core/binary.wast", "core/binary-leb128.wast", "core/custom.wast", "core/select.wast", "core/float_literals.wast",
    "core/align.wast",
    "multi-memory/binary0.wast", "custom-page-sizes/custom-page-sizes.wast", "custom-page-sizes/custom-page-sizes-invalid.wast",
    "custom-page-sizes/memory_max.wast", "custom-page-sizes/memory_max_i64.wast",
  ]

  static let programs: [String] = {
    let folders = ["models/programs", "Tests/Fixtures/wasi"]
    return folders.flatMap { folder in
      let names = (try? FileManager.default.contentsOfDirectory(atPath: Repository.path(folder).path)) ?? []
      return names.filter { $0.hasSuffix(".wasm") }.sorted().map { "\(folder)/\($0)" }
    }
  }()

  /// Modules that compilers made, names included. Linkers write some numbers in five bytes: the other encoder, which works without
  /// text, says what the module is with all numbers in their shortest form.
  @Test("a program survives to the byte", arguments: programs)
  func program(path: String) throws {
    let bytes = [UInt8](try Data(contentsOf: Repository.path(path)))
    let module = try Module.parse(bytes)
    let text = try WebAssemblyText.text(of: module)
    let again = try WebAssemblyText.binary(of: Array(text.utf8))
    #expect(again == module.encode())
    if path.hasPrefix("models/") { #expect(again == bytes) }
  }

  @Test("the programs are there")
  func programCount() { #expect(Self.programs.count >= 15) }

  @Test("custom sections keep their places, and names that no identifier can say are kept too")
  func customSections() throws {
    let text = #"""
      (module $m
        (@custom "second" (after type) "\00\ff")
        (@custom "first" (before first) "one")
        (@custom "between" (before memory) "x" "y")
        (@custom "last" "z")
        (@custom "behind data" (after data))
        (func $f (param $p i32))
        (memory 1))
      """#
    let binary = try WebAssemblyText.binary(of: Array(text.utf8))
    let module = try Module.parse(binary)
    #expect(module.customSections.map(\.name) == ["first", "second", "between", "behind data", "name", "last"])
    #expect(module.customSections.map { Array(binary[$0.range]) }[2] == Array("xy".utf8))
    #expect(module.customSections.map(\.precedingSection) == [0, 1, 3, 10, 10, 10])
    let printed = try WebAssemblyText.text(of: module)
    #expect(printed.contains("(func $f") && !printed.contains(#"(@custom "name""#))
    #expect(try WebAssemblyText.binary(of: Array(printed.utf8)) == binary)

    // Two functions of one name: neither can have it as its identifier.
    let twice: [UInt8] = [1, 7, 2, 0, 1, 0x66, 1, 1, 0x66]
    let named = try WebAssemblyText.binary(of: Array(#"(module (func) (func) (@custom "name" "\01\07\02\00\01f\01\01f"))"#.utf8))
    #expect(named.suffix(twice.count).elementsEqual(twice))
    let shown = try WebAssemblyText.text(of: try Module.parse(named))
    #expect(shown.contains(#"(@custom "name""#))
    #expect(try WebAssemblyText.binary(of: Array(shown.utf8)) == named)
  }

  @Test(
    "misplaced and malformed annotations are refused",
    arguments: [
      #"(module (@custom))"#, #"(module (@custom x "a"))"#, #"(module (@custom "a" (before)))"#,
      #"(module (@custom "a" (before last)))"#,
      #"(module (@custom "a" (after code))"#, #"(module (@custom "\ff"))"#, #"(module (func (@custom "a")))"#,
      #"(module (@custom "a" 1))"#,
    ])
  func wrongAnnotations(text: String) {
    #expect(throws: TextFormatError.self) { try WebAssemblyText.binary(of: Array(text.utf8)) }
  }

  @Test("names, memory attributes and numbers survive")
  func writtenModule() throws {
    let text = """
      (module $example
        (type $binary (func (param i32 i32) (result i32)))
        (import "bindery" "weights" (memory $weights i64 virtual 0 16777216))
        (import "host" "log \\"it\\"" (func $log (type $binary)))
        (table $full 3 4 funcref (ref.func $log))
        (memory $own 1 4 (readonly 2))
        (func $add (type $binary) (param $x i32) (param $y i32) (result i32)
          (local $sum i32)
          local.get $x
          local.get $y
          i32.add
          local.tee $sum
          i64.const 65536
          i64.const 65536
          memory.map read
          drop
          f32.const -nan:0x200000
          drop
          f64.const 0.1
          drop
          v128.const i32x4 0x1 0x2 0x3 0xffffffff
          drop
        )
        (data $greeting (memory 1) (offset i32.const 131072) "h\\c3\\a9\\00")
      )
      """
    let binary = try WebAssemblyText.binary(of: Array(text.utf8))
    let printed = try WebAssemblyText.text(of: Module.parse(binary))
    #expect(printed.contains("(import \"bindery\" \"weights\" (memory $weights i64 virtual 0 16777216))"))
    #expect(printed.contains("(table $full 3 4 funcref ref.func $log)"))
    #expect(printed.contains("(memory $own 1 4 (readonly 2))"))
    #expect(printed.contains("local.tee $sum"))
    #expect(printed.contains("memory.map read"))
    #expect(printed.contains("f32.const -nan:0x200000"))
    #expect(printed.contains("f64.const 0.1"))
    #expect(try WebAssemblyText.binary(of: Array(printed.utf8)) == binary)
  }
}
