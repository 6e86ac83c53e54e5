import GuestImports

@_expose(wasm, "matmul")
@_cdecl("matmul")
public func matmul(
  _ out: UInt64, _ x: UInt64, _ w: UInt64, _ type: Int32, _ rows: Int32, _ columnsIn: Int32, _ columnsOut: Int32
) {
  matmul_slice(out, x, w, type, rows, columnsIn, columnsOut, 0, columnsOut)
}

@_expose(wasm, "matmul_slice")
@_cdecl("matmul_slice")
public func matmul_slice(
  _ out: UInt64, _ x: UInt64, _ w: UInt64, _ type: Int32, _ rows: Int32, _ columnsIn: Int32, _ columnsOut: Int32,
  _ first: Int32, _ sliceCount: Int32
) {
  let product = Matmul(
    out: out, x: x, w: w, rows: count(rows), columnsIn: count(columnsIn), columnsOut: count(columnsOut),
    first: count(first), count: count(sliceCount))
  guard product.first + product.count <= product.columnsOut else {
    misuse("matmul_slice: slice ends past the last column:", first)
  }
  product.run(ElementType.checked(type, columnCount: product.columnsIn))
}

/// out[rows, columnsOut] = x[rows, columnsIn] · Wᵀ, for output columns first..<first + count.
///
/// A column of the output is a row of W. Integer products of int8 activations for the quantised types (`BlockFormat`), f32
/// products for all others. The relative error of quantised activations is that of the reference engines: scale / 2 at most
/// for each, 1/254 of the greatest of its 32.
struct Matmul {
  var out: UInt64, x: UInt64, w: UInt64
  var rows: Int, columnsIn: Int, columnsOut: Int
  var first: Int, count: Int

  func run(_ type: ElementType) {
    guard rows > 0, count > 0 else { return }
    switch type {
    case .q4_0: integerProducts(Q4_0.self)
    case .q4_1: integerProducts(Q4_1.self)
    case .q8_0: integerProducts(Q8_0.self)
    case .q5_0: unpackedProducts(UnpackedWeights.self, type, unpackQ5_0)
    case .q5_1: unpackedProducts(UnpackedWeights.self, type, unpackQ5_1)
    case .q4_K: unpackedProducts(UnpackedWeights.self, type, unpackQ4_K)
    case .q6_K: unpackedProducts(UnpackedHalves.self, type, unpackQ6_K)
    case .f32 where rows == 1 && columnsIn % 4 == 0: singleRowFloat()
    case .bf16 where rows == 1 && columnsIn % 8 == 0:
      singleRowHalf(factor: 1, resultFactor: 1) { f32x4_from_i32x4($0) }
    case .f16 where rows == 1 && columnsIn % 8 == 0:
      singleRowHalf(factor: HalfPrecision.activationFactor, resultFactor: HalfPrecision.resultFactor) {
        HalfPrecision.scaledHigh($0)
      }
    default: floatProducts(type)
    }
  }

  /// The address of row `row` of the output, at the column `first`.
  @inline(__always)
  func outAddress(_ row: Int) -> UInt64 {
    out &+ 4 &* (UInt64(row) &* UInt64(columnsOut) &+ UInt64(first))
  }
}

// MARK: - Integer products

extension Matmul {
  /// Weights that are multiplied where they lie.
  private func integerProducts<Format: BlockFormat>(_ format: Format.Type) {
    let activations = quantisedActivations(Format.Layout.self, extraByteCount: 0)
    multiply(format, activations)
  }

