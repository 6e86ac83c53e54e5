import CPlatform
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A few threads that share the work inside one tensor operation.
///
///     caller      claims pieces ────────────────┬─ waits for pieces others still hold ─► returns
///     worker 1    spins or sleeps ─► claims ────┘ ─► spins briefly ─► sleeps
///
/// Work is cut into more pieces than there are threads, and a thread takes the next piece when it has finished one: a thread that
/// was put aside by the operating system costs the others one piece, not its whole share. Threads wait by spinning for a few
/// microseconds, which bridges the gap between two operations of one pass, and then sleep: on a shared machine a spinning thread
/// takes time away from the very thread it waits for.
///
/// One piece counter serves all: its word holds the job's number, its number of pieces and the next piece, so that a worker that
/// wakes late claims either a piece of the present job or nothing. A job's body stays in place until all its pieces are done.
public final class WorkerPool: Sendable {
  /// The body of a job: which worker runs it (0 = the caller), and which piece of the job to do.
  public typealias Body = @Sendable (_ worker: Int, _ piece: Int) -> Void

  /// Threads that work on a job, the caller included.
  public let threadCount: Int
  private let state: PoolState
  private let isBusy = Atomic<Bool>(false)
  private let isStarted = Mutex(false)

  /// The largest pool: far more threads than the operations can use.
  public static let threadCountMax = 256

  /// The number of threads to use unless told otherwise: the cores this process may run on, at most 8.
  public static var threadCountDefault: Int { max(1, min(8, Int(bindery_processor_count()))) }

  /// Creates a pool; its threads start with the first job that can use them, so a pool that is never used costs nothing.
  /// - Parameter threadCount: at least 1; 1 means that the caller does everything.
  public init(threadCount: Int) {
    precondition(threadCount >= 1 && threadCount <= Self.threadCountMax, "a pool has 1 to \(Self.threadCountMax) threads")
    self.threadCount = threadCount
    state = PoolState()
  }

  deinit { state.stop() }

  /// Runs `body` once for each piece in 0..<pieceCount, on the caller and the pool's threads, and returns when all are done.
  ///
  /// If another thread is using the pool at this moment, the caller does all pieces itself: sessions never wait for each other.
  /// - Parameter pieceCount: at most 2^20 - 1.
  public func run(pieceCount: Int, _ body: @escaping Body) {
    guard pieceCount > 1, threadCount > 1, pieceCount < PoolState.pieceCountLimit,
      isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for piece in 0..<max(0, pieceCount) { body(0, piece) }
      return
    }
    startIfNeeded()
    // Escaping: a worker may still hold its reference to the body for a moment after the last piece is done.
    state.run(pieceCount: pieceCount, body)
    isBusy.store(false, ordering: .releasing)
  }

  private func startIfNeeded() {
    isStarted.withLock { started in
      guard !started else { return }
      started = true
      for worker in 1..<threadCount { state.start(worker: worker) }
    }
  }
}

/// What the threads of a pool share. Each thread keeps it alive until it has stopped.
private final class PoolState: @unchecked Sendable {
  // Unchecked, because `body` is written by the caller of `run` before it publishes the job's word (release) and read by a thread
  // only after it claimed a piece of that job (acquire), which keeps the job from ending until the piece is done.
  private var body: WorkerPool.Body?
  /// job number (24 bits) | number of pieces (20 bits) | next piece (20 bits)
  private let word = Atomic<UInt64>(0)
  private let unfinishedPieceCount = Atomic<Int>(0)
  private let isStopping = Atomic<Bool>(false)
  private let started = Signal()
  private let finished = Signal()

  static let pieceCountLimit = 1 << 20

  func run(pieceCount: Int, _ body: @escaping WorkerPool.Body) {
    self.body = body
    unfinishedPieceCount.store(pieceCount, ordering: .relaxed)
    let job = (word.load(ordering: .relaxed) >> 40) &+ 1
    word.store(job << 40 | UInt64(pieceCount) << 20, ordering: .releasing)
    started.raise()
    work(worker: 0)
    while true {
      let seen = finished.value
      if unfinishedPieceCount.load(ordering: .acquiring) == 0 { break }
      finished.wait(while: seen) { self.unfinishedPieceCount.load(ordering: .relaxed) == 0 }
    }
    self.body = nil
  }

