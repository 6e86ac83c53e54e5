import WasmRuntime

/// Executes tensor operations with the kernels of this process, in place on the guest's memories.
///
/// It can do no more than the guest itself could: `OperationFrame` checks every argument against the page states first, and the
/// kernels get only what it has checked. Operations are cut into pieces of about a millisecond at most (`PieceLimits`), which the worker
/// pool shares out; between two pieces each thread asks whether the store's deadline has passed or it was cancelled. The results do not
/// depend on how many threads there are.
///
/// Nothing is allocated per operation: the frame holds the operands, `Job` says what a piece is, and one closure, made once, does
/// a piece of whatever job is in progress.
///
/// One provider belongs to one instance of a model program and runs on its thread.
@safe final class NativeProvider {
  let memories: ProgramMemories
  let workers: WorkerPool
  let frame: OperationFrame
  private let passes: TensorPasses
  private let stop: StopSignal
  /// Quantised activations of some rows, made once and read by all workers; or the sums of an attention that is done in parts.
  let workspace: HostBuffer
  /// Written before the pool starts on it, and read by the pool's threads.
  var job = Job()
  private var doPiece = WorkerPool.Work { _, _ in false }

  /// What is being done, and how it is cut into pieces. The operands are in the frame.
  @safe struct Job {
    enum Step { case rows, prepareMatmul, matmul, attention, topK, cacheAppend }

    var step = Step.rows
    var kernel = NativeKernel.add
    var pieceCount = 0
    /// Rows, elements or steps of all pieces, and of one; of a matrix product: output columns.
    var count = 0
    var countPerPiece = 1
    /// Rows of a product that are done at a time, whose activations the workspace holds; attention: all rows from 0.
    var firstRow = 0
    var rowCount = 0
    var product = ProductCut(
      rows: 1, columnsIn: 1, columnsOut: 1, rowByteCount: 1, activationByteCount: 0, tile: 1, isPlain: false, threadCount: 1)
    /// Bytes of a row of activations.
    var activationByteCount = 0
    var attention = AttentionCut(rows: 1, heads: 1, keyValueHeads: 1, dimension: 1, positionCount: 1, isPlain: false)
    /// Of `top_k`.
    var row = 0
    /// Attention in parts: the positions of this one. Empty: all.
    var positions = 0..<0
    var workspace: UnsafeMutableRawPointer?
    /// Operations on the cache: host address of its byte 0.
    var cache: UnsafeMutableRawPointer?
  }

  init(memories: ProgramMemories, workers: WorkerPool, store: Store, passes: TensorPasses) {
    self.memories = memories
    self.workers = workers
    self.passes = passes
    stop = store.stopSignal
    frame = OperationFrame(budget: store.budget, stop: stop)
    workspace = HostBuffer(budget: store.budget)
    // SAFETY: pieces are done only inside `perform`, so while this object is in use. A thread of the pool may keep the closure
    // for a moment longer, but does not call it.
    let this = unsafe Shared(Unmanaged.passUnretained(self))
    doPiece = WorkerPool.Work { _, piece in unsafe this.pointer._withUnsafeGuaranteedRef { $0.perform(piece: piece) } }
  }

  /// Checks the arguments and executes one operation.
  /// - Throws: `OperationMisuse`; a trap: `cancelled`, `deadlineExceeded` or `fuelExhausted`, after which the outputs are undefined, and
  ///   `.lost` where a bound file was cut short.
  func perform(_ plan: OperationPlan, _ kernel: NativeKernel, store: Store, argument: (Int) -> UInt64) throws {
    try stop.check()
    try frame.check(plan, memories: memories, argument: argument)
    if store.engine.configuration.consumesFuel { try store.takeFuel(fuel(kernel)) }
    defer {
      frame.shrink()
      workspace.shrink()
    }
    try execute(kernel, plan)
    // A file that was cut short while it was read shows as zeroes: the guest must not go on with them.
    try memories.weights.checkNotLost()
    try memories.cache.checkNotLost()
    try memories.scratch.checkNotLost()
  }

  // MARK: Splitting. Indices are those of the parameters in TensorOperation+All.swift.

  // SAFETY (of all kernel calls in this file and its extensions): pointers and counts come from the frame, which has checked for this call
  // that every byte the operation touches may be accessed; pieces are disjoint parts of the outputs.

