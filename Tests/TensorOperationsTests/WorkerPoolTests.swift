import Foundation
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

  @Test("a piece may run a job of its own")
  func nestedJobs() {
    let pool = WorkerPool(threadCount: 2)
    let inner = Atomic<Int>(0)
    pool.run(pieceCount: 4) { _, _ in
      pool.run(pieceCount: 3) { _, _ in inner.add(1, ordering: .relaxed) }
    }
    #expect(inner.load(ordering: .relaxed) == 12)
  }

  /// A claim once had 20 bits for the piece beside 20 for the count: with about 2^20 pieces, claims that were refused carried into the count.
  @Test("any number of pieces is done exactly once", arguments: [1, 2, 4, 8])
  func manyPieces(threadCount: Int) {
    let pool = WorkerPool(threadCount: threadCount)
    var counts = [-9, -2, -1, 0, 1, 7].map { (1 << 20) + $0 }
    if threadCount == 2 { counts += [(1 << 21) - 1, 1 << 21, 1 << 24] }
    for pieceCount in counts {
      let total = Atomic<Int>(0)
      let sum = Atomic<Int>(0)
      let wrong = Atomic<Int>(0)
      pool.run(pieceCount: pieceCount) { _, piece in
        if piece < 0 || piece >= pieceCount { wrong.wrappingAdd(1, ordering: .relaxed) }
        total.wrappingAdd(1, ordering: .relaxed)
        sum.wrappingAdd(piece, ordering: .relaxed)
      }
      #expect(total.load(ordering: .relaxed) == pieceCount && wrong.load(ordering: .relaxed) == 0)
      #expect(sum.load(ordering: .relaxed) == pieceCount * (pieceCount - 1) / 2)
    }
  }

  @Test("a job that is stopped ends at once, however many pieces it had", arguments: [1, 2, 8])
  func stopped(threadCount: Int) {
    let pool = WorkerPool(threadCount: threadCount)
    for stopsAt in [0, 5, 1000] {
      let done = Atomic<Int>(0)
      let missed = Atomic<Int>(0)
      pool.runStoppable(pieceCount: WorkerPool.pieceCountMax, isInPass: false) { _, piece in
        if piece < 0 { missed.wrappingAdd(1, ordering: .relaxed) }
        done.wrappingAdd(1, ordering: .relaxed)
        return piece < stopsAt
      }
      let count = done.load(ordering: .relaxed)
      #expect(count > stopsAt && count <= stopsAt + threadCount, "one piece for each thread may have begun")
      #expect(missed.load(ordering: .relaxed) == 0)
    }
  }

  @Test("callers at once get their own pieces, with and without passes, more callers than slots too", arguments: [2, 4])
  func manyCallers(threadCount: Int) async {
    let pool = WorkerPool(threadCount: threadCount)
    await withTaskGroup(of: Bool.self) { group in
      for caller in 0..<40 {
        group.addTask {
          let isInPass = caller % 2 == 0
          if isInPass { pool.beginPass() }
          defer { if isInPass { pool.endPass() } }
          for job in 0..<200 {
            let pieceCount = 1 + (caller + job) % 9
            let tally = Tally(pieceCount)
            pool.runStoppable(pieceCount: pieceCount, isInPass: isInPass) { worker, piece in
              tally.done(worker, piece)
              return true
            }
            guard tally.counts.withLock({ $0 }) == .init(repeating: 1, count: pieceCount) else { return false }
          }
          return true
        }
      }
      for await isRight in group { #expect(isRight) }
    }
  }

  @Test("a worker goes round the jobs: the second caller is helped while a longer job runs")
  func sharesWorkers() {
    let pool = WorkerPool(threadCount: 4)
    // The long job ends when the other caller has been helped: its workers must not stay with it.
    let isHelped = Atomic<Bool>(false)
    let isLongJobHelped = Atomic<Bool>(false)
    DispatchQueue.concurrentPerform(iterations: 2) { caller in
      if caller == 0 {
        pool.runStoppable(pieceCount: 1 << 40, isInPass: false) { worker, piece in
          if worker != 0 { isLongJobHelped.store(true, ordering: .relaxed) }
          usleep(50)
          return !(isHelped.load(ordering: .relaxed) && isLongJobHelped.load(ordering: .relaxed)) && piece < 200_000
        }
      } else {
        for _ in 0..<5000 where !isHelped.load(ordering: .relaxed) {
          pool.run(pieceCount: 16) { worker, _ in
            if worker != 0 { isHelped.store(true, ordering: .relaxed) }
            usleep(50)
          }
        }
      }
    }
    #expect(isHelped.load(ordering: .relaxed) && isLongJobHelped.load(ordering: .relaxed))
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
