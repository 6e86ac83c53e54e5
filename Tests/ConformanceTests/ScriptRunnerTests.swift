import Foundation
import Testing
import WasmScripts
import WebAssembly
import WebAssemblyText

/// The runner itself must be able to fail: each script here has one command that does not hold.
@Suite struct ScriptRunnerTests {
  private func run(_ text: String) throws -> ScriptReport {
    try ScriptRunner.run(try WebAssemblyText.script(Array(text.utf8)))
  }

  private static let module = """
    (module (memory 1)
      (func (export "one") (result i32) (i32.const 1))
      (func (export "nan") (result f32) (f32.const nan:0x200000))
      (func (export "trap") unreachable)
      (func (export "null") (result externref) (ref.null extern)))
    """

  @Test(arguments: [
    #"(assert_return (invoke "one") (i32.const 2))"#,
    #"(assert_return (invoke "one"))"#,
    #"(assert_return (invoke "one") (i64.const 1))"#,
    #"(assert_return (invoke "nan") (f32.const nan:arithmetic))"#,
    #"(assert_return (invoke "nan") (f32.const nan:canonical))"#,
    #"(assert_return (invoke "null") (ref.extern 0))"#,
    #"(assert_return (invoke "absent"))"#,
    #"(assert_return (invoke "trap"))"#,
    #"(assert_trap (invoke "one") "unreachable")"#,
    #"(assert_trap (invoke "trap") "integer overflow")"#,
    #"(assert_invalid (module) "type mismatch")"#,
    #"(assert_invalid (module (func (result i32))) "unknown local")"#,
    #"(assert_malformed (module binary "\00asm\01\00\00\00") "unexpected end")"#,
    #"(assert_malformed (module binary "\00asm\02\00\00\00") "unexpected end")"#,
    #"(assert_unlinkable (module) "unknown import")"#,
    #"(assert_unlinkable (module (import "spectest" "print_i32" (func (param i64)))) "unknown import")"#,
    #"(module (import "nowhere" "x" (func)))"#,
    #"(register "M" $absent_but_named)"#,
  ])
  func `a command that does not hold is reported with its line`(command: String) throws {
    let report = try run(Self.module + "\n" + command)
    if command.hasPrefix("(register") {
      // A name that the script never gives marks an excerpt: not run, and said so.
      #expect(report.failures.isEmpty && report.skips.count == 1)
    } else {
      #expect(report.failures.map(\.line) == [6])
    }
    #expect(report.passedCount == 0)
  }

  @Test func `commands that hold are counted`() throws {
    let report = try run(
      Self.module + """
        (assert_return (invoke "one") (i32.const 1))
        (assert_return (invoke "null") (ref.null extern))
        (assert_trap (invoke "trap") "unreachable")
        (assert_malformed (module quote "(func") "unexpected")
        (register "M")
        (module (import "M" "one" (func (result i32))) (export "again" (func 0)))
        (assert_return (invoke "again") (i32.const 1))
        """)
    #expect(report.failures.isEmpty, "\(report.failures)")
    #expect(report.passedCount == 5)
  }

  @Test func `NaN patterns look at the quiet bit and the payload`() throws {
    let module = """
      (module (func (export "id") (param f32) (result f32) (local.get 0))
        (func (export "bits") (param i32) (result f32) (f32.reinterpret_i32 (local.get 0))))
      """
    let report = try run(
      module + """
        (assert_return (invoke "bits" (i32.const 0x7fc00000)) (f32.const nan:canonical))
        (assert_return (invoke "bits" (i32.const 0xffc00000)) (f32.const nan:canonical))
        (assert_return (invoke "bits" (i32.const 0x7fc00001)) (f32.const nan:arithmetic))
        (assert_return (invoke "bits" (i32.const 0x7fc00001)) (f32.const nan:canonical))
        (assert_return (invoke "bits" (i32.const 0x7fa00000)) (f32.const nan:arithmetic))
        (assert_return (invoke "bits" (i32.const 0x7f800000)) (f32.const nan:arithmetic))
        """)
    #expect(report.passedCount == 3)
    #expect(report.failures.count == 3)
  }

  @Test func `malformed JSON is an error with the line of the command`() throws {
    let bad = [
      #"{}"#, #"{"commands": [{"type": "dance", "line": 7}]}"#, #"{"commands": [{"line": 7}]}"#,
      #"{"commands": [{"type": "module", "line": 7, "filename": "x", "offset": 3, "size": 9}]}"#,
      #"{"commands": [{"type": "action", "line": 7, "action": {"type": "invoke", "field": "f", "#
        + #""args": [{"type": "i32", "value": "4294967296"}]}}]}"#,
    ]
    for json in bad {
      #expect(throws: JSONScriptError.self) { try JSONScript.parse(Data(json.utf8)) { _ in [0, 1, 2, 3] } }
    }
  }
}
