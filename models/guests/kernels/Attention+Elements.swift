import GuestImports

// Heads of any width, an element at a time: for widths that are no multiple of four, which no known model has. Slow, and
// right. Workspace:
//
//     | scores, and up to three of -infinity, so that they are a multiple of four | sums of values |
extension AttentionPass {
  func runElements(base: UInt64, row: Int, head: Int) {
    let range = range(row), paddedCount = (range.count + 3) & ~3
    let elementByteCount: UInt64 = isHalf ? 2 : 4
    let headOffset = UInt64(head / headsPerGroup * dimension) &* elementByteCount
    let scores = Workspace.reserve(4 * paddedCount + 4 * dimension), sums = scores + 4 * paddedCount
    let query = q &+ offset(row, head), result = out &+ offset(row, head)

    for index in 0..<paddedCount {
      var score = -Float.infinity
      if index < range.count {
        var address = keys.address(base: base, position: range.lowerBound &+ index) &+ headOffset
        score = 0
        for column in 0..<dimension {
          score += scratch_f32_load(query &+ 4 &* UInt64(column)) * element(address)
          address &+= elementByteCount
        }
        score *= scale
        if softcap > 0 { score = bounded(SIMD4(repeating: score))[0] }
      }
      scores.storeBytes(of: score, toByteOffset: 4 &* index, as: Float.self)
    }

    var greatest = SIMD4<Float>(repeating: -Float.infinity)
    for index in stride(from: 0, to: paddedCount, by: 4) { greatest = f32x4_max(greatest, floats(scores + 4 &* index, 0)) }
    greatest = SIMD4(repeating: max(max(greatest[0], greatest[1]), max(greatest[2], greatest[3])))
    var total = SIMD4<Float>()
    for index in stride(from: 0, to: paddedCount, by: 4) {
      let weight = exponential(floats(scores + 4 &* index, 0) - greatest)
      (scores + 4 &* index).storeBytes(of: weight, as: SIMD4<Float>.self)
      total += weight
    }

    for column in 0..<dimension { sums.storeBytes(of: 0, toByteOffset: 4 &* column, as: Float.self) }
    for index in 0..<range.count {
      let weight = scores.load(fromByteOffset: 4 &* index, as: Float.self)
      var address = values.address(base: base, position: range.lowerBound &+ index) &+ headOffset
      for column in 0..<dimension {
        let sum = sums.load(fromByteOffset: 4 &* column, as: Float.self) + weight * element(address)
        sums.storeBytes(of: sum, toByteOffset: 4 &* column, as: Float.self)
        address &+= elementByteCount
      }
    }
    let factor = 1 / (total[0] + total[1] + total[2] + total[3])
    for column in 0..<dimension {
      scratch_f32_store(result &+ 4 &* UInt64(column), sums.load(fromByteOffset: 4 &* column, as: Float.self) * factor)
    }
  }

  /// An element of the cache.
  @inline(__always)
  private func element(_ address: UInt64) -> Float {
    isHalf ? HalfPrecision.value(cache_i32_load16_u(address)) : cache_f32_load(address)
  }
}