  /// Weights that are unpacked before, four columns at a time.
  private func unpackedProducts<Format: BlockFormat>(
    _ format: Format.Type, _ type: ElementType,
    _ unpack: (_ address: UInt64, _ blockCount: Int, _ pointer: UnsafeMutableRawPointer) -> Void
  ) {
    let blockCount = columnsIn / 32
    let columnByteCount = blockCount * Int(Format.blockByteCount)
    let activations = quantisedActivations(Format.Layout.self, extraByteCount: 4 * columnByteCount)
    let panel = activations.end
    forEachTile { column in
      let (w0, w1, w2, w3) = addresses(column, type.rowByteCount(columnsIn))
      unpack(w0, blockCount, panel)
      unpack(w1, blockCount, panel + columnByteCount)
      unpack(w2, blockCount, panel + 2 * columnByteCount)
      unpack(w3, blockCount, panel + 3 * columnByteCount)
      var tile = self
      tile.first = first + column
      tile.count = min(4, count)
      tile.w = UInt64(UInt(bitPattern: panel)) &- UInt64(tile.first) &* UInt64(columnByteCount)
      tile.multiply(format, activations)
    }
  }

  /// The activations of a call in the workspace: groups of four rows, then single rows, then what else was reserved.
  private struct Activations {
    var groups: UnsafeMutableRawPointer, groupCount: Int
    var singles: UnsafeMutableRawPointer, singleCount: Int
    var end: UnsafeMutableRawPointer
  }

  private func quantisedActivations<Layout: ActivationLayout>(_ layout: Layout.Type, extraByteCount: Int) -> Activations {
    let blockCount = columnsIn / 32
    // Groups of four rows; a rest of three is padded with a row of zeros, one or two rows are cheaper alone.
    let groupCount = rows < 3 ? 0 : (rows + 1) / 4
    let groupedRowCount = min(rows, groupCount * 4)
    let groupByteCount = blockCount * Layout.groupBlockByteCount
    let rowByteCount = blockCount * Layout.blockByteCount
    let byteCount = groupCount * groupByteCount + (rows - groupedRowCount) * rowByteCount
    let workspace = Workspace.reserve(byteCount + extraByteCount)
    for group in 0..<groupCount {
      let pointer = workspace + group * groupByteCount
      for row in 0..<4 { quantise(layout, row: group * 4 + row, blockCount, to: pointer) }
    }
    let singles = workspace + groupCount * groupByteCount
    for row in groupedRowCount..<rows {
      let pointer = singles + (row - groupedRowCount) * rowByteCount
      for block in 0..<blockCount {
        Layout.store(
          QuantisedBlock(scratch: x + 4 * UInt64(row * columnsIn + block * 32)), to: pointer + block * Layout.blockByteCount)
      }
    }
    return Activations(
      groups: workspace, groupCount: groupCount, singles: singles, singleCount: rows - groupedRowCount,
      end: workspace + byteCount)
  }

  private func multiply<Format: BlockFormat>(_ format: Format.Type, _ activations: Activations) {
    let blockCount = columnsIn / 32
    let groupByteCount = blockCount * Format.Layout.groupBlockByteCount
    let groupCount = activations.groupCount
    var group = 0
    while group < groupCount {
      let x = UnsafeRawPointer(activations.groups + group * groupByteCount)
      if groupCount - group >= 4 {
        multiplyFour(format, x, groupByteCount, firstRow: group * 4, blockCount)
        group += 4
      } else if groupCount - group >= 2 {
        multiplyTwo(format, x, groupByteCount, firstRow: group * 4, blockCount)
        group += 2
      } else {
        multiplyOne(format, x, firstRow: group * 4, blockCount)
        group += 1
      }
    }
    for single in 0..<activations.singleCount {
      let x = activations.singles + single * blockCount * Format.Layout.blockByteCount
      multiply(format, UnsafeRawPointer(x), row: rows - activations.singleCount + single, blockCount)
    }
  }

  /// Quantises row `row` as a member of its group of four; zeros where there is no such row.
  private func quantise<Layout: ActivationLayout>(
    _ layout: Layout.Type, row: Int, _ blockCount: Int, to pointer: UnsafeMutableRawPointer
  ) {
    var block = pointer
    if row >= rows {
      for _ in 0..<blockCount {
        Layout.store(.zero, row: row & 3, to: block)
        block += Layout.groupBlockByteCount
      }
      return
    }
    var address = x + 4 * UInt64(row * columnsIn)
    for _ in 0..<blockCount {
      Layout.store(QuantisedBlock(scratch: address), row: row & 3, to: block)
      address &+= 128
      block += Layout.groupBlockByteCount
    }
  }

