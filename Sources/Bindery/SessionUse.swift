import Dispatch
import Synchronization
import WasmRuntime

/// One use of a session, from the call to its end: until when, and what cancels it. Making a session is a use too.
struct SessionUse: Sendable {
  /// Nil: no limit.
  let deadline: ContinuousClock.Instant?
  let cancellation: Cancellation

  /// - Parameter timeLimit: counted from now.
  init(timeLimit: Duration?, cancellation: Cancellation) {
    deadline = timeLimit.map { limit in
      let now = ContinuousClock.now
      // An instant that is centuries away may not be expressible; nobody waits that long.
      return now + min(max(limit, .zero), .seconds(1 << 32))
    }
    self.cancellation = cancellation
  }

  /// What is left; nil: no limit.
  var timeLeft: Duration? { deadline.map { max(ContinuousClock.now.duration(to: $0), .zero) } }

  /// Why the use is to end now: asked by the host between two pieces of its own work, as guests and kernels ask at theirs.
  var stop: TrapKind? {
    if cancellation.isCancelled { return .cancelled }
    if let deadline, ContinuousClock.now >= deadline { return .deadlineExceeded }
    return nil
  }

  /// - Throws: `cancelled` or `timeLimit`.
  func check() throws(BinderyError) {
    if let stop { throw BinderyError(Trap(stop), doing: "the work was stopped") }
  }
}

/// Who may use a session now: one caller at a time, in the order of their calls. Waiting ends with the deadline and the cancellation
/// of the caller.
final class SessionTurn: Sendable {
  private final class Waiter: Sendable {
    let signal = DispatchSemaphore(value: 0)
  }

  private struct State {
    var isTaken = false
    var waiters: [Waiter] = []
  }

  private let state = Mutex(State())

  /// Waits for the turn. Whoever got it gives it back with `end`.
  /// - Throws: `cancelled` or `timeLimit`: there is no turn to give back.
  func begin(_ use: SessionUse) throws(BinderyError) {
    let waiter = state.withLock { state -> Waiter? in
      guard state.isTaken else {
        state.isTaken = true
        return nil
      }
      let waiter = Waiter()
      state.waiters.append(waiter)
      return waiter
    }
    guard let waiter else { return }
    let id = use.cancellation.attach { waiter.signal.signal() }
    defer { use.cancellation.detach(id) }
    while true {
      if let left = use.timeLeft {
        _ = waiter.signal.wait(timeout: .now() + .nanoseconds(Int(clamping: left.nanoseconds)))
      } else {
        waiter.signal.wait()
      }
      let stop = use.stop
      let hasTurn = state.withLock { state -> Bool? in
        // Whoever ends a turn takes the next waiter out of the list.
        guard let index = state.waiters.firstIndex(where: { $0 === waiter }) else { return true }
        guard stop != nil else { return nil }
        state.waiters.remove(at: index)
        return false
      }
      switch hasTurn {
      case true?: return
      case false?:
        try use.check()
      case nil: continue
      }
    }
  }

  func end() {
    state.withLock { state in
      guard !state.waiters.isEmpty else {
        state.isTaken = false
        return
      }
      state.waiters.removeFirst().signal.signal()
    }
  }
}

extension Duration {
  /// As a whole number of nanoseconds, as far as they fit.
  var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return sumOverflow ? (seconds < 0 ? .min : .max) : sum
  }

  /// As a number of seconds.
  var seconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}
