import CInterpreter

/// Whether work for a store is to end: cancelled, or past its deadline. For host functions that work long: they ask between two
/// pieces of about a millisecond, on any thread. Asking costs one load.
public struct StopSignal: Sendable {
  let context: ExecutionContext

  /// The trap that the store's next safepoint would be; nil: go on.
  public var trapKind: TrapKind? {
    let bits = context.interruptBits
    if bits == 0 { return nil }
    if bits & UInt32(BINDERY_INTERRUPT_CANCEL) != 0 { return .cancelled }
    if bits & UInt32(BINDERY_INTERRUPT_DEADLINE) != 0 { return .deadlineExceeded }
    guard bits & UInt32(BINDERY_INTERRUPT_CLOCK) != 0 else { return nil }
    context.checkDeadlines()
    return context.interruptBits & UInt32(BINDERY_INTERRUPT_DEADLINE) != 0 ? .deadlineExceeded : nil
  }

  /// - Throws: `cancelled` or `deadlineExceeded`.
  public func check() throws(Trap) {
    if let kind = trapKind { throw Trap(kind) }
  }
}

extension Store {
  /// Whether work for this store is to end; to be read from any thread.
  public var stopSignal: StopSignal { StopSignal(context: context) }
}
