import CInterpreter
import CPlatform
import Synchronization

/// The stacks of a store, and the flags by which other threads stop it.
@safe
final class ExecutionContext: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): other threads touch only the interrupt word, atomically, and what is atomic here or
  // under the lock of the timer.

  let pointer: UnsafeMutablePointer<bindery_context>
  /// Tells the memories of the store's instances whether it runs.
  let run = GuestRun()
  /// Rung when another thread interrupts the store, which may be waiting on an address.
  let bell = Bell()
  private let epochDeadline = Atomic<UInt64>(.max)
  private let epoch = Atomic<UInt64>(0)
  /// In nanoseconds of `bindery_monotonic_nanoseconds`; `.max`: none.
  private let deadline = Atomic<Int64>(.max)
  /// The timer's: where this stands in its queue.
  var timerEntry = DeadlineTimer.Entry()
  /// Contexts that are stopped whenever this one is. The lock also keeps the order of what is set and cleared.
  private let followers = Mutex<[WeakContext]>([])
  /// Whose follower this is, which knows the deadlines. Set before this runs.
  private weak var leader: ExecutionContext?

  private struct WeakContext: Sendable {
    weak let context: ExecutionContext?
  }

  private let budget: ResourceBudget
  private let slotByteCountMax: Int
  private let frameCountMax: Int
  /// Taken at the first run.
  private var stacks: StackPool.Stacks?
  /// By which the interrupt word learns of lost pages. From the first run on.
  private var faultListener: OpaquePointer?

  init(engine: Engine, budget: ResourceBudget) {
    let configuration = engine.configuration
    self.budget = budget
    // More than a terabyte of either is no limit.
    slotByteCountMax = min(max(configuration.stackByteCount, 4096), 1 << 40) / 16 * 16
    frameCountMax = min(max(configuration.callDepthMax, 8), 1 << 34) + 4
    // SAFETY: allocated here, given back in deinit.
    unsafe pointer = UnsafeMutablePointer<bindery_context>.allocate(capacity: 1)
    unsafe pointer.initialize(to: bindery_context())
    unsafe pointer.pointee.lost_page_count = bindery_lost_page_count_pointer()
    unsafe pointer.pointee.runtime_call = runtimeCall
    unsafe pointer.pointee.interrupt_call = interruptCall
    unsafe pointer.pointee.stack_call = stackCall
    unsafe pointer.pointee.consumes_fuel = configuration.consumesFuel && !configuration.fuelCountsRegisterInstructions ? 1 : 0
    unsafe bindery_context_prepare(pointer, bindery_handler_set_get(configuration.usesPortableHandlers))
  }

  deinit {
    // SAFETY: nobody runs: the store is gone, and a handle only touches the interrupt word while it retains this.
    if let faultListener = unsafe faultListener { unsafe bindery_fault_listener_unregister(faultListener) }
    if let stacks {
      budget.credit(UInt64(slotByteCount + frameByteCount), to: .stacks)
      StackPool.shared.give(stacks, usedSlotByteCount: slotByteCount, usedFrameByteCount: frameByteCount)
    }
    unsafe pointer.deallocate()
  }

  // SAFETY (below): the interrupt word is atomic and lives as long as this.

  func interrupt(_ bits: UInt32) {
    followers.withLock { followers in
      unsafe bindery_context_interrupt(pointer, bits)
      for follower in followers { follower.context?.interrupt(bits) }
    }
    bell.ring()
  }

  func clearInterrupt(_ bits: UInt32) {
    followers.withLock { followers in
      unsafe bindery_context_clear_interrupt(pointer, bits)
      for follower in followers { follower.context?.clearInterrupt(bits) }
    }
  }

  /// From now on `context` has the stops of this one.
  func addFollower(_ context: ExecutionContext) {
    followers.withLock { followers in
      followers.removeAll { $0.context == nil }
      followers.append(WeakContext(context: context))
      context.leader = self
      let stops = UInt32(BINDERY_INTERRUPT_CANCEL) | UInt32(BINDERY_INTERRUPT_DEADLINE) | UInt32(BINDERY_INTERRUPT_CLOCK)
      context.interrupt(interruptBits & stops)
    }
  }

  var interruptBits: UInt32 { unsafe bindery_context_interrupt_bits(pointer) }

  // MARK: Deadlines

  func setEpochDeadline(_ epoch: UInt64, current: UInt64) {
    self.epoch.store(current, ordering: .relaxed)
    epochDeadline.store(epoch, ordering: .relaxed)
    clearInterrupt(UInt32(BINDERY_INTERRUPT_DEADLINE))
    checkDeadlines()
  }

  func epochDidChange(_ epoch: UInt64) {
    self.epoch.store(epoch, ordering: .relaxed)
    if epoch >= epochDeadline.load(ordering: .relaxed) { interrupt(UInt32(BINDERY_INTERRUPT_DEADLINE)) }
  }

  /// nil: none. One that has passed strikes at once, without waiting for another thread.
  func setDeadline(_ instant: ContinuousClock.Instant?) {
    let deadline: Int64 = instant.map { instant in
      // Beyond a century, and before now, differences do not matter.
      let rest = min(max(ContinuousClock.now.duration(to: instant), .seconds(-1)), .seconds(100 * 365 * 86_400)).components
      return bindery_monotonic_nanoseconds() + rest.seconds * 1_000_000_000 + rest.attoseconds / 1_000_000_000
    } ?? .max
    self.deadline.store(deadline, ordering: .relaxed)
    let isWatched = DeadlineTimer.shared.set(deadline, for: self)
    if isWatched {
      clearInterrupt(UInt32(BINDERY_INTERRUPT_CLOCK))
    } else {
      // No thread to watch the clock: the store looks itself, at every safepoint.
      interrupt(UInt32(BINDERY_INTERRUPT_CLOCK))
    }
    checkDeadlines()
  }

  /// Strikes where a deadline has passed and the timer has not come round to it. Costs a look at the clock where there is one.
  func checkDeadlines() {
    leader?.checkDeadlines()
    if epoch.load(ordering: .relaxed) >= epochDeadline.load(ordering: .relaxed) { interrupt(UInt32(BINDERY_INTERRUPT_DEADLINE)) }
    let deadline = self.deadline.load(ordering: .relaxed)
    if deadline != .max, bindery_monotonic_nanoseconds() >= deadline { interrupt(UInt32(BINDERY_INTERRUPT_DEADLINE)) }
  }

  // MARK: Stacks

  // What is in use is charged to the budget, in steps. The rest is addresses.

  private var slotByteCount: Int {
    guard let stacks else { return 0 }
    // SAFETY: both point into this stack.
    return unsafe pointer.pointee.slots_end - stacks.slots
  }
  private var frameByteCount: Int {
    guard let stacks else { return 0 }
    // SAFETY: as above.
    return unsafe (pointer.pointee.frames_end - stacks.frames) * MemoryLayout<bindery_frame>.stride
  }

  /// Before the first run.
  func takeStacks() throws(WasmError) {
    guard stacks == nil else { return }
    // SAFETY: the word lives until deinit, which ends the listening first.
    if unsafe faultListener == nil {
      unsafe faultListener = bindery_fault_listener_register(&pointer.pointee.interrupt, UInt32(BINDERY_INTERRUPT_LOST))
      guard unsafe faultListener != nil else { throw .limit("the stacks of a store: there is no memory") }
    }
    do {
      let stacks = try StackPool.shared.take(slotByteCount: slotByteCountMax, frameCount: frameCountMax)
      // SAFETY: the stacks are this object's until deinit; none of them may be used yet.
      unsafe pointer.pointee.slots_top = stacks.slots
      unsafe pointer.pointee.slots_end = stacks.slots
      unsafe pointer.pointee.frame_top = stacks.frames
      unsafe pointer.pointee.frames_end = stacks.frames
      self.stacks = stacks
    } catch {
      throw .limit("the stacks of a store: \(GuardedReservation.explain(error))")
    }
  }

  /// Lets the stacks be used up to the two addresses at least. False where that is beyond their size, or the budget refuses.
  func makeRoom(slotsEnd: UInt, framesEnd: UInt) -> Bool {
    guard let stacks else { return false }
    let slots = unsafe Int(bitPattern: slotsEnd &- UInt(bitPattern: stacks.slots))
    let frames = unsafe Int(bitPattern: framesEnd &- UInt(bitPattern: stacks.frames))
    // SAFETY: the new ends are inside the stacks: at most what they were made for.
    guard let slotByteCount = extended(slotByteCount, to: slots, max: slotByteCountMax, step: 32 << 10) else { return false }
    unsafe pointer.pointee.slots_end = stacks.slots + slotByteCount
    let stride = unsafe MemoryLayout<bindery_frame>.stride
    guard let frameByteCount = extended(frameByteCount, to: frames, max: frameCountMax * stride, step: 256 * stride) else { return false }
    unsafe pointer.pointee.frames_end = stacks.frames + frameByteCount / stride
    return true
  }

  /// The new length of a stack, charged: doubled if that is enough and affordable.
  private func extended(_ current: Int, to wanted: Int, max limit: Int, step: Int) -> Int? {
    guard wanted > current else { return wanted >= 0 ? current : nil }
    guard wanted <= limit else { return nil }
    let least = min(limit, (wanted + step - 1) / step * step)
    for target in [min(limit, max(least, current * 2)), least] where budget.charge(UInt64(target - current), to: .stacks) { return target }
    return nil
  }
}

