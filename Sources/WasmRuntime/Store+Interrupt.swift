import CInterpreter

extension Store {
  /// For host functions that wait: whether the run in progress is to end.
  /// - Throws: `cancelled` or `deadlineExceeded`, as the guest's next safepoint would.
  public func checkInterrupt() throws(Trap) {
    let bits = context.interruptBits
    if bits & UInt32(BINDERY_INTERRUPT_CANCEL) != 0 { throw Trap(.cancelled) }
    if bits & UInt32(BINDERY_INTERRUPT_DEADLINE) != 0 { throw Trap(.deadlineExceeded) }
  }
}
