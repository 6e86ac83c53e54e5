import WasmRuntime
import WebAssembly

/// A compiled kernel module: a guest that exports every tensor operation and imports the memories of the model program.
public struct KernelModule: Sendable {
  let module: CompiledModule

  /// Checks that the module exports every operation, slices included, with its signature.
  /// - Throws: `KernelModuleError`, which names the first export that is missing or different.
  public init(_ module: CompiledModule) throws(KernelModuleError) {
    var types: [String: FunctionType] = [:]
    for export in module.module.exports {
      if export.kind == .function { types[export.name.description] = module.module.functionType(at: Int(export.index)) }
    }
    for operation in TensorOperation.all {
      guard let found = types[operation.name] else {
        throw KernelModuleError(message: "the kernel module exports no function '\(operation.name)' \(operation.functionType)")
      }
      guard found == operation.functionType else {
        throw KernelModuleError(
          message: "the kernel module exports '\(operation.name)' as \(found), expected \(operation.functionType)")
      }
    }
    self.module = module
  }

  /// An instance on the memories of a model program. What the kernels write with `bindery.log` (why they are about to trap)
  /// goes to `log`.
  func instantiate(
    store: Store, memories: ProgramMemories, log: (@Sendable (String) -> Void)?
  ) throws(WasmError) -> Instance {
    var imports = Imports()
    let type = FunctionType(parameters: [.i32, .i32], results: [])
    let function = Function(store: store, type: type, name: "bindery.log") { caller, arguments, _ in
      guard let log, let memory = caller.instance?.memory("memory") else { return }
      let bytes = try memory.read(address: UInt64(arguments.i32(0)), byteCount: UInt64(arguments.i32(1)))
      log(String(decoding: bytes, as: UTF8.self))
    }
    imports.define(module: "bindery", name: "log", .function(function))
    for memory in TensorOperation.MemoryName.allCases {
      imports.define(module: "bindery", name: memory.rawValue, .memory(memories[memory]))
    }
    return try Instance(store: store, module: module, imports: imports)
  }
}

/// Why a module cannot serve as kernels.
public struct KernelModuleError: Error, Hashable, Sendable, CustomStringConvertible {
  public let message: String
  public var description: String { message }
}
