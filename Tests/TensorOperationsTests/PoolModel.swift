import TensorOperations

/// Every interleaving of the steps of `PoolCaller` and `PoolWorker` for a few threads, jobs and pieces: an explicit-state model checker.
///
/// A state is what the shared words hold, where each thread is, and what has been done of each job. A thread's next action is one access
/// of a word (a step of its machine), one begin or end of a piece, one going to sleep, or one waking of others; each of these may come next in
/// any order. All states that can be reached are visited once.
final class PoolModel: PoolMemory {
  struct Scenario {
    /// What each caller does, one after another.
    var callers: [[Task]]
    /// Threads of the pool, for its rules; workers there are `workerCount`, since the system may refuse some.
    var threadCount: Int
    var workerCount: Int
    /// Sleepers may wake without a reason, as the system allows.
    var wakesSpuriously = false
    /// A broken memory or system, to see that the checker notices.
    var fault: Fault?
    var stateCountMax = 4_000_000
  }

  enum Fault {
    /// Gates open for everybody and count nobody.
    case forgetsRegistrations
    /// A closed gate still lets threads in.
    case keepsGatesOpen
    /// Sleepers are not woken.
    case losesWakes
    /// A claim may give what another thread has claimed.
    case repeatsClaims
  }

  enum Task: Hashable {
    case job(pieces: Int, isInPass: Bool = false, stopsAt: Int? = nil)
    case beginPass, endPass
  }

  struct Violation: Error, CustomStringConvertible { let description: String }

  private enum Status: Hashable {
    case running
    case performing(slot: Int, job: Int, piece: UInt64)
    case fallingAsleep(PoolCell, UInt64)
    case asleep(PoolCell)
    case waking(PoolCell)
    case over
  }

  private enum Machine: Hashable {
    case caller(PoolCaller, task: Int)
    case worker(PoolWorker)
  }

  /// Small numbers for values, so that a state is a vector of bytes.
  private struct Interned<Value: Hashable> {
    var values: [Value] = []
    var numbers: [Value: UInt16] = [:]

    mutating func number(_ value: Value) -> UInt16 {
      if let number = numbers[value] { return number }
      let number = UInt16(values.count)
      values.append(value)
      numbers[value] = number
      return number
    }
  }

  private struct State {
    var cells: [UInt64]
    var machines: [Machine]
    var statuses: [Status]
    /// The job whose body lies in a slot: caller · 16 + task; -1: none.
    var bodies: [Int]
    /// Pieces that are done, of the job that each caller is at.
    var done: [UInt64]
  }

  private let scenario: Scenario
  private let slotCount: Int
  private let callerCount: Int
  private let cellCount: Int
  private var cells: [UInt64] = []
  private var cellValues = Interned<UInt64>()
  private var machineValues = Interned<Machine>()
  private var statusValues = Interned<Status>()
  private(set) var stateCount = 0
  private(set) var finalStateCount = 0

  init(_ scenario: Scenario) {
    self.scenario = scenario
    callerCount = scenario.callers.count
    slotCount = callerCount
    cellCount = PoolCell.count - 3 * (PoolCell.slotCount - slotCount)
  }

  // MARK: Shared words, one access at a time

  func load(_ cell: PoolCell) -> UInt64 { cells[cell.index] }
  func store(_ value: UInt64, to cell: PoolCell) { cells[cell.index] = value }
  func add(_ value: UInt64, to cell: PoolCell) -> UInt64 {
    let old = cells[cell.index]
    if scenario.fault == .forgetsRegistrations, case .gate = cell { return old }
    if scenario.fault == .repeatsClaims, case .next = cell, old == 1 { return 0 }
    cells[cell.index] = old &+ value
    return old
  }
  func or(_ value: UInt64, to cell: PoolCell) -> UInt64 {
    let old = cells[cell.index]
    cells[cell.index] = old | value
    return old
  }
  func and(_ value: UInt64, to cell: PoolCell) -> UInt64 {
    let old = cells[cell.index]
    if scenario.fault == .keepsGatesOpen, case .gate = cell { return old }
    cells[cell.index] = old & value
    return old
  }
  func exchange(_ expected: UInt64, for desired: UInt64, in cell: PoolCell) -> Bool {
    guard cells[cell.index] == expected else { return false }
    if scenario.fault == .forgetsRegistrations { return true }
    cells[cell.index] = desired
    return true
  }