/// Asked by the core when a frame does not fit.
private let stackCall: @convention(c) (UnsafeMutablePointer<bindery_context>?) -> Int32 = { context in
  // SAFETY: the core passes the context it runs with, whose store is in the middle of `run`.
  guard let context = unsafe context, let owner = unsafe context.pointee.owner else {
    preconditionFailure("a context in use has a store")
  }
  let store = unsafe Unmanaged<Store>.fromOpaque(owner).takeUnretainedValue()
  let (slotsEnd, framesEnd) = unsafe (context.pointee.wanted_slots_end, context.pointee.wanted_frames_end)
  return store.context.makeRoom(slotsEnd: slotsEnd, framesEnd: framesEnd) ? 0 : Int32(BINDERY_TRAP_STACK_EXHAUSTED.rawValue)
}

/// Stops a store's run from another thread.
public struct InterruptHandle: Sendable {
  let context: ExecutionContext

  /// The run in progress, or the next one, ends with the trap `cancelled` at its next safepoint: its start, a call, a loop's
  /// back-edge, or between two pieces of a bulk instruction. Stays in force until `reset`.
  public func cancel() { context.interrupt(UInt32(BINDERY_INTERRUPT_CANCEL)) }

  /// Takes a cancellation back.
  public func reset() { context.clearInterrupt(UInt32(BINDERY_INTERRUPT_CANCEL)) }

  public var isCancelled: Bool { context.interruptBits & UInt32(BINDERY_INTERRUPT_CANCEL) != 0 }
}
