import TensorOperations
import Testing
import _TestSupport

/// Whatever a guest asks for, a piece of it is about a millisecond of work at most, and the pieces are the whole, once.
@Suite("Pieces of tensor operations")
struct PieceLimitTests {
  private static let counts = [1, 2, 3, 7, 8, 15, 16, 17, 63, 64, 65, 100, 576, 1536, 4096, 49152, 262_144, (1 << 20) - 1, 1 << 20]
  private static let huge = counts + [1 << 24, Int(Int32.max)]

  @Test("of products", arguments: [false, true])
  func products(isPlain: Bool) {
    let limit = isPlain ? PieceLimits.plainProductCount : PieceLimits.productCount
    for rows in Self.huge {
      for columnsIn in Self.counts {
        for columnsOut in Self.huge {
          for threadCount in [1, 2, 8] {
            for tile in [16, 32, 64] where tile == 64 || rows > 4 {
              // The widest weights, and activations as quantised types have them.
              let cut = ProductCut(
                rows: rows, columnsIn: columnsIn, columnsOut: columnsOut, rowByteCount: 4 * columnsIn,
                activationByteCount: columnsIn * 3 / 2, tile: tile, isPlain: isPlain, threadCount: threadCount)
              let last = cut.columns(ofPiece: cut.columnPieceCount - 1, of: columnsOut)
              let longest = max(cut.columns(ofPiece: 0, of: columnsOut).count, last.count)
              let isRight =
                last.upperBound == columnsOut && last.count > 0 && cut.rowsPerPiece >= 1 && cut.rowsPerPiece <= cut.rowsPerStep
                && (cut.rowsPerPiece == 1 || Double(cut.rowsPerPiece) * Double(longest) * Double(columnsIn) <= 2 * Double(limit))
                && Double(longest) * Double(columnsIn) * 4 <= max(2 * Double(PieceLimits.weightByteCount), Double(columnsIn) * 4)
                && Double(longest) * Double(columnsIn) <= max(2 * Double(limit), Double(columnsIn))
                && cut.rowsPerStep * (columnsIn * 3 / 2) <= max(PieceLimits.activationByteCount, 16 * (columnsIn * 3 / 2))
              #expect(isRight, "\(rows) x \(columnsIn) x \(columnsOut), \(threadCount) threads, tiles of \(tile): \(cut)")
            }
          }
        }
      }
    }
  }

  @Test("of products: wherever a slice ends, the number of threads changes no rounding")
  func roundings() {
    for columnsOut in 1...400 {
      let cuts = [1, 2, 3, 8].map {
        ProductCut(
          rows: 1, columnsIn: 4096, columnsOut: columnsOut, rowByteCount: 4096, activationByteCount: 6144, tile: 64, isPlain: false,
          threadCount: $0)
      }
      for cut in cuts {
        for piece in 0..<cut.columnPieceCount {
          let count = cut.columns(ofPiece: piece, of: columnsOut).count
          #expect(count >= ProductCut.tileMin || count == columnsOut, "\(columnsOut) columns: \(cut)")
        }
      }
    }
  }

  @Test("of attention", arguments: [false, true])
  func attention(isPlain: Bool) {
    let limit = isPlain ? PieceLimits.plainAttentionCount : PieceLimits.attentionCount
    for rows in Self.counts {
      for keyValueHeads in [1, 2, 3, 8, 1000, 1 << 20] {
        for groupSize in [1, 3, 8, 100, 1 << 20] where keyValueHeads * groupSize <= 1 << 20 {
          for dimension in [1, 8, 64, 128, 1000, 1 << 20] where keyValueHeads * groupSize * dimension <= 1 << 20 {
            for positionCount in [1, 31, 1000, 1 << 20, 1 << 31] {
              let heads = keyValueHeads * groupSize
              let cut = AttentionCut(
                rows: rows, heads: heads, keyValueHeads: keyValueHeads, dimension: dimension, positionCount: positionCount, isPlain: isPlain)
              var (end, isGapless) = (0, true)
              for piece in 0..<min(1000, cut.unitPieceCount) {
                let unit = piece * cut.unitsPerPiece
                let range = cut.heads.heads(ofUnits: unit..<min(cut.heads.unitCount, unit + cut.unitsPerPiece))
                isGapless = isGapless && range.lowerBound == end && range.count > 0
                end = range.upperBound
              }
              #expect(isGapless && (cut.unitPieceCount > 1000 || end == heads), "\(cut)")
              let width = cut.heads.headsPerUnit * cut.unitsPerPiece * dimension
              let work = 2.0 * Double(width) * Double(cut.rowsPerPiece) * Double(min(positionCount, cut.positionsPerPart))
              #expect(work <= Double(limit), "\(rows) rows, \(heads) over \(keyValueHeads) heads of \(dimension): \(cut)")
            }
          }
        }
      }
    }
  }

  @Test("of rows and elements")
  func rows() {
    for rows in Self.huge {
      for columns in Self.counts {
        for threadCount in [1, 2, 8] {
          let perPiece = PieceLimits.rowsPerPiece(rows: rows, columns: columns, threadCount: threadCount)
          #expect(perPiece >= 1 && perPiece <= rows && (perPiece == 1 || perPiece * columns <= PieceLimits.elementCount))
        }
      }
    }
  }
}
