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
    #"(module quote "(func" "  (i32.add)" "  (bad))")"#,
    #"(module (func (result i32)))"#,
    #"(wait $T)"#,
    #"(assert_exhaustion (invoke "one") "call stack exhausted")"#,
    #"(assert_trap (module) "unreachable")"#,
    #"(get "one")"#,
    #"(module instance $I $nowhere)"#,
  ])
  func `a command that does not hold is reported with its line`(command: String) throws {
    let report = try run(Self.module + "\n  " + command)
    #expect(report.failures.map(\.line) == [6])
    #expect(report.failures.map(\.column) == [3])
    #expect(report.passedCount == 0 && report.skips.isEmpty && report.remarks.isEmpty)
  }

  @Test func `what cannot be judged as written is remarked on`() throws {
    let report = try run(
      """
      (register "absent" $absent)
      (assert_unlinkable (module (import "absent" "f" (func))) "incompatible import type")
      (assert_invalid (module (type $t (func)) (func (param (ref $t)))) "type mismatch")
      (assert_malformed (module quote "(memory 0x1_0000_0000)") "i32 constant out of range")
      """)
    #expect(report.failures.isEmpty, "\(report.failures)")
    #expect(report.remarks.map(\.line) == [1, 2, 3, 4])
    #expect(report.passedCount == 3)
  }

  @Test func `a module that is wrong is reported with its place in the script`() throws {
    let report = try run("(module)\n(module\n  (func (result i32)\n    (i64.const 1)))\n")
    #expect(report.failures.map(\.line) == [2])
    #expect(report.failures.first?.message.contains("type mismatch") == true)
    #expect(report.failures.first?.message.contains("line 4, column") == true)
  }

  // MARK: Threads

  private static let sharing = """
    (module $M (memory (export "m") 1 1 shared) (func (export "f")))
    (register "M")
    """

  @Test func `threads share memories, and only memories, under the names that they register`() throws {
    let report = try run(
      Self.sharing + """
        (thread $T (shared (module $M))
          (assert_unlinkable (module (import "M" "m" (memory 1 1 shared))) "unknown import")
          (register "N" $M)
          (assert_unlinkable (module (import "N" "f" (func))) "unknown import")
          (module (memory (import "N" "m") 1 1 shared)
            (func (export "run") (i32.store (i32.const 8) (i32.const 42))))
          (assert_return (invoke "run")))
        (wait $T)
        (module (memory (import "M" "m") 1 1 shared) (func (export "get") (result i32) (i32.load (i32.const 8))))
        (assert_return (invoke "get") (i32.const 42))
        """)
    #expect(report.failures.isEmpty, "\(report.failures)")
    #expect(report.passedCount == 4)
  }

  @Test func `failures of threads count, waited for or not`() throws {
    let report = try run(
      Self.sharing + """

        (thread $T (assert_return (invoke "nothing")))
        (wait $T)
        (thread $U (thread $V (assert_return (invoke "nothing"))) (module (func (export "f"))) (assert_return (invoke "f")))
        (thread $W (shared (module $M)) (invoke $M "f"))
        (wait $T)
        (thread $X (shared (module $nowhere)))
        """)
    #expect(report.failures.map(\.line).sorted() == [3, 5, 6, 7, 8])
    #expect(report.passedCount == 1)
  }

  @Test func `two threads run at the same time`() throws {
    // Two threads that hand a number back and forth: both must run at the same time.
    let report = try run(
      Self.sharing
        + (0..<2).map { index in
          """
          (thread $T\(index) (shared (module $M))
            (register "M" $M)
            (module (memory (import "M" "m") 1 1 shared)
              (func (export "run") (local $i i32)
                (loop $next
                  (loop $spin (br_if $spin (i32.ne (i32.and (i32.load (i32.const 0)) (i32.const 1)) (i32.const \(index)))))
                  (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
                  (local.set $i (i32.add (local.get $i) (i32.const 1)))
                  (br_if $next (i32.lt_u (local.get $i) (i32.const 100))))))
            (assert_return (invoke "run")))
          """
        }.joined(separator: "\n") + """
          (wait $T0) (wait $T1)
          (module (memory (import "M" "m") 1 1 shared) (func (export "get") (result i32) (i32.load (i32.const 0))))
          (assert_return (invoke "get") (i32.const 200))
          """)
    #expect(report.failures.isEmpty, "\(report.failures)")
    #expect(report.passedCount == 3)
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
