import Foundation
import WebAssembly
import WebAssemblyText

extension FuzzTarget {
  private static let words = [
    "(module ", "(func ", "(param ", "(result ", "(local ", "(export \"a\" ", "(import \"a\" \"b\" ", "(memory ", "(table ", "(global ",
    "(type ", "(elem ", "(data ", "(start ", "(then ", "(else ", "(block ", "(loop ", "(if ", "(mut ", "i32", "i64", "f32", "f64", "v128",
    "funcref", "externref", "$a", "nan:0x1", "inf", "-0x1.8p+3", "0xFFFFFFFF", "\"\\00\\u{7f}\"", "(;", ";)", ";;", "(@custom \"x\" ",
    "local.get ", "i32.const ", "i64.const ", "call_indirect ", "br_table ", "offset=", "align=", "virtual ", "shared ", "mappable ",
    "noaccess ", "readonly ", "pagesize ", "memory.map ", "memory.discard ", "v128.const i32x4 ", "i8x16.shuffle ", "end", "else",
  ]

  static let wat = FuzzTarget(
    "wat", "the text of a module: translated, and what comes out read", dictionary: words,
    seeds: { checkout in WatSeeds.texts.map { Array($0.utf8) } + SeedFiles.all(checkout, "Tests/Fixtures/memory-control/host", endings: [".wat"]) }
  ) { (input) throws(BrokenPromise) in
    let bytes: [UInt8]
    do throws(TextFormatError) { bytes = try WebAssemblyText.binary(of: input) } catch {
      try promise(!error.description.isEmpty, "an error says nothing")
      return
    }
    let module: Module
    do { module = try Module.parse(bytes, features: WasmEngines.features) } catch {
      throw BrokenPromise("a text was translated to what is no module: \(error)")
    }
    guard (try? Validator.validate(module, features: WasmEngines.features)) != nil, let text = try? WebAssemblyText.text(of: module)
    else { return }
    guard let again = try? WebAssemblyText.binary(of: Array(text.utf8)) else {
      throw BrokenPromise("the text of a module that came from a text cannot be read")
    }
    guard let text2 = (try? Module.parse(again, features: WasmEngines.features)).flatMap({ try? WebAssemblyText.text(of: $0) }) else {
      throw BrokenPromise("the text of a module that came from a text gives no module")
    }
    try promise(text2 == text, "a module that was printed and read prints differently")
  }

  static let wast = FuzzTarget(
    "wast", "a script: read, its text modules translated",
    dictionary: words + [
      "(assert_return ", "(assert_trap ", "(assert_invalid ", "(assert_malformed ", "(invoke ", "(get ", "(register ", "binary ", "quote ",
      "definition ", "instance ", "(either ", "nan:canonical", "nan:arithmetic", "(ref.extern 1)", "(thread ", "(wait ",
    ],
    seeds: { checkout in
      SeedFiles.all(checkout, "Tests/Fixtures/memory-control", endings: [".wast"]).flatMap { text in
        // A piece of each: whole ones are longer than what is worth changing.
        stride(from: 0, to: text.count, by: 1500).map { Array(text[$0..<min(text.count, $0 + 1500)]) }
      } + [Array("(module (func (export \"f\") (result i32) (i32.const 1))) (assert_return (invoke \"f\") (i32.const 1))".utf8)]
    }
  ) { (input) throws(BrokenPromise) in
    guard let script = try? WebAssemblyText.script(input) else { return }
    for command in script.commands {
      if case .module(let module) = command.kind, case .binary(let bytes) = module.form {
        _ = try? Module.parse(bytes, features: WasmEngines.features)
      }
    }
  }
}

enum WatSeeds {
  static let texts = [
    "(module (func (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))",
    """
    (module (memory (export "m") 1 2) (data (i32.const 8) "abc") (data "passive")
      (func (export "copy") (param i32 i32) (memory.copy (local.get 0) (local.get 1) (i32.const 16))
        (memory.init 1 (i32.const 0) (i32.const 1) (i32.const 3)) (data.drop 1) (memory.fill (i32.const 5) (i32.const 7) (local.get 0)))
      (func (export "grow") (result i32) (memory.grow (i32.const 1))))
    """,
    """
    (module (type $t (func (param i32) (result i32))) (table $a (export "t") 4 8 funcref) (elem (i32.const 0) $f $g)
      (func $f (type $t) (i32.mul (local.get 0) (i32.const 3))) (func $g (type $t) (call $f (local.get 0)))
      (func (export "call") (param i32 i32) (result i32) (call_indirect $a (type $t) (local.get 0) (local.get 1)))
      (func (export "table") (param i32) (result i32) (table.set $a (local.get 0) (ref.func $g)) (table.size $a)))
    """,
    """
    (module (global $g (export "g") (mut i64) (i64.const 5))
      (func (export "loop") (param i32) (result i64) (local i64)
        (block $out (loop $again (br_if $out (i32.eqz (local.get 0)))
          (local.set 1 (i64.add (i64.rotl (local.get 1) (i64.const 7)) (global.get $g))) (global.set $g (local.get 1))
          (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br $again))) (local.get 1))
      (func (export "switch") (param i32) (result i32)
        (block (block (block (br_table 0 1 2 (local.get 0))) (return (i32.const 10))) (return (i32.const 20))) (i32.const 30)))
    """,
    """
    (module (memory (export "m") 1) (func (export "v") (param v128 i32) (result v128)
      (v128.store offset=3 (local.get 1) (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 31 (local.get 0) (v128.const i64x2 1 2)))
      (i16x8.add (i32x4.mul (local.get 0) (v128.load (local.get 1))) (i8x16.splat (local.get 1)))))
    """,
    """
    (module (memory $v (export "v") i64 virtual 1 16) (memory $m (export "m") 1)
      (func (export "map") (param i64) (result i32) (memory.map $v readwrite (local.get 0) (i64.const 65536)))
      (func (export "use") (param i64) (i64.store $v (local.get 0) (i64.const 7)) (memory.copy $m $v (i32.const 0) (local.get 0) (i32.const 8)))
      (func (export "unmap") (param i64) (memory.unmap $v (local.get 0) (i64.const 65536))))
    """,
    """
    (module (func $two (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
      (func (export "multi") (param i32 i64) (result i64 i32) (call $two (local.get 0) (local.get 1)) (call $two) (call $two))
      (func (export "params") (param i32) (result i32) (local.get 0) (i32.const 2)
        (loop (param i32 i32) (result i32) (i32.add)) (if (param) (result i32) (then (i32.const 1)) (else (unreachable))))
      (func (export "tail") (param i32 i64) (result i64 i32) (return_call $two (local.get 0) (local.get 1))))
    """,
    """
    (module (memory 1) (func (export "wide") (param i32) (result i64) (i64.load8_s offset=65535 (local.get 0)) (i64.load16_u (local.get 0))
      (i64.add) (i64.load32_s align=1 (local.get 0)) (i64.xor) (i64.extend32_s) (i64.popcnt) (i64.div_s (i64.const 3)))
      (func (export "trunc") (param f64) (result i32) (i32.trunc_f64_s (local.get 0))) (start $s) (func $s))
    """,
    """
    (module (memory (export "m") 1 1 shared) (func (export "a") (param i32) (result i32)
      (i32.atomic.rmw.add (local.get 0) (i32.const 1)) (i32.atomic.load (local.get 0)) (i32.add) (memory.atomic.notify (local.get 0) (i32.const 1)) (i32.add)))
    """,
  ]
}
