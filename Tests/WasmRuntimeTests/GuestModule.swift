import WasmRuntime
import WebAssembly
import WebAssemblyText

/// Small guests from text.
enum GuestModule {
  static func compile(_ text: String, engine: Engine = Engine()) throws -> CompiledModule {
    try CompiledModule(engine: engine, bytes: WebAssemblyText.binary(of: Array(text.utf8)))
  }

  /// A new store with one instance in it.
  static func instantiate(
    _ text: String, engine: Engine = Engine(), limits: ResourceLimits = .init(), imports: (Store) throws -> Imports = { _ in Imports() }
  ) throws -> Instance {
    let store = Store(engine: engine, limits: limits)
    return try Instance(store: store, module: compile(text, engine: engine), imports: imports(store))
  }
}

extension Instance {
  /// Calls an export that is there.
  @discardableResult
  func call(_ name: String, _ arguments: Value...) throws -> [Value] {
    guard let function = function(name) else { throw MissingExport(name: name) }
    return try function(arguments)
  }

  /// The single i32 that an export returns.
  func i32(_ name: String, _ arguments: Value...) throws -> UInt32? {
    guard let function = function(name) else { throw MissingExport(name: name) }
    return try function(arguments).first?.i32
  }

  func i64(_ name: String, _ arguments: Value...) throws -> UInt64? {
    guard let function = function(name) else { throw MissingExport(name: name) }
    return try function(arguments).first?.i64
  }

  /// The trap that a call ends with, nil if it returns.
  func trap(_ name: String, _ arguments: Value...) throws -> Trap? {
    guard let function = function(name) else { throw MissingExport(name: name) }
    do throws(WasmError) {
      try function(arguments)
      return nil
    } catch {
      guard case .trap(let trap) = error else { throw error }
      return trap
    }
  }
}

struct MissingExport: Error {
  let name: String
}
