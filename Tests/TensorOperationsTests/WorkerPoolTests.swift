import Synchronization
import TensorOperations
import Testing

@Suite("The worker pool")
struct WorkerPoolTests {
  /// Counts how often each piece was done.
  private final class Tally: Sendable {
    let counts: Mutex<[Int]>
    let workers = Mutex<Set<Int>>([])

    init(_ pieceCount: Int) { counts = Mutex(.init(repeating: 0, count: pieceCount)) }

    func done(_ worker: Int, _ piece: Int) {
      counts.withLock { $0[piece] += 1 }
      workers.withLock { _ = $0.insert(worker) }
    }
  }

  @Test("every piece is done exactly once, whatever the number of threads", arguments: [1, 2, 3, 8])
  func exactlyOnce(threadCount: Int) {
    let pool = WorkerPool(threadCount: threadCount)
    for pieceCount in [0, 1, 2, 3, 7, 64, 1000] {
      let tally = Tally(pieceCount)
      pool.run(pieceCount: pieceCount) { tally.done($0, $1) }
      #expect(tally.counts.withLock { $0 } == .init(repeating: 1, count: pieceCount))
      #expect(tally.workers.withLock { $0 }.allSatisfy { (0..<threadCount).contains($0) })
    }
  }

  @Test("many short jobs in a row neither lose nor repeat a piece")
  func manyJobs() {
    let pool = WorkerPool(threadCount: 3)
    let total = Atomic<Int>(0)
    for job in 0..<20_000 {
      let before = total.load(ordering: .relaxed)
      pool.run(pieceCount: 1 + job % 5) { _, _ in total.add(1, ordering: .relaxed) }
      let after = total.load(ordering: .relaxed)
      guard after - before == 1 + job % 5 else {
        Issue.record("job \(job) of \(1 + job % 5) pieces did \(after - before)")
        return
      }
    }
  }

  @Test("a job started while the pool is busy is done by its caller alone")
  func busyPool() {
    let pool = WorkerPool(threadCount: 2)
    let inner = Atomic<Int>(0)
    pool.run(pieceCount: 4) { _, _ in
      pool.run(pieceCount: 3) { worker, _ in
        #expect(worker == 0)
        inner.add(1, ordering: .relaxed)
      }
    }
    #expect(inner.load(ordering: .relaxed) == 12)
  }

  @Test("a pool that sleeps wakes for the next job, and ends when it is let go")
  func sleepsAndEnds() async throws {
    for _ in 0..<20 {
      let pool = WorkerPool(threadCount: 4)
      for _ in 0..<3 {
        let tally = Tally(16)
        pool.run(pieceCount: 16) { tally.done($0, $1) }
        #expect(tally.counts.withLock { $0 } == .init(repeating: 1, count: 16))
        try await Task.sleep(for: .milliseconds(2))
      }
    }
  }
}
