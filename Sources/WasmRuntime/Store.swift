import CInterpreter
import CPlatform
import WebAssembly

/// What a store grants to the guests in it.
public struct ResourceLimits: Sendable {
  /// Bytes of one memory that an instance defines: growing beyond it gives -1, a minimum beyond it is not instantiated.
  public var memoryByteCountMax: UInt64 = .max
  /// Elements of one table. Those of all tables together are charged to the budget.
  public var tableElementCountMax: UInt64 = 10_000_000
  /// Tables of one instance, imported ones among them.
  public var tableCountMax = 100
  public var instanceCountMax = 10_000
  /// Memories that an instance defines get these limits.
  public var memoryLimits = MemoryLimits()

  public init() {}
}

/// Instances and what they share: one thread of execution, its stacks and limits.
///
/// A store, and everything made in it, is used by one thread at a time. Instances, tables and host functions live as long as
/// the store; handles (``Instance``, ``Function``, ``Table``, ``Global``) keep it alive.
@safe
public final class Store {
  public let engine: Engine
  public let limits: ResourceLimits
  /// What everything in this store may make the host spend in memory.
  public let budget: ResourceBudget

  let context: ExecutionContext
  var instances: [InstanceState] = []
  var hostFunctions: [HostFunction] = []
  /// Memories that references of this store stand for, by the bits of the reference.
  var referencedMemories: [UInt64: Memory] = [:]
  /// The trap of a host function or of a runtime operation, on its way through the core.
  var pendingTrap: Trap?
  private var runDepth = 0
  /// Fuel that `takeFuel` took: what is missing besides was taken by instructions.
  public internal(set) var fuelTakenByHost: Int64 = 0

  /// - Parameter budget: several stores of one tenant share one.
  public init(engine: Engine, limits: ResourceLimits = .init(), budget: ResourceBudget = .init()) {
    self.engine = engine
    self.limits = limits
    self.budget = budget
    self.context = ExecutionContext(engine: engine, budget: budget)
    // SAFETY: the context only refers to the store while a run of the store is in progress.
    unsafe context.pointer.pointee.owner = Unmanaged.passUnretained(self).toOpaque()
    engine.register(context)
  }

  deinit { DeadlineTimer.shared.remove(context) }

  // MARK: Stopping

  /// Stops runs of this store from other threads.
  public var interruptHandle: InterruptHandle { InterruptHandle(context: context) }

  /// Runs end with the trap `deadlineExceeded` once the time has passed, counted from now; nil: no limit. Applies to the run in
  /// progress and to later ones, until it is set again.
  public func setTimeLimit(_ limit: Duration?) {
    // A century is no limit, and cannot overflow.
    setDeadline(limit.map { ContinuousClock.now + min(max($0, .zero), .seconds(100 * 365 * 86_400)) })
  }

  /// Runs end with the trap `deadlineExceeded` from that moment on; nil: no deadline. Applies to the run in progress, to later ones,
  /// and to instantiation with its segments and start function, until another one is set. From any thread.
  ///
  /// A guest notices at its next call, back-edge of a loop, or bulk instruction, and every MiB inside one; the host at the end of
  /// what it does for the guest, of which whatever takes long asks `stopSignal`. After a deadline that has passed nothing runs, not
  /// even straight code.
  public func setDeadline(_ deadline: ContinuousClock.Instant?) { context.setDeadline(deadline) }

  /// Runs end with the trap `deadlineExceeded` after `ticks` calls of `Engine.incrementEpoch`; nil: no deadline.
  public func setEpochDeadline(ticks: UInt64?) {
    let epoch = engine.epoch
    let sum = epoch.addingReportingOverflow(ticks ?? .max)
    context.setEpochDeadline(sum.overflow ? .max : sum.partialValue, current: epoch)
  }

  /// Instructions that may still be executed, where the engine's configuration has `consumesFuel`. Starts at 0.
  ///
  /// Work by the byte costs more than its instruction, and is paid before it is done: 1 for each 16 bytes filled, copied or
  /// initialised, tables at 8 bytes an element; 1 for each 256 bytes of pages grown, mapped, unmapped, protected or discarded.
  public var fuel: Int64 {
    // SAFETY: a plain field, on the thread that uses the store.
    get { unsafe context.pointer.pointee.fuel }
    set { unsafe context.pointer.pointee.fuel = newValue }
  }

  // MARK: Running