  /// Claims and does pieces until none is left.
  private func work(worker: Int) {
    while true {
      // A late thread may add to the word of a job that is over; the 20 bits above absorb at most one such addition per thread
      // and job, because a thread stops at its first refusal.
      let claimed = word.add(1, ordering: .acquiringAndReleasing).oldValue
      let piece = Int(claimed & 0xF_FFFF)
      let pieceCount = Int(claimed >> 20 & 0xF_FFFF)
      guard piece < pieceCount, let body else { return }
      body(worker, piece)
      if unfinishedPieceCount.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 && worker != 0 { finished.raise() }
    }
  }

  private func loop(worker: Int) {
    while true {
      let seen = started.value
      work(worker: worker)
      if isStopping.load(ordering: .acquiring) { return }
      started.wait(while: seen) { self.isStopping.load(ordering: .relaxed) }
    }
  }

  func stop() {
    isStopping.store(true, ordering: .releasing)
    started.raise()
  }

  /// Starts one thread. If the system refuses, the pool has one thread fewer: the pieces are done by the others.
  func start(worker: Int) {
    // SAFETY: released exactly once, below or by the thread.
    let box = unsafe Unmanaged.passRetained(ThreadStart(state: self, worker: worker))
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    // SAFETY: the box was retained just above and is released exactly once: by the thread, or here if there is no thread.
    let failure = unsafe pthread_create(
      &thread, nil,
      { argument in
        #if canImport(Darwin)
          let start = unsafe Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
        #else
          let start = unsafe Unmanaged<ThreadStart>.fromOpaque(argument!).takeRetainedValue()
        #endif
        start.state.loop(worker: start.worker)
        return nil
      }, unsafe box.toOpaque())
    if failure != 0 {
      // SAFETY: as above; no thread was made.
      unsafe box.release()
      return
    }
    #if canImport(Darwin)
      if let thread { unsafe pthread_detach(thread) }
    #else
      pthread_detach(thread)
    #endif
  }
}

private final class ThreadStart: Sendable {
  let state: PoolState
  let worker: Int

  init(state: PoolState, worker: Int) {
    self.state = state
    self.worker = worker
  }
}

/// A counter that threads wait on: they spin a little, then sleep in the kernel; raising it costs a system call only if one
/// sleeps.
@safe private final class Signal: @unchecked Sendable {
  // Unchecked: the two words are only touched by the atomic operations of CPlatform, and live as long as this object.
  private let words: UnsafeMutablePointer<UInt32>

  /// About 20 microseconds of spinning on the cores at hand (one hint takes 10 to 140 cycles): longer than the gaps between the
  /// operations of one pass, much shorter than a turn of the scheduler.
  private static let spinCount = 600

  init() {
    // SAFETY: two words, initialised here, freed in deinit.
    unsafe words = .allocate(capacity: 2)
    unsafe words.initialize(repeating: 0, count: 2)
  }

  // SAFETY: the only owner goes away, so no thread waits (each waiting thread holds the owner's owner).
  deinit { unsafe words.deallocate() }

  // SAFETY: both words are allocated in init and live until deinit.
  var value: UInt32 { unsafe bindery_atomic_load(words) }

  func raise() {
    // SAFETY: as in `value`.
    _ = unsafe bindery_atomic_add(words, 1)
    if unsafe bindery_atomic_load(words + 1) != 0 { unsafe bindery_futex_wake(words, Int32.max) }
  }

  /// Returns when the counter differs from `seen`, or sometimes earlier; the caller tests its condition again.
  /// - Parameter isOver: tested while spinning, to return before the counter changes.
  func wait(while seen: UInt32, unless isOver: () -> Bool) {
    for _ in 0..<Self.spinCount {
      if value != seen || isOver() { return }
      bindery_spin_hint()
    }
    // SAFETY: as in `value`. Announced before the word is tested by the kernel, so a raise between the two wakes this thread or
    // changes the word. (Both are sequentially ordered by the atomic additions.)
    _ = unsafe bindery_atomic_add(words + 1, 1)
    _ = unsafe bindery_futex_wait(words, seen, -1)
    _ = unsafe bindery_atomic_add(words + 1, UInt32.max)
  }
}
