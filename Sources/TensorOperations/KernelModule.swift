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

  /// An instance on the memories of a model program.
  func instantiate(store: Store, memories: ProgramMemories) throws(WasmError) -> Instance {
    var imports = Imports()
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
