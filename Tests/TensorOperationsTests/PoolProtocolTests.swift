import TensorOperations
import Testing

/// The steps of the pool's threads in every order. The threads themselves run the same steps: see `WorkerPoolTests`.
@Suite("The steps of the worker pool, in every order")
struct PoolProtocolTests {
  private static func check(_ scenario: PoolModel.Scenario) throws -> Int {
    let model = PoolModel(scenario)
    try model.check()
    #expect(model.finalStateCount > 0)
    return model.stateCount
  }

  @Test("one caller, up to two workers: each piece is done once, and everybody ends", arguments: [1, 2])
  func oneCaller(workerCount: Int) throws {
    let jobs: [[PoolModel.Task]] =
      workerCount == 1
      ? [[.job(pieces: 2)], [.job(pieces: 3), .job(pieces: 2)], [.job(pieces: 0), .job(pieces: 1)]]
      : [[.job(pieces: 2)], [.job(pieces: 1)]]
    for tasks in jobs {
      let count = try Self.check(.init(callers: [tasks], threadCount: workerCount + 1, workerCount: workerCount))
      #expect(count > 100, "all interleavings are many")
    }
  }

  @Test("a worker that wakes late meets the next job in the same slot, and does its pieces only")
  func lateWorker() throws {
    _ = try Self.check(
      .init(callers: [[.job(pieces: 1), .job(pieces: 2), .job(pieces: 1)]], threadCount: 2, workerCount: 1, wakesSpuriously: true))
  }

  @Test("passes: workers wake ahead, stay, and rest while there are as many passes as threads")
  func passes() throws {
    _ = try Self.check(
      .init(
        callers: [[.beginPass, .job(pieces: 2, isInPass: true), .job(pieces: 1, isInPass: true), .endPass]], threadCount: 2,
        workerCount: 1))
    _ = try Self.check(.init(callers: [[.job(pieces: 2)], [.beginPass, .endPass]], threadCount: 2, workerCount: 1))
  }

  @Test("two callers share a worker piece by piece")
  func twoCallers() throws {
    _ = try Self.check(.init(callers: [[.job(pieces: 2)], [.job(pieces: 1)]], threadCount: 3, workerCount: 1))
  }

  @Test("a job that is stopped begins no further piece, and loses none before")
  func stopped() throws {
    for stopsAt in 0...2 {
      _ = try Self.check(
        .init(callers: [[.job(pieces: 3, stopsAt: stopsAt), .job(pieces: 1)]], threadCount: 2, workerCount: 1))
    }
  }

  @Test(
    "the checker notices what it is to notice",
    arguments: [PoolModel.Fault.forgetsRegistrations, .keepsGatesOpen, .losesWakes, .repeatsClaims])
  func findsFaults(fault: PoolModel.Fault) throws {
    #expect(throws: PoolModel.Violation.self) {
      _ = try Self.check(
        .init(callers: [[.job(pieces: 2), .job(pieces: 1)]], threadCount: 2, workerCount: 1, fault: fault, stateCountMax: 1_000_000))
    }
  }
}
