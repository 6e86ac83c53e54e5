import CInterpreter
import CPlatform
import Dispatch
import Synchronization

/// The stacks of a store, and the flags by which other threads stop it.
@safe
final class ExecutionContext: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): other threads touch only the interrupt word, atomically, and what is atomic here.

  let pointer: UnsafeMutablePointer<bindery_context>
  private let slots: UnsafeMutableRawPointer
  private let frames: UnsafeMutablePointer<bindery_frame>
  /// Tells the memories of the store's instances whether it runs.
  let run = GuestRun()
  /// Rung when another thread interrupts the store, which may be waiting on an address.
  let bell = Bell()
  private let epochDeadline = Atomic<UInt64>(.max)
  /// Numbers the deadlines set, so that a timer knows whether it is still wanted.
  private let deadlineNumber = Atomic<UInt64>(0)

  init(engine: Engine) {
    let configuration = engine.configuration
    let slotByteCount = max(configuration.stackByteCount, 4096) / 16 * 16
    let frameCount = max(configuration.callDepthMax, 8) + 4
    // SAFETY: allocated here, given back in deinit; the ends are those of the allocations.
    unsafe pointer = UnsafeMutablePointer<bindery_context>.allocate(capacity: 1)
    unsafe slots = UnsafeMutableRawPointer.allocate(byteCount: slotByteCount, alignment: 16)
    unsafe frames = UnsafeMutablePointer<bindery_frame>.allocate(capacity: frameCount)
    unsafe pointer.initialize(to: bindery_context())
    unsafe frames.initialize(to: bindery_frame())
    unsafe pointer.pointee.slots_top = slots.assumingMemoryBound(to: UInt8.self)
    unsafe pointer.pointee.slots_end = (slots + slotByteCount).assumingMemoryBound(to: UInt8.self)
    unsafe pointer.pointee.frame_top = frames
    unsafe pointer.pointee.frames_end = frames + frameCount
    unsafe pointer.pointee.lost_page_count = bindery_lost_page_count_pointer()
    unsafe pointer.pointee.runtime_call = runtimeCall
    unsafe pointer.pointee.interrupt_call = interruptCall
    unsafe bindery_context_prepare(pointer, bindery_handler_set_get(configuration.usesPortableHandlers))
  }

  deinit {
    // SAFETY: nobody runs: the store is gone, and a handle only touches the interrupt word while it retains this.
    unsafe pointer.deallocate()
    unsafe slots.deallocate()
    unsafe frames.deallocate()
  }

  // SAFETY (below): the interrupt word is atomic and lives as long as this.

  func interrupt(_ bits: UInt32) {
    unsafe bindery_context_interrupt(pointer, bits)
    bell.ring()
  }

  func clearInterrupt(_ bits: UInt32) { unsafe bindery_context_clear_interrupt(pointer, bits) }

  var interruptBits: UInt32 { unsafe bindery_context_interrupt_bits(pointer) }

  // MARK: Deadlines

  func setEpochDeadline(_ epoch: UInt64, current: UInt64) {
    clearInterrupt(UInt32(BINDERY_INTERRUPT_DEADLINE))
    epochDeadline.store(epoch, ordering: .relaxed)
    epochDidChange(current)
  }

  func epochDidChange(_ epoch: UInt64) {
    if epoch >= epochDeadline.load(ordering: .relaxed) { interrupt(UInt32(BINDERY_INTERRUPT_DEADLINE)) }
  }

  func setTimeLimit(nanoseconds: UInt64?) {
    let number = deadlineNumber.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
    clearInterrupt(UInt32(BINDERY_INTERRUPT_DEADLINE))
    guard let nanoseconds else { return }
    let end = DispatchTime.now() + .nanoseconds(Int(clamping: nanoseconds))
    DispatchQueue.global(qos: .userInitiated).asyncAfter(deadline: end) { [weak self] in
      guard let self, self.deadlineNumber.load(ordering: .sequentiallyConsistent) == number else { return }
      self.interrupt(UInt32(BINDERY_INTERRUPT_DEADLINE))
    }
  }
}

/// Stops a store's run from another thread.
public struct InterruptHandle: Sendable {
  let context: ExecutionContext

  /// The run in progress, or the next one, ends with the trap `cancelled` at its next safepoint: a call or a loop's back-edge.
  /// Stays in force until `reset`.
  public func cancel() { context.interrupt(UInt32(BINDERY_INTERRUPT_CANCEL)) }

  /// Takes a cancellation back.
  public func reset() { context.clearInterrupt(UInt32(BINDERY_INTERRUPT_CANCEL)) }

  public var isCancelled: Bool { context.interruptBits & UInt32(BINDERY_INTERRUPT_CANCEL) != 0 }
}
