import Synchronization
import WasmRuntime

/// Splits an operation over instances of the kernel module, one per worker, on the same memories.
///
/// An instance belongs to one worker and runs on one thread at a time; the workers write disjoint parts of the output, and no
/// page state changes while they run. Operations without slices never come here: they are linked directly.
final class WasmProvider {
  /// The kernel instance of one worker, in a store of its own.
  private struct Lane: @unchecked Sendable {
    // Unchecked: a lane is used by the worker of its index only, one operation at a time.
    let matmul: Function
    let attention: Function
  }

  /// An argument of a call, free to travel to another thread.
  enum Scalar: Sendable {
    case i32(UInt32)
    case i64(UInt64)
    case f32(UInt32)

    var value: Value {
      switch self {
      case .i32(let value): .i32(value)
      case .i64(let value): .i64(value)
      case .f32(let bits): .f32(bits)
      }
    }
  }

  private let lanes: [Lane]
  private let workers: WorkerPool

  init(
    kernels: KernelModule, engine: Engine, memories: ProgramMemories, workers: WorkerPool,
    log: (@Sendable (String) -> Void)?
  ) throws(WasmError) {
    self.workers = workers
    var lanes: [Lane] = []
    for _ in 0..<workers.threadCount {
      let instance = try kernels.instantiate(store: Store(engine: engine), memories: memories, log: log)
      guard let matmul = instance.function("matmul_slice"), let attention = instance.function("attention_slice") else {
        preconditionFailure("KernelModule has checked the exports")
      }
      lanes.append(Lane(matmul: matmul, attention: attention))
    }
    self.lanes = lanes
  }

  /// Executes one operation with the arguments of the model program's call.
  /// - Throws: the trap of the first slice that failed, by order of pieces.
  func perform(_ name: String, _ arguments: [Scalar]) throws(WasmError) {
    switch name {
    case "matmul": try matmul(arguments)
    default: try attention(arguments)
    }
  }

  private func matmul(_ arguments: [Scalar]) throws(WasmError) {
    let columnsOut = Self.count(arguments[6])
    // Multiples of 8 columns suit every kernel; four pieces per thread keep the pieces' fixed costs small.
    let columnsPerPiece = max(8, (columnsOut / (workers.threadCount * 4) + 7) / 8 * 8)
    let pieceCount = max(1, (columnsOut + columnsPerPiece - 1) / columnsPerPiece)
    try run(pieceCount) { lane, piece throws(WasmError) in
      let first = piece * columnsPerPiece
      let slice = [Self.value(first), Self.value(min(columnsPerPiece, columnsOut - first))]
      try lane.matmul((arguments + slice).map(\.value))
    }
  }

  private func attention(_ arguments: [Scalar]) throws(WasmError) {
    let (rows, heads, keyValueHeads) = (Self.count(arguments[8]), Self.count(arguments[9]), Self.count(arguments[10]))
    guard keyValueHeads > 0, heads % keyValueHeads == 0 else {
      // Let the kernel say what is wrong.
      let slice = [Self.value(0), Self.value(rows), Self.value(0), Self.value(heads)]
      try lanes[0].attention((arguments + slice).map(\.value))
      return
    }
    let rowsPerPiece = 8
    let rowPieceCount = (rows + rowsPerPiece - 1) / rowsPerPiece
    let headsPerPiece = heads / keyValueHeads
    try run(rowPieceCount * keyValueHeads) { lane, piece throws(WasmError) in
      let row = piece / keyValueHeads * rowsPerPiece
      let slice = [
        Self.value(row), Self.value(min(rowsPerPiece, rows - row)), Self.value(piece % keyValueHeads * headsPerPiece),
        Self.value(headsPerPiece),
      ]
      try lane.attention((arguments + slice).map(\.value))
    }
  }

  private func run(
    _ pieceCount: Int, _ body: @escaping @Sendable (Lane, Int) throws(WasmError) -> Void
  ) throws(WasmError) {
    let failure = FirstFailure()
    let lanes = lanes
    workers.run(pieceCount: pieceCount) { worker, piece in
      do throws(WasmError) { try body(lanes[worker], piece) } catch { failure.record(error, piece: piece) }
    }
    if let error = failure.error { throw error }
  }

  /// i32 as a count; a negative one becomes 0 pieces of work and is refused by the kernel.
  private static func count(_ scalar: Scalar) -> Int {
    guard case .i32(let bits) = scalar else { preconditionFailure("the signature has an i32 here") }
    return max(0, Int(Int32(bitPattern: bits)))
  }

  private static func value(_ count: Int) -> Scalar { .i32(UInt32(truncatingIfNeeded: count)) }
}

/// The failure of the lowest piece: the same whatever thread was first.
private final class FirstFailure: Sendable {
  private let state = Mutex<(piece: Int, error: WasmError)?>(nil)

  func record(_ error: WasmError, piece: Int) {
    state.withLock { if $0 == nil || piece < $0!.piece { $0 = (piece, error) } }
  }

  var error: WasmError? { state.withLock { $0?.error } }
}
