import Synchronization
import WasmRuntime

/// Splits an operation over instances of the kernel module, one per worker, on the same memories.
///
/// An instance belongs to one worker and runs on one thread at a time; the workers write disjoint parts of the output, and no
/// page state changes while they run. Operations without slices never come here: they are linked directly.
///
/// The lanes belong to the calling store: its limits and budget are theirs, its deadline and cancellation stop them, and they spend its fuel.
/// Where one is stopped or fails, the others finish their pieces and begin no new ones; only the outputs are undefined.
///
/// Nothing is allocated per operation: each lane keeps the arguments of its calls, and one closure, made once, does a piece of
/// whatever operation is in progress.
@safe final class WasmProvider {
  /// The kernel instance of one worker, in a store of its own, and the arguments of its calls: those of the whole operation, then
  /// those that say which part.
  private final class Lane: @unchecked Sendable {
    // Unchecked: a lane is used by the worker of its index only, one operation at a time; between operations by the caller.
    let matmul: Function
    let attention: Function
    let store: Store
    var arguments: [Value] = []
    private var results: [Value] = []

    init(matmul: Function, attention: Function, store: Store) {
      self.matmul = matmul
      self.store = store
      self.attention = attention
    }

    func call(_ operation: Operation) throws(WasmError) {
      try (operation == .matmul ? matmul : attention).call(arguments, results: &results)
    }

    /// The last arguments, which say what part of the operation a call does: columns, or rows and heads.
    func setSlice(_ first: Int, _ count: Int, firstHead: Int, headCount: Int) {
      set(first, 4)
      set(count, 3)
      set(firstHead, 2)
      set(headCount, 1)
    }

    func setSlice(_ first: Int, _ count: Int) {
      set(first, 2)
      set(count, 1)
    }

    private func set(_ count: Int, _ placeFromEnd: Int) {
      arguments[arguments.count - placeFromEnd] = .i32(UInt32(truncatingIfNeeded: count))
    }
  }

  /// The operations that have slices.
  enum Operation: String {
    case matmul, attention

    var sliceParameterCount: Int { self == .matmul ? 2 : 4 }
  }

  private struct Job {
    var operation = Operation.matmul
    /// Of a product: output columns. Of attention: rows.
    var count = 0
    var countPerPiece = 1
    var groupCount = 1
    var headsPerPiece = 0
    var pieceCount = 0
  }

  private let lanes: [Lane]
  private let workers: WorkerPool
  private let passes: TensorPasses
  private let failure = FirstFailure()
  private let stop: StopSignal
  private let scratch: Memory
  /// What the lanes may spend, and have spent, on the operation in progress; nil where fuel is not counted.
  private var fuelMax: Int64?
  private let fuelSpent = Atomic<Int64>(0)
  /// Written before the pool starts on it, and read by the pool's threads.
  private var job = Job()
  private var doPiece = WorkerPool.Work { _, _ in false }

  init(
    kernels: KernelModule, store: Store, memories: ProgramMemories, workers: WorkerPool, passes: TensorPasses,
    log: (@Sendable (String) -> Void)?
  ) throws(WasmError) {
    self.workers = workers
    self.passes = passes
    stop = store.stopSignal
    scratch = memories.scratch
    var lanes: [Lane] = []
    for _ in 0..<workers.threadCount {
      let lane = Store(following: store)
      // Start functions are short, and a lane gets what its store has when it is called.
      lane.fuel = store.fuel
      let instance = try kernels.instantiate(store: lane, memories: memories, log: log)
      guard let matmul = instance.function("matmul_slice"), let attention = instance.function("attention_slice") else {
        preconditionFailure("KernelModule has checked the exports")
      }
      lanes.append(Lane(matmul: matmul, attention: attention, store: lane))
    }
    self.lanes = lanes
    // SAFETY: pieces are done only inside `perform`, so while this object is in use. A thread of the pool may keep the closure
    // for a moment longer, but does not call it.
    let this = unsafe UnretainedProvider(reference: Unmanaged.passUnretained(self))
    doPiece = WorkerPool.Work { worker, piece in unsafe this.reference._withUnsafeGuaranteedRef { $0.perform(piece, on: worker) } }
  }

  /// Executes one operation with the arguments of the model program's call.
  /// - Throws: the trap of the first slice that failed, by order of pieces.
  func perform(_ operation: Operation, types: [ScalarType], _ arguments: Arguments, store: Store) throws(WasmError) {
    fuelMax = store.engine.configuration.consumesFuel ? max(0, store.fuel) : nil
    fuelSpent.store(0, ordering: .relaxed)
    try split(operation, types: types, arguments)
    do { try store.takeFuel(UInt64(max(0, fuelSpent.load(ordering: .relaxed)))) } catch { throw .trap(error) }
  }