  /// The first of each four columns of the slice, relative to its start. The last four overlap those before, so that every
  /// tile is whole: a few products are taken twice instead of by a second kernel.
  @inline(__always)
  private func forEachTile(_ body: (Int) -> Void) {
    var column = 0
    while column < count {
      body(max(0, min(column, count &- 4)))
      column &+= 4
    }
  }

  /// The addresses of four columns; where the slice has fewer than four, its last column again.
  @inline(__always)
  private func addresses(_ column: Int, _ columnByteCount: UInt64) -> (UInt64, UInt64, UInt64, UInt64) {
    let last = UInt64(count &- 1), start = UInt64(column)
    let base = w &+ UInt64(first) &* columnByteCount
    return (
      base &+ start &* columnByteCount, base &+ min(start &+ 1, last) &* columnByteCount,
      base &+ min(start &+ 2, last) &* columnByteCount, base &+ min(start &+ 3, last) &* columnByteCount
    )
  }

  @inline(__always)
  private func store(_ values: SIMD4<Float>, row: Int, column: Int) {
    let address = outAddress(row) &+ 4 &* UInt64(column)
    let values = values * SIMD4(repeating: HalfPrecision.resultFactor)
    if count >= 4 {
      scratch_store(address, 0, values)
    } else {
      for index in 0..<count { scratch_f32_store(address &+ 4 &* UInt64(index), values[index]) }
    }
  }

  /// One row, four columns at a time.
  private func multiply<Format: BlockFormat>(_ format: Format.Type, _ x: UnsafeRawPointer, row: Int, _ blockCount: Int) {
    let columnByteCount = UInt64(blockCount) &* Format.blockByteCount
    let xByteCount = Format.Layout.blockByteCount
    forEachTile { column in
      var (w0, w1, w2, w3) = addresses(column, columnByteCount)
      var sum = SIMD4<Float>()
      var pointer = x
      let wholeEnd = x + (blockCount & ~3) &* xByteCount, end = x + blockCount &* xByteCount
      let step = Format.blockByteCount, offset = Int32(Format.blockByteCount)
      while pointer < wholeEnd {
        Format.addProducts(w0, w1, w2, w3, offset: 0, pointer, 0, &sum)
        Format.addProducts(w0, w1, w2, w3, offset: offset, pointer, UInt32(xByteCount), &sum)
        Format.addProducts(w0, w1, w2, w3, offset: 2 &* offset, pointer, UInt32(2 &* xByteCount), &sum)
        Format.addProducts(w0, w1, w2, w3, offset: 3 &* offset, pointer, UInt32(3 &* xByteCount), &sum)
        w0 &+= 4 &* step
        w1 &+= 4 &* step
        w2 &+= 4 &* step
        w3 &+= 4 &* step
        pointer += 4 &* xByteCount
      }
      while pointer < end {
        Format.addProducts(w0, w1, w2, w3, offset: 0, pointer, 0, &sum)
        w0 &+= step
        w1 &+= step
        w2 &+= step
        w3 &+= step
        pointer += xByteCount
      }
      store(sum, row: row, column: column)
    }
  }

  /// Four rows, four columns at a time.
  private func multiplyOne<Format: BlockFormat>(_ format: Format.Type, _ x: UnsafeRawPointer, firstRow: Int, _ blockCount: Int) {
    let xByteCount = Format.Layout.groupBlockByteCount
    forEachTile { column in
      var (w0, w1, w2, w3) = addresses(column, UInt64(blockCount) &* Format.blockByteCount)
      var tile = Tile()
      var pointer = x
      let end = x + blockCount &* xByteCount
      while pointer < end {
        let rows = Format.Layout.load(pointer)
        Format.addProducts(Format.column(w0), rows, &tile.s0)
        Format.addProducts(Format.column(w1), rows, &tile.s1)
        Format.addProducts(Format.column(w2), rows, &tile.s2)
        Format.addProducts(Format.column(w3), rows, &tile.s3)
        w0 &+= Format.blockByteCount
        w1 &+= Format.blockByteCount
        w2 &+= Format.blockByteCount
        w3 &+= Format.blockByteCount
        pointer += xByteCount
      }
      store(tile, firstRow: firstRow, column: column)
    }
  }

