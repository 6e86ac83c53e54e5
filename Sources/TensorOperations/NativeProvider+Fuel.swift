extension NativeProvider {
  /// What an operation costs where guests pay with fuel: one unit for each multiply-add of products and attention, and for each element of
  /// the other operations. At least 1.
  func fuel(_ kernel: NativeKernel) -> UInt64 {
    let f = frame
    func product(_ factors: Int...) -> UInt64 {
      factors.reduce(1) { product, factor in
        let (next, overflow) = product.multipliedReportingOverflow(by: UInt64(factor))
        return overflow ? .max : next
      }
    }
    let count =
      switch kernel {
      case .matmul: product(f.int(4), f.int(5), f.int(6))
      case .attention: product(2, f.int(9), f.int(11), attendedPositionCount)
      case .getRows, .rmsNorm, .addBias: product(f.int(4), f.int(5))
      case .layerNorm: product(f.int(5), f.int(6))
      case .softmax: product(f.int(2), f.int(3))
      case .rope: product(f.int(2), f.int(3), f.int(4))
      case .cacheAppend: product(f.int(6), f.int(7))
      case .topK: product(f.int(3), f.int(4))
      case .add, .mul, .siluMul, .geluTanhMul: UInt64(f.int(3))
      case .scale, .silu, .gelu, .geluTanh: UInt64(f.int(2))
      }
    return max(1, count)
  }

  /// Positions that the rows of an attention attend, together: below 2^51.
  private var attendedPositionCount: Int {
    let window = frame.int(14)
    let positions = unsafe frame.int32s(3)
    var sum = 0
    for row in 0..<frame.int(8) {
      // SAFETY: the operand holds as many positions as there are rows.
      let count = Int(unsafe positions[row]) + 1
      sum += window > 0 ? min(window, count) : count
    }
    return sum
  }
}