  // MARK: Walking

  /// Visits every state.
  /// - Throws: `Violation`: a piece done twice, out of range or of a job that is over; a state that nothing leads out of, or from which the
  ///   end cannot be reached any more.
  func check() throws {
    var numbers: [SIMD64<UInt8>: Int32] = [:]
    var states: [SIMD64<UInt8>] = []
    var predecessors: [(from: Int32, to: Int32)] = []
    var finals: [Int32] = []
    func number(_ packed: SIMD64<UInt8>) -> Int32 {
      if let number = numbers[packed] { return number }
      let number = Int32(states.count)
      numbers[packed] = number
      states.append(packed)
      return number
    }
    _ = number(pack(initialState()))
    var next = 0
    while next < states.count {
      guard states.count <= scenario.stateCountMax else { throw Violation(description: "more than \(scenario.stateCountMax) states") }
      let state = unpack(states[next])
      if state.statuses.allSatisfy({ $0 == .over }) {
        finals.append(Int32(next))
        try checkFinal(state)
      } else {
        var hasSuccessor = false
        for thread in state.machines.indices {
          for successor in try successors(of: state, thread) {
            hasSuccessor = true
            predecessors.append((Int32(next), number(pack(successor, after: state, states[next]))))
          }
        }
        if !hasSuccessor { throw Violation(description: "every thread sleeps for ever: \(state)") }
      }
      next += 1
    }
    stateCount = states.count
    finalStateCount = finals.count
    try checkEndIsReachable(states, predecessors, finals)
  }

  private func checkFinal(_ state: State) throws {
    for cell in [PoolCell.passes, .active, .taken, .sleepers, .reservists] where state.cells[cell.index] & ~PoolCell.stopping != 0 {
      throw Violation(description: "\(cell) is left at \(state.cells[cell.index])")
    }
    if state.bodies.contains(where: { $0 >= 0 }) { throw Violation(description: "a body is left in a slot") }
  }

  /// From every state some order of steps leads to the end: nothing goes round for ever, whatever happens next.
  private func checkEndIsReachable(
    _ states: [SIMD64<UInt8>], _ edges: [(from: Int32, to: Int32)], _ finals: [Int32]
  ) throws {
    var starts = [Int32](repeating: 0, count: states.count + 1)
    for edge in edges { starts[Int(edge.to) + 1] += 1 }
    for index in states.indices { starts[index + 1] += starts[index] }
    var sources = [Int32](repeating: 0, count: edges.count)
    var fill = starts
    for edge in edges {
      sources[Int(fill[Int(edge.to)])] = edge.from
      fill[Int(edge.to)] += 1
    }
    var reaches = [Bool](repeating: false, count: states.count)
    var open = finals
    for final in finals { reaches[Int(final)] = true }
    while let state = open.popLast() {
      for index in starts[Int(state)]..<starts[Int(state) + 1] {
        let source = sources[Int(index)]
        if !reaches[Int(source)] {
          reaches[Int(source)] = true
          open.append(source)
        }
      }
    }
    if let lost = reaches.firstIndex(of: false) { throw Violation(description: "no way leads to the end from \(unpack(states[lost]))") }
  }

  private func initialState() -> State {
    let workers = (0..<scenario.workerCount).map { Machine.worker(PoolWorker(index: $0 + 1, threadCount: scenario.threadCount)) }
    let callers = scenario.callers.indices.map { machine(forCaller: $0, task: 0) }
    // The last thread ends the pool when all callers have gone, as the pool's deinit does.
    let stopper = Machine.caller(PoolCaller(.stop, threadCount: scenario.threadCount), task: 0)
    let machines = callers + workers + [stopper]
    return State(
      cells: .init(repeating: 0, count: cellCount), machines: machines, statuses: .init(repeating: .running, count: machines.count),
      bodies: .init(repeating: -1, count: slotCount), done: .init(repeating: 0, count: callerCount))
  }

