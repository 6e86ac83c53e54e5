import WasmRuntime
import WebAssembly

/// The module `spectest`, which every script may import. Source: specification repository, `interpreter/README.md`.
struct SpectestModule {
  let functions: [(name: String, function: Function)]
  let globals: [(name: String, global: Global)]
  let tables: [(name: String, table: Table)]
  let memories: [(name: String, memory: Memory)]

  init(store: Store) throws {
    // The printing functions take their arguments and say nothing: what scripts print is not part of what they assert.
    functions = [
      ("print", []), ("print_i32", [.i32]), ("print_i64", [.i64]), ("print_f32", [.f32]), ("print_f64", [.f64]),
      ("print_i32_f32", [.i32, .f32]), ("print_f64_f64", [.f64, .f64]),
    ].map { (name: String, parameters: [ValueType]) in
      let type = FunctionType(parameters: parameters, results: [])
      return (name, Function(store: store, type: type, name: "spectest.\(name)") { _, _, _ in })
    }
    func global(_ value: Value) throws -> Global {
      try Global(store: store, type: GlobalType(valueType: value.type, isMutable: false), value: value)
    }
    globals = [
      ("global_i32", try global(.i32(UInt32(666)))), ("global_i64", try global(.i64(UInt64(666)))),
      ("global_f32", try global(.f32(Float(666.6)))), ("global_f64", try global(.f64(Double(666.6)))),
    ]
    let limits = Limits(minimum: 10, maximum: 20)
    tables = [
      ("table", try Table(store: store, type: TableType(elementType: .funcref, limits: limits))),
      ("table64", try Table(store: store, type: TableType(elementType: .funcref, limits: limits, addressType: .i64))),
    ]
    memories = [
      ("memory", try Memory(type: MemoryType(limits: Limits(minimum: 1, maximum: 2)))),
      ("shared_memory", try Memory(type: MemoryType(limits: Limits(minimum: 1, maximum: 2), isShared: true))),
    ]
  }

  func define(in imports: inout Imports) {
    for (name, function) in functions { imports.define(module: "spectest", name: name, .function(function)) }
    for (name, global) in globals { imports.define(module: "spectest", name: name, .global(global)) }
    for (name, table) in tables { imports.define(module: "spectest", name: name, .table(table)) }
    for (name, memory) in memories { imports.define(module: "spectest", name: name, .memory(memory)) }
  }
}
