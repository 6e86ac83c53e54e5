import WasmRuntime

/// Executes tensor operations with the kernels of this process, in place on the guest's memories.
///
/// It can do no more than the guest itself could: `OperationFrame` checks every argument against the page states first, and the
/// kernels get only what it has checked. Large operations are split over the worker pool; the results do not depend on how.
///
/// Nothing is allocated per operation: the frame holds the operands, `Job` says what a piece is, and one closure, made once, does
/// a piece of whatever job is in progress.
///
/// One provider belongs to one instance of a model program and runs on its thread.
@safe final class NativeProvider {
  private let memories: ProgramMemories
  private let workers: WorkerPool
  private let frame = OperationFrame()
  /// Quantised activations of one call, made once and read by all workers. Grows to the largest call, kept for the next.
  private var workspace: UnsafeMutableRawBufferPointer
  /// Written before the pool starts on it, and read by the pool's threads.
  private var job = Job()
  private var doPiece: WorkerPool.Body = { _, _ in }

  /// What is being done, and how it is cut into pieces. The operands are in the frame.
  @safe private struct Job {
    enum Step { case rows, prepareMatmul, matmul, attention }

    var step = Step.rows
    var kernel = NativeKernel.add
    /// Rows (of a matrix product: output columns) of all pieces, and of one.
    var count = 0
    var countPerPiece = 0
    /// Attention: pieces are whole groups of query heads of some rows.
    var groupCount = 1
    /// Products: see `workspace`.
    var activations: UnsafeMutableRawPointer?
    /// Operations on the cache: host address of its byte 0.
    var cache: UnsafeMutableRawPointer?
  }

  init(memories: ProgramMemories, workers: WorkerPool) {
    self.memories = memories
    self.workers = workers
    unsafe workspace = .allocate(byteCount: 1 << 14, alignment: 64)
    // SAFETY: pieces are done only inside `perform`, so while this object is in use. A thread of the pool may keep the closure
    // for a moment longer, but does not call it.
    let this = unsafe Shared(Unmanaged.passUnretained(self))
    doPiece = { _, piece in unsafe this.pointer._withUnsafeGuaranteedRef { $0.perform(piece: piece) } }
  }

  // SAFETY: allocated in init or `reserveWorkspace`; no operation runs.
  deinit { unsafe workspace.deallocate() }

  /// Checks the arguments and executes one operation.
  func perform(_ plan: OperationPlan, _ kernel: NativeKernel, argument: (Int) -> UInt64) throws {
    try frame.check(plan, memories: memories, argument: argument)
    execute(kernel)
    // A weight file that was cut short while it was read shows as zeroes: the guest must not go on with them.
    if kernel.readsWeights { try memories.weights.checkNotLost() }
  }

  // MARK: Splitting. Indices are those of the parameters in TensorOperation+All.swift.

  // SAFETY (of all kernel calls below): pointers and counts come from the frame, which has checked for this call that every byte
  // the operation touches may be accessed; pieces are disjoint parts of the outputs.

  private func execute(_ kernel: NativeKernel) {
    let f = frame
    job.kernel = kernel
    switch kernel {
    case .matmul: matmul()
    case .attention: attention()
    case .getRows: split(.rows, f.int(4), columns: f.int(5))
    case .rmsNorm, .addBias: split(.rows, f.int(4), columns: f.int(5))
    case .layerNorm: split(.rows, f.int(5), columns: f.int(6))
    case .softmax: split(.rows, f.int(2), columns: f.int(3))
    case .rope: split(.rows, f.int(2), columns: f.int(3) * f.int(4))
    case .add, .mul, .siluMul, .geluTanhMul: split(.rows, f.int(3), columns: 1)
    case .scale, .silu, .gelu, .geluTanh: split(.rows, f.int(2), columns: 1)
    case .topK:
      unsafe NativeKernels.topK(
        values: f.floats(0), ids: f.int32s(1), x: f.floats(2), rows: f.int(3), columns: f.int(4), k: f.int(5))
    case .cacheAppend:
      // Not split: two rows of one call may be the same place of the cache, and the later one must win.
      if let cache = unsafe cacheBase() {
        unsafe NativeKernels.cacheAppend(
          x: f.floats(0), cache: cache, bases: f.int64s(1), positions: f.int32s(2), planeOffset: Int64(f.int(3)),
          chunkPositions: Int64(f.int(4)), chunkStride: Int64(f.int(5)), rows: f.int(6), width: f.int(7), type: f.type(8))
      }
    }
  }

  /// Does a step over rows, on the pool if there is enough to do.
  private func split(_ step: Job.Step, _ rowCount: Int, columns: Int) {
    guard rowCount > 0 else { return }
    job.step = step
    job.count = rowCount
    job.countPerPiece = rowCount
    let pieceElementCount = 1 << 13
    let (elements, overflow) = rowCount.multipliedReportingOverflow(by: columns)
    guard workers.threadCount > 1, overflow || elements >= 4 * pieceElementCount else { return perform(piece: 0) }
    let pieceCountMax = workers.threadCount * 16
    job.countPerPiece = max(1, pieceElementCount / max(1, columns), (rowCount + pieceCountMax - 1) / pieceCountMax)
    workers.run(pieceCount: (rowCount + job.countPerPiece - 1) / job.countPerPiece, doPiece)
  }

