import CPlatform
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The words that the threads of a pool share, and what drives them through the steps of `PoolProtocol.swift`: spinning, sleeping, waking.
/// Each worker keeps it alive until it has stopped.
@safe final class PoolThreads: PoolMemory, @unchecked Sendable {
  // Unchecked: the cells are atomic. A body is written by the caller that owns its slot, before it opens the slot's gate; a thread reads it
  // while it is registered there, or is the caller; it is written again when nobody is registered.
  private let cells: UnsafeMutablePointer<Atomic<UInt64>>
  private let works: UnsafeMutablePointer<WorkerPool.Work?>
  private let threadCount: Int
  private let started = Atomic<Bool>(false)

  /// Words that different threads write lie on different lines of the cache.
  private static let cellStride = 8
  private static let cellCount = PoolCell.count * cellStride

  init(threadCount: Int) {
    self.threadCount = threadCount
    // SAFETY: allocated and initialised here, of constant size; given back in deinit. Aligned to cache lines on all but unusual systems.
    unsafe cells = .allocate(capacity: Self.cellCount)
    for index in 0..<Self.cellCount { unsafe (cells + index).initialize(to: Atomic(0)) }
    unsafe works = .allocate(capacity: PoolCell.slotCount)
    unsafe works.initialize(repeating: nil, count: PoolCell.slotCount)
  }

  deinit {
    // SAFETY: every thread that touches them retains this.
    unsafe cells.deinitialize(count: Self.cellCount)
    unsafe cells.deallocate()
    unsafe works.deinitialize(count: PoolCell.slotCount)
    unsafe works.deallocate()
  }

  // MARK: Shared words

  // SAFETY (of all): the index of a cell is below `PoolCell.count`, for slots below `slotCount`, which is what the machines choose.

  private func place(_ cell: PoolCell) -> UnsafeMutablePointer<Atomic<UInt64>> { unsafe cells + cell.index * Self.cellStride }

  @inline(__always)
  func load(_ cell: PoolCell) -> UInt64 { unsafe place(cell).pointee.load(ordering: .sequentiallyConsistent) }

  @inline(__always)
  func store(_ value: UInt64, to cell: PoolCell) { unsafe place(cell).pointee.store(value, ordering: .sequentiallyConsistent) }

  @inline(__always)
  func add(_ value: UInt64, to cell: PoolCell) -> UInt64 {
    unsafe place(cell).pointee.wrappingAdd(value, ordering: .sequentiallyConsistent).oldValue
  }

  @inline(__always)
  func or(_ value: UInt64, to cell: PoolCell) -> UInt64 {
    unsafe place(cell).pointee.bitwiseOr(value, ordering: .sequentiallyConsistent).oldValue
  }

  @inline(__always)
  func and(_ value: UInt64, to cell: PoolCell) -> UInt64 {
    unsafe place(cell).pointee.bitwiseAnd(value, ordering: .sequentiallyConsistent).oldValue
  }

  @inline(__always)
  func exchange(_ expected: UInt64, for desired: UInt64, in cell: PoolCell) -> Bool {
    unsafe place(cell).pointee.compareExchange(expected: expected, desired: desired, ordering: .sequentiallyConsistent).exchanged
  }

  /// The half of a cell that holds its low bits, on which the system lets threads sleep.
  private func word(_ cell: PoolCell) -> UnsafeMutablePointer<UInt32> {
    // SAFETY: an atomic word has the layout of its value; the low half comes first on the processors this is built for.
    unsafe UnsafeMutableRawPointer(place(cell)).assumingMemoryBound(to: UInt32.self)
  }

  private func sleep(_ cell: PoolCell, _ value: UInt64) {
    // SAFETY: the word lives as long as this.
    _ = unsafe bindery_futex_wait(word(cell), UInt32(truncatingIfNeeded: value), -1)
  }

  private func wake(_ cell: PoolCell) {
    // SAFETY: as above.
    unsafe bindery_futex_wake(word(cell), Int32.max)
  }

  // MARK: Callers