  private func execute(_ kernel: NativeKernel, _ plan: OperationPlan) throws {
    let f = frame
    job.kernel = kernel
    switch kernel {
    case .matmul: try matmul(plan)
    case .attention: try attention(plan)
    case .getRows: try split(.rows, f.int(4), columns: f.int(5) == 0 ? 0 : max(f.int(5), PieceLimits.scatteredRowElementCount))
    case .rmsNorm, .addBias: try split(.rows, f.int(4), columns: f.int(5))
    case .layerNorm: try split(.rows, f.int(5), columns: f.int(6))
    case .softmax: try split(.rows, f.int(2), columns: f.int(3))
    case .rope: try split(.rows, f.int(2), columns: f.int(3) * f.int(4))
    case .add, .mul, .siluMul, .geluTanhMul: try split(.rows, f.int(3), columns: 1)
    case .scale, .silu, .gelu, .geluTanh: try split(.rows, f.int(2), columns: 1)
    case .topK: try topK()
    case .cacheAppend: try cacheAppend()
    }
  }

  /// Does the pieces of the job, on the pool or, in order, on this thread alone.
  func run(pieceCount: Int, inOrder: Bool = false) throws(Trap) {
    job.pieceCount = pieceCount
    if pieceCount == 1 {
      _ = perform(piece: 0)
    } else if inOrder {
      var piece = 0
      while piece < pieceCount, perform(piece: piece) { piece += 1 }
    } else {
      workers.runStoppable(pieceCount: pieceCount, isInPass: passes.isInPass, doPiece)
    }
    try stop.check()
  }

  /// Does a step over rows, on the pool if there is enough to do.
  func split(_ step: Job.Step, _ rowCount: Int, columns: Int) throws(Trap) {
    guard rowCount > 0, columns > 0 else { return }
    job.step = step
    job.count = rowCount
    job.countPerPiece = PieceLimits.rowsPerPiece(rows: rowCount, columns: columns, threadCount: workers.threadCount)
    try run(pieceCount: ceiling(rowCount, job.countPerPiece))
  }

  /// One row after another, and each in steps that follow each other: they share the row's heap.
  private func topK() throws(Trap) {
    let (rows, columns, k) = (frame.int(3), frame.int(4), frame.int(5))
    guard k > 0 else { return }
    job.step = .topK
    job.count = NativeKernels.topKStepCount(columns: columns, k: k)
    job.countPerPiece = PieceLimits.selectionStepCount
    for row in 0..<rows {
      job.row = row
      try run(pieceCount: ceiling(job.count, job.countPerPiece), inOrder: true)
    }
  }

  /// In order: two rows of one call may be the same place of the cache, and the later one must win.
  private func cacheAppend() throws(Trap) {
    guard frame.int(6) > 0, let cache = unsafe cacheBase() else { return }
    job.step = .cacheAppend
    unsafe job.cache = cache
    job.count = frame.int(6)
    // A row has at most 2^20 elements.
    job.countPerPiece = max(1, PieceLimits.elementCount / max(frame.int(7), PieceLimits.scatteredRowElementCount))
    try run(pieceCount: ceiling(job.count, job.countPerPiece), inOrder: true)
  }

  // MARK: Pieces, on any thread of the pool

  /// Does one piece, unless the store is to stop.
  /// - Returns: false when no further piece is to be begun.
  private func perform(piece: Int) -> Bool {
    guard stop.trapKind == nil else { return false }
    // The pool promises it; the kernels trust it with their pointers.
    guard piece >= 0, piece < job.pieceCount else { return false }
    switch job.step {
    case .matmul: performMatmul(piece)
    case .attention: performAttention(piece)
    default:
      let first = piece * job.countPerPiece
      guard first >= 0, first < job.count else { return false }
      let count = min(job.countPerPiece, job.count - first)
      switch job.step {
      case .prepareMatmul: prepareMatmul(first, count)
      case .topK: performTopK(first, count)
      case .cacheAppend: performCacheAppend(first, count)
      default: performRows(first, count)
      }
    }
    return true
  }

  private func performTopK(_ first: Int, _ count: Int) {
    let f = frame
    let (columns, k) = (f.int(4), f.int(5))
    unsafe NativeKernels.topKSteps(
      values: f.floats(0) + job.row * k, ids: f.int32s(1) + job.row * k, x: f.floats(2) + job.row * columns, columns: columns, k: k,
      first: first, count: count)
  }

  private func performCacheAppend(_ first: Int, _ count: Int) {
    let f = frame
    guard let cache = unsafe job.cache else { preconditionFailure("an operation on the cache has its address") }
    unsafe NativeKernels.cacheAppend(
      x: f.floats(0) + first * f.int(7), cache: cache, bases: f.int64s(1) + first, positions: f.int32s(2) + first,
      planeOffset: Int64(f.int(3)), chunkPositions: Int64(f.int(4)), chunkStride: Int64(f.int(5)), rows: count, width: f.int(7),
      type: f.type(8))
  }

