import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

/// Instructions done as one, against the same instructions done one by one.
@Suite("Combined instructions")
struct CombinationTests {
  private static let engines: [(name: String, plain: Engine, combined: Engine)] = [false, true].map { portable in
    var configuration = EngineConfiguration()
    configuration.usesPortableHandlers = portable
    let combined = Engine(configuration: configuration)
    configuration.combinesInstructions = false
    return (portable ? "portable" : "best", Engine(configuration: configuration), combined)
  }

  /// The instructions that stand for several, without the suffix for the size of an address.
  private static let memoryForms = [
    "f32x4_add_load", "f32x4_sub_load", "f32x4_mul_load", "f64x2_add_load", "f64x2_mul_load", "i32x4_add_load", "i16x8_add_load",
    "v128_and_load", "v128_xor_load", "i32x4_dot_load", "i32x4_dot_load8x8_s", "f32x4_mul_load_splat", "f32x4_mul_add_load",
    "f64x2_mul_add_load", "f32x4_relaxed_madd_load", "f64x2_relaxed_madd_load", "f32x4_relaxed_madd_load_splat",
    "i32x4_dot_add_load", "i32x4_dot_add_load8x8_s", "i32x4_relaxed_dot_add_load",
    "i32x4_relaxed_dot_load_add", "f32x4_mul_add_loads",
    "f32x4_relaxed_madd_loads",
  ]
  private static let plainForms = [
    "f32x4_mul_add", "f64x2_mul_add", "i32x4_dot_add", "i32x4_relaxed_dot_and_add", "i32x4_relaxed_dot_shr_add",
    "i32x4_relaxed_dots2_add", "i32x4_relaxed_dots4_add", "i32x4_relaxed_dot_nibbles_add",
  ]
  private static let comparisons = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]

  @Test("random functions do the same with instructions combined and apart, through every combination", arguments: [0, 1])
  func randomFunctions(engineIndex: Int) throws {
    let (name, plain, combined) = Self.engines[engineIndex]
    var missing = Set(Self.plainForms)
    for form in Self.memoryForms { missing.formUnion(["\(form)_m32", "\(form)_m64"]) }
    for type in ["i32", "i64"] { missing.formUnion(Self.comparisons.map { "step_branch_\(type)_\($0)" }) }

    for seed in 0..<UInt64(300) {
      var writer = RandomFunction(seed: seed)
      let text = writer.module()
      var memories: [[UInt8]] = []
      for engine in [plain, combined] {
        let module = try GuestModule.compile(text, engine: engine)
        let listing = module.listing(definedFunction: 0).map { String($0.split(separator: " ")[1]) }
        if engine === combined {
          missing = missing.filter { form in !listing.contains { $0 == form || $0.hasPrefix(form + "_") } }
        } else {
          let found = listing.filter { $0.contains("step_branch") || $0.contains("mul_add") || $0.hasSuffix("_a") }
          try #require(found.isEmpty, "the plain translation combines nothing")
        }
        let instance = try Instance(store: Store(engine: engine), module: module)
        let memory = try #require(instance.memory("memory"))
        try memory.write(RandomFunction.data(seed: seed), address: 0)
        try instance.call("run")
        memories.append(try memory.read(address: 0, byteCount: 65536))
      }
      let difference = zip(memories[0], memories[1]).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      #expect(difference == nil, "\(name) handlers, seed \(seed): byte \(difference ?? 0) differs after\n\(text)")
    }
    #expect(missing.isEmpty, "never generated: \(missing.sorted())")
  }

  @Test("a local set from a load that a product uses at once keeps its value")
  func localSetFromFactor() throws {
    for address in ["i32", "i64"] {
      let text = """
        (module (memory (export "memory") \(address) 1)
          (func (export "run") (param \(address)) (local v128 v128)
            (local.set 2 (f32x4.relaxed_madd (local.tee 1 (v128.load (local.get 0))) (v128.load offset=16 (local.get 0)) (local.get 2)))
            (v128.store offset=64 (local.get 0) (local.get 1))
            (local.set 2 (f32x4.add (local.get 2) (f32x4.mul (local.tee 1 (v128.load offset=32 (local.get 0))) (v128.load (local.get 0)))))
            (v128.store offset=80 (local.get 0) (local.get 1))
            (v128.store offset=96 (local.get 0) (local.get 2))))
        """
      for (_, _, engine) in Self.engines {
        let instance = try GuestModule.instantiate(text, engine: engine)
        let memory = try #require(instance.memory("memory"))
        let (a, b, c): ([Float], [Float], [Float]) = ([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12])
        try memory.write(elements: a + b + c, address: 0)
        try instance.call("run", address == "i32" ? .i32(UInt32(0)) : .i64(UInt64(0)))
        let expected = a + c + (0..<4).map { a[$0] * b[$0] + c[$0] * a[$0] }
        #expect(try memory.read(Float.self, address: 64, count: 12) == expected)
      }
    }
  }
}

