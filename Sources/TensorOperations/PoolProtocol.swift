/// What the threads of a pool share, one word each. All accesses are sequentially consistent.
///
///     passes   active   epoch   sleepers   reserve   reservists   taken
///                 |
///                 +-- one bit a slot: its job may have pieces left     slot: gate   count   next
///
/// A job lies in a slot. Whoever wants to claim its pieces is registered at its gate first; a gate that is closed registers nobody, and the
/// slot is used again only when its gate is closed and nobody is registered. So a claim is an addition to `next` that only threads of this
/// job make, each of which stops at its first refusal: with at most 2^62 pieces the word cannot wrap, and it cannot meet another job.
package enum PoolCell: Hashable, Sendable {
  /// Callers in a pass: each has a thread of its own, and that many workers fewer are wanted. With `stopping` when the threads are to end.
  case passes
  /// Slots with a published job, one bit each.
  case active
  /// Slots that belong to a caller, one bit each.
  case taken
  /// Grows with every job that is published. Workers sleep on it.
  case epoch
  /// Workers that sleep on `epoch`, or are about to.
  case sleepers
  /// Grows when a pass ends. Workers that are not wanted while there are many passes sleep on it.
  case reserve
  /// Workers that sleep on `reserve`, or are about to.
  case reservists
  /// Of a slot: see `PoolGate`. Its caller sleeps on it.
  case gate(Int)
  /// Of a slot: pieces of its job.
  case count(Int)
  /// Of a slot: the next piece to be claimed.
  case next(Int)

  package static let slotCount = 32
  package static let count = 7 + 3 * slotCount
  /// In `passes`: the threads are to end.
  package static let stopping: UInt64 = 1 << 63

  /// A number from 0 for each cell.
  package var index: Int {
    switch self {
    case .passes: 0
    case .active: 1
    case .taken: 2
    case .epoch: 3
    case .sleepers: 4
    case .reserve: 5
    case .reservists: 6
    case .gate(let slot): 7 + 3 * slot
    case .count(let slot): 8 + 3 * slot
    case .next(let slot): 9 + 3 * slot
    }
  }
}

/// The bits of a gate.
package enum PoolGate {
  /// Threads may register.
  package static let open: UInt64 = 1 << 31
  /// The caller sleeps until nobody is registered any more.
  package static let isAwaited: UInt64 = 1 << 30
  /// The number of registered workers.
  package static let registered: UInt64 = isAwaited - 1
}

/// Words that several threads share. Each call is one indivisible access.
package protocol PoolMemory {
  func load(_ cell: PoolCell) -> UInt64
  func store(_ value: UInt64, to cell: PoolCell)
  /// These three return the value before.
  func add(_ value: UInt64, to cell: PoolCell) -> UInt64
  func or(_ value: UInt64, to cell: PoolCell) -> UInt64
  func and(_ value: UInt64, to cell: PoolCell) -> UInt64
  /// Whether the cell held `expected`, and so holds `desired` now.
  func exchange(_ expected: UInt64, for desired: UInt64, in cell: PoolCell) -> Bool
}

/// What the thread that made a step is to do before its next one.
package enum PoolEffect: Equatable, Sendable {
  /// Nothing.
  case proceed
  /// The slot is the caller's: put the job's body there.
  case prepare(slot: Int)
  /// Do a piece of the job in the slot. Where the job is to end instead, tell the machine by `abandon`.
  case perform(slot: Int, piece: UInt64)
  /// Nothing to do at the moment: spin, or tell the machine to `sleep`.
  case pause
  /// Sleep while the cell holds the value; waking early is harmless.
  case sleep(PoolCell, UInt64)
  /// Wake those that sleep on the cell.
  case wake(PoolCell)
  /// All is done.
  case finished
  /// The job is over and nobody looks at its body any more.
  case dispose(slot: Int)
  /// All slots are taken: the caller does its pieces itself.
  case alone
}

