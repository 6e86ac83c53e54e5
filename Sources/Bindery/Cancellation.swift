import Synchronization
import WasmRuntime

/// Ends one piece of work from outside, from any thread: before it begins, while it waits for its turn, or while it runs. After its
/// end, it does nothing: a cancellation that comes late never reaches the next piece of work.
///
///     let cancellation = Cancellation()
///     // On another thread: cancellation.cancel()
///     let result = try session.generate(request, cancellation: cancellation)   // .finishReason == .cancelled
public final class Cancellation: Sendable {
  private struct State {
    var nextID: UInt64 = 0
    var stops: [UInt64: @Sendable () -> Void] = [:]
  }

  private let flag = Atomic<Bool>(false)
  private let state = Mutex(State())

  public init() {}

  public var isCancelled: Bool { flag.load(ordering: .acquiring) }

  /// Stays in force: what is given a cancelled cancellation ends at once.
  public func cancel() {
    flag.store(true, ordering: .releasing)
    // Under the lock, so that nothing is stopped that has been detached.
    state.withLock { state in
      for stop in state.stops.values { stop() }
    }
  }

  /// Calls `stop` when this is cancelled, or now if it is. `stop` must be quick and take no lock that is held while attaching.
  /// - Returns: what to detach it with. After that, it is not called.
  func attach(_ stop: @escaping @Sendable () -> Void) -> UInt64 {
    state.withLock { state in
      state.nextID += 1
      state.stops[state.nextID] = stop
      if isCancelled { stop() }
      return state.nextID
    }
  }

  func detach(_ id: UInt64) { state.withLock { _ = $0.stops.removeValue(forKey: id) } }
}

/// A store that a cancellation stops, as long as this lives.
final class CancellationAttachment {
  private let cancellation: Cancellation
  private let id: UInt64

  init(_ cancellation: Cancellation, _ interrupt: InterruptHandle) {
    self.cancellation = cancellation
    id = cancellation.attach { interrupt.cancel() }
  }

  deinit { cancellation.detach(id) }
}
