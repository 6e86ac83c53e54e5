import WebAssemblyText

/// Model programs that try to hurt the host, as text: the interface is complete, and one part of it is hostile.
struct HostileProgram {
  var name: String
  /// The bodies of the exports that may be replaced.
  var forward = "(i64.const 1048576)"
  var configure = "(i32.const 0)"
  var close = "(i32.const 0)"
  var passBegin = "(i64.const 0)"
  /// More fields of the module: memories, tables, functions, a start function.
  var fields = ""

  /// Every program says this where it logs; no honest text holds it.
  static let words = "hostile program says no"

  private var text: String {
    """
    (module
      (import "tensor" "scale" (func $scale (param i64 i64 i64 f32)))
      (import "tensor" "get_rows" (func $get_rows (param i64 i64 i32 i64 i32 i32 i32)))
      (import "tensor" "softmax" (func $softmax (param i64 i64 i32 i32)))
      (import "tensor" "attention" (func $attention
        (param i64 i64 i64 i64 i64 i64 i32 i64 i32 i32 i32 i32 i32 f32 i32 f32)))
      (import "bindery" "log" (func $log (param i32 i32)))
      (import "bindery" "weights" (memory $weights i64 virtual 0 16777216))
      (import "bindery" "cache" (memory $cache i64 virtual 0 1048576))
      (import "bindery" "scratch" (memory $scratch i64 0 1048576))
      (memory $own (export "memory") 2)
      (data (memory $own) (i32.const 16) "\(Self.words)")
      (func (export "program_abi") (result i32) (i32.const 1))
      (func (export "error_address") (result i32) (i32.const 16))
      (func (export "error_byte_count") (result i32) (i32.const \(Self.words.utf8.count)))
      (func (export "allocate") (param i32) (result i32) (i32.const 1024))
      (func (export "configure") (param i32 i32) (result i32) \(configure))
      (func (export "vocabulary_size") (result i32) (i32.const 1024))
      (func (export "context_length") (result i32) (i32.const 512))
      (func (export "embedding_size") (result i32) (i32.const 8))
      (func (export "sequence_open") (param i32) (result i32) (i32.const 0))
      (func (export "sequence_trim") (param i32 i32) (result i32) (i32.const 0))
      (func (export "sequence_close") (param i32) (result i32) \(close))
      (func (export "pass_begin") (param i32 i32) (result i64)
        (if (i64.eqz (memory.size $scratch)) (then (drop (memory.grow $scratch (i64.const 512)))))
        \(passBegin))
      (func (export "forward") (result i64) (local $i i64) \(forward))
      \(fields)
    )
    """
  }

  /// The module in the binary format.
  func binary() throws -> [UInt8] { try WebAssemblyText.binary(of: Array(text.utf8)) }
}

extension HostileProgram {
  private static let loop = "(loop $l (br $l))"
  /// 8 MiB of cache, mapped, for attention to read.
  private static let mapCache = """
    (drop (memory.grow $cache (i64.const 128)))
    (drop (memory.map $cache readwrite (i64.const 0) (i64.const 8388608)))
    """

  /// Programs that never end by themselves, each in another place.
  static let endless: [HostileProgram] = [
    .init(name: "endless forward", forward: "\(loop) (i64.const 0)"),
    .init(name: "endless configure", configure: "\(loop) (i32.const 0)"),
    .init(name: "endless start", fields: "(func $start \(loop)) (start $start)"),
    .init(name: "endless close", forward: "\(loop) (i64.const 0)", close: "\(loop) (i32.const 0)"),
    .init(name: "endless pass_begin", passBegin: "\(loop) (i64.const 0)"),
    .init(
      name: "endless straight code",
      forward: String(repeating: "(memory.fill $scratch (i64.const 0) (i32.const 1) (i64.const 33554432))", count: 400)
        + "(i64.const 1048576)"),
    .init(
      name: "long attention",
      forward: """
        \(mapCache)
        (loop $p
          (i32.store $scratch (i64.add (i64.const 8388608) (i64.shl (local.get $i) (i64.const 2))) (i32.const 524287))
          (local.set $i (i64.add (local.get $i) (i64.const 1)))
          (br_if $p (i64.lt_u (local.get $i) (i64.const 65536))))
        (call $attention (i64.const 0) (i64.const 2097152) (i64.const 16777216) (i64.const 8388608) (i64.const 0)
          (i64.const 0) (i32.const 1048576) (i64.const 4194304) (i32.const 65536) (i32.const 1) (i32.const 1)
          (i32.const 1) (i32.const 0) (f32.const 1) (i32.const 0) (f32.const 0))
        (i64.const 1048576)
        """),
  ]

