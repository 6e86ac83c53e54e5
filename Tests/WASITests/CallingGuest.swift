import Foundation
import SystemFiles
import Testing
import WASI
import WasmRuntime
import WebAssembly
import WebAssemblyText
import _TestSupport

/// A guest of one memory of four pages that exports what it imports.
final class CallingGuest {
  let store: Store
  let wasi: WASI
  let instance: Instance
  var memory: Memory { instance.memory("memory")! }

  init(
    folder: TemporaryFolder, memory: String = "(memory (export \"memory\") 4)", budget: ResourceBudget = .init(),
    configure: (inout WASIConfiguration) -> Void = { _ in }
  ) throws {
    let functions = [
      ("fd_write", "i32 i32 i32 i32"), ("fd_read", "i32 i32 i32 i32"), ("fd_readdir", "i32 i32 i32 i64 i32"),
      ("fd_close", "i32"),
      ("fd_renumber", "i32 i32"), ("fd_fdstat_get", "i32 i32"), ("fd_fdstat_set_rights", "i32 i64 i64"),
      ("random_get", "i32 i32"),
      ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"), ("poll_oneoff", "i32 i32 i32 i32"),
      ("fd_prestat_get", "i32 i32"),
      ("path_filestat_get", "i32 i32 i32 i32 i32"), ("fd_seek", "i32 i64 i32 i32"), ("clock_time_get", "i32 i64 i32"),
      ("fd_pread", "i32 i32 i32 i64 i32"), ("path_create_directory", "i32 i32 i32"), ("sock_recv", "i32 i32 i32 i32 i32 i32"),
      ("args_get", "i32 i32"), ("environ_get", "i32 i32"), ("args_sizes_get", "i32 i32"),
      ("fd_pwrite", "i32 i32 i32 i64 i32"), ("fd_allocate", "i32 i64 i64"), ("fd_filestat_set_size", "i32 i64"),
      ("fd_filestat_set_times", "i32 i64 i64 i32"), ("path_symlink", "i32 i32 i32 i32 i32"),
      ("path_readlink", "i32 i32 i32 i32 i32 i32"), ("path_rename", "i32 i32 i32 i32 i32 i32"), ("fd_advise", "i32 i64 i64 i32"),
      ("fd_fdstat_set_flags", "i32 i32"),
    ]
    var text = "(module\n"
    for (name, parameters) in functions {
      text += "(import \"wasi_snapshot_preview1\" \"\(name)\" (func $\(name) (param \(parameters)) (result i32)))\n"
    }
    text += memory + "\n"
    for (name, parameters) in functions {
      let count = parameters.split(separator: " ").count
      let arguments = (0..<count).map { "(local.get \($0))" }.joined(separator: " ")
      text += "(func (export \"\(name)\") (param \(parameters)) (result i32) (call $\(name) \(arguments)))\n"
    }
    text += ")"
    let engine = Engine()
    store = Store(engine: engine, budget: budget)
    var configuration = WASIConfiguration()
    configuration.arguments = ["a", "bc"]
    configuration.standardInput = .null
    configuration.standardOutput = .null
    configuration.standardError = .null
    configuration.preopens = [.init(guestPath: "/", hostPath: folder.url.path)]
    configure(&configuration)
    wasi = try WASI(configuration)
    var imports = Imports()
    wasi.define(in: &imports, store: store)
    let module = try CompiledModule(engine: engine, bytes: WebAssemblyText.binary(of: Array(text.utf8)))
    instance = try Instance(store: store, module: module, imports: imports)
  }

  /// The result code of a call. Arguments are widened to what the function takes.
  func call(_ name: String, _ arguments: UInt64...) throws -> UInt32 {
    let function = try #require(instance.function(name))
    let values = zip(arguments, function.type.parameters).map { value, type in
      type == .i64 ? Value.i64(value) : Value.i32(UInt32(truncatingIfNeeded: value))
    }
    let results = try function(values)
    guard case .i32(let code)? = results.first else {
      Issue.record("\(name) returned \(results)")
      return .max
    }
    return code
  }

  func expectTrap(_ kind: TrapKind, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
    let error = #expect(throws: WasmError.self, sourceLocation: sourceLocation) { try body() }
    guard case .trap(let trap)? = error else { return }
    #expect(trap.kind == kind, sourceLocation: sourceLocation)
  }

  /// The result code of a vectored call with one vector.
  func transfer(_ name: String, _ descriptor: UInt64, _ address: UInt64, _ byteCount: UInt64, offset: UInt64? = nil) throws -> UInt32 {
    try memory.write(elements: [UInt32(address), UInt32(byteCount)], address: 800)
    guard let offset else { return try call(name, descriptor, 800, 1, 808) }
    return try call(name, descriptor, 800, 1, offset, 808)
  }

  /// The number that a call has left at an address.
  func result(at address: UInt64 = 808) throws -> UInt32 { try memory.read(UInt32.self, address: address, count: 1)[0] }

  /// Opens a path below the granted folder, whose number is 3.
  func open(_ path: String, openFlags: UInt64 = 0, rights: UInt64 = 0x2) throws -> (code: UInt32, descriptor: UInt64) {
    try memory.write(Array(path.utf8), address: 1000)
    let code = try call("path_open", 3, 1, 1000, UInt64(path.utf8.count), openFlags, rights, 0, 0, 900)
    return (code, UInt64(try memory.read(UInt32.self, address: 900, count: 1)[0]))
  }
}
