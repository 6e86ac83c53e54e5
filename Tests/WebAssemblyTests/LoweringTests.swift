import Testing
import WebAssembly
import WebAssemblyText

@Suite struct LoweringTests {
  private static let weights = MemoryDeclaration(
    name: "weights",
    type: MemoryType(addressType: .i64, limits: Limits(minimum: 0, maximum: 64), attributes: MemoryAttributes(isVirtual: true)))

  private func lower(_ text: String, _ memories: [MemoryDeclaration] = [weights]) throws -> Module {
    let module = try Module.parse(try WebAssemblyText.binary(of: Array(text.utf8)))
    try Validator.validate(module)
    return try Module.parse(try Lowering.lower(module, memories: memories))
  }

  private func error(_ text: String, _ memories: [MemoryDeclaration] = [weights]) -> String? {
    do {
      _ = try lower(text, memories)
      return nil
    } catch { return "\(error)" }
  }

  private func instructions(_ module: Module, _ function: Int = 0) throws -> [Instruction] {
    var reader = module.instructions(of: module.functionBodies[function])
    var list: [Instruction] = []
    while let instruction = try reader.next() { list.append(instruction) }
    return list
  }

  @Test func `calls become instructions on the memory, and everything is renumbered`() throws {
    let module = try lower(
      """
      (module
        (import "memory:weights" "v128.load@16" (func $load (param i64) (result v128)))
        (import "env" "log" (func $log (param i32)))
        (import "memory:weights" "memory.size" (func $size (result i64)))
        (memory (export "memory") 1)
        (data (i32.const 0) "x")
        (table 2 funcref)
        (elem (i32.const 0) func $log $run)
        (func $start (call $log (i32.load8_u offset=4 (i32.const 0))))
        (func $run (export "run") (param $address i64) (result v128)
          (drop (ref.func $log)) (drop (call $size)) (call $start)
          (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))
          (call $load (local.get $address)))
        (start $start))
      """)
    #expect(module.imports.map { "\($0.module).\($0.name)" } == ["env.log", "bindery.weights"])
    #expect(module.memories == [Self.weights.type, MemoryType(limits: Limits(minimum: 1))])
    #expect(module.importedMemoryCount == 1)
    #expect(module.exports.map(\.index) == [1, 2])
    #expect(module.startFunction == 1)
    #expect(module.elementSegments[0].items == .functions([0, 2]))
    guard case .active(let memory, _) = module.dataSegments[0].mode else {
      Issue.record("the data segment is active")
      return
    }
    #expect(memory == 1)
    let start = try instructions(module, 0)
    #expect(start[1].immediates == .memoryArgument(MemoryArgument(offset: 4, memory: 1, alignmentLog2: 0)))
    #expect(start[2].opcode == .call && start[2].immediates == .index(0))
    let run = try instructions(module, 1)
    #expect(run.map(\.opcode) == [
      .refFunc, .drop, .memorySize, .drop, .call, .i32Const, .i32Const, .i32Const, .memoryFill, .localGet, .v128Load, .end,
    ])
    #expect(run[2].immediates == .index(0))
    #expect(run[4].immediates == .index(1))
    #expect(run[8].immediates == .index(1))
    #expect(run[10].immediates == .memoryArgument(MemoryArgument(offset: 16, memory: 0, alignmentLog2: 0)))
    #expect(module.readNames().functionNames == [0: "log", 1: "start", 2: "run"])
    #expect(module.readNames().localNames[2] == [0: "address"])
  }

  @Test func `an imported memory of the guest keeps its index`() throws {
    let module = try lower(
      """
      (module
        (import "env" "memory" (memory 1))
        (import "memory:weights" "i32.load8_u" (func $load (param i64) (result i32)))
        (func (drop (i32.load (i32.const 0))) (drop (call $load (i64.const 0)))))
      """)
    let code = try instructions(module)
    #expect(code[1].immediates == .memoryArgument(MemoryArgument(offset: 0, memory: 0, alignmentLog2: 2)))
    #expect(code[4].immediates == .memoryArgument(MemoryArgument(offset: 0, memory: 1, alignmentLog2: 0)))
  }

  @Test(arguments: ["0", "main"]) func `the guest's own memory has instructions too`(name: String) throws {
    let module = try lower(
      """
      (module
        (import "memory:\(name)" "memory.discard" (func $discard (param i32 i32)))
        (memory 1)
        (func (call $discard (i32.const 0) (i32.const 65536))))
      """)
    let code = try instructions(module)
    // `weights`, which `lower` declares, comes first; no memory is imported for the guest's own.
    #expect(module.imports.map(\.name) == ["weights"])
    #expect(code.map(\.opcode) == [.i32Const, .i32Const, .memoryDiscard, .end] && code[2].immediates == .index(1))
  }

  @Test(arguments: [
    ("v128.load32_lane@20#2", "(param i64 v128) (result v128)", "(i64.const 0) (v128.const i64x2 0 0)", "drop",
     Opcode.v128Load32Lane),
    ("v128.store16_lane#7", "(param i64 v128)", "(i64.const 0) (v128.const i64x2 0 0)", "", .v128Store16Lane),
    ("f32.store@4", "(param i64 f32)", "(i64.const 0) (f32.const 0)", "", .f32Store),
    ("v128.load64_zero", "(param i64) (result v128)", "(i64.const 0)", "drop", .v128Load64Zero),
    ("memory.grow", "(param i64) (result i64)", "(i64.const 0)", "drop", .memoryGrow),
    ("memory.fill", "(param i64 i32 i64)", "(i64.const 0) (i32.const 0) (i64.const 0)", "", .memoryFill),
    ("memory.copy", "(param i64 i64 i64)", "(i64.const 0) (i64.const 0) (i64.const 0)", "", .memoryCopy),
    ("memory.copy_from:0", "(param i64 i32 i32)", "(i64.const 0) (i32.const 0) (i32.const 0)", "", .memoryCopy),
    ("memory.copy_to:main", "(param i32 i64 i32)", "(i32.const 0) (i64.const 0) (i32.const 0)", "", .memoryCopy),
    ("memory.map_readwrite", "(param i64 i64) (result i64)", "(i64.const 0) (i64.const 0)", "drop", .memoryMap),
    ("memory.protect_read", "(param i64 i64)", "(i64.const 0) (i64.const 0)", "", .memoryProtect),
    ("memory.unmap", "(param i64 i64)", "(i64.const 0) (i64.const 0)", "", .memoryUnmap),
    ("memory.discard", "(param i64 i64)", "(i64.const 0) (i64.const 0)", "", .memoryDiscard),
    ("memory.try_discard", "(param i64 i64) (result i32)", "(i64.const 0) (i64.const 0)", "drop", .memoryTryDiscard),
  ])
  func `each kind of intrinsic`(field: String, type: String, operands: String, drop: String, opcode: Opcode) throws {
    let module = try lower(
      "(module (import \"memory:weights\" \"\(field)\" (func $f \(type))) (memory 1) (func \(operands) call $f \(drop)))")
    let code = try instructions(module)
    let found = try #require(code.first { $0.opcode == opcode })
    switch (field, found.immediates) {
    case ("v128.load32_lane@20#2", let immediates):
      #expect(immediates == .memoryArgumentLane(MemoryArgument(offset: 20, memory: 0, alignmentLog2: 0), lane: 2))
    case ("memory.copy", let immediates): #expect(immediates == .pair(destination: 0, source: 0))
    case ("memory.copy_from:0", let immediates): #expect(immediates == .pair(destination: 0, source: 1))
    case ("memory.copy_to:main", let immediates): #expect(immediates == .pair(destination: 1, source: 0))
    case ("memory.map_readwrite", let immediates): #expect(immediates == .memoryProtection(memory: 0, protection: 2))
    case ("memory.protect_read", let immediates): #expect(immediates == .memoryProtection(memory: 0, protection: 1))
    default: break
    }
    #expect(module.importedFunctionCount == 0)
  }

  @Test func `a tail call of an intrinsic still returns`() throws {
    let module = try lower(
      "(module (import \"memory:weights\" \"memory.size\" (func $f (result i64))) (func (result i64) (return_call $f)))")
    #expect(try instructions(module).map(\.opcode) == [.memorySize, .return, .end])
  }

  @Test func `a memory that nobody declared gets the default type`() throws {
    let module = try lower(
      """
      (module (import "memory:scratch" "f32.load" (func $f (param i64) (result f32)))
        (func (drop (call $f (i64.const 0)))))
      """, [])
    #expect(module.memories == [MemoryDeclaration.defaultType])
    #expect(module.imports.map { "\($0.module).\($0.name)" } == ["bindery.scratch"])
  }

  @Test func `names are kept and other custom sections dropped`() throws {
    let source = try WebAssemblyText.binary(of: Array("(module (func $f))".utf8))
    let module = try Module.parse(source + ModuleBytes.section(0, [7] + Array("linking".utf8) + [2]))
    let lowered = try Module.parse(try Lowering.lower(module))
    #expect(lowered.customSections.map(\.name) == ["name"])
    #expect(lowered.readNames().functionNames == [0: "f"])
  }

  @Test(arguments: [
    (#"(import "memory:weights" "i32.fly" (func (param i64) (result i32)))"#, "no such instruction"),
    (#"(import "memory:weights" "i32.add" (func (param i32 i32) (result i32)))"#, "does not work on a memory"),
    (#"(import "memory:weights" "i32.load" (func (param i32) (result i32)))"#,
     "is declared [i32] -> [i32]; the instruction is [i64] -> [i32]"),
    (#"(import "memory:weights" "i32.load@x" (func (param i64) (result i32)))"#, "no such instruction"),
    (#"(import "memory:weights" "v128.load8_lane" (func (param i64 v128) (result v128)))"#, "needs a lane"),
    (#"(import "memory:weights" "v128.load#1" (func (param i64) (result v128)))"#, "takes no lane"),
    (#"(import "memory:weights" "memory.map" (func (param i64 i64) (result i64)))"#, "needs a protection"),
    (#"(import "memory:weights" "memory.unmap@4" (func (param i64 i64)))"#, "takes no offset"),
    (#"(import "memory:weights" "memory.copy_from:other" (func (param i64 i64 i64)))"#, "no memory is named `other`"),
    (#"(import "memory:weights" "memory.copy_from:0" (func (param i64 i64 i64)))"#, "no memory is named `0`"),
    (#"(import "memory:" "memory.size" (func (result i64)))"#, "names no memory"),
    (#"(import "memory:weights" "memory.size" (func $f (result i64))) (export "f" (func $f))"#, "used as a value (export `f`)"),
    (#"(import "memory:weights" "memory.size" (func $f (result i64))) (table 1 funcref) (elem (i32.const 0) func $f)"#,
     "in a table"),
    (#"(import "memory:weights" "memory.size" (func $f (result i64))) (elem declare func $f) (func (drop (ref.func $f)))"#,
     "in a table"),
    (#"(import "memory:weights" "memory.size" (func $f (result i64))) (global funcref (ref.func $f))"#, "initial value"),
  ])
  func `wrong uses are refused with a sentence`(fields: String, message: String) {
    let text = error("(module \(fields))")
    #expect(text?.contains(message) == true, "\(text ?? "accepted")")
  }

  @Test func `declarations are read from text`() throws {
    #expect(try MemoryDeclaration(parsing: "weights") == MemoryDeclaration(name: "weights"))
    let full = try MemoryDeclaration(parsing: "weights=host.w i64 virtual 2 16777216")
    #expect(full.importModule == "host" && full.importName == "w" && full.name == "weights")
    let limits = Limits(minimum: 2, maximum: 1 << 24)
    #expect(full.type == MemoryType(addressType: .i64, limits: limits, attributes: MemoryAttributes(isVirtual: true)))
    #expect(try MemoryDeclaration(parsing: "m 1").type == MemoryType(limits: Limits(minimum: 1)))
    for wrong in ["", "w=x 1", "w i64", "w i64 one", "w 1 2 3", "=a.b 1", "w= 1"] {
      #expect(throws: LoweringError.self, "\(wrong)") { try MemoryDeclaration(parsing: wrong) }
    }
  }
}
