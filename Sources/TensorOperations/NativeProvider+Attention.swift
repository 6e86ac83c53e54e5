import CTensorKernels
import WasmRuntime

// Attention: pieces are some rows and some groups of query heads. Where the history of even one row and group is too long for a piece, the
// positions are cut too: all pieces do a stretch of positions, then all the next one, and what the softmax has so far is kept in between.

/// How an attention is cut.
package struct AttentionCut: Equatable, Sendable {
  package let heads: HeadCut
  package let unitsPerPiece: Int
  package let rowsPerPiece: Int
  /// A multiple of 32, the kernels' block, wherever a row is not extremely wide.
  package let positionsPerPart: Int

  /// - Parameters:
  ///   - positionCount: of the longest history.
  ///   - headsAtOnce: query heads for which the kernels read keys and values once, when a row is done by itself.
  package init(
    rows: Int, heads headCount: Int, keyValueHeads: Int, dimension: Int, positionCount: Int, isPlain: Bool, headsAtOnce: Int = 2
  ) {
    let countMax = isPlain ? PieceLimits.plainAttentionCount : PieceLimits.attentionCount
    // Fewer rows than the kernels do together: a group of heads need not stay whole, and more units are shared more evenly.
    heads = HeadCut(
      groupSize: headCount / keyValueHeads, groupCount: keyValueHeads, dimension: dimension,
      headsAtOnce: rows < 3 ? headsAtOnce : .max)
    // Keys and values of one position for one row: at most 2^21, because rows are limited.
    let unit = max(2 * heads.headsPerUnit * dimension, PieceLimits.scatteredPositionCount)
    // Rows of a sequence are faster together; a piece should still see a fair stretch of positions.
    rowsPerPiece = min(rows, max(1, min(8, countMax / (unit * 256))))
    let positions = max(1, countMax / (unit * rowsPerPiece))
    positionsPerPart = positions >= 32 ? positions / 32 * 32 : positions
    // Very small units together: taking a piece is not free.
    let cost = 2 * heads.headsPerUnit * dimension * rowsPerPiece * max(1, min(positionCount, positionsPerPart))
    unitsPerPiece = min(heads.unitCount, max(1, PieceLimits.sharedAttentionCount / cost))
  }

  /// Pieces along the heads.
  package var unitPieceCount: Int { ceiling(heads.unitCount, unitsPerPiece) }
}

extension NativeProvider {
  func attention(_ plan: OperationPlan) throws {
    let f = frame
    let (rowCount, heads, keyValueHeads, dimension) = (f.int(8), f.int(9), f.int(10), f.int(11))
    guard rowCount > 0, heads > 0, let cache = unsafe cacheBase() else { return }
    let window = f.int(14)
    var (longest, lowest, end) = (0, Int.max, 0)
    let positions = unsafe f.int32s(3)
    for row in 0..<rowCount {
      // SAFETY: the operand holds as many positions as there are rows, and no longer changes.
      let count = Int(unsafe positions[row]) + 1
      longest = max(longest, window > 0 ? min(window, count) : count)
      lowest = min(lowest, window > 0 ? max(0, count - window) : 0)
      end = max(end, count)
    }
    let cut = AttentionCut(
      rows: rowCount, heads: heads, keyValueHeads: keyValueHeads, dimension: dimension, positionCount: longest,
      isPlain: Int(tk_level()) == TK_LEVEL_PORTABLE, headsAtOnce: Int(tk_level()) == TK_LEVEL_AVX512 ? 4 : 2)
    job.step = .attention
    unsafe job.cache = cache
    unsafe job.workspace = nil
    job.attention = cut
    job.rowCount = rowCount
    job.positions = 0..<0
    // Cut as a part of one row block would be: the last rows see the most positions and come first, so that the last pieces are short.
    let pieceCount = ceiling(rowCount, cut.rowsPerPiece) * cut.unitPieceCount
    if longest <= cut.positionsPerPart { return try run(pieceCount: pieceCount) }
    // Below 2^63: the output holds at least as many elements.
    unsafe job.workspace = try reserveWorkspace(rowCount * heads * 2 * MemoryLayout<Float>.stride, plan)
    var first = lowest / cut.positionsPerPart * cut.positionsPerPart
    while first < end {
      job.positions = first..<min(end, first + cut.positionsPerPart)
      try run(pieceCount: pieceCount)
      first += cut.positionsPerPart
    }
  }

  func performAttention(_ piece: Int) {
    let f = frame
    guard let cache = unsafe job.cache else { preconditionFailure("attention has a cache") }
    let cut = job.attention
    let unit = piece % cut.unitPieceCount * cut.unitsPerPiece
    let heads = cut.heads.heads(ofUnits: unit..<min(cut.heads.unitCount, unit + cut.unitsPerPiece))
    // The last rows see the most positions, so they come first: the pieces at the end are short ones.
    let first = (ceiling(job.rowCount, cut.rowsPerPiece) - 1 - piece / cut.unitPieceCount) * cut.rowsPerPiece
    let rowCount = min(cut.rowsPerPiece, job.rowCount - first)
    guard first >= 0, rowCount > 0, heads.upperBound <= f.int(9) else { return }
    // SAFETY: rows and heads lie within the shape, as just checked; the workspace holds two numbers for each.
    let part = unsafe job.workspace.map {
      unsafe NativeKernels.AttentionPart(positions: job.positions, state: $0.assumingMemoryBound(to: Float.self))
    }
    unsafe NativeKernels.attentionSlice(
      out: f.floats(0), q: f.floats(1), bases: f.int64s(2), positions: f.int32s(3), cache: cache, keyPlaneOffset: Int64(f.int(4)),
      valuePlaneOffset: Int64(f.int(5)), chunkPositions: Int64(f.int(6)), chunkStride: Int64(f.int(7)), rows: job.rowCount,
      heads: f.int(9), keyValueHeads: f.int(10), headDimension: f.int(11), type: f.type(12), scale: f.float(13),
      window: Int32(f.int(14)), softcap: f.float(15), firstRow: first, rowCount: rowCount, firstHead: heads.lowerBound,
      headCount: heads.count, part: part)
  }
}
