import Foundation
import Testing
import WebAssembly
import WebAssemblyText
import _TestSupport

@Suite("Printing modules and reading them back")
struct RoundTripTests {
  /// Every module of the suite that decodes, whether it is valid or not.
  @Test("a printed module reads back to the same binary", arguments: SuiteTextTests.scripts)
  func suiteModules(script: String) throws {
    for (line, bytes) in try SuiteTextTests.expectedModules(script) {
      guard let bytes, let module = try? Module.parse(bytes, features: [.standard, .threads]) else { continue }
      let text: String
      do {
        text = try WebAssemblyText.text(of: module)
      } catch {
        // A body that does not decode has no text; the suite asserts elsewhere that it is refused.
        continue
      }
      // Four thousand million locals take five bytes of binary and as many words of text: the printer stops before that.
      if module.functionBodies.contains(where: { $0.localCount > 100_000 }) { continue }
      let again = try WebAssemblyText.binary(of: Array(text.utf8))
      #expect(
        SuiteTextTests.withoutCustomSections(again) == SuiteTextTests.withoutCustomSections(bytes) || Self.handWritten.contains(script),
        "\(script):\(line)\n\(text.prefix(2000))")
      // Once printed, nothing changes any more: names included.
      #expect(try WebAssemblyText.text(of: Module.parse(again, features: [.standard, .threads])) == text, "\(script):\(line)")
    }
  }

  /// Scripts with binaries written by hand that say the same in more bytes than needed (over-long numbers, an explicit page
  /// size of 65 536, empty sections, several custom sections) or what no text can say (a select of two types). Their modules
  /// still have to print the same once read back.
  static let handWritten: Set = [
    "core/binary.wast", "core/binary-leb128.wast", "core/custom.wast", "core/select.wast", "core/float_literals.wast", "core/align.wast",
    "multi-memory/binary0.wast", "custom-page-sizes/custom-page-sizes.wast", "custom-page-sizes/custom-page-sizes-invalid.wast",
    "custom-page-sizes/memory_max.wast", "custom-page-sizes/memory_max_i64.wast",
  ]

  @Test("names, memory attributes and numbers survive")
  func writtenModule() throws {
    let text = """
      (module $example
        (type $binary (func (param i32 i32) (result i32)))
        (import "bindery" "weights" (memory $weights i64 virtual 0 16777216))
        (import "host" "log \\"it\\"" (func $log (type $binary)))
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
    #expect(printed.contains("(memory $own 1 4 (readonly 2))"))
    #expect(printed.contains("local.tee $sum"))
    #expect(printed.contains("memory.map read"))
    #expect(printed.contains("f32.const -nan:0x200000"))
    #expect(printed.contains("f64.const 0.1"))
    #expect(try WebAssemblyText.binary(of: Array(printed.utf8)) == binary)
  }
}
