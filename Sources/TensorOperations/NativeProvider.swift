import CTensorKernels
import WasmRuntime

/// Executes tensor operations with the kernels of this process, in place on the guest's memories.
///
/// It can do no more than the guest itself could: `OperationFrame` checks every argument against the page states first, and the
/// kernels get only what it has checked. Large operations are split over the worker pool; the results do not depend on how.
///
/// One provider belongs to one instance of a model program and runs on its thread.
@safe package final class NativeProvider {
  private let memories: ProgramMemories
  private let workers: WorkerPool
  private let frame = OperationFrame()
  /// Quantised activations of one call, made once and read by all workers. Grows to the largest call, kept for the next.
  private var workspace: UnsafeMutableRawBufferPointer

  package init(memories: ProgramMemories, workers: WorkerPool) {
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

  /// The same by name, for tests: arguments as in WebAssembly, floats as their bits.
  package func perform(_ name: String, _ arguments: [UInt64]) throws {
    guard let operation = TensorOperation.named(name), let kernel = NativeKernel(rawValue: name),
      arguments.count == operation.parameters.count
    else { throw OperationMisuse(operation: name, parameter: "the call", reason: "names no operation or has a wrong number of arguments") }
    try perform(OperationPlan(operation), kernel) { arguments[$0] }
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
        unsafe tk_get_rows(out.pointer + first * columns, w.pointer, type, ids.pointer + first, count, columns)
      }
    case .rmsNorm:
      let (out, x, weight, type) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)), f.type(3))
      let (columns, eps) = (f.int(5), f.float(6))
      rows(f.int(4), columns) { first, count in
        let offset = first * columns
        unsafe tk_rms_norm(out.pointer + offset, x.pointer + offset, weight.pointer, type, count, columns, eps)
      }
    case .layerNorm:
      let (out, x, weight, bias) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)), Shared(f.pointer(3)))
      let (type, columns, eps) = (f.type(4), f.int(6), f.float(7))
      rows(f.int(5), columns) { first, count in
        let offset = first * columns
        unsafe tk_layer_norm(out.pointer + offset, x.pointer + offset, weight.pointer, bias.pointer, type, count, columns, eps)
      }
    case .addBias:
      let (out, x, bias, type) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)), f.type(3))
      let columns = f.int(5)
      rows(f.int(4), columns) { first, count in
        unsafe tk_add_bias(out.pointer + first * columns, x.pointer + first * columns, bias.pointer, type, count, columns)
      }
    case .softmax:
      let (out, x, columns) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), f.int(3))
      rows(f.int(2), columns) { first, count in
        unsafe tk_softmax(out.pointer + first * columns, x.pointer + first * columns, count, columns)
      }
    case .topK:
      unsafe tk_top_k(f.floats(0), f.int32s(1), f.floats(2), f.int(3), f.int(4), f.int(5))
    case .rope:
      let (x, positions) = unsafe (Shared(f.floats(0)), Shared(f.int32s(1)))
      let (heads, headDim, ropeDim) = (f.int(3), f.int(4), f.int(5))
      let (base, scale, mode) = (f.float(6), f.float(7), Int32(f.int(8)))
      rows(f.int(2), heads * headDim) { first, count in
        unsafe tk_rope(
          x.pointer + first * heads * headDim, positions.pointer + first, count, heads, headDim, ropeDim, base, scale, mode)
      }
    case .cacheAppend:
      let (x, bases, positions, cache) = unsafe (Shared(f.floats(0)), Shared(f.int64s(1)), Shared(f.int32s(2)), cacheBase())
      let (plane, chunk, stride) = (Int64(f.int(3)), Int64(f.int(4)), Int64(f.int(5)))
      let (width, type) = (f.int(7), f.type(8))
      // Not split: two rows of one call may be the same place of the cache, and the later one must win.
      if let cache = unsafe cache {
        unsafe tk_cache_append(
          x.pointer, cache.pointer, bases.pointer, positions.pointer, plane, chunk, stride, f.int(6), width, type)
      }
    case .add, .mul, .siluMul, .geluTanhMul:
      let (out, a, b) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.floats(2)))
      rows(f.int(3), 1) { first, count in
        let (out, a, b) = unsafe (out.pointer + first, a.pointer + first, b.pointer + first)
        switch kernel {
        case .add: unsafe tk_add(out, a, b, count)
        case .mul: unsafe tk_mul(out, a, b, count)
        case .siluMul: unsafe tk_silu_mul(out, a, b, count)
        default: unsafe tk_gelu_tanh_mul(out, a, b, count)
        }
      }
    case .scale, .silu, .gelu, .geluTanh:
      let (out, x) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)))
      let factor = kernel == .scale ? f.float(3) : 0
      rows(f.int(2), 1) { first, count in
        let (out, x) = unsafe (out.pointer + first, x.pointer + first)
        switch kernel {
        case .scale: unsafe tk_scale(out, x, count, factor)
        case .silu: unsafe tk_silu(out, x, count)
        case .gelu: unsafe tk_gelu(out, x, count)
        default: unsafe tk_gelu_tanh(out, x, count)
        }
      }
    }
  }

  private func matmul() {
    let f = frame
    let (type, rowCount, columnsIn, columnsOut) = (f.type(3), f.int(4), f.int(5), f.int(6))
    guard rowCount > 0, columnsOut > 0 else { return }
    let (out, x, w) = unsafe (Shared(f.floats(0)), Shared(f.floats(1)), Shared(f.pointer(2)))
    let byteCount = tk_activations_byte_count(type, rowCount, columnsIn)
    let activations = unsafe Shared(reserveWorkspace(byteCount))
    if byteCount > 0 {
      rows(rowCount, columnsIn) { first, count in
        unsafe tk_quantize_activations(activations.pointer, x.pointer, columnsIn, first, count)
      }
    }
    // 32 columns are the kernels' tile; pieces of a large matrix are larger, at least 16 per thread.
    let tile = 32
    let columnsPerPiece = max(tile, columnsOut / (workers.threadCount * 16) / tile * tile)
    let isSmall = Double(rowCount) * Double(columnsIn) * Double(columnsOut) < 0x1p17
    let pieceCount = workers.threadCount == 1 || isSmall ? 1 : (columnsOut + columnsPerPiece - 1) / columnsPerPiece
    let columns = pieceCount == 1 ? columnsOut : columnsPerPiece
    workers.run(pieceCount: pieceCount) { _, piece in
      let first = piece * columns
      unsafe tk_matmul(
        out.pointer, x.pointer, activations.pointer, w.pointer, type, rowCount, columnsIn, columnsOut, first,
        min(columns, columnsOut - first))
    }
  }

  private func attention() {
    let f = frame
    let (rowCount, heads, keyValueHeads, headDim) = (f.int(8), f.int(9), f.int(10), f.int(11))
    guard rowCount > 0, heads > 0, let cache = unsafe cacheBase() else { return }
    let arguments = unsafe Shared(tk_attention_arguments(
      out: f.floats(0), q: f.floats(1), cache: cache.pointer, bases: f.int64s(2), positions: f.int32s(3),
      key_plane_offset: Int64(f.int(4)), value_plane_offset: Int64(f.int(5)), chunk_positions: Int64(f.int(6)),
      chunk_stride: Int64(f.int(7)), heads: heads, kv_heads: keyValueHeads, head_dim: headDim, type: f.type(12),
      scale: f.float(13), window: Int32(f.int(14)), softcap: f.float(15)))
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
      unsafe withUnsafePointer(to: arguments.pointer) {
        unsafe tk_attention($0, first, min(rowsPerPiece, rowCount - first), piece % groupCount * headsPerPiece, headsPerPiece)
      }
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
