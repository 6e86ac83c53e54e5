import CTensorKernels
import Tensors
import WasmRuntime

// Products: x is quantised for some rows at a time, then pieces are made of some columns and, of many rows, some rows.

/// How a product is cut.
package struct ProductCut: Equatable, Sendable {
  /// Rows whose activations are quantised at a time, and rows of one piece.
  package let rowsPerStep: Int
  package let rowsPerPiece: Int
  package let columnsPerPiece: Int
  /// Pieces along the columns; the last one may have some columns more, because very narrow slices are slow and rounded differently.
  package let columnPieceCount: Int

  /// - Parameters:
  ///   - rowByteCount: of a row of weights.
  ///   - activationByteCount: of a quantised row of x; 0 where x is read as it is.
  ///   - tile: columns that suit the kernels.
  package init(
    rows: Int, columnsIn: Int, columnsOut: Int, rowByteCount: Int, activationByteCount: Int, tile: Int, isPlain: Bool, threadCount: Int
  ) {
    let productCountMax = isPlain ? PieceLimits.plainProductCount : PieceLimits.productCount
    let inputs = max(1, columnsIn)
    let narrow = min(tile, columnsOut)
    rowsPerStep = activationByteCount == 0 ? rows : min(rows, max(16, PieceLimits.activationByteCount / activationByteCount))
    rowsPerPiece = min(rowsPerStep, max(1, productCountMax / narrow / inputs))
    // Columns as the shape has it, whatever the number of threads: above a tile the results are the same bit for bit.
    let longest = max(1, min(productCountMax / (rowsPerPiece * inputs), PieceLimits.weightByteCount / max(1, rowByteCount)))
    let most = longest >= tile ? longest / tile * tile : longest
    // 2^31 rows of 2^20 inputs and 2^31 columns do not fit a number.
    let isShared = threadCount > 1 && Double(rows) * Double(inputs) * Double(columnsOut) >= Double(PieceLimits.sharedProductCount)
    let wanted: Int
    if !isShared {
      wanted = columnsOut
    } else if rows <= 4 {
      // Few rows are read from memory, as long streams: two equal pieces for each thread, or one where they would be short.
      let byteCount = columnsOut * rowByteCount
      let perThread = max(
        byteCount / threadCount >= 2 * PieceLimits.streamByteCountMin ? 2 : 1, ceiling(byteCount / threadCount, PieceLimits.streamByteCount))
      wanted = ceiling(columnsOut, threadCount * perThread * tile) * tile
    } else {
      wanted = max(tile, ceiling(columnsOut / (threadCount * PieceLimits.piecesPerThread), tile) * tile)
    }
    columnsPerPiece = max(1, min(most, wanted, columnsOut))
    let rest = columnsOut % columnsPerPiece
    let isRestJoined = rest > 0 && rest < Self.tileMin && columnsPerPiece >= Self.tileMin && columnsOut > columnsPerPiece
    columnPieceCount = ceiling(columnsOut, columnsPerPiece) - (isRestJoined ? 1 : 0)
  }

  /// The widest tile of any level: slices below it are done column by column at some levels.
  package static let tileMin = 16

  /// The columns of a piece.
  package func columns(ofPiece piece: Int, of columnsOut: Int) -> Range<Int> {
    let first = piece * columnsPerPiece
    return first..<(piece == columnPieceCount - 1 ? columnsOut : first + columnsPerPiece)
  }
}

extension NativeProvider {
  func matmul(_ plan: OperationPlan) throws {
    let f = frame
    let (type, rowCount, columnsIn, columnsOut) = (f.type(3), f.int(4), f.int(5), f.int(6))
    guard rowCount > 0, columnsOut > 0 else { return }
    let activationByteCount = NativeKernels.matmulWorkspaceByteCount(type: type, rows: 1, columnsIn: columnsIn, columnsOut: columnsOut)
    let cut = ProductCut(
      rows: rowCount, columnsIn: columnsIn, columnsOut: columnsOut,
      rowByteCount: ElementType(rawValue: type)?.rowByteCount(elementCount: columnsIn) ?? 0, activationByteCount: activationByteCount,
      tile: NativeKernels.matmulSliceGranularity(type: type, rows: rowCount), isPlain: Int(tk_level()) == TK_LEVEL_PORTABLE,
      threadCount: NativeKernels.mayUseOpenBLAS(type: type, rows: rowCount) ? 4 : workers.threadCount)
    unsafe job.workspace = nil
    if activationByteCount > 0 { unsafe job.workspace = try reserveWorkspace(activationByteCount * cut.rowsPerStep, plan) }
    job.product = cut
    job.activationByteCount = activationByteCount
    for firstRow in stride(from: 0, to: rowCount, by: cut.rowsPerStep) {
      job.firstRow = firstRow
      job.rowCount = min(cut.rowsPerStep, rowCount - firstRow)
      if activationByteCount > 0 { try split(.prepareMatmul, job.rowCount, columns: columnsIn) }
      job.step = .matmul
      try run(pieceCount: ceiling(job.rowCount, cut.rowsPerPiece) * cut.columnPieceCount)
    }
  }

  func prepareMatmul(_ first: Int, _ count: Int) {
    let f = frame
    guard let workspace = unsafe job.workspace else { preconditionFailure("a product with quantised weights has a workspace") }
    unsafe NativeKernels.matmulPrepare(
      x: f.floats(1) + job.firstRow * f.int(5), rows: job.rowCount, columnsIn: f.int(5), type: f.type(3), into: workspace,
      firstRow: first, rowCount: count)
  }

  func performMatmul(_ piece: Int) {
    let f = frame
    let (columnsIn, columnsOut) = (f.int(5), f.int(6))
    let columns = job.product.columns(ofPiece: piece % job.product.columnPieceCount, of: columnsOut)
    let firstRow = piece / job.product.columnPieceCount * job.product.rowsPerPiece
    let rowCount = min(job.product.rowsPerPiece, job.rowCount - firstRow)
    guard rowCount > 0, columns.upperBound <= columnsOut else { return }
    let row = job.firstRow + firstRow
    // SAFETY: rows and columns lie within the shape, as just checked; the workspace begins with the activations of row `job.firstRow`.
    unsafe NativeKernels.matmulSlice(
      out: f.floats(0) + row * columnsOut, x: f.floats(1) + row * columnsIn,
      prepared: job.workspace.map { unsafe UnsafeRawPointer($0 + firstRow * job.activationByteCount) }, weights: f.pointer(2),
      type: f.type(3), rows: rowCount, columnsIn: columnsIn, columnsOut: columnsOut, first: columns.lowerBound, count: columns.count)
  }
}
