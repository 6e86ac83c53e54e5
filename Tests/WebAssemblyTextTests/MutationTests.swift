import Foundation
import Testing
import WebAssembly
import WebAssemblyText
import _TestSupport

/// Damaged texts and binaries end in a typed error, or are read as what they have become: never a crash, never a hang.
@Suite("Damaged input")
struct MutationTests {
  private static let texts: [String] = [
    #"""
    (module $m (@custom "c" (after type) "\00")
      (type $t (func (param i32 i64) (result f32 f64)))
      (import "m" "f" (func $f (type $t)))
      (import "m" "mem" (memory $w i64 virtual 0 16777216))
      (table $tab 1 10 funcref (ref.null func)) (memory $own 1 4 (readonly 2) )
      (global $g (mut i32) (i32.add (i32.const 1) (i32.const -0x7fff_ffff)))
      (func $add (export "add") (param $x i32) (result i32) (local $y f32)
        (block $b (result i32) (if (result i32) (local.get $x) (then (i32.const 1)) (else (br $b (i32.const 2)))))
        (drop (v128.const f32x4 nan:0x12 -inf 0x1.8p-3 1e38))
        (i32.store offset=4 align=1 (i32.const 8) (i32.trunc_sat_f64_s (f64.const nan)))
        (drop (memory.map $w read (i64.const 0) (i64.const 0x10000)))
        (call_indirect $tab (type $t) (i32.const 0) (i64.const 1) (i32.const 0)) drop drop
        (memory.init $own $d (i32.const 0) (i32.const 0) (i32.const 1))
        (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 31 (local.get 0) (local.get 0)) drop)
      (elem $e (table $tab) (offset i32.const 0) funcref (item ref.func $f) (ref.null func))
      (data $d (memory $own) (i32.const 131072) "h\c3\a9\u{1F600}\00"))
    """#,
    #"""
    (module definition $D (memory 1)) (module instance $I $D) (register "x" $I)
    (module quote "(func)") (module binary "\00asm" "\01\00\00\00")
    (assert_return (invoke "f" (i32.const 1) (ref.null extern)) (either (f32.const nan:canonical) (ref.func)))
    (assert_trap (module (func $s unreachable) (start $s)) "unreachable")
    (thread $T (shared (module $I)) (assert_unlinkable (module (import "a" "b" (func))) "unknown import")) (wait $T)
    (; comment (; nested ;) ;) (@annotation "x" (y)) ;; line
    """#,
  ]

  /// Changes, removes, doubles or moves a few bytes.
  private static func mutate(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...2, using: &generator) where !bytes.isEmpty {
      let index = Int.random(in: bytes.indices, using: &generator)
      let length = min(Int.random(in: 1...12, using: &generator), bytes.count - index)
      switch Int.random(in: 0..<7, using: &generator) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
      case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 2: bytes.removeSubrange(index..<(index + length))
      case 3:
        bytes.insert(contentsOf: Array(bytes[index..<(index + length)]), at: Int.random(in: 0...bytes.count, using: &generator))
      case 4: bytes.removeLast(bytes.count - index)
      case 5: bytes[index] = [0xFF, 0x80, 0x7F, 0x00, 0x28, 0x29, 0x22, 0x3B].randomElement(using: &generator)!
      default: bytes.insert(UInt8.random(in: 0x20..<0x7F, using: &generator), at: index)
      }
    }
    return bytes
  }

  /// Everything that is done with a binary that somebody else wrote.
  private static func use(_ bytes: [UInt8]) throws -> Bool {
    let features: WasmFeatures = [.standard, .threads]
    let module: Module
    do throws(WasmParseError) { module = try Module.parse(bytes, features: features) } catch {
      #expect(error.offset >= 0 && error.offset <= bytes.count && !error.message.isEmpty)
      return false
    }
    do throws(ValidationError) { try Validator.validate(module) } catch {
      #expect(error.offset >= 0 && error.offset <= bytes.count && !error.message.isEmpty)
    }
    let text: String
    do throws(WasmParseError) { text = try WebAssemblyText.text(of: module) } catch { return true }
    // What was printed can be read, and says the same.
    let again = try Module.parse(try WebAssemblyText.binary(of: Array(text.utf8)), features: features)
    let lines = text.split(separator: "\n")
    let changed = zip(lines, try WebAssemblyText.text(of: again).split(separator: "\n")).first { $0 != $1 }
    #expect(changed == nil)
    return true
  }

  @Test("texts with changed bytes", arguments: [1, 2, 3, 4] as [UInt64])
  func damagedTexts(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var acceptedCount = 0
    for round in 0..<1500 {
      let source = Array(Self.texts[round % Self.texts.count].utf8)
      let text = Self.mutate(source, &generator)
      do throws(TextFormatError) {
        let module = try WebAssemblyText.translate(text)
        acceptedCount += 1
        do {
          _ = try Self.use(module.bytes)
        } catch { Issue.record("seed \(seed), round \(round): \(error)\n\(String(decoding: text, as: UTF8.self))") }
      } catch {
        #expect(
          error.offset >= 0 && error.offset <= text.count && error.line >= 1 && error.column >= 1, "seed \(seed), round \(round)")
        #expect(error.place.excerpt.hasSuffix("^"), "seed \(seed), round \(round)")
      }
      do throws(TextFormatError) {
        _ = try WebAssemblyText.script(text)
        acceptedCount += 1
      } catch { #expect(error.offset <= text.count, "seed \(seed), round \(round)") }
    }
    // Damage that always destroys everything, or never anything, tests little.
    #expect(acceptedCount > 20 && acceptedCount < 2900, "seed \(seed): \(acceptedCount)")
  }

  @Test("binaries with changed bytes", arguments: [11, 12, 13, 14] as [UInt64])
  func damagedBinaries(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let small = try WebAssemblyText.binary(of: Array(Self.texts[0].utf8))
    let program = [UInt8](try Data(contentsOf: Repository.fixture("wasi/count.wasm")))
    var acceptedCount = 0
    for round in 0..<1200 {
      let source = round % 12 == 0 ? program : small
      do {
        if try Self.use(Self.mutate(source, &generator)) { acceptedCount += 1 }
      } catch { Issue.record("seed \(seed), round \(round): \(error)") }
    }
    #expect(acceptedCount > 50 && acceptedCount < 1150, "seed \(seed): \(acceptedCount)")
  }

  @Test("random bytes and random tokens", arguments: [21, 22] as [UInt64])
  func noise(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let words = [
      "(", ")", "module", "func", "(func", "param", "i32", "\"a\"", "$x", "0", "-1", "nan", "(module", "i32.const", "block",
      "end", "(then", "if",
      "(memory", "1", "(data", "(elem", "(assert_return", "(invoke", "(result", "(@custom", "(@a", "select", "br_table",
      "v128.const", "i32x4",
    ]
    for round in 0..<800 {
      let bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let text = (0..<Int.random(in: 0...40, using: &generator)).map { _ in words.randomElement(using: &generator)! }.joined(
        separator: " ")
      for input in [bytes, [0x00, 0x61, 0x73, 0x6D, 1, 0, 0, 0] + bytes, Array(text.utf8)] {
        do {
          _ = try Self.use(input)
        } catch { Issue.record("seed \(seed), round \(round): \(error)") }
        if let binary = try? WebAssemblyText.binary(of: input) { _ = try Self.use(binary) }
        _ = try? WebAssemblyText.script(input)
      }
    }
  }
}