  /// Eight rows, four columns at a time: each block of weights is unpacked once for both groups.
  private func multiplyTwo<Format: BlockFormat>(
    _ format: Format.Type, _ x: UnsafeRawPointer, _ groupByteCount: Int, firstRow: Int, _ blockCount: Int
  ) {
    let xByteCount = Format.Layout.groupBlockByteCount
    forEachTile { column in
      var (w0, w1, w2, w3) = addresses(column, UInt64(blockCount) &* Format.blockByteCount)
      var a = Tile(), b = Tile()
      var pointerA = x, pointerB = x + groupByteCount
      let end = x + blockCount &* xByteCount
      while pointerA < end {
        let rowsA = Format.Layout.load(pointerA), rowsB = Format.Layout.load(pointerB)
        let column0 = Format.column(w0)
        Format.addProducts(column0, rowsA, &a.s0)
        Format.addProducts(column0, rowsB, &b.s0)
        let column1 = Format.column(w1)
        Format.addProducts(column1, rowsA, &a.s1)
        Format.addProducts(column1, rowsB, &b.s1)
        let column2 = Format.column(w2)
        Format.addProducts(column2, rowsA, &a.s2)
        Format.addProducts(column2, rowsB, &b.s2)
        let column3 = Format.column(w3)
        Format.addProducts(column3, rowsA, &a.s3)
        Format.addProducts(column3, rowsB, &b.s3)
        w0 &+= Format.blockByteCount
        w1 &+= Format.blockByteCount
        w2 &+= Format.blockByteCount
        w3 &+= Format.blockByteCount
        pointerA += xByteCount
        pointerB += xByteCount
      }
      store(a, firstRow: firstRow, column: column)
      store(b, firstRow: firstRow + 4, column: column)
    }
  }

  /// Sixteen rows, four columns at a time.
  private func multiplyFour<Format: BlockFormat>(
    _ format: Format.Type, _ x: UnsafeRawPointer, _ groupByteCount: Int, firstRow: Int, _ blockCount: Int
  ) {
    let xByteCount = Format.Layout.groupBlockByteCount
    forEachTile { column in
      var (w0, w1, w2, w3) = addresses(column, UInt64(blockCount) &* Format.blockByteCount)
      var a = Tile(), b = Tile(), c = Tile(), d = Tile()
      var pointerA = x, pointerB = x + groupByteCount, pointerC = x + 2 &* groupByteCount, pointerD = x + 3 &* groupByteCount
      let end = x + blockCount &* xByteCount
      while pointerA < end {
        let rowsA = Format.Layout.load(pointerA), rowsB = Format.Layout.load(pointerB)
        let rowsC = Format.Layout.load(pointerC), rowsD = Format.Layout.load(pointerD)
        let column0 = Format.column(w0)
        Format.addProducts(column0, rowsA, &a.s0)
        Format.addProducts(column0, rowsB, &b.s0)
        Format.addProducts(column0, rowsC, &c.s0)
        Format.addProducts(column0, rowsD, &d.s0)
        let column1 = Format.column(w1)
        Format.addProducts(column1, rowsA, &a.s1)
        Format.addProducts(column1, rowsB, &b.s1)
        Format.addProducts(column1, rowsC, &c.s1)
        Format.addProducts(column1, rowsD, &d.s1)
        let column2 = Format.column(w2)
        Format.addProducts(column2, rowsA, &a.s2)
        Format.addProducts(column2, rowsB, &b.s2)
        Format.addProducts(column2, rowsC, &c.s2)
        Format.addProducts(column2, rowsD, &d.s2)
        let column3 = Format.column(w3)
        Format.addProducts(column3, rowsA, &a.s3)
        Format.addProducts(column3, rowsB, &b.s3)
        Format.addProducts(column3, rowsC, &c.s3)
        Format.addProducts(column3, rowsD, &d.s3)
        w0 &+= Format.blockByteCount
        w1 &+= Format.blockByteCount
        w2 &+= Format.blockByteCount
        w3 &+= Format.blockByteCount
        pointerA += xByteCount
        pointerB += xByteCount
        pointerC += xByteCount
        pointerD += xByteCount
      }
      store(a, firstRow: firstRow, column: column)
      store(b, firstRow: firstRow + 4, column: column)
      store(c, firstRow: firstRow + 8, column: column)
      store(d, firstRow: firstRow + 12, column: column)
    }
  }

