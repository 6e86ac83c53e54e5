import CPlatform
import Synchronization

/// A few threads that share the work inside tensor operations, for any number of callers at once.
///
///     caller A    publishes a job ─► claims pieces ───────────────┬─ waits for pieces others still hold ─► returns
///     worker 1    registers with A ─► a piece of A ─► a piece of B ─► ...  spins through a pass ─► sleeps
///     caller B    publishes a job ─► claims pieces ───────────────┴─ ...
///
/// Work is cut into more pieces than there are threads, and a thread takes the next piece when it has finished one: a thread that was put
/// aside by the operating system costs the others one piece, not its whole share. A caller only does pieces of its own job; workers go
/// round the jobs piece by piece. Each caller in a pass (`beginPass`) has a thread of its own, so that many workers fewer are wanted: with as
/// many callers as threads everyone computes alone, which is the fairest and has nothing to wait for.
///
/// Workers spin for as long as a pass may bring the next job soon, and sleep otherwise. On a busy machine a spinning thread takes time away
/// from the very thread it waits for: so nobody spins longer than some tens of microseconds without offering its processor to others, and who
/// finds that others took it goes to sleep. `PoolProtocol.swift` holds the steps, which a test walks in every order.
public final class WorkerPool: Sendable {
  /// The body of a job: which worker runs it (0 = the caller), and which piece of the job to do.
  public typealias Body = @Sendable (_ worker: Int, _ piece: Int) -> Void
  /// The same, where a job may end early: false when no further piece is to be begun.
  package typealias StoppableBody = @Sendable (_ worker: Int, _ piece: Int) -> Bool

  /// A body that is made once and used for many jobs: a closure by itself would be wrapped, and so allocated, for each.
  package final class Work: Sendable {
    let body: StoppableBody
    package init(_ body: @escaping StoppableBody) { self.body = body }
  }

  /// Threads that work on a job, the caller included.
  public let threadCount: Int
  private let threads: PoolThreads
  private let isStarted = Mutex(false)

  /// The largest pool: far more threads than the operations can use.
  public static let threadCountMax = 256
  /// The most pieces of a job.
  public static let pieceCountMax = 1 << 62

  /// The number of threads to use unless told otherwise: the cores this process may run on, at most 8.
  public static var threadCountDefault: Int { max(1, min(8, Int(bindery_processor_count()))) }

  /// Creates a pool; its threads start with the first job that can use them, so a pool that is never used costs nothing.
  /// - Parameter threadCount: at least 1; 1 means that the caller does everything.
  public init(threadCount: Int) {
    precondition(threadCount >= 1 && threadCount <= Self.threadCountMax, "a pool has 1 to \(Self.threadCountMax) threads")
    self.threadCount = threadCount
    threads = PoolThreads(threadCount: threadCount)
  }

  deinit { threads.stop() }

  /// Runs `body` once for each piece in 0..<pieceCount, on the caller and the pool's threads, and returns when all are done. Any number of
  /// threads may call it at once, and a body may call it again.
  /// - Parameter pieceCount: at most 2^62.
  public func run(pieceCount: Int, _ body: @escaping Body) {
    let work = Work { worker, piece in
      body(worker, piece)
      return true
    }
    runStoppable(pieceCount: pieceCount, isInPass: false, work)
  }

  /// The same, until the body returns false: pieces that were begun are finished, no other is begun. Allocates nothing.
  /// - Parameters:
  ///   - isInPass: between this caller's `beginPass` and `endPass`.
  ///   - work: a worker may hold its reference for a moment after the last piece is done.
  package func runStoppable(pieceCount: Int, isInPass: Bool, _ work: Work) {
    precondition(pieceCount <= Self.pieceCountMax, "a job has at most 2^62 pieces")
    if pieceCount > 1, threadCount > 1 {
      startIfNeeded()
      if threads.run(.job(isInPass: isInPass), pieceCount: pieceCount, work) { return }
    }
    var piece = 0
    while piece < pieceCount, work.body(0, piece) { piece += 1 }
  }

  package func runStoppable(pieceCount: Int, isInPass: Bool, _ body: @escaping StoppableBody) {
    runStoppable(pieceCount: pieceCount, isInPass: isInPass, Work(body))
  }

  /// A caller will run many jobs with short breaks: workers wake, and stay awake. About 100 ns where they are awake.
  package func beginPass() {
    guard threadCount > 1 else { return }
    startIfNeeded()
    _ = threads.run(.beginPass, pieceCount: 0, nil)
  }

  /// The end of a pass that `beginPass` began.
  package func endPass() {
    guard threadCount > 1 else { return }
    _ = threads.run(.endPass, pieceCount: 0, nil)
  }

  private func startIfNeeded() {
    guard !threads.hasStarted else { return }
    isStarted.withLock { started in
      guard !started else { return }
      started = true
      threads.start()
    }
  }
}
