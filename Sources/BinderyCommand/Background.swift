import Bindery
import Foundation
import Synchronization

/// Work on a thread of its own, whose result is asked for later.
final class Background<Value: Sendable>: Sendable {
  private let result = Mutex<Result<Value, BinderyError>?>(nil)
  private let done = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () throws(BinderyError) -> Value) {
    let thread = Thread { [self] in
      let outcome = Result { () throws(BinderyError) in try body() }
      result.withLock { $0 = outcome }
      done.signal()
    }
    thread.start()
  }

  /// Waits for the work to end. To be called once.
  func value() throws(BinderyError) -> Value {
    done.wait()
    let outcome = result.withLock { $0 }
    guard let outcome else { preconditionFailure("the thread signals after it has set its result") }
    return try outcome.get()
  }
}