  /// Programs that want more than they may have.
  static let greedy: [HostileProgram] = [
    .init(
      name: "greedy scratch",
      forward: "(loop $l (br_if $l (i64.ne (memory.grow $scratch (i64.const 64)) (i64.const -1)))) (unreachable)"),
    .init(
      name: "greedy own memory", forward: "\(touchOwn) (unreachable)"),
    .init(
      name: "greedy memories",
      fields: (0..<12).map { "(memory $m\($0) 1000)" }.joined() + "(func $start "
        + (0..<12).map { "(memory.fill $m\($0) (i32.const 0) (i32.const 1) (i32.const 65536000))" }.joined() + ") (start $start)"),
    .init(
      name: "greedy tables",
      forward: "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)))) (unreachable)",
      fields: "(table $t 1 funcref)"),
    .init(name: "greedy log", forward: "(loop $l (call $log (i32.const 16) (i32.const 100000)) (br $l)) (i64.const 0)"),
    .init(
      name: "greedy index operands",
      forward: """
        (call $attention (i64.const 0) (i64.const 9663676416) (i64.const 9663676416) (i64.const 9663676416) (i64.const 0)
          (i64.const 0) (i32.const 1073741824) (i64.const 1099511627776) (i32.const 2147483647) (i32.const 1) (i32.const 1)
          (i32.const 1) (i32.const 0) (f32.const 1) (i32.const 0) (f32.const 0))
        (i64.const 1048576)
        """, passBegin: "(drop (memory.grow $scratch (i64.const 420000))) (i64.const 0)"),
  ]

  private static let touchOwn = """
    (loop $l
      (if (i32.ne (memory.grow $own (i32.const 16)) (i32.const -1))
        (then
          (i32.store $own (i32.sub (i32.shl (memory.size $own) (i32.const 16)) (i32.const 4)) (i32.const 1))
          (br $l))))
    """

  /// A legal attention of one row over about 2^20 pieces, and operations whose numbers are at the edge.
  static func overflowing(pieces: Int) -> HostileProgram {
    .init(
      name: "overflowing \(pieces) pieces",
      forward: """
        \(mapCache)
        (loop $r
          (call $scale (i64.const 0) (i64.const 8388608) (i64.const 1048576) (f32.const 1))
          (call $attention (i64.const 0) (i64.const 8388608) (i64.const 16777216) (i64.const 17825792) (i64.const 0)
            (i64.const 0) (i32.const 1) (i64.const 8388608) (i32.const 1) (i32.const \(pieces)) (i32.const \(pieces))
            (i32.const 1) (i32.const 0) (f32.const 1) (i32.const 0) (f32.const 0))
          (local.set $i (i64.add (local.get $i) (i64.const 1)))
          (br_if $r (i64.lt_u (local.get $i) (i64.const 20))))
        (i64.const 1048576)
        """)
  }

  /// One operation with numbers at the edges of their ranges.
  static func extreme(_ numbers: (Int) -> Int64) -> HostileProgram {
    func i64(_ index: Int) -> String { "(i64.const \(numbers(index)))" }
    func i32(_ index: Int) -> String { "(i32.const \(Int32(truncatingIfNeeded: numbers(index))))" }
    return .init(
      name: "extreme numbers",
      forward: """
        \(mapCache)
        (call $softmax \(i64(0)) \(i64(1)) \(i32(2)) \(i32(3)))
        (call $attention \(i64(4)) \(i64(5)) \(i64(6)) \(i64(7)) \(i64(8)) \(i64(9)) \(i32(10)) \(i64(11)) \(i32(12))
          \(i32(13)) \(i32(14)) \(i32(15)) (i32.const 0) (f32.const 1) \(i32(16)) (f32.const 0))
        (i64.const 1048576)
        """)
  }

  /// Reads every row of the weights again and again, while the file under them becomes shorter.
  static let reader = HostileProgram(
    name: "reader of a file that shrinks",
    forward: """
      (loop $p
        (i32.store $scratch (i64.add (i64.const 1048576) (i64.shl (local.get $i) (i64.const 2)))
          (i32.wrap_i64 (i64.mul (local.get $i) (i64.const 2048))))
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br_if $p (i64.lt_u (local.get $i) (i64.const 8000))))
      (loop $forever
        (call $get_rows (i64.const 0) (i64.const 0) (i32.const 0) (i64.const 1048576) (i32.const 8000) (i32.const 1)
          (i32.const 16384000))
        (br $forever))
      (i64.const 1048576)
      """)
}