/// One caller's way through a job, or into a pass or out of it, step by step. Each step makes at most one access to the shared words, so that the shipped threads and a
/// test that walks every interleaving run the same code.
package struct PoolCaller: Hashable, Sendable {
  package enum Point: Hashable, Sendable {
    case halt, enter, look, take, setCount, setNext, openGate, announce, ring, askSleepers, claim, exhaust, withdraw, close
    case watch, enlist, clear, release, leave, callReserve, askReservists, done
  }

  package enum Task: Hashable, Sendable {
    /// A job; `isInPass`: the caller has begun a pass, and so is counted already.
    case job(isInPass: Bool)
    case beginPass, endPass
    /// The workers are to end. No caller is left.
    case stop
  }

  package private(set) var point: Point
  package private(set) var slot = 0
  private let task: Task
  private let pieceCount: UInt64
  private let threadCount: UInt64
  /// Passes, the caller's included.
  private var passCount: UInt64 = 0

  /// - Parameter pieceCount: at most 2^62.
  package init(_ task: Task, pieceCount: UInt64 = 0, threadCount: Int) {
    self.task = task
    self.pieceCount = pieceCount
    self.threadCount = UInt64(threadCount)
    point =
      switch task {
      case .job, .beginPass: .enter
      case .endPass: .leave
      case .stop: .halt
      }
  }

  private var bit: UInt64 { 1 << UInt64(slot) }

  /// No piece of the job is begun any more.
  package mutating func abandon() { point = .exhaust }

  /// Instead of going on to spin.
  package mutating func sleep() { if point == .watch { point = .enlist } }

  @inline(__always)
  package mutating func step(_ memory: some PoolMemory) -> PoolEffect {
    switch point {
    case .halt:
      _ = memory.or(PoolCell.stopping, to: .passes)
      point = .ring
    case .enter:
      passCount = task == .job(isInPass: true) ? memory.load(.passes) : memory.add(1, to: .passes) + 1
      point = task == .beginPass ? .ring : .look
    case .look:
      let free = ~memory.load(.taken)
      slot = free.trailingZeroBitCount
      if slot >= PoolCell.slotCount {
        slot = -1
        point = task == .job(isInPass: true) ? .done : .leave
      } else {
        point = .take
      }
    case .take:
      if memory.or(bit, to: .taken) & bit != 0 {
        point = .look
      } else {
        point = .setCount
        return .prepare(slot: slot)
      }
    case .setCount:
      memory.store(pieceCount, to: .count(slot))
      point = .setNext
    case .setNext:
      memory.store(0, to: .next(slot))
      point = .openGate
    case .openGate:
      memory.store(PoolGate.open, to: .gate(slot))
      point = .announce
    case .announce:
      _ = memory.or(bit, to: .active)
      point = .ring
    case .ring:
      _ = memory.add(1, to: .epoch)
      point = .askSleepers
    case .askSleepers:
      point =
        switch task {
        case .beginPass: .done
        case .stop: .callReserve
        default: .claim
        }
      if passCount < threadCount, memory.load(.sleepers) > 0 { return .wake(.epoch) }
    case .claim:
      let piece = memory.add(1, to: .next(slot))
      if piece < pieceCount { return .perform(slot: slot, piece: piece) }
      point = .withdraw
    case .exhaust:
      // What was claimed stays claimed; every later claim is refused.
      memory.store(pieceCount, to: .next(slot))
      point = .withdraw
    case .withdraw:
      _ = memory.and(~bit, to: .active)
      point = .close
    case .close:
      let gate = memory.and(~PoolGate.open, to: .gate(slot))
      point = gate & PoolGate.registered == 0 ? .clear : .watch
    case .watch:
      if memory.load(.gate(slot)) & PoolGate.registered != 0 { return .pause }
      point = .clear
    case .enlist:
      let gate = memory.or(PoolGate.isAwaited, to: .gate(slot))
      if gate & PoolGate.registered == 0 {
        point = .clear
      } else {
        point = .watch
        return .sleep(.gate(slot), gate | PoolGate.isAwaited)
      }
    case .clear:
      point = .release
      return .dispose(slot: slot)
    case .release:
      _ = memory.and(~bit, to: .taken)
      point = task == .job(isInPass: true) ? .done : .leave
    case .leave:
      _ = memory.add(~0, to: .passes)
      point = .callReserve
    case .callReserve:
      _ = memory.add(1, to: .reserve)
      point = .askReservists
    case .askReservists:
      point = .done
      if memory.load(.reservists) > 0 { return .wake(.reserve) }
    case .done:
      return slot < 0 ? .alone : .finished
    }
    return .proceed
  }
}

