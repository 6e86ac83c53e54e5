import CInterpreter
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Strikes the deadlines of stores: one thread for all of the process, which sleeps until the next one.
///
/// A thread of its own, since those of a shared pool may all be busy with guests that are to be stopped. Setting and lifting a
/// deadline takes the lock and a few steps in a heap, and leaves nothing behind.
final class DeadlineTimer: Sendable {
  static let shared = DeadlineTimer()

  /// What a context keeps for the timer, under the timer's lock.
  struct Entry {
    fileprivate var deadline: Int64 = .max
    /// In the heap; nil once the deadline has struck.
    fileprivate var index: Int?

    init() {}
  }

  fileprivate struct State: Sendable {
    /// The earliest first, each before its two children at 2i + 1 and 2i + 2. A store takes its context out when it ends.
    var heap: [ExecutionContext] = []
    var hasThread = false
  }

  private let state = Mutex(State())
  private let bell = Bell()

  /// Sets or lifts a deadline, and takes back what the one before has struck.
  /// - Parameter deadline: in nanoseconds of `bindery_monotonic_nanoseconds`; `.max`: none.
  /// - Returns: false where the system gave no thread to watch it.
  func set(_ deadline: Int64, for context: ExecutionContext) -> Bool {
    var isEarliest = false
    let isWatched = state.withLock { state in
      state.remove(context)
      context.clearInterrupt(UInt32(BINDERY_INTERRUPT_DEADLINE))
      context.timerEntry.deadline = deadline
      guard deadline != .max else { return true }
      if !state.hasThread { state.hasThread = startThread() }
      guard state.hasThread else { return false }
      state.insert(context)
      isEarliest = context.timerEntry.index == 0
      return true
    }
    if isEarliest { bell.ring() }
    return isWatched
  }

  func remove(_ context: ExecutionContext) { state.withLock { $0.remove(context) } }

  private func startThread() -> Bool {
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    // SAFETY: the thread takes no argument.
    let failure = unsafe pthread_create(
      &thread, nil,
      { _ in
        DeadlineTimer.shared.watch()
        return nil
      }, nil)
    guard failure == 0 else { return false }
    #if canImport(Darwin)
      if let thread { unsafe pthread_detach(thread) }
    #else
      pthread_detach(thread)
    #endif
    return true
  }

  private func watch() {
    while true {
      let count = bell.count
      let wait: Int64 = state.withLock { state in
        let now = bindery_monotonic_nanoseconds()
        while let first = state.first {
          guard first.timerEntry.deadline <= now else { return min(first.timerEntry.deadline - now, 3_600_000_000_000) }
          state.remove(first)
          // Under the lock: who sets another deadline now comes before or after this, and not in between.
          first.interrupt(UInt32(BINDERY_INTERRUPT_DEADLINE))
        }
        return -1
      }
      bell.sleep(while: count, nanoseconds: wait)
    }
  }
}

extension DeadlineTimer.State {
  fileprivate var first: ExecutionContext? { heap.first }

  fileprivate mutating func insert(_ context: ExecutionContext) {
    heap.append(context)
    context.timerEntry.index = heap.count - 1
    rise(from: heap.count - 1)
  }

  fileprivate mutating func remove(_ context: ExecutionContext) {
    guard let index = context.timerEntry.index else { return }
    context.timerEntry.index = nil
    let last = heap.removeLast()
    guard index < heap.count else { return }
    heap[index] = last
    last.timerEntry.index = index
    rise(from: index)
    sink(from: index)
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    heap[a].timerEntry.deadline < heap[b].timerEntry.deadline
  }

  private mutating func exchange(_ a: Int, _ b: Int) {
    heap.swapAt(a, b)
    heap[a].timerEntry.index = a
    heap[b].timerEntry.index = b
  }

  private mutating func rise(from index: Int) {
    var index = index
    while index > 0, isBefore(index, (index - 1) / 2) {
      exchange(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  private mutating func sink(from index: Int) {
    var index = index
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < heap.count && isBefore(child, least) { least = child }
      guard least != index else { return }
      exchange(index, least)
      index = least
    }
  }
}