  /// Calls a function of this store and appends its results. Arguments have been checked against the type.
  func run(
    _ function: UnsafePointer<bindery_function>, _ type: FunctionType, _ arguments: [Value], _ results: inout [Value]
  ) throws(WasmError) {
    // SAFETY: slots_top...slots_end is unused; its size is checked here for arguments and results, by the core for frames.
    let run = context.run
    let stacks = context
    if unsafe self.context.pointer.pointee.slots_top == nil { try self.context.takeStacks() }
    let context = unsafe context.pointer
    let slots = unsafe context.pointee.slots_top!
    let frame = unsafe context.pointee.frame_top!
    let count = type.parameters.count + type.results.count
    if unsafe context.pointee.slots_end - slots < count * 16 || bindery_native_stack_is_short() {
      guard !bindery_native_stack_is_short(),
        stacks.makeRoom(slotsEnd: UInt(bitPattern: slots) + UInt(count * 16), framesEnd: UInt(bitPattern: frame))
      else {
        throw .trap(unsafe Trap(.callStackExhausted, backtrace: backtrace(from: frame, pc: nil)))
      }
    }
    if let kind = dueTrapKind() { throw .trap(unsafe Trap(kind, backtrace: backtrace(from: frame, pc: nil))) }
    let values = unsafe UnsafeMutableRawPointer(slots).assumingMemoryBound(to: bindery_slot.self)
    for (index, argument) in arguments.enumerated() { unsafe values[index].bits = argument.bits }
    if runDepth == 0 {
      run.begin()
      unsafe context.pointee.lost_page_count_seen = bindery_lost_page_count()
    }
    runDepth += 1
    let caller = unsafe context.pointee.caller_instance
    if unsafe function.pointee.code == nil {
      // The host function's arguments are not to be overwritten by a nested run.
      unsafe context.pointee.slots_top = slots + count * 16
    }
    var code = unsafe bindery_run(context, function, slots, frame)
    unsafe context.pointee.slots_top = slots
    unsafe context.pointee.frame_top = frame
    unsafe context.pointee.caller_instance = caller
    runDepth -= 1
    if runDepth == 0 { run.end() }
    let wasHost = unsafe function.pointee.code == nil
    var hasReturned = false
    if code == 0, unsafe bindery_lost_page_count() != context.pointee.lost_page_count_seen, let lost = lostMemoryTrap() {
      pendingTrap = lost
      code = Int32(BINDERY_TRAP_HOST.rawValue)
      hasReturned = true
    }
    guard code == 0 else {
      // The core says where it stopped; what has returned, or never ran there, has no place.
      let place = unsafe wasHost || hasReturned ? (frame, nil) : (context.pointee.trap_frame!, context.pointee.trap_pc)
      throw .trap(unsafe takeTrap(code, frame: place.0, pc: place.1))
    }
    results.reserveCapacity(type.results.count)
    for (index, type) in type.results.enumerated() {
      results.append(unsafe Value(bits: values[index].bits, type: type, store: self))
    }
  }

  /// The trap for a code of the core.
  private func takeTrap(_ code: Int32, frame: UnsafeMutablePointer<bindery_frame>, pc: UnsafePointer<UInt64>?) -> Trap {
    let pending = pendingTrap
    pendingTrap = nil
    let frames = unsafe backtrace(from: frame, pc: pc)
    if code == Int32(BINDERY_TRAP_HOST.rawValue) {
      guard let pending else { preconditionFailure("who returns a host trap leaves it with the store") }
      return Trap(pending.kind, message: pending.message, backtrace: pending.backtrace.isEmpty ? frames : pending.backtrace,
        cause: pending.cause)
    }
    return Trap(TrapKind(code: code), backtrace: frames)
  }

  /// The functions in progress, innermost first, down to the outermost run of this store.
  private func backtrace(from top: UnsafeMutablePointer<bindery_frame>, pc: UnsafePointer<UInt64>?) -> [StackFrame] {
    var frames: [StackFrame] = []
    var frame = unsafe top
    var place = unsafe pc
    var isReturnAddress = false
    let frameCountMax = 64
    // SAFETY: records between the first one, which has no code and no return address, and the top are in use.
    while unsafe frame.pointee.return_pc != nil, frames.count < frameCountMax {
      if let code = unsafe frame.pointee.code, let owner = unsafe frame.pointee.instance?.pointee.owner {
        let state = unsafe Unmanaged<InstanceState>.fromOpaque(owner).takeUnretainedValue()
        frames.append(
          unsafe state.stackFrame(functionIndex: Int(code.pointee.function_index), pc: place, isReturnAddress: isReturnAddress))
      }
      unsafe place = frame.pointee.return_pc
      isReturnAddress = true
      unsafe frame -= 1
    }
    return frames
  }

  /// The trap that is due when a bound file was truncated under one of this store's memories.
  func lostMemoryTrap() -> Trap? {
    for instance in instances {
      for memory in instance.memories where memory.isLost { return Trap(.memory(.lost)) }
    }
    // Some other memory lost a page: that is not our business.
    unsafe context.pointer.pointee.lost_page_count_seen = bindery_lost_page_count()
    return nil
  }
}

extension TrapKind {
  /// The kind of a code of the core.
  init(code: Int32) {
    self =
      switch bindery_trap(rawValue: UInt32(bitPattern: code)) {
      case BINDERY_TRAP_UNREACHABLE: .unreachable
      case BINDERY_TRAP_DIVIDE_BY_ZERO: .integerDivideByZero
      case BINDERY_TRAP_INTEGER_OVERFLOW: .integerOverflow
      case BINDERY_TRAP_INVALID_CONVERSION: .invalidConversionToInteger
      case BINDERY_TRAP_OUT_OF_BOUNDS_TABLE: .outOfBoundsTableAccess
      case BINDERY_TRAP_UNDEFINED_ELEMENT: .undefinedElement
      case BINDERY_TRAP_UNINITIALIZED_ELEMENT: .uninitializedElement
      case BINDERY_TRAP_INDIRECT_CALL_TYPE: .indirectCallTypeMismatch
      case BINDERY_TRAP_STACK_EXHAUSTED: .callStackExhausted
      case BINDERY_TRAP_CANCELLED: .cancelled
      case BINDERY_TRAP_DEADLINE: .deadlineExceeded
      case BINDERY_TRAP_FUEL_EXHAUSTED: .fuelExhausted
      case BINDERY_TRAP_HOST: .hostError
      case BINDERY_TRAP_UNALIGNED_ATOMIC: .unalignedAtomic
      default: .memory(MemoryFault(rawValue: code) ?? .outOfBounds)
      }
  }
}