  /// Sums of four columns (a vector each) and four rows (its lanes).
  private struct Tile {
    var s0 = SIMD4<Float>(), s1 = SIMD4<Float>(), s2 = SIMD4<Float>(), s3 = SIMD4<Float>()
  }

  /// Stores a tile; rows beyond the last are dropped.
  @inline(__always)
  private func store(_ tile: Tile, firstRow: Int, column: Int) {
    let a = f32x4_interleave_low(tile.s0, tile.s2), b = f32x4_interleave_high(tile.s0, tile.s2)
    let c = f32x4_interleave_low(tile.s1, tile.s3), d = f32x4_interleave_high(tile.s1, tile.s3)
    store(f32x4_interleave_low(a, c), row: firstRow, column: column)
    if firstRow + 1 < rows { store(f32x4_interleave_high(a, c), row: firstRow + 1, column: column) }
    if firstRow + 2 < rows { store(f32x4_interleave_low(b, d), row: firstRow + 2, column: column) }
    if firstRow + 3 < rows { store(f32x4_interleave_high(b, d), row: firstRow + 3, column: column) }
  }
}

// MARK: - Float products

extension Matmul {
  /// One row of f32 activations times f32 weights, where they lie; columnsIn is a multiple of 4.
  private func singleRowFloat() {
    let columnByteCount = 4 &* UInt64(columnsIn)
    forEachTile { column in
      var (w0, w1, w2, w3) = addresses(column, columnByteCount)
      var s0 = SIMD4<Float>(), s1 = SIMD4<Float>(), s2 = SIMD4<Float>(), s3 = SIMD4<Float>()
      var address = x
      let end = x &+ columnByteCount
      while address < end {
        let value = scratch_load(address, 0)
        s0 = f32x4_madd(value, weights_load_f32x4(w0, 0), s0)
        s1 = f32x4_madd(value, weights_load_f32x4(w1, 0), s1)
        s2 = f32x4_madd(value, weights_load_f32x4(w2, 0), s2)
        s3 = f32x4_madd(value, weights_load_f32x4(w3, 0), s3)
        w0 &+= 16
        w1 &+= 16
        w2 &+= 16
        w3 &+= 16
        address &+= 16
      }
      storePlain(laneSums(s0, s1, s2, s3), row: 0, column: column)
    }
  }

  /// One row of f32 activations times weights of 16 bits, where they lie; columnsIn is a multiple of 8.
  /// - Parameter widen: the weights in the high halves of four lanes, which are zero below.
  @inline(__always)
  private func singleRowHalf(factor: Float, resultFactor: Float, _ widen: (SIMD4<Int32>) -> SIMD4<Float>) {
    let columnByteCount = 2 &* UInt64(columnsIn)
    forEachTile { column in
      var (w0, w1, w2, w3) = addresses(column, columnByteCount)
      var s0 = SIMD4<Float>(), s1 = SIMD4<Float>(), s2 = SIMD4<Float>(), s3 = SIMD4<Float>()
      var address = x
      let end = x &+ 2 &* columnByteCount
      while address < end {
        let low = scratch_load(address, 0) * SIMD4(repeating: factor), high = scratch_load(address, 16) * SIMD4(repeating: factor)
        let b0 = weights_load(w0, 0), b1 = weights_load(w1, 0), b2 = weights_load(w2, 0), b3 = weights_load(w3, 0)
        s0 = f32x4_madd(low, widen(i32x4_widen_low(b0)), f32x4_madd(high, widen(i32x4_widen_high(b0)), s0))
        s1 = f32x4_madd(low, widen(i32x4_widen_low(b1)), f32x4_madd(high, widen(i32x4_widen_high(b1)), s1))
        s2 = f32x4_madd(low, widen(i32x4_widen_low(b2)), f32x4_madd(high, widen(i32x4_widen_high(b2)), s2))
        s3 = f32x4_madd(low, widen(i32x4_widen_low(b3)), f32x4_madd(high, widen(i32x4_widen_high(b3)), s3))
        w0 &+= 16
        w1 &+= 16
        w2 &+= 16
        w3 &+= 16
        address &+= 32
      }
      storePlain(laneSums(s0, s1, s2, s3) * SIMD4(repeating: resultFactor), row: 0, column: column)
    }
  }