  private func matmul() {
    let f = frame
    let (type, rowCount, columnsIn, columnsOut) = (f.type(3), f.int(4), f.int(5), f.int(6))
    guard rowCount > 0, columnsOut > 0 else { return }
    let byteCount = NativeKernels.matmulWorkspaceByteCount(
      type: type, rows: rowCount, columnsIn: columnsIn, columnsOut: columnsOut)
    unsafe job.activations = reserveWorkspace(byteCount)
    if byteCount > 0 { split(.prepareMatmul, rowCount, columns: columnsIn) }
    // Pieces are whole tiles of the kernels; of a large matrix they are larger, at least 16 per thread.
    let tile = NativeKernels.matmulSliceGranularity(type: type, rows: rowCount)
    let columnsPerPiece = max(tile, columnsOut / (workers.threadCount * 16) / tile * tile)
    let isSmall = Double(rowCount) * Double(columnsIn) * Double(columnsOut) < 0x1p17
    let pieceCount = workers.threadCount == 1 || isSmall ? 1 : (columnsOut + columnsPerPiece - 1) / columnsPerPiece
    job.step = .matmul
    job.count = columnsOut
    job.countPerPiece = pieceCount == 1 ? columnsOut : columnsPerPiece
    workers.run(pieceCount: pieceCount, doPiece)
  }

  private func attention() {
    let f = frame
    let (rowCount, heads, keyValueHeads, headDim) = (f.int(8), f.int(9), f.int(10), f.int(11))
    guard rowCount > 0, heads > 0, let cache = unsafe cacheBase() else { return }
    // A piece is a whole group of query heads (they share keys and values) of up to 8 rows.
    var positionCount = 0.0
    for row in 0..<rowCount { positionCount += Double(unsafe f.int32s(3)[row]) + 1 }
    let isSmall = positionCount * Double(heads * headDim) < 0x1p16
    job.step = .attention
    unsafe job.cache = cache
    job.count = rowCount
    job.countPerPiece = isSmall ? rowCount : 8
    job.groupCount = isSmall ? 1 : keyValueHeads
    workers.run(pieceCount: (rowCount + job.countPerPiece - 1) / job.countPerPiece * job.groupCount, doPiece)
  }

  // MARK: Pieces, on any thread of the pool

  private func perform(piece: Int) {
    let first = piece * job.countPerPiece
    switch job.step {
    case .rows: performRows(first, min(job.countPerPiece, job.count - first))
    case .prepareMatmul:
      unsafe NativeKernels.matmulPrepare(
        x: frame.floats(1), rows: job.count, columnsIn: frame.int(5), type: frame.type(3), into: activations, firstRow: first,
        rowCount: min(job.countPerPiece, job.count - first))
    case .matmul:
      unsafe NativeKernels.matmulSlice(
        out: frame.floats(0), x: frame.floats(1), prepared: activations, weights: frame.pointer(2), type: frame.type(3),
        rows: frame.int(4), columnsIn: frame.int(5), columnsOut: job.count, first: first,
        count: min(job.countPerPiece, job.count - first))
    case .attention: performAttention(piece)
    }
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

  private func performAttention(_ piece: Int) {
    let f = frame
    guard let cache = unsafe job.cache else { preconditionFailure("attention has a cache") }
    let (rowCount, heads) = (f.int(8), f.int(9))
    let headsPerPiece = heads / job.groupCount
    let rowPieceCount = (rowCount + job.countPerPiece - 1) / job.countPerPiece
    // The last rows see the most positions, so they come first: the pieces at the end are short ones.
    let first = (rowPieceCount - 1 - piece / job.groupCount) * job.countPerPiece
    unsafe NativeKernels.attentionSlice(
      out: f.floats(0), q: f.floats(1), bases: f.int64s(2), positions: f.int32s(3), cache: cache, keyPlaneOffset: Int64(f.int(4)),
      valuePlaneOffset: Int64(f.int(5)), chunkPositions: Int64(f.int(6)), chunkStride: Int64(f.int(7)), rows: rowCount,
      heads: heads, keyValueHeads: f.int(10), headDimension: f.int(11), type: f.type(12), scale: f.float(13),
      window: Int32(f.int(14)), softcap: f.float(15), firstRow: first, rowCount: min(job.countPerPiece, rowCount - first),
      firstHead: piece % job.groupCount * headsPerPiece, headCount: headsPerPiece)
  }

  // MARK: Parts

  /// The host address of byte 0 of the cache; nil while the cache has no byte that can be read.
  private func cacheBase() -> UnsafeMutableRawPointer? {
    // SAFETY: only bytes are touched that the frame has checked one by one; a range of no bytes is in bounds of every memory.
    unsafe try? memories.pointer(.cache, 0, 0, isWrite: false)
  }

  private var activations: UnsafeMutableRawPointer {
    guard let activations = unsafe job.activations else { preconditionFailure("a product has a workspace") }
    return unsafe activations
  }

  private func reserveWorkspace(_ byteCount: Int) -> UnsafeMutableRawPointer {
    if unsafe byteCount > workspace.count {
      // SAFETY: no operation uses the old workspace any more.
      unsafe workspace.deallocate()
      unsafe workspace = .allocate(byteCount: byteCount + byteCount / 4, alignment: 64)
    }
    guard let base = unsafe workspace.baseAddress else { preconditionFailure("the workspace is never empty") }
    return unsafe base
  }
}

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

  var readsWeights: Bool {
    switch self {
    case .matmul, .getRows, .rmsNorm, .layerNorm, .addBias: true
    default: false
    }
  }
}
