/// A model program in the text format that speaks the program interface and does nothing, but for what a test puts in: for attacks on
/// the host through that interface.
public struct HostileProgram {
  /// Imports beside those that every program has, before them.
  public var imports = ""
  /// Fields of the module behind everything else: memories, data, a start function.
  public var fields = ""
  /// What exports do instead of their default: the body of the function, which may use the locals $i, $j (i64) and $k (i32).
  public var bodies: [String: String] = [:]
  /// Parameters are $0, $1 ... The memory `memory` holds the message of `error_address` at 16.
  private static let exports: [(name: String, type: String, body: String)] = [
    ("program_abi", "(result i32)", "(i32.const 1)"), ("error_address", "(result i32)", "(i32.const 16)"),
    ("error_byte_count", "(result i32)", "(i32.const 23)"), ("allocate", "(param i32) (result i32)", "(i32.const 1024)"),
    ("configure", "(param i32 i32) (result i32)", "(i32.const 0)"), ("vocabulary_size", "(result i32)", "(i32.const 1024)"),
    ("context_length", "(result i32)", "(i32.const 512)"), ("embedding_size", "(result i32)", "(i32.const 8)"),
    ("sequence_open", "(param i32) (result i32)", "(i32.const 0)"),
    ("sequence_trim", "(param i32 i32) (result i32)", "(i32.const 0)"),
    ("sequence_close", "(param i32) (result i32)", "(i32.const 0)"),
    (
      "pass_begin", "(param i32 i32) (result i64)",
      "(if (i64.eqz (memory.size $scratch)) (then (drop (memory.grow $scratch (i64.const 256))))) (i64.const 0)"
    ), ("forward", "(result i64)", "(i64.const 1048576)"),
  ]
  public static let exportNames = exports.map(\.name)

  /// A loop that never ends.
  public static let endless = "(loop $endless (br $endless))"

  public init(imports: String = "", fields: String = "", bodies: [String: String] = [:]) {
    self.imports = imports
    self.fields = fields
    self.bodies = bodies
  }

  /// Where an endless loop is put before what an export does.
  public init(endlessIn export: String) {
    self.init(bodies: [export: Self.endless + " " + (Self.exports.first { $0.name == export }?.body ?? "")])
  }

  public var text: String {
    let functions = Self.exports.map { export in
      "  (func (export \"\(export.name)\") \(export.type) (local $i i64) (local $j i64) (local $k i32)\n    "
        + (bodies[export.name] ?? export.body) + ")\n"
    }
    return """
      (module
        \(imports)
        (import "bindery" "log" (func $log (param i32 i32)))
        (import "bindery" "weights" (memory $weights i64 virtual 0 16777216))
        (import "bindery" "cache" (memory $cache i64 virtual 0 1048576))
        (import "bindery" "scratch" (memory $scratch i64 0 1048576))
        (memory $own (export "memory") 2)
        (data (memory $own) (i32.const 16) "hostile program says no")
      \(functions.joined())
        \(fields))
      """
  }
}
