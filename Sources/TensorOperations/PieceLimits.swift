/// How long a piece of an operation may be: about a millisecond at most, estimated from shapes with speeds that the kernels surpass. A guest
/// chooses how many pieces its operation has, never how long one is; whoever waits for a thread waits for one piece.
///
/// Everything that may change a result depends on shapes alone, not on the number of threads.
package enum PieceLimits {
  /// Multiply-adds of a product: 33 a nanosecond. (Measured on one Zen 3 core with AVX2: 60 to 100 for many rows.)
  package static let productCount = 1 << 25
  /// Bytes of weights of a product: 8 a nanosecond.
  package static let weightByteCount = 1 << 23
  /// Bytes of weights that are worth a piece: some 30 µs.
  package static let streamByteCount = 1 << 19
  /// Fewer are not worth a piece of their own.
  package static let streamByteCountMin = 48 << 10
  /// Multiply-adds of a product at the level without vector instructions of its own.
  package static let plainProductCount = 1 << 21
  /// Multiply-adds of attention, keys and values together: 17 a nanosecond (measured: 22 to 28).
  package static let attentionCount = 1 << 24
  package static let plainAttentionCount = 1 << 21
  /// Elements of operations on rows and elements, of which e^x is the dearest.
  package static let elementCount = 1 << 18
  /// Steps of `top_k`: the dearest goes down a heap of 2^20 entries.
  package static let selectionStepCount = 1 << 12
  /// Rows that lie anywhere cost at least as much as this many elements: each may be a page or a cache line of its own.
  package static let scatteredRowElementCount = 64
  /// The same for a position of attention, in multiply-adds.
  package static let scatteredPositionCount = 1 << 10
  /// Bytes of quantised activations that are made at a time.
  package static let activationByteCount = 16 << 20
  /// Below, cutting costs more than it gains: 8 µs of work on elements, 3 of products (of one row, from memory) and of attention.
  package static let sharedElementCount = 1 << 15
  package static let sharedProductCount = 1 << 16
  package static let sharedAttentionCount = 1 << 16
  /// More pieces for each thread would gain nothing.
  package static let piecesPerThread = 16

  /// Rows of a piece, for operations that do each row by itself.
  package static func rowsPerPiece(rows: Int, columns: Int, threadCount: Int) -> Int {
    let most = max(1, elementCount / columns)
    let (elements, overflow) = rows.multipliedReportingOverflow(by: columns)
    guard threadCount > 1, overflow || elements >= sharedElementCount else { return min(rows, most) }
    let few = max(1, sharedElementCount / 4 / columns)
    return min(most, max(few, ceiling(rows, threadCount * piecesPerThread)))
  }
}

/// How the query heads of an attention are cut into units of work: a unit is a group of heads that share keys and values, or a part of one
/// where heads are many and wide.
package struct HeadCut: Equatable, Sendable {
  package let groupSize: Int
  package let headsPerUnit: Int
  package let unitsPerGroup: Int
  package let unitCount: Int

  /// Numbers of one position that a unit multiplies.
  private static let widthMax = 1 << 15

  /// - Parameter headsAtOnce: no more in a unit.
  package init(groupSize: Int, groupCount: Int, dimension: Int, headsAtOnce: Int) {
    self.groupSize = groupSize
    headsPerUnit = min(groupSize, headsAtOnce, max(1, Self.widthMax / max(1, dimension)))
    unitsPerGroup = ceiling(groupSize, headsPerUnit)
    unitCount = unitsPerGroup * groupCount
  }

  /// The heads of some units that follow each other.
  package func heads(ofUnits units: Range<Int>) -> Range<Int> { first(of: units.lowerBound)..<first(of: units.upperBound) }

  private func first(of unit: Int) -> Int { unit / unitsPerGroup * groupSize + unit % unitsPerGroup * headsPerUnit }
}
