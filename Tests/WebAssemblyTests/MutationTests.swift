import Testing
import WebAssembly
import WebAssemblyText
import _TestSupport

/// Damaged modules must be refused or accepted, never crash the process: parser, validator, names and encoder.
@Suite struct MutationTests {
  /// A module that has something of everything.
  static let rich = """
    (module
      (type $t (func (param i32 i64) (result f32)))
      (import "a" "f" (func $f (type $t)))
      (import "a" "g" (global $g i32))
      (memory $m 1 2) (memory $v i64 virtual 1 16)
      (table $tab 3 10 funcref (ref.null func)) (table i64 2 externref)
      (global $h (mut i64) (i64.add (i64.const 1) (i64.const 2)))
      (global i32 (i32.mul (global.get $g) (i32.const 3)))
      (elem (table $tab) (i32.const 0) func $f $k) (elem declare func $k) (elem externref (ref.null extern))
      (data (memory $m) (i32.const 8) "abc") (data "passive") (data (memory $v) (i64.const 0) "v")
      (func $k (export "k") (param i32 i64) (result f32) (local v128 f64 f64 i32)
        (block $b (loop $l (br_if $b (i32.eqz (local.get 0))) (br_table $l $b $l (i32.const 1))))
        (v128.store offset=3 (i32.const 0)
          (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 31 (local.get 2) (v128.const i64x2 1 2)))
        (local.set 2 (v128.load32_lane $v offset=20 2 (i64.const 5) (local.get 2)))
        (drop (memory.map $v readwrite (i64.const 0) (i64.const 65536)))
        (memory.init $m 1 (i32.const 0) (i32.const 0) (i32.const 3)) (memory.copy $m $v (i32.const 0) (i64.const 0) (i32.const 1))
        (global.set $h (i64.extend8_s (i64.const -1)))
        (drop (select (result funcref) (ref.func $k) (ref.null func) (i32.const 1)))
        (if (result f32) (local.get 0) (then (f32.const nan:0x123456))
          (else (call_indirect $tab (type $t) (local.get 0) (local.get 1) (i32.const 2)))))
      (func (param i32 i64) (result f32) (return_call $f (local.get 0) (local.get 1)))
      (func $s) (start $s))
    """

  private func survive(_ bytes: [UInt8]) {
    guard let module = try? Module.parse(bytes, features: .standard.union(.threads)) else { return }
    _ = module.readNames()
    guard (try? Validator.validate(module)) != nil else { return }
    let encoded = module.encode()
    #expect((try? Module.parse(encoded, features: .standard.union(.threads))) != nil)
  }

  @Test func `every truncation is refused, without a crash`() throws {
    let bytes = try WebAssemblyText.binary(of: Array(Self.rich.utf8))
    #expect(ModuleBytes.failure(bytes) == nil)
    var acceptedCount = 0
    for length in 0..<bytes.count {
      let prefix = Array(bytes.prefix(length))
      survive(prefix)
      if ModuleBytes.failure(prefix) == nil { acceptedCount += 1 }
    }
    // Cut between sections: the header alone, and before the sections at the end.
    #expect(acceptedCount < 6)
  }

  @Test func `every single byte changed to a few others does no harm`() throws {
    let bytes = try WebAssemblyText.binary(of: Array(Self.rich.utf8))
    for index in bytes.indices {
      for value: UInt8 in [0x00, 0x01, 0x0B, 0x40, 0x7F, 0x80, 0xFC, 0xFD, 0xFF, bytes[index] &+ 1, bytes[index] ^ 0x80] {
        var changed = bytes
        changed[index] = value
        survive(changed)
      }
    }
  }

  @Test func `random damage does no harm`() throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("MutationTests: seed \(seed)")
    var generator = SeededGenerator(seed: seed)
    let original = try WebAssemblyText.binary(of: Array(Self.rich.utf8))
    for _ in 0..<4000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
        case 2: bytes.remove(at: index)
        default:
          let end = min(bytes.count, index + Int.random(in: 1...16, using: &generator))
          bytes.insert(contentsOf: bytes[index..<end], at: Int.random(in: 0...bytes.count, using: &generator))
        }
      }
      survive(bytes)
    }
  }

  @Test func `random bytes behind a header do no harm`() {
    let seed = UInt64.random(in: 0 ... .max)
    print("MutationTests: seed \(seed)")
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<4000 {
      let length = Int.random(in: 0...60, using: &generator)
      survive(ModuleBytes.header + (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
  }
}
