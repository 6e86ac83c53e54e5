import Foundation
import _TestSupport

/// Small modules with WASI's imports, as text, for tests of `exec`.
enum GuestModules {
  private static let write = #"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#
  private static let read = #"(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))"#
  private static let exit = #"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#
  private static let poll = #"(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#

  /// Prints "hi" and ends with the error code of doing so; to the stream that it is called with.
  static func print(to stream: Int = 1) -> String {
    """
    (module \(write) \(exit) (memory (export "memory") 1) (data (i32.const 100) "hi\\n")
      (func (export "_start")
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 3))
        (call $exit (call $write (i32.const \(stream)) (i32.const 0) (i32.const 1) (i32.const 8)))))
    """
  }

  /// Reads at most ten bytes and ends with 100 and their number, or with the error code.
  static let reader = """
    (module \(read) \(exit) (memory (export "memory") 1)
      (func (export "_start") (local $code i32)
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 10))
        (local.set $code (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (if (local.get $code) (then (call $exit (local.get $code))))
        (call $exit (i32.add (i32.const 100) (i32.load (i32.const 8))))))
    """

  /// Writes its arguments, or its environment, as they lie in memory.
  static func strings(_ kind: String) -> String {
    """
    (module \(write)
      (import "wasi_snapshot_preview1" "\(kind)_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "\(kind)_get" (func $get (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (drop (call $sizes (i32.const 0) (i32.const 12))) (drop (call $get (i32.const 256) (i32.const 1024)))
        (i32.store (i32.const 8) (i32.const 1024))
        (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))
    """
  }

  /// Exits with its argument: `--invoke exit N`.
  static let exiting = """
    (module \(exit) (memory (export "memory") 1) (func (export "exit") (param i32) (call $exit (local.get 0))))
    """

  /// A reactor that prints: 41 by `_initialize`, which counts its calls.
  static let reactor = """
    (module \(write) (memory (export "memory") 1) (data (i32.const 100) "called\\n")
      (global $ready (mut i32) (i32.const 0)) (global $calls (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $ready (i32.const 41)) (global.set $calls (i32.add (global.get $calls) (i32.const 1))))
      (func (export "calls") (result i32) (global.get $calls))
      (func (export "answer") (param i32) (result i32)
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 7))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.add (global.get $ready) (local.get 0))))
    """

  /// Runs something without end, or ends itself, at one of the moments of a module's life.
  static func at(_ moment: String, _ body: String) -> String {
    func place(_ name: String) -> String { moment == name ? body : "" }
    return """
      (module \(exit) \(poll) \(write) \(read) (memory (export "memory") 1) (func $begin \(place("start"))) (start $begin)
        (func $forever (loop $again (br $again)))
        (func $sleep (i64.store (i32.const 24) (i64.const 3600000000000)) (i32.store (i32.const 16) (i32.const 1))
          (drop (call $poll (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200))))
        (func $wait (i32.store (i32.const 0) (i32.const 300)) (i32.store (i32.const 4) (i32.const 10))
          (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func $print (i32.store (i32.const 0) (i32.const 300)) (i32.store (i32.const 4) (i32.const 65000))
          (loop $again (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $again)))
        \(moment == "command" ? "" : "(func (export \"_initialize\") \(place("initializer")))")
        (func (export "run") \(place("export")))
        (func (export "_start") \(place("command"))))
      """
  }

  /// A folder with modules under short names; `$B` and the folder's names work in `shell` lines.
  static func write(_ modules: [String: String], to folder: TemporaryFolder) throws {
    for (name, text) in modules { _ = try folder.write(Array(text.utf8), to: "\(name).wat") }
  }
}