  /// Any type: four columns at a time are dequantised into the workspace, then multiplied with all rows.
  private func floatProducts(_ type: ElementType) {
    let stride = (columnsIn + 3) / 4 * 16
    let workspace = Workspace.reserve((rows + 4) * stride)
    let activations = workspace + 4 * stride
    for row in 0..<rows {
      copyFromScratch(x + 4 * UInt64(row * columnsIn), count: columnsIn, to: activations + row * stride)
    }
    let columnByteCount = type.rowByteCount(columnsIn)
    forEachTile { column in
      let (w0, w1, w2, w3) = addresses(column, columnByteCount)
      dequantise(type, w0, count: columnsIn, to: workspace)
      dequantise(type, w1, count: columnsIn, to: workspace + stride)
      dequantise(type, w2, count: columnsIn, to: workspace + 2 * stride)
      dequantise(type, w3, count: columnsIn, to: workspace + 3 * stride)
      for row in 0..<rows {
        storePlain(dotFour(activations + row * stride, workspace, stride), row: row, column: column)
      }
    }
  }

  @inline(__always)
  private func storePlain(_ values: SIMD4<Float>, row: Int, column: Int) {
    let address = outAddress(row) &+ 4 &* UInt64(column)
    if count >= 4 {
      scratch_store(address, 0, values)
    } else {
      for index in 0..<count { scratch_f32_store(address &+ 4 &* UInt64(index), values[index]) }
    }
  }
}

/// The products of one row with four rows that lie `stride` bytes apart; all padded with zeros to multiples of 4.
@inline(__always)
func dotFour(_ x: UnsafeRawPointer, _ w: UnsafeRawPointer, _ stride: Int) -> SIMD4<Float> {
  var s0 = SIMD4<Float>(), s1 = SIMD4<Float>(), s2 = SIMD4<Float>(), s3 = SIMD4<Float>()
  var x = x, w0 = w, w1 = w + stride, w2 = w + 2 * stride, w3 = w + 3 * stride
  let end = x + stride
  while x < end {
    let value = floats(x, 0)
    s0 = f32x4_madd(value, floats(w0, 0), s0)
    s1 = f32x4_madd(value, floats(w1, 0), s1)
    s2 = f32x4_madd(value, floats(w2, 0), s2)
    s3 = f32x4_madd(value, floats(w3, 0), s3)
    x += 16
    w0 += 16
    w1 += 16
    w2 += 16
    w3 += 16
  }
  return laneSums(s0, s1, s2, s3)
}

/// Copies floats from scratch; the last four are padded with zeros.
func copyFromScratch(_ address: UInt64, count: Int, to pointer: UnsafeMutableRawPointer) {
  var address = address, pointer = pointer
  for _ in 0..<count / 4 {
    pointer.storeBytes(of: scratch_load(address, 0), as: SIMD4<Float>.self)
    address &+= 16
    pointer += 16
  }
  if count % 4 != 0 {
    var last = SIMD4<Float>()
    for index in 0..<count % 4 { last[index] = scratch_f32_load(address &+ 4 &* UInt64(index)) }
    pointer.storeBytes(of: last, as: SIMD4<Float>.self)
  }
}
