extension Store {
  /// For host functions that wait: whether the run in progress is to end.
  /// - Throws: `cancelled` or `deadlineExceeded`, as the guest's next safepoint would.
  public func checkInterrupt() throws(Trap) { try stopSignal.check() }

  /// Between two pieces of bulk work.
  func pause() throws(Trap) { try checkInterrupt() }
}
