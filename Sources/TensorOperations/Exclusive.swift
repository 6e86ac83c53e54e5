import Synchronization

/// A value that is not `Sendable`, for use by one thread at a time: a store with its instances is such a value.
///
/// `Mutex` would do if the bodies of its `withLock` could call closures that belong to the caller's thread; they cannot.
package final class Exclusive<Value>: @unchecked Sendable {
  // Unchecked: `value` is read and written under the lock only. The bodies must not let go of references into it.
  private let lock = Mutex(())
  private var value: Value

  package init(_ value: sending Value) { self.value = value }

  /// Runs `body` with the value; other callers wait meanwhile.
  package func use<Result, Failure: Error>(_ body: (inout Value) throws(Failure) -> Result) throws(Failure) -> Result {
    lock._unsafeLock()
    defer { lock._unsafeUnlock() }
    return try body(&value)
  }
}
