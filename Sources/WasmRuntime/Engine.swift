import CInterpreter
import Synchronization
import WebAssembly

/// What an engine accepts and grants.
public struct EngineConfiguration: Sendable {
  /// The parts of WebAssembly that modules may use.
  public var features: WasmFeatures = .standard
  /// Bytes of registers of one store: frames and operand stacks of all calls in progress. A frame takes 16 bytes per local and
  /// per operand. Memory is used as it is touched.
  public var stackByteCount = 8 << 20
  /// Calls in progress at one time in one store, the first limit that a plain recursion meets.
  public var callDepthMax = 32_768
  /// Whether code counts the instructions it executes: see `Store.fuel`. Costs an instruction for each stretch of straight code.
  public var consumesFuel = false
  /// Use the handlers that run on every machine, not the best ones of this machine. For tests.
  public var usesPortableHandlers = false
  /// Whether neighbouring instructions are done as one and results kept out of the frame. Off: one register instruction for
  /// each of WebAssembly's, with all operands in slots. For tests, which compare the two.
  package var combinesInstructions = true
  /// With `consumesFuel`: take fuel for each register instruction, not for each of WebAssembly's. For tests, which count what is
  /// dispatched.
  package var fuelCountsRegisterInstructions = false

  public init() {}
}

/// What all modules and stores of a host share: configuration, function types, the epoch.
@safe
public final class Engine: Sendable {
  public let configuration: EngineConfiguration

  /// Addresses of the handlers, by opcode.
  nonisolated(unsafe) let handlers: UnsafeBufferPointer<UnsafeRawPointer?>
  /// "avx2", "portable": which handlers run.
  public let handlerSetName: String

  private let typeNumbers = Mutex(FunctionTypeNumbers())
  private let currentEpoch = Atomic<UInt64>(0)
  private let contexts = Mutex(WeakContexts())

  public init(configuration: EngineConfiguration = .init()) {
    self.configuration = configuration
    // SAFETY: the sets are constants of the C module.
    let set = unsafe bindery_handler_set_get(configuration.usesPortableHandlers).pointee
    unsafe precondition(Int(set.count) == RegisterTable.handlerCount, "the handlers were generated with the opcode table")
    unsafe handlers = unsafe UnsafeBufferPointer(start: set.handlers, count: Int(set.count))
    handlerSetName = unsafe String(cString: set.name)
  }

  /// The number of a function type, for good: equal types have equal numbers.
  func number(of type: FunctionType) -> UInt32 { typeNumbers.withLock { $0.retain(type) } }

  /// The numbers of function types, which are to be released when nothing uses them any more.
  func retainNumbers(of types: ArraySlice<FunctionType>) -> [UInt32] {
    typeNumbers.withLock { numbers in types.map { numbers.retain($0) } }
  }

  func releaseNumbers(of types: ArraySlice<FunctionType>) {
    typeNumbers.withLock { numbers in
      for type in types { numbers.release(type) }
    }
  }

  /// Function types that something uses now.
  package var functionTypeCount: Int { typeNumbers.withLock { $0.count } }

  // MARK: Epochs

  /// The number of times `incrementEpoch` was called.
  public var epoch: UInt64 { currentEpoch.load(ordering: .relaxed) }

  /// Ends the runs of stores whose epoch deadline is reached, at their next safepoint. From any thread.
  public func incrementEpoch() {
    let epoch = currentEpoch.wrappingAdd(1, ordering: .relaxed).newValue
    contexts.withLock { contexts in
      contexts.list.removeAll { $0.context == nil }
      for entry in contexts.list { entry.context?.epochDidChange(epoch) }
    }
  }

  func register(_ context: ExecutionContext) {
    contexts.withLock { contexts in
      // Looked through when there are twice as many as were left: a store more costs a constant.
      if contexts.list.count >= contexts.listCountMax {
        contexts.list.removeAll { $0.context == nil }
        contexts.listCountMax = max(16, contexts.list.count * 2)
      }
      contexts.list.append(WeakContext(context: context))
    }
  }

  private struct WeakContext: Sendable {
    weak let context: ExecutionContext?
  }

  private struct WeakContexts: Sendable {
    var list: [WeakContext] = []
    var listCountMax = 16
  }
}
