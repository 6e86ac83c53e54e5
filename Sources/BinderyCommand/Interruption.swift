import Dispatch
import Foundation
import Synchronization
import SystemFiles

/// What ends a command's work before it is done: Ctrl-C, SIGTERM, and the time limit of `--timeout`, all as one event instead of
/// the end of the process.
///
/// The handler runs once, on a thread of its own, and makes the work stop (by cancelling a store or session); the work then fails
/// with `failure`, or prints what it has and ends with `status`. Work that does not stop is left alone: a second signal, or the
/// end of a short while after the event, ends the process where it is, with the same status.
final class Interruption {
  private let watch: Watch
  private let sources: [any DispatchSourceSignal]
  private let deadline: ContinuousClock.Instant?

  /// - Parameters:
  ///   - timeout: seconds from now on.
  ///   - graceSeconds: how long the work may take to notice the event; nil: as long as it likes, for work that has to clean up.
  init(timeout: Double? = nil, graceSeconds: Double? = 0.4, _ handler: @escaping @Sendable () -> Void) {
    let watch = Watch(timeoutSeconds: timeout, graceSeconds: graceSeconds, handler)
    self.watch = watch
    deadline = timeout.map { .now + .seconds($0) }
    // A queue of its own: all others may be busy with the work that is to be stopped.
    let queue = DispatchQueue(label: "bindery.interruption")
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { watch.happen(.signal(number)) }
      source.resume()
      return source
    }
    if let timeout { watch.after(timeout) { watch.happen(.timeout) } }
  }

  /// Gives the signals back their usual effect; the time limit no longer holds.
  func end() {
    watch.end()
    for source in sources { source.cancel() }
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
  }

  /// Whether the work is to stop.
  var isOver: Bool { watch.event != nil }

  /// Whether a signal came.
  var isInterrupted: Bool {
    if case .signal? = watch.event { true } else { false }
  }

  /// What is left of the time limit; nil without one.
  var remainingTime: Duration? { deadline.map { max(.zero, $0 - .now) } }

  /// The exit status of work that was stopped: 124 by the time limit, as `timeout` of coreutils has it, else 128 and the signal.
  var status: Int32? { watch.event?.status }

  /// What work that was stopped fails with.
  var failure: CommandFailure? { watch.event.map(watch.failure) }

  /// What work fails with that a deadline has stopped, which may be seen before the event.
  var timeoutFailure: CommandFailure { watch.failure(.timeout) }
}

private enum Event: Equatable {
  case signal(Int32)
  case timeout

  var status: Int32 {
    switch self {
    case .signal(let number): 128 + number
    case .timeout: 124
    }
  }
}

/// What the threads of an interruption share.
private final class Watch: Sendable {
  private struct State {
    var event: Event?
    var isEnded = false
  }

  private let state = Mutex(State())
  private let handler: @Sendable () -> Void
  private let timeoutSeconds: Double?
  private let graceSeconds: Double?

  init(timeoutSeconds: Double?, graceSeconds: Double?, _ handler: @escaping @Sendable () -> Void) {
    self.timeoutSeconds = timeoutSeconds
    self.graceSeconds = graceSeconds
    self.handler = handler
  }

  var event: Event? { state.withLock { $0.event } }

  func end() { state.withLock { $0.isEnded = true } }

  func failure(_ event: Event) -> CommandFailure {
    var failure =
      switch event {
      case .signal(let number): CommandFailure("ended by \(number == SIGINT ? "Ctrl-C" : "SIGTERM")", status: event.status)
      case .timeout: CommandFailure("ended by --timeout after \(timeoutSeconds ?? 0) seconds", status: event.status)
      }
    failure.isInterruption = true
    return failure
  }

  func happen(_ event: Event) {
    let isFirst = state.withLock { state in
      if state.isEnded || state.event != nil { return false }
      state.event = event
      return true
    }
    if isFirst {
      handler()
      if let graceSeconds { after(graceSeconds) { self.endProcess(event) } }
    } else if case .signal = event {
      endProcess(event)
    }
  }

  /// On a thread that nothing else can keep busy.
  func after(_ seconds: Double, _ body: @escaping @Sendable () -> Void) {
    let thread = Thread {
      Thread.sleep(forTimeInterval: seconds)
      body()
    }
    thread.stackSize = 1 << 18
    thread.start()
  }

  /// Where it is: nothing is cleaned up, since whatever would do it does not answer.
  private func endProcess(_ event: Event) {
    guard state.withLock({ !$0.isEnded }) else { return }
    lastWords("bindery: \(failure(event).sentence)\n")
    _exit(event.status)
  }
}
