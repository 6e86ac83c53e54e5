import Testing
import WasmRuntime
import WebAssembly

/// What the translator must not get wrong while it keeps values where they are.
@Suite("Translation to register code")
struct TranslationTests {
  /// Every configuration that changes the code or the handlers.
  static let engines: [(name: String, engine: Engine)] = {
    var portable = EngineConfiguration()
    portable.usesPortableHandlers = true
    var fuelled = EngineConfiguration()
    fuelled.consumesFuel = true
    return [("default", Engine()), ("portable", Engine(configuration: portable)), ("fuel", Engine(configuration: fuelled))]
  }()

  private func results(_ text: String, _ export: String, _ arguments: Value...) throws -> [[UInt32?]] {
    try Self.engines.map { _, engine in
      let instance = try GuestModule.instantiate(text, engine: engine)
      instance.store.fuel = 1_000_000
      guard let function = instance.function(export) else { throw MissingExport(name: export) }
      return try function(arguments).map(\.i32)
    }
  }

  @Test("a local that is set keeps its old value on the operand stack")
  func setWhilePending() throws {
    let text = """
      (module
        (func (export "swap") (param i32 i32) (result i32 i32)
          (local.get 0) (local.get 1) (local.set 0) (local.set 1) (local.get 0) (local.get 1))
        (func (export "old") (param i32) (result i32)
          (i32.sub (local.get 0) (local.tee 0 (i32.add (local.get 0) (i32.const 10)))))
        (func (export "old_sum") (param i32) (result i32)
          (i32.mul (i32.add (local.get 0) (i32.const 1)) (local.tee 0 (i32.const 10))))
        (func (export "in_loop") (param i32) (result i32) (local i32)
          (local.get 0)
          (loop $again
            (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
            (local.set 1 (i32.add (local.get 1) (i32.const 3)))
            (br_if $again (local.get 0)))
          (i32.add (local.get 1))))
      """
    #expect(try results(text, "swap", .i32(UInt32(1)), .i32(UInt32(2))).allSatisfy { $0 == [2, 1] })
    #expect(try results(text, "old", .i32(UInt32(5))).allSatisfy { $0 == [UInt32(bitPattern: -10)] })
    #expect(try results(text, "old_sum", .i32(UInt32(5))).allSatisfy { $0 == [60] })
    #expect(try results(text, "in_loop", .i32(UInt32(4))).allSatisfy { $0 == [16] })
  }

  @Test("values that branches carry arrive on both ways")
  func carriedValues() throws {
    let text = """
      (module
        (func (export "if_parameters") (param i32) (result i32)
          (i32.const 1) (i32.const 2)
          (if (param i32 i32) (result i32) (local.get 0) (then (i32.add)) (else (i32.sub))))
        (func (export "br_if_value") (param i32) (result i32)
          (block $out (result i32)
            (i32.add (local.get 0) (i32.const 5))
            (br_if $out (local.get 0))
            (i32.mul (i32.const 100))))
        (func (export "br_if_deep") (param i32) (result i32)
          (block $out (result i32)
            (i32.const 7)
            (i32.add (local.get 0) (i32.const 5))
            (br_if $out (i32.gt_u (local.get 0) (i32.const 3)))
            (i32.add)))
        (func (export "loop_parameter") (param i32) (result i32)
          (i32.const 0)
          (loop $again (param i32) (result i32)
            (i32.add (local.get 0))
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "table") (param i32) (result i32)
          (block $a (result i32)
            (block $b (result i32)
              (block $c (result i32)
                (i32.const 10) (br_table $c $b $a (local.get 0)))
              (i32.add (i32.const 1)) (br $a))
            (i32.add (i32.const 2))))
        (func (export "two") (param i32) (result i32 i32)
          (block $out (result i32 i32)
            (i32.const 1) (local.get 0) (i32.const 3)
            (br_if $out (local.get 0))
            (drop))))
      """
    for (name, argument, expected) in [
      ("if_parameters", 1, [3]), ("if_parameters", 0, [UInt32.max]), ("br_if_value", 1, [6]), ("br_if_value", 0, [500]),
      ("br_if_deep", 3, [15]), ("br_if_deep", 4, [9]), ("loop_parameter", 4, [10]), ("table", 0, [11]), ("table", 1, [12]),
      ("table", 2, [10]), ("table", 200, [10]), ("two", 0, [1, 0]), ("two", 9, [9, 3]),
    ] as [(String, UInt32, [UInt32])] {
      let found = try results(text, name, .i32(argument))
      #expect(found.allSatisfy { $0 == expected.map { .some($0) } }, "\(name)(\(argument)): \(found)")
    }
  }