/// Writes a function of vector arithmetic on typed locals, with loads, stores, tees and counting loops.
///
/// Locals of each type hold only values of that type, so that no operation makes a NaN of another's bits: of NaNs only the
/// machine's own appears, and results are equal in every bit.
private struct RandomFunction {
  private var random: SeededGenerator
  private let address: String
  private var depth = 0

  init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
    address = seed & 1 == 0 ? "i32" : "i64"
  }

  /// Floats in [0, 16384), doubles in [16384, 32768), small integers in [32768, 49152); results go behind them.
  static func data(seed: UInt64) -> [UInt8] {
    var random = SeededGenerator(seed: ~seed)
    var bytes: [UInt8] = []
    func append(_ bits: UInt64, _ count: Int) { for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * UInt64(index)))) } }
    for _ in 0..<4096 { append(UInt64(Float.random(in: -2...2, using: &random).bitPattern), 4) }
    for _ in 0..<2048 { append(Double.random(in: -2...2, using: &random).bitPattern, 8) }
    for _ in 0..<16384 { bytes.append(UInt8.random(in: 0...127, using: &random)) }
    return bytes
  }

  mutating func module() -> String {
    var body = ""
    for _ in 0..<3 {
      for _ in 0..<pick(4) { body += statement() }
      body += loop()
    }
    for index in 0..<4 {
      for (place, name) in ["f", "d", "n"].enumerated() {
        body += "(v128.store offset=\(57344 + place * 256 + index * 16) (\(address).const 0) (local.get $\(name)\(index)))\n"
      }
      body += "(i32.store offset=\(58880 + index * 8) (\(address).const 0) (local.get $k\(index)))\n"
      body += "(i64.store offset=\(59136 + index * 8) (\(address).const 0) (local.get $l\(index)))\n"
    }
    var locals = ""
    for index in 0..<4 {
      locals += "(local $f\(index) v128) (local $d\(index) v128) (local $n\(index) v128) (local $p\(index) \(address)) "
      locals += "(local $k\(index) i32) (local $l\(index) i64)\n"
    }
    return "(module (memory (export \"memory\") \(address) 1)\n(func (export \"run\")\n\(locals)\(body)))"
  }

  private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
  private mutating func chance(_ percent: Int) -> Bool { pick(100) < percent }

  /// A multiple of 16 below 8192 after any number of them: pointers are masked where they are set.
  private mutating func pointer() -> String {
    switch pick(4) {
    case 0, 1: "(local.get $p\(pick(4)))"
    case 2: "(\(address).add (local.get $p\(pick(4))) (\(address).const \(16 * pick(64))))"
    default: "(\(address).add (local.get $p\(pick(4))) (local.get $p\(pick(4))))"
    }
  }

  private mutating func load(_ operation: String, base: Int) -> String {
    let offset = base + (chance(50) ? 0 : 16 * pick(64))
    return "(\(operation) offset=\(offset) \(pointer()))"
  }

  private mutating func tee(_ name: String, _ expression: String) -> String {
    chance(25) ? "(local.tee $\(name)\(pick(4)) \(expression))" : expression
  }

  private mutating func float() -> String {
    depth += 1
    defer { depth -= 1 }
    if depth > 3 || chance(25) { return chance(50) ? "(local.get $f\(pick(4)))" : tee("f", load("v128.load", base: 0)) }
    let operation = ["f32x4.add", "f32x4.add", "f32x4.sub", "f32x4.mul", "f32x4.mul", "madd", "madd", "splat", "dot"][pick(9)]
    switch operation {
    case "madd": return tee("f", "(f32x4.relaxed_madd \(float()) \(factor()) \(float()))")
    case "dot":
      let (a, b) = ("(v128.load \(pointer()))", "(v128.load \(pointer()))")
      return tee("f", "(f32x4.add (local.get $f\(pick(4))) (f32x4.mul \(a) \(b)))")
    case "splat": return tee("f", "(f32x4.mul \(float()) \(load("v128.load32_splat", base: 0)))")
    default: return tee("f", "(\(operation) \(float()) \(factor()))")
    }
  }

  private mutating func factor() -> String {
    switch pick(4) {
    case 0: tee("f", load("v128.load", base: 0))
    case 1: load("v128.load32_splat", base: 0)
    default: float()
    }
  }

  private mutating func double() -> String {
    depth += 1
    defer { depth -= 1 }
    if depth > 3 || chance(25) { return chance(50) ? "(local.get $d\(pick(4)))" : tee("d", load("v128.load", base: 16384)) }
    let operation = ["f64x2.add", "f64x2.add", "f64x2.mul", "f64x2.mul", "f64x2.relaxed_madd"][pick(5)]
    let third = operation == "f64x2.relaxed_madd" ? double() : ""
    let second = chance(50) ? tee("d", load("v128.load", base: 16384)) : double()
    return tee("d", "(\(operation) \(double()) \(second) \(third))")
  }

  private mutating func integers() -> String {
    depth += 1
    defer { depth -= 1 }
    if depth > 3 || chance(25) { return chance(50) ? "(local.get $n\(pick(4)))" : tee("n", load("v128.load", base: 32768)) }
    let second =
      switch pick(4) {
      case 0, 1: tee("n", load("v128.load", base: 32768))
      case 2: tee("n", load("v128.load8x8_s", base: 32768))
      default: integers()
      }
    switch pick(9) {
    case 6:
      var sum = integers()
      for _ in 0..<(2 + pick(8)) {
        sum = tee("n", "(i32x4.relaxed_dot_i8x16_i7x16_add_s \(chainOperand()) \(chainOperand()) \(sum))")
      }
      return sum
    case 7:
      let bytes = "(local.get $n\(pick(4)))"
      let low = "(v128.and \(bytes) (v128.const i64x2 0x0f0f0f0f0f0f0f0f 0x0f0f0f0f0f0f0f0f))"
      let high = "(i8x16.shr_u \(bytes) (i32.const \(pick(9))))"
      let sum = "(i32x4.relaxed_dot_i8x16_i7x16_add_s \(chainOperand()) \(low) \(integers()))"
      return tee("n", "(i32x4.relaxed_dot_i8x16_i7x16_add_s \(chainOperand()) \(high) \(sum))")
    case 0: return tee("n", "(i32x4.add \(integers()) \(second))")
    case 1: return tee("n", "(i16x8.add \(integers()) \(second))")
    case 2: return tee("n", "(v128.and \(integers()) \(second))")
    case 3: return tee("n", "(v128.xor \(integers()) \(second))")
    case 4: return tee("n", "(i32x4.dot_i16x8_s \(integers()) \(second))")
    case 5: return tee("n", "(i32x4.add \(integers()) (i32x4.dot_i16x8_s \(integers()) \(second)))")
    default:
      let sevens = "(v128.const i8x16 \(Array(repeating: "127", count: 16).joined(separator: " ")))"
      let nibbles =
        switch pick(4) {
        case 0: "(local.get $n\(pick(4)))"
        case 1: "(v128.and (local.get $n\(pick(4))) \(sevens))"
        case 2: "(i8x16.shr_u (local.get $n\(pick(4))) (i32.const \(1 + pick(7))))"
        default: load("v128.load", base: 32768)
        }
      let sum = chance(50) ? "(local.get $n\(pick(4)))" : integers()
      let first = chance(30) ? load("v128.load", base: 32768) : integers()
      return tee("n", "(i32x4.relaxed_dot_i8x16_i7x16_add_s \(first) \(nibbles) \(sum))")
    }
  }

  private mutating func chainOperand() -> String { chance(90) ? "(local.get $n\(pick(4)))" : load("v128.load", base: 32768) }

  private mutating func statement() -> String {
    switch pick(9) {
    case 0, 1: return "(local.set $f\(pick(4)) \(float()))\n"
    case 2: return "(local.set $d\(pick(4)) \(double()))\n"
    case 3, 4: return "(local.set $n\(pick(4)) \(integers()))\n"
    case 5: return "(v128.store offset=\(49152 + 16 * pick(256)) (\(address).const 0) \(float()))\n"
    case 6: return "(v128.store offset=\(49152 + 16 * pick(128)) (local.get $p\(pick(4))) \(integers()))\n"
    case 7:
      let sum = "(\(address).add (local.get $p\(pick(4))) (\(address).const \(16 * (1 + pick(40)))))"
      return "(local.set $p\(pick(4)) (\(address).and \(sum) (\(address).const 1008)))\n"
    default: return "(local.set $l\(pick(4)) (i64.add (local.get $l\(pick(4))) (i64.const \(pick(100) - 50))))\n"
    }
  }

  /// A loop whose end counts: it runs until its own comparison or its guard ends it.
  private mutating func loop() -> String {
    let type = chance(50) ? "i32" : "i64"
    let counter = type == "i32" ? "$k0" : "$l0"
    let comparison = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"][pick(10)]
    let bound = chance(50) ? "(\(type).const \(pick(9) - 2))" : "(local.get \(type == "i32" ? "$k1" : "$l1"))"
    let guardCounter = "$k3"
    var body = ""
    for _ in 0..<(1 + pick(3)) { body += statement() }
    return """
      (local.set \(counter) (\(type).const \(pick(5) - 2)))
      (local.set \(type == "i32" ? "$k1" : "$l1") (\(type).const \(pick(9) - 3)))
      (local.set \(guardCounter) (i32.const 0))
      (block $out
        (loop $again
          \(body)
          (br_if $out (i32.gt_u (local.tee \(guardCounter) (i32.add (local.get \(guardCounter)) (i32.const 1))) (i32.const 6)))
          (local.set \(counter) (\(type).add (local.get \(counter)) (\(type).const \(pick(2) == 0 ? 1 : -1))))
          (br_if $again (\(type).\(comparison) (local.get \(counter)) \(bound)))))

      """
  }
}
