import WasmRuntime

/// Executes tensor operations with the kernels of this process, in place on the guest's memories.
///
/// It can do no more than the guest itself could: `OperationFrame` checks every argument against the page states first, and the
/// kernels get only what it has checked. Large operations are split over the worker pool; the results do not depend on how.
///
/// One provider belongs to one instance of a model program and runs on its thread.
@safe final class NativeProvider {
  private let memories: ProgramMemories
  private let workers: WorkerPool
  private let frame = OperationFrame()
  /// Quantised activations of one call, made once and read by all workers. Grows to the largest call, kept for the next.
  private var workspace: UnsafeMutableRawBufferPointer

  init(memories: ProgramMemories, workers: WorkerPool) {
    self.memories = memories
    self.workers = workers
    unsafe workspace = .allocate(byteCount: 1 << 14, alignment: 64)
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

  // MARK: Operations. Indices are those of the parameters in TensorOperation+All.swift.

  // SAFETY (of all kernel calls below): pointers and counts come from the frame, which has checked for this call that every byte
  // the operation touches may be accessed; pieces are disjoint parts of the outputs.
  private func execute(_ kernel: NativeKernel) {
    let f = frame
    switch kernel {
    case .matmul: matmul()
    case .attention: attention()
    case .getRows:
      let (out, w, ids, type) = unsafe (Shared(f.floats(0)), Shared(f.pointer(1)), Shared(f.int32s(3)), f.type(2))
      let columns = f.int(5)
      rows(f.int(4), columns) { first, count in
        unsafe NativeKernels.getRows(
          out: out.pointer + first * columns, weights: w.pointer, type: type, ids: ids.pointer + first, rows: count,
          columns: columns)
      }
    case .rmsNorm:
      let (out, x, weight, type) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)), f.type(3))
      let (columns, eps) = (f.int(5), f.float(6))
      rows(f.int(4), columns) { first, count in
        let offset = first * columns
        unsafe NativeKernels.rmsNorm(
          out: out.pointer + offset, x: x.pointer + offset, weight: weight.pointer, type: type, rows: count, columns: columns,
          eps: eps)
      }
    case .layerNorm:
      let (out, x, weight, bias) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)), Shared(f.pointer(3)))
      let (type, columns, eps) = (f.type(4), f.int(6), f.float(7))
      rows(f.int(5), columns) { first, count in
        let offset = first * columns
        unsafe NativeKernels.layerNorm(
          out: out.pointer + offset, x: x.pointer + offset, weight: weight.pointer, bias: bias.pointer, type: type, rows: count,
          columns: columns, eps: eps)
      }
    case .addBias:
      let (out, x, bias, type) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)), f.type(3))
      let columns = f.int(5)
      rows(f.int(4), columns) { first, count in
        unsafe NativeKernels.addBias(
          out: out.pointer + first * columns, x: x.pointer + first * columns, bias: bias.pointer, type: type, rows: count,
          columns: columns)
      }
    case .softmax:
      let (out, x, columns) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), f.int(3))
      rows(f.int(2), columns) { first, count in
        unsafe NativeKernels.softmax(
          out: out.pointer + first * columns, x: x.pointer + first * columns, rows: count, columns: columns)
      }
    case .topK:
      unsafe NativeKernels.topK(
        values: f.floats(0), ids: f.int32s(1), x: f.floats(2), rows: f.int(3), columns: f.int(4), k: f.int(5))
    case .rope:
      let (x, positions) = unsafe (Shared(f.floats(0)), Shared(f.int32s(1)))
      let (heads, headDim, ropeDim) = (f.int(3), f.int(4), f.int(5))
      let (base, scale, mode) = (f.float(6), f.float(7), Int32(f.int(8)))
      rows(f.int(2), heads * headDim) { first, count in
        unsafe NativeKernels.rope(
          x: x.pointer + first * heads * headDim, positions: positions.pointer + first, rows: count, heads: heads,
          headDimension: headDim, ropeDimension: ropeDim, base: base, scale: scale, mode: mode)
      }
    case .cacheAppend:
      let (x, bases, positions, cache) = unsafe (Shared(f.floats(0)), Shared(f.int64s(1)), Shared(f.int32s(2)), cacheBase())
      let (plane, chunk, stride) = (Int64(f.int(3)), Int64(f.int(4)), Int64(f.int(5)))
      let (width, type) = (f.int(7), f.type(8))
      // Not split: two rows of one call may be the same place of the cache, and the later one must win.
      if let cache = unsafe cache {
        unsafe NativeKernels.cacheAppend(
          x: x.pointer, cache: cache.pointer, bases: bases.pointer, positions: positions.pointer, planeOffset: plane,
          chunkPositions: chunk, chunkStride: stride, rows: f.int(6), width: width, type: type)
      }
    case .add, .mul, .siluMul, .geluTanhMul:
      let (out, a, b) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.floats(2)))
      rows(f.int(3), 1) { first, count in
        let (out, a, b) = unsafe (out.pointer + first, a.pointer + first, b.pointer + first)
        switch kernel {
        case .add: unsafe NativeKernels.add(out: out, a: a, b: b, count: count)
        case .mul: unsafe NativeKernels.mul(out: out, a: a, b: b, count: count)
        case .siluMul: unsafe NativeKernels.siluMul(out: out, gate: a, up: b, count: count)
        default: unsafe NativeKernels.geluTanhMul(out: out, gate: a, up: b, count: count)
        }
      }
    case .scale, .silu, .gelu, .geluTanh:
      let (out, x) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)))
      let factor = kernel == .scale ? f.float(3) : 0
      rows(f.int(2), 1) { first, count in
        let (out, x) = unsafe (out.pointer + first, x.pointer + first)
        switch kernel {
        case .scale: unsafe NativeKernels.scale(out: out, x: x, count: count, factor: factor)
        case .silu: unsafe NativeKernels.silu(out: out, x: x, count: count)
        case .gelu: unsafe NativeKernels.gelu(out: out, x: x, count: count)
        default: unsafe NativeKernels.geluTanh(out: out, x: x, count: count)
        }
      }
    }
  }

  private func matmul() {
    let f = frame
    let (type, rowCount, columnsIn, columnsOut) = (f.type(3), f.int(4), f.int(5), f.int(6))
    guard rowCount > 0, columnsOut > 0 else { return }
    let (out, x, w) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)))
    let byteCount = NativeKernels.matmulWorkspaceByteCount(
      type: type, rows: rowCount, columnsIn: columnsIn, columnsOut: columnsOut)
    let activations = unsafe Shared(reserveWorkspace(byteCount))
    if byteCount > 0 {
      rows(rowCount, columnsIn) { first, count in
        unsafe NativeKernels.matmulPrepare(
          x: x.pointer, rows: rowCount, columnsIn: columnsIn, type: type, into: activations.pointer, firstRow: first,
          rowCount: count)
      }
    }
    // Pieces are whole tiles of the kernels; of a large matrix they are larger, at least 16 per thread.
    let tile = NativeKernels.matmulSliceGranularity(type: type, rows: rowCount)
    let columnsPerPiece = max(tile, columnsOut / (workers.threadCount * 16) / tile * tile)
    let isSmall = Double(rowCount) * Double(columnsIn) * Double(columnsOut) < 0x1p17
    let pieceCount = workers.threadCount == 1 || isSmall ? 1 : (columnsOut + columnsPerPiece - 1) / columnsPerPiece
    let columns = pieceCount == 1 ? columnsOut : columnsPerPiece
    workers.run(pieceCount: pieceCount) { _, piece in
      let first = piece * columns
      unsafe NativeKernels.matmulSlice(
        out: out.pointer, x: x.pointer, prepared: activations.pointer, weights: w.pointer, type: type, rows: rowCount,
        columnsIn: columnsIn, columnsOut: columnsOut, first: first, count: min(columns, columnsOut - first))
    }
  }

  private func attention() {
    let f = frame
    let (rowCount, heads, keyValueHeads, headDim) = (f.int(8), f.int(9), f.int(10), f.int(11))
    guard rowCount > 0, heads > 0, let cache = unsafe cacheBase() else { return }
    let (out, q) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)))
    let (bases, positions) = unsafe (Shared(f.int64s(2)), Shared(f.int32s(3)))
    let (keyPlane, valuePlane, chunk, stride) = (Int64(f.int(4)), Int64(f.int(5)), Int64(f.int(6)), Int64(f.int(7)))
    let (type, scale, window, softcap) = (f.type(12), f.float(13), Int32(f.int(14)), f.float(15))
    // A piece is a whole group of query heads (they share keys and values) of up to 8 rows.
    var positionCount = 0.0
    for row in 0..<rowCount { positionCount += Double(unsafe f.int32s(3)[row]) + 1 }
    let isSmall = positionCount * Double(heads * headDim) < 0x1p16
    let rowsPerPiece = isSmall ? rowCount : 8
    let groupCount = isSmall ? 1 : keyValueHeads
    let headsPerPiece = heads / groupCount
    let rowPieceCount = (rowCount + rowsPerPiece - 1) / rowsPerPiece
    workers.run(pieceCount: rowPieceCount * groupCount) { _, piece in
      // The last rows see the most positions, so they come first: the pieces at the end are short ones.
      let first = (rowPieceCount - 1 - piece / groupCount) * rowsPerPiece
      unsafe NativeKernels.attentionSlice(
        out: out.pointer, q: q.pointer, bases: bases.pointer, positions: positions.pointer, cache: cache.pointer,
        keyPlaneOffset: keyPlane, valuePlaneOffset: valuePlane, chunkPositions: chunk, chunkStride: stride, rows: rowCount,
        heads: heads,
        keyValueHeads: keyValueHeads, headDimension: headDim, type: type, scale: scale, window: window, softcap: softcap,
        firstRow: first, rowCount: min(rowsPerPiece, rowCount - first), firstHead: piece % groupCount * headsPerPiece,
        headCount: headsPerPiece)
    }
  }

  // MARK: Parts

  /// Runs `body` over ranges of rows, on the pool if there is enough to do.
  private func rows(_ rowCount: Int, _ columns: Int, _ body: @escaping @Sendable (_ first: Int, _ count: Int) -> Void) {
    guard rowCount > 0 else { return }
    let pieceElementCount = 1 << 13
    let (elements, overflow) = rowCount.multipliedReportingOverflow(by: columns)
    guard workers.threadCount > 1, overflow || elements >= 4 * pieceElementCount else { return body(0, rowCount) }
    let pieceCountMax = workers.threadCount * 16
    let rowsPerPiece = max(1, pieceElementCount / max(1, columns), (rowCount + pieceCountMax - 1) / pieceCountMax)
    workers.run(pieceCount: (rowCount + rowsPerPiece - 1) / rowsPerPiece) { _, piece in
      body(piece * rowsPerPiece, min(rowsPerPiece, rowCount - piece * rowsPerPiece))
    }
  }

  /// The host address of byte 0 of the cache; nil while the cache has no byte that can be read.
  private func cacheBase() -> Shared<UnsafeMutableRawPointer>? {
    // SAFETY: only bytes are touched that the frame has checked one by one; a range of no bytes is in bounds of every memory.
    guard let base = unsafe try? memories.pointer(.cache, 0, 0, isWrite: false) else { return nil }
    return unsafe Shared(base)
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

/// Operands of one operation, handed to the threads that work on it.
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