  private func machine(forCaller caller: Int, task index: Int) -> Machine {
    switch scenario.callers[caller][index] {
    case .job(let pieces, let isInPass, _):
      .caller(PoolCaller(.job(isInPass: isInPass), pieceCount: UInt64(pieces), threadCount: scenario.threadCount), task: index)
    case .beginPass: .caller(PoolCaller(.beginPass, threadCount: scenario.threadCount), task: index)
    case .endPass: .caller(PoolCaller(.endPass, threadCount: scenario.threadCount), task: index)
    }
  }

  private func successors(of state: State, _ thread: Int) throws -> [State] {
    var next = state
    switch state.statuses[thread] {
    case .over: return []
    case .asleep:
      guard scenario.wakesSpuriously else { return [] }
      next.statuses[thread] = .running
      return [next]
    case .fallingAsleep(let cell, let value):
      let holds = state.cells[cell.index] & 0xFFFF_FFFF == value & 0xFFFF_FFFF
      next.statuses[thread] = holds ? .asleep(cell) : .running
      return [next]
    case .waking(let cell):
      for other in next.statuses.indices where scenario.fault != .losesWakes && next.statuses[other] == .asleep(cell) { next.statuses[other] = .running }
      next.statuses[thread] = .running
      return [next]
    case .performing(_, let job, let piece):
      try finish(job, piece, &next)
      next.statuses[thread] = .running
      if case .job(_, _, let stopsAt?) = task(of: job), piece >= UInt64(stopsAt) { abandon(thread, &next) }
      return [next]
    case .running: return try step(next, thread)
    }
  }

  private func step(_ state: State, _ thread: Int) throws -> [State] {
    var next = state
    if thread == state.machines.count - 1, (0..<callerCount).contains(where: { state.statuses[$0] != .over }) { return [] }
    cells = state.cells
    let effect: PoolEffect
    var canSleep = false
    switch state.machines[thread] {
    case .caller(var machine, let task):
      effect = machine.step(self)
      canSleep = effect == .pause
      next.machines[thread] = .caller(machine, task: task)
    case .worker(var machine):
      effect = machine.step(self)
      canSleep = effect == .pause
      next.machines[thread] = .worker(machine)
    }
    next.cells = cells
    switch effect {
    case .proceed, .pause: break
    case .prepare(let slot):
      guard next.bodies[slot] < 0 else { throw Violation(description: "slot \(slot) is taken twice: \(state)") }
      next.bodies[slot] = job(of: thread, next)
      next.done[thread] = 0
    case .dispose(let slot):
      try checkOver(job(of: thread, next), next)
      next.bodies[slot] = -1
    case .perform(let slot, let piece):
      // The body is read now: it must be that of a job in progress, and the piece one that nobody else does.
      let job = next.bodies[slot]
      guard job >= 0 else { throw Violation(description: "piece \(piece) of a job that is over: \(state)") }
      if thread < callerCount, job != self.job(of: thread, next) { throw Violation(description: "a piece of another job: \(state)") }
      next.statuses[thread] = .performing(slot: slot, job: job, piece: piece)
      for (other, status) in state.statuses.enumerated() where other != thread {
        if case .performing(_, let otherJob, let otherPiece) = status, otherJob == job, otherPiece == piece {
          throw Violation(description: "piece \(piece) is done by two threads: \(state)")
        }
      }
    case .sleep(let cell, let value): next.statuses[thread] = .fallingAsleep(cell, value)
    case .wake(let cell): next.statuses[thread] = .waking(cell)
    case .finished: finishTask(thread, &next)
    case .alone: throw Violation(description: "there is a slot for every caller: \(state)")
    }
    guard canSleep else { return [next] }
    var sleeping = next
    switch next.machines[thread] {
    case .caller(var machine, let task):
      machine.sleep()
      sleeping.machines[thread] = .caller(machine, task: task)
    case .worker(var machine):
      machine.sleep()
      sleeping.machines[thread] = .worker(machine)
    }
    return [next, sleeping]
  }

  // MARK: Jobs

  private func job(of caller: Int, _ state: State) -> Int {
    guard case .caller(_, let task) = state.machines[caller] else { return -1 }
    return caller * 16 + task
  }

  private func task(of job: Int) -> Task { scenario.callers[job / 16][job % 16] }