  private func performRows(_ first: Int, _ count: Int) {
    let f = frame
    switch job.kernel {
    case .getRows:
      unsafe NativeKernels.getRows(
        out: f.floats(0) + first * f.int(5), weights: f.pointer(1), type: f.type(2), ids: f.int32s(3) + first, rows: count,
        columns: f.int(5))
    case .rmsNorm:
      let offset = first * f.int(5)
      unsafe NativeKernels.rmsNorm(
        out: f.floats(0) + offset, x: f.floats(1) + offset, weight: f.pointer(2), type: f.type(3), rows: count, columns: f.int(5),
        eps: f.float(6))
    case .layerNorm:
      let offset = first * f.int(6)
      unsafe NativeKernels.layerNorm(
        out: f.floats(0) + offset, x: f.floats(1) + offset, weight: f.pointer(2), bias: f.pointer(3), type: f.type(4), rows: count,
        columns: f.int(6), eps: f.float(7))
    case .addBias:
      let offset = first * f.int(5)
      unsafe NativeKernels.addBias(
        out: f.floats(0) + offset, x: f.floats(1) + offset, bias: f.pointer(2), type: f.type(3), rows: count, columns: f.int(5))
    case .softmax:
      let offset = first * f.int(3)
      unsafe NativeKernels.softmax(out: f.floats(0) + offset, x: f.floats(1) + offset, rows: count, columns: f.int(3))
    case .rope:
      unsafe NativeKernels.rope(
        x: f.floats(0) + first * f.int(3) * f.int(4), positions: f.int32s(1) + first, rows: count, heads: f.int(3),
        headDimension: f.int(4), ropeDimension: f.int(5), base: f.float(6), scale: f.float(7), mode: Int32(f.int(8)))
    case .add: unsafe NativeKernels.add(out: f.floats(0) + first, a: f.floats(1) + first, b: f.floats(2) + first, count: count)
    case .mul: unsafe NativeKernels.mul(out: f.floats(0) + first, a: f.floats(1) + first, b: f.floats(2) + first, count: count)
    case .siluMul:
      unsafe NativeKernels.siluMul(out: f.floats(0) + first, gate: f.floats(1) + first, up: f.floats(2) + first, count: count)
    case .geluTanhMul:
      unsafe NativeKernels.geluTanhMul(
        out: f.floats(0) + first, gate: f.floats(1) + first, up: f.floats(2) + first, count: count)
    case .scale: unsafe NativeKernels.scale(out: f.floats(0) + first, x: f.floats(1) + first, count: count, factor: f.float(3))
    case .silu: unsafe NativeKernels.silu(out: f.floats(0) + first, x: f.floats(1) + first, count: count)
    case .gelu: unsafe NativeKernels.gelu(out: f.floats(0) + first, x: f.floats(1) + first, count: count)
    case .geluTanh: unsafe NativeKernels.geluTanh(out: f.floats(0) + first, x: f.floats(1) + first, count: count)
    case .matmul, .attention, .cacheAppend, .topK: preconditionFailure("\(job.kernel.rawValue) is not split by rows")
    }
  }

  // MARK: Parts

  /// The host address of byte 0 of the cache; nil while the cache has no byte that can be read.
  func cacheBase() -> UnsafeMutableRawPointer? {
    // SAFETY: only bytes are touched that the frame has checked one by one; a range of no bytes is in bounds of every memory.
    unsafe try? memories.pointer(.cache, 0, 0, isWrite: false)
  }

  /// Room for what an operation keeps beside its operands.
  func reserveWorkspace(_ byteCount: Int, _ plan: OperationPlan) throws(OperationMisuse) -> UnsafeMutableRawPointer {
    guard let pointer = unsafe workspace.reserve(byteCount) else {
      throw OperationMisuse(
        operation: plan.operation.name, parameter: "rows",
        reason: "take \(byteCount) bytes of the host beside the operands: allocation refused")
    }
    return unsafe pointer
  }
}

package func ceiling(_ count: Int, _ part: Int) -> Int { count / part + (count % part == 0 ? 0 : 1) }

/// What the threads that work on an operation share.
@safe private struct Shared<Value>: @unchecked Sendable {
  // Unchecked: the threads of one operation write disjoint parts, and the caller waits for all of them.
  let pointer: Value

  init(_ value: Value) { pointer = value }
}

/// The operations that have a native kernel, by name: all imports.
enum NativeKernel: String, CaseIterable, Sendable {
  case matmul
  case getRows = "get_rows"
  case rmsNorm = "rms_norm"
  case layerNorm = "layer_norm"
  case rope
  case cacheAppend = "cache_append"
  case attention, add, mul, scale
  case addBias = "add_bias"
  case silu, gelu
  case geluTanh = "gelu_tanh"
  case siluMul = "silu_mul"
  case geluTanhMul = "gelu_tanh_mul"
  case softmax
  case topK = "top_k"
}