  private func split(_ operation: Operation, types: [ScalarType], _ arguments: Arguments) throws(WasmError) {
    for lane in lanes {
      lane.arguments.removeAll(keepingCapacity: true)
      for (index, type) in types.enumerated() {
        switch type {
        case .i32: lane.arguments.append(.i32(arguments.i32(index)))
        case .i64: lane.arguments.append(.i64(arguments.i64(index)))
        case .f32: lane.arguments.append(.f32(arguments.f32(index).bitPattern))
        }
      }
      for _ in 0..<operation.sliceParameterCount { lane.arguments.append(.i32(UInt32(0))) }
    }
    job.operation = operation
    switch operation {
    case .matmul:
      job.count = Self.count(arguments.i32(6))
      guard fits(arguments.i64(0), Self.count(arguments.i32(4)), job.count, 1) else {
        lanes[0].setSlice(0, job.count)
        return try refuse()
      }
      // Multiples of 8 columns suit every kernel; four pieces per thread keep the pieces' fixed costs small.
      job.countPerPiece = max(8, (job.count / (workers.threadCount * 4) + 7) / 8 * 8)
      try run(max(1, (job.count + job.countPerPiece - 1) / job.countPerPiece))
    case .attention:
      let (heads, keyValueHeads) = (Self.count(arguments.i32(9)), Self.count(arguments.i32(10)))
      job.count = Self.count(arguments.i32(8))
      guard keyValueHeads > 0, heads % keyValueHeads == 0, fits(arguments.i64(0), job.count, heads, Self.count(arguments.i32(11))) else {
        lanes[0].setSlice(0, job.count, firstHead: 0, headCount: heads)
        return try refuse()
      }
      job.countPerPiece = 8
      job.groupCount = keyValueHeads
      job.headsPerPiece = heads / keyValueHeads
      // No rows, or fewer: the kernel has a look at the arguments still.
      try run(max(1, (job.count + job.countPerPiece - 1) / job.countPerPiece * keyValueHeads))
    }
  }

  /// Whether an output of so many floats lies in the scratch memory. Where it does not, only a kernel that begins at its beginning fails before
  /// it has written anything: those of later pieces may find their parts, past 2^64, in the memory again.
  private func fits(_ address: UInt64, _ rows: Int, _ columns: Int, _ depth: Int) -> Bool {
    // Counts have 31 bits.
    let (elements, overflow) = (rows * columns).multipliedReportingOverflow(by: depth)
    let (byteCount, byteOverflow) = elements.multipliedReportingOverflow(by: 4)
    guard !overflow, !byteOverflow else { return false }
    let (end, endOverflow) = address.addingReportingOverflow(UInt64(byteCount))
    return !endOverflow && end <= scratch.byteCount
  }

  /// Lets the kernel say what is wrong, on one lane.
  private func refuse() throws(WasmError) {
    _ = call(lanes[0], piece: 0)
    if let error = failure.take() { throw error }
  }

  private func run(_ pieceCount: Int) throws(WasmError) {
    job.pieceCount = pieceCount
    workers.runStoppable(pieceCount: pieceCount, isInPass: passes.isInPass, doPiece)
    // A lane that was stopped says the same.
    if let error = failure.take() { throw error }
    do { try stop.check() } catch { throw .trap(error) }
  }

  /// - Returns: false when no further piece is to be begun.
  private func perform(_ piece: Int, on worker: Int) -> Bool {
    guard stop.trapKind == nil, piece >= 0, piece < job.pieceCount else { return false }
    let lane = lanes[worker]
    switch job.operation {
    case .matmul:
      let first = piece * job.countPerPiece
      lane.setSlice(first, min(job.countPerPiece, job.count - first))
    case .attention:
      let row = piece / job.groupCount * job.countPerPiece
      lane.setSlice(
        row, min(job.countPerPiece, job.count - row), firstHead: piece % job.groupCount * job.headsPerPiece,
        headCount: job.headsPerPiece)
    }
    return call(lane, piece: piece)
  }

  /// Calls the slice with what is left of the fuel. Lanes that run at the same time may overdraw it by a piece each, and no more.
  private func call(_ lane: Lane, piece: Int) -> Bool {
    let fuel = fuelMax.map { max(0, $0 - fuelSpent.load(ordering: .relaxed)) }
    if let fuel { lane.store.fuel = fuel }
    defer {
      if let fuel { fuelSpent.wrappingAdd(fuel - max(0, lane.store.fuel), ordering: .relaxed) }
    }
    do throws(WasmError) { try lane.call(job.operation) } catch {
      failure.record(error, piece: piece)
      return false
    }
    return true
  }

  /// i32 as a count; a negative one becomes 0 pieces of work and is refused by the kernel.
  private static func count(_ bits: UInt32) -> Int { max(0, Int(Int32(bitPattern: bits))) }
}

/// The provider, for the closure that it owns itself.
@safe private struct UnretainedProvider: @unchecked Sendable {
  // Unchecked: see `WasmProvider.job`.
  let reference: Unmanaged<WasmProvider>
}

/// The failure of the lowest piece: the same whatever thread was first.
private final class FirstFailure: Sendable {
  private let state = Mutex<(piece: Int, error: WasmError)?>(nil)

  func record(_ error: WasmError, piece: Int) {
    state.withLock { if $0 == nil || piece < $0!.piece { $0 = (piece, error) } }
  }

  /// The failure, which is forgotten.
  func take() -> WasmError? {
    state.withLock { state in
      defer { state = nil }
      return state?.error
    }
  }
}
