import WasmRuntime
import WebAssembly

/// Who executes the operations that a model program imports from module `tensor`. The program cannot tell the difference.
public enum TensorProvider: Sendable {
  /// The kernels of this process.
  case native
  /// A kernel module, executed by the interpreter on the same memories.
  case wasm(KernelModule)
}

/// The import module `tensor`.
public enum TensorModule {
  /// The name that model programs import from.
  public static let name = "tensor"

  /// Defines every operation in `imports`, for instances of `store` that import `memories`.
  ///
  /// Nothing is compiled or allocated per operation call. Cost here: some microseconds, and an instance of the kernel module per
  /// worker for the wasm provider.
  ///
  /// The deadline, cancellation, budget and fuel of `store` hold for the operations too, on every thread.
  /// - Parameters:
  ///   - memories: not shared between guests: what an operation has checked stays so while it runs.
  ///   - log: gets what the kernels of the wasm provider write, a line at a time.
  /// - Returns: tells the workers of passes; need not be used.
  /// - Throws: `.argumentMismatch` for a shared memory; what instantiating the kernel module throws.
  @discardableResult
  public static func define(
    in imports: inout Imports, store: Store, memories: ProgramMemories, provider: TensorProvider, workers: WorkerPool,
    log: (@Sendable (String) -> Void)? = nil
  ) throws(WasmError) -> TensorPasses {
    for memory in TensorOperation.MemoryName.allCases where memories[memory].type.isShared {
      throw .argumentMismatch(
        "the memory \(memory.rawValue) of tensor operations must not be shared: another guest could take its pages away while they run")
    }
    let passes = TensorPasses(workers: workers)
    switch provider {
    case .native:
      defineNative(&imports, store, NativeProvider(memories: memories, workers: workers, store: store, passes: passes))
    case .wasm(let kernels):
      let instance = try kernels.instantiate(store: store, memories: memories, log: log)
      for operation in TensorOperation.imports {
        if let function = instance.function(operation.name) {
          imports.define(module: name, name: operation.name, .function(function))
        }
      }
      if workers.threadCount > 1 {
        let provider = try WasmProvider(
          kernels: kernels, store: store, memories: memories, workers: workers, passes: passes, log: log)
        defineSplit(&imports, store, provider)
      }
    }
    return passes
  }

  private static func defineNative(_ imports: inout Imports, _ store: Store, _ provider: NativeProvider) {
    for (operation, plan) in OperationPlan.imports {
      guard let kernel = NativeKernel(rawValue: operation.name) else { continue }
      let kinds = plan.kinds
      let function = Function(store: store, type: operation.functionType, name: "tensor.\(operation.name)") { caller, arguments, _ in
        do {
          try provider.perform(plan, kernel, store: caller.store) { index in
            switch kinds[index] {
            case .operand, .elementCount, .offset: arguments.i64(index)
            case .count, .elementType: UInt64(arguments.i32(index))
            case .scalar: UInt64(arguments.f32(index).bitPattern)
            }
          }
        } catch let misuse as OperationMisuse {
          throw Trap(.hostError, message: misuse.description, cause: misuse)
        }
      }
      imports.define(module: name, name: operation.name, .function(function))
    }
  }

  /// With several workers, the operations that have slices are split over kernel instances; the others stay linked directly.
  private static func defineSplit(_ imports: inout Imports, _ store: Store, _ provider: WasmProvider) {
    for slice in TensorOperation.all {
      guard let whole = slice.sliceOf.flatMap(TensorOperation.named), let operation = WasmProvider.Operation(rawValue: whole.name)
      else { continue }
      let types = whole.parameters.map(\.kind.valueType)
      let function = Function(store: store, type: whole.functionType, name: "tensor.\(whole.name)") { caller, arguments, _ in
        try provider.perform(operation, types: types, arguments, store: caller.store)
      }
      imports.define(module: name, name: whole.name, .function(function))
    }
  }
}

extension OperationPlan {
  /// All imports with their plans, resolved once per process.
  static let imports: [(TensorOperation, OperationPlan)] = TensorOperation.imports.map { ($0, OperationPlan($0)) }
}

extension TensorOperation {
  /// The WebAssembly type of the import.
  public var functionType: FunctionType {
    FunctionType(
      parameters: parameters.map { parameter in
        switch parameter.kind.valueType {
        case .i32: .i32
        case .i64: .i64
        case .f32: .f32
        }
      }, results: [])
  }
}