  /// Does what a caller has to do. False where every slot is taken, and nothing was done.
  func run(_ task: PoolCaller.Task, pieceCount: Int, _ work: WorkerPool.Work?) -> Bool {
    var machine = PoolCaller(task, pieceCount: UInt64(pieceCount), threadCount: threadCount)
    var patience = Patience(nanosecondsMax: Patience.forOthersPieces)
    while true {
      switch machine.step(self) {
      case .proceed: break
      case .prepare(let slot): unsafe works[slot] = work
      case .dispose(let slot): unsafe works[slot] = nil
      case .perform(_, let piece):
        guard let work else { preconditionFailure("a job has a body") }
        if !work.body(0, Int(piece)) { machine.abandon() }
      case .pause: if patience.isOver() { machine.sleep() }
      case .sleep(let cell, let value): sleep(cell, value)
      case .wake(let cell): wake(cell)
      case .finished: return true
      case .alone: return false
      }
    }
  }

  // MARK: Workers

  var hasStarted: Bool { started.load(ordering: .relaxed) }

  private func work(_ index: Int) {
    var machine = PoolWorker(index: index, threadCount: threadCount)
    var patience = Patience(nanosecondsMax: 0)
    var isIdle = false
    var turn = Turn()
    while true {
      switch machine.step(self) {
      case .perform(let slot, let piece):
        isIdle = false
        // SAFETY: this thread is registered with the slot's job.
        guard let work = unsafe works[slot] else { preconditionFailure("an open slot has a body") }
        if !work.body(index, Int(piece)) { machine.abandon() }
        turn.offer()
      case .pause:
        if !isIdle {
          isIdle = true
          patience = Patience(
            nanosecondsMax: !machine.isWanted ? 0 : machine.passCount > 0 ? Patience.inPass : Patience.betweenPasses)
        }
        if patience.isOver() { machine.sleep() }
      case .sleep(let cell, let value):
        sleep(cell, value)
        isIdle = false
        turn = Turn()
      case .wake(let cell): wake(cell)
      case .finished: return
      case .proceed, .prepare, .dispose, .alone: break
      }
    }
  }

  func stop() { _ = run(.stop, pieceCount: 0, nil) }

  /// Starts the workers. Where the system refuses one, its pieces are done by the others.
  func start() {
    started.store(true, ordering: .relaxed)
    for index in 1..<threadCount { start(index) }
  }

  private func start(_ index: Int) {
    // SAFETY: released exactly once, below or by the thread.
    let box = unsafe Unmanaged.passRetained(ThreadStart(threads: self, index: index))
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
        start.threads.work(start.index)
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
  let threads: PoolThreads
  let index: Int

  init(threads: PoolThreads, index: Int) {
    self.threads = threads
    self.index = index
  }
}

// MARK: - Time

/// How long a thread spins before it sleeps. Every `offerNanoseconds` it offers its processor to other threads; if one took it, the machine
/// has better things to do than to wait for us.
private struct Patience {
  /// For pieces that others still hold: most take some 20 µs, waking up takes about as long.
  static let forOthersPieces: UInt64 = 40_000
  /// The longest gap between two jobs of a pass that is worth a processor.
  static let inPass: UInt64 = 400_000
  static let betweenPasses: UInt64 = 20_000
  private static let offerNanoseconds: UInt64 = 30_000
  /// A yield that takes longer has let somebody run.
  private static let switchNanoseconds: UInt64 = 20_000
  /// Whatever the clock says.
  private static let countMax = 1 << 20

  private let nanosecondsMax: UInt64
  private var count = 0
  private var start: UInt64 = 0
  private var offered: UInt64 = 0

  init(nanosecondsMax: UInt64) { self.nanosecondsMax = nanosecondsMax }

  /// Spins once.
  mutating func isOver() -> Bool {
    bindery_spin_hint()
    count += 1
    guard count & 15 == 1 else { return false }
    let now = bindery_clock_nanoseconds()
    if count == 1 {
      start = now
      offered = now
      return false
    }
    if now &- start >= nanosecondsMax || count > Self.countMax { return true }
    guard now &- offered >= Self.offerNanoseconds else { return false }
    bindery_thread_yield()
    offered = bindery_clock_nanoseconds()
    return offered &- now >= Self.switchNanoseconds
  }
}

/// A worker's turn on its processor. It offers the processor to others between two pieces, before the system takes it away in the middle of
/// one, for which the caller would have to wait.
private struct Turn {
  private static let nanosecondsMax: UInt64 = 1_000_000
  private var start = bindery_clock_nanoseconds()

  mutating func offer() {
    let now = bindery_clock_nanoseconds()
    guard now &- start >= Self.nanosecondsMax else { return }
    bindery_thread_yield()
    start = bindery_clock_nanoseconds()
  }
}