  private func finish(_ job: Int, _ piece: UInt64, _ state: inout State) throws {
    guard case .job(let pieces, _, _) = task(of: job), piece < UInt64(pieces) else {
      throw Violation(description: "piece \(piece) is out of range: \(state)")
    }
    guard self.job(of: job / 16, state) == job, state.statuses[job / 16] != .over else {
      throw Violation(description: "piece \(piece) ends after its job: \(state)")
    }
    guard state.done[job / 16] >> piece & 1 == 0 else { throw Violation(description: "piece \(piece) is done twice: \(state)") }
    state.done[job / 16] |= 1 << piece
  }

  private func checkOver(_ job: Int, _ state: State) throws {
    guard case .job(let pieces, _, let stopsAt) = task(of: job) else { return }
    for status in state.statuses {
      if case .performing(_, let otherJob, let piece) = status, otherJob == job {
        throw Violation(description: "piece \(piece) goes on after its job: \(state)")
      }
    }
    let all: UInt64 = (1 << UInt64(pieces)) - 1
    let done = state.done[job / 16]
    let isRight = stopsAt.map { done & ((1 << (UInt64($0) + 1)) - 1) == all & ((1 << (UInt64($0) + 1)) - 1) } ?? (done == all)
    if !isRight { throw Violation(description: "pieces are left out: \(state)") }
  }

  private func finishTask(_ thread: Int, _ state: inout State) {
    guard thread < callerCount, case .caller(_, let task) = state.machines[thread], task + 1 < scenario.callers[thread].count else {
      state.statuses[thread] = .over
      return
    }
    state.machines[thread] = machine(forCaller: thread, task: task + 1)
  }

  private func abandon(_ thread: Int, _ state: inout State) {
    switch state.machines[thread] {
    case .caller(var machine, let task):
      machine.abandon()
      state.machines[thread] = .caller(machine, task: task)
    case .worker(var machine):
      machine.abandon()
      state.machines[thread] = .worker(machine)
    }
  }

  // MARK: States as bytes

  private func pack(_ state: State) -> SIMD64<UInt8> { pack(state, after: nil, SIMD64(repeating: 0)) }

  /// Only what differs from the state before is looked up.
  private func pack(_ state: State, after last: State?, _ lastPacked: SIMD64<UInt8>) -> SIMD64<UInt8> {
    var packed = lastPacked
    var end = 0
    func append(_ number: @autoclosure () -> UInt16, isWide: Bool = false, unless isSame: Bool?) {
      if isSame != true {
        let number = number()
        precondition(isWide || number < 256, "a byte is enough")
        packed[end] = UInt8(truncatingIfNeeded: number)
        if isWide { packed[end + 1] = UInt8(truncatingIfNeeded: number >> 8) }
      }
      end += isWide ? 2 : 1
    }
    for (i, cell) in state.cells.enumerated() { append(cellValues.number(cell), unless: last.map { $0.cells[i] == cell }) }
    for (i, machine) in state.machines.enumerated() {
      append(machineValues.number(machine), isWide: true, unless: last.map { $0.machines[i] == machine })
    }
    for (i, status) in state.statuses.enumerated() { append(statusValues.number(status), unless: last.map { $0.statuses[i] == status }) }
    for body in state.bodies { append(UInt16(body + 1), unless: nil) }
    for done in state.done { append(UInt16(done), unless: nil) }
    return packed
  }

  private func unpack(_ packed: SIMD64<UInt8>) -> State {
    var end = 0
    func take(wide: Bool = false) -> Int {
      defer { end += wide ? 2 : 1 }
      return Int(packed[end]) | (wide ? Int(packed[end + 1]) << 8 : 0)
    }
    let threadCount = callerCount + scenario.workerCount + 1
    let cells = (0..<cellCount).map { _ in cellValues.values[take()] }
    let machines = (0..<threadCount).map { _ in machineValues.values[take(wide: true)] }
    let statuses = (0..<threadCount).map { _ in statusValues.values[take()] }
    let bodies = (0..<slotCount).map { _ in take() - 1 }
    let done = (0..<callerCount).map { _ in UInt64(take()) }
    return State(cells: cells, machines: machines, statuses: statuses, bodies: bodies, done: done)
  }
}