  @Test("counting loops end where they should, whatever the form of their end")
  func countingLoops() throws {
    var text = "(module\n"
    // Sum of the counter's values: by comparison, step and start.
    let loops: [(name: String, step: Int32, end: String, sum: (Int32) -> [Int32])] = [
      ("ne", 1, "(i32.ne (local.get 0) (local.get 1))", { n in Array(1...n) }),
      ("lt_s", 2, "(i32.lt_s (local.get 0) (local.get 1))", { n in Array(stride(from: 2, through: n + 1, by: 2)) }),
      ("lt_imm", 3, "(i32.lt_u (local.get 0) (i32.const 10))", { _ in [3, 6, 9, 12] }),
      ("ge", -1, "(i32.ge_s (local.get 0) (i32.const -3))", { _ in [-1, -2, -3, -4] }),
    ]
    for loop in loops {
      text += """
        (func (export "\(loop.name)") (param i32 i32) (result i32) (local i32)
          (loop $again
            (local.set 2 (i32.add (local.get 2) (i32.mul (local.get 2) (i32.const 1))))
            (local.set 2 (i32.xor (local.get 2) (i32.add (local.get 0) (i32.const \(loop.step)))))
            (local.set 0 (i32.add (local.get 0) (i32.const \(loop.step))))
            (br_if $again \(loop.end)))
          (local.get 2))

        """
    }
    text += ")"
    for loop in loops {
      let n: Int32 = 9
      var expected: Int32 = 0
      for value in loop.sum(n) { expected = (expected &+ expected) ^ value }
      let found = try results(text, loop.name, .i32(UInt32(0)), .i32(UInt32(bitPattern: n)))
      #expect(found.allSatisfy { $0 == [UInt32(bitPattern: expected)] }, "\(loop.name): \(found), expected \(expected)")
    }
  }

  @Test("a dot product of vectors in memory is one instruction per step, and right")
  func fusedDotProduct() throws {
    let text = """
      (module (memory (export "memory") 1)
        (func (export "dot") (param i32 i32 i32) (result f32) (local v128)
          (loop $again
            (local.set 3 (f32x4.add (local.get 3) (f32x4.mul (v128.load (local.get 0)) (v128.load (local.get 1)))))
            (local.set 0 (i32.add (local.get 0) (i32.const 16)))
            (local.set 1 (i32.add (local.get 1) (i32.const 16)))
            (br_if $again (local.tee 2 (i32.add (local.get 2) (i32.const -4)))))
          (f32.add
            (f32.add (f32x4.extract_lane 0 (local.get 3)) (f32x4.extract_lane 1 (local.get 3)))
            (f32.add (f32x4.extract_lane 2 (local.get 3)) (f32x4.extract_lane 3 (local.get 3))))))
      """
    for (name, engine) in Self.engines {
      let module = try GuestModule.compile(text, engine: engine)
      let listing = module.listing(definedFunction: 0).map { $0.split(separator: " ")[1] }
      #expect(listing.contains("f32x4_mul_add_loads_m32_s"), "\(listing)")
      #expect(listing.contains("step_branch_i32_ne_i"), "\(listing)")
      let store = Store(engine: engine)
      store.fuel = 1_000_000
      let instance = try Instance(store: store, module: module)
      let memory = try #require(instance.memory("memory"))
      let a = (0..<64).map { Float($0 % 7) - 3 }
      let b = (0..<64).map { Float($0 % 5) * 0.5 }
      try memory.write(elements: a, address: 0)
      try memory.write(elements: b, address: 4096)
      let expected = zip(a, b).reduce(Float(0)) { $0 + $1.0 * $1.1 }  // Exact in any order: small multiples of a half.
      let found = try instance.call("dot", .i32(UInt32(0)), .i32(UInt32(4096)), .i32(UInt32(64))).first?.f32
      #expect(found == expected, "\(name)")
      // The second factor runs out of bounds.
      #expect(try instance.trap("dot", .i32(UInt32(0)), .i32(UInt32(65536 - 64)), .i32(UInt32(64)))?.kind == .memory(.outOfBounds))
    }
  }

  @Test("many calls and constants: arguments, results and loop constants do not get in each other's way")
  func callsInLoops() throws {
    let text = """
      (module
        (func $mix (param i32 i32 i32) (result i32 i32)
          (i32.add (local.get 0) (i32.mul (local.get 1) (i32.const 31))) (i32.xor (local.get 2) (i32.const 0x5555)))
        (func (export "run") (param i32) (result i32) (local $a i32) (local $b i32)
          (loop $again
            (call $mix (local.get $a) (local.get 0) (i32.add (local.get $b) (i32.const 1000000)))
            (local.set $b) (local.set $a)
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
          (i32.add (local.get $a) (local.get $b))))
      """
    var (a, b): (UInt32, UInt32) = (0, 0)
    for n in stride(from: UInt32(20), to: 0, by: -1) { (a, b) = (a &+ n &* 31, (b &+ 1_000_000) ^ 0x5555) }
    #expect(try results(text, "run", .i32(UInt32(20))).allSatisfy { $0 == [a &+ b] })
  }
}