/// One worker's way through all jobs of its life, step by step; see `PoolCaller`.
package struct PoolWorker: Hashable, Sendable {
  package enum Point: Hashable, Sendable {
    case look, askPasses, askReserve, askPassesAgain, choose, askGate, register, askCount, claim, exhaust, withdraw, turn, leave
    case idle, enlist, doze, delist, done
  }

  package private(set) var point = Point.look
  /// Passes, when last asked: with one or more the next job will come soon.
  package private(set) var passCount: UInt64 = 0
  private let index: UInt64
  private let threadCount: UInt64
  private var seenEpoch: UInt64 = 0
  private var seenReserve: UInt64 = 0
  private var slot = 0
  private var gate: UInt64 = 0
  private var pieceCount: UInt64 = 0
  /// With as many callers as threads every core has its work: the workers with the highest numbers rest.
  package private(set) var isWanted = true

  /// - Parameter index: from 1.
  package init(index: Int, threadCount: Int) {
    self.index = UInt64(index)
    self.threadCount = UInt64(threadCount)
  }

  private var bit: UInt64 { 1 << UInt64(slot) }

  /// No piece of the job is begun any more.
  package mutating func abandon() { point = .exhaust }

  /// Instead of going on to spin.
  package mutating func sleep() { if point == .look { point = .enlist } }

  /// Takes note of the passes.
  private mutating func isToStop(_ passes: UInt64) -> Bool {
    passCount = passes & ~PoolCell.stopping
    isWanted = index + max(1, passCount) <= threadCount
    return passes != passCount
  }

  @inline(__always)
  package mutating func step(_ memory: some PoolMemory) -> PoolEffect {
    switch point {
    case .look:
      // What is no longer needed is forgotten: a test that walks all states meets fewer of them.
      seenReserve = 0
      seenEpoch = memory.load(.epoch)
      point = .askPasses
    case .askPasses:
      point = isToStop(memory.load(.passes)) ? .done : isWanted ? .choose : .askReserve
    case .askReserve:
      seenReserve = memory.load(.reserve)
      point = .askPassesAgain
    case .askPassesAgain:
      // A pass that ended before `reserve` was read will not wake this thread.
      point = isToStop(memory.load(.passes)) ? .done : isWanted ? .look : .idle
    case .choose:
      // The slot after the last one, round and round: jobs get a piece each in turn.
      let active = memory.load(.active)
      let later = active & ~(bit &- 1) & ~bit
      let choice = later != 0 ? later : active
      if choice == 0 {
        point = .idle
      } else {
        slot = choice.trailingZeroBitCount
        point = .askGate
      }
    case .askGate:
      gate = memory.load(.gate(slot))
      if gate & PoolGate.open == 0 { gate = 0 }
      point = gate != 0 ? .register : .idle
    case .register:
      point = memory.exchange(gate, for: gate + 1, in: .gate(slot)) ? .askCount : .askGate
      gate = 0
    case .askCount:
      pieceCount = memory.load(.count(slot))
      point = .claim
    case .claim:
      let piece = memory.add(1, to: .next(slot))
      if piece < pieceCount {
        point = .turn
        return .perform(slot: slot, piece: piece)
      }
      point = .withdraw
    case .exhaust:
      memory.store(pieceCount, to: .next(slot))
      point = .withdraw
    case .withdraw:
      // While this thread is registered the slot holds this job, so no other job's bit can be meant.
      _ = memory.and(~bit, to: .active)
      point = .leave
    case .turn:
      // Another job has something to do: its turn.
      point = memory.load(.active) & ~bit == 0 ? .claim : .leave
    case .leave:
      point = .look
      pieceCount = 0
      if memory.add(~0, to: .gate(slot)) == PoolGate.isAwaited + 1 { return .wake(.gate(slot)) }
    case .idle:
      point = .look
      return .pause
    case .enlist:
      _ = memory.add(1, to: isWanted ? .sleepers : .reservists)
      point = .doze
    case .doze:
      point = .delist
      return isWanted ? .sleep(.epoch, seenEpoch) : .sleep(.reserve, seenReserve)
    case .delist:
      _ = memory.add(~0, to: isWanted ? .sleepers : .reservists)
      point = .look
    case .done:
      return .finished
    }
    return .proceed
  }
}
