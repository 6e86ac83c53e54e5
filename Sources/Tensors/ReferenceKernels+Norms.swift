extension ReferenceKernels {
  /// Tolerance of `rmsNorm`, `layerNorm` and `softmax`.
  public static let normTolerance = floatTolerance

  /// x / √(mean(x²) + ε) · weight, row by row.
  /// - Parameters:
  ///   - x: `[N, columns]`. - weight: `[columns]` of `type`.
  /// - Returns: `[N, columns]`. Source: RMSNorm, arXiv:1910.07467.
  public static func rmsNorm(
    x: [Float], weight: [UInt8], type: ElementType, rows: Int, columns: Int, epsilon: Float
  ) throws(KernelError) -> [Float] {
    try requireMatrix(x, "x", rows: rows, columns: columns)
    _ = try rowByteCount(weight, type, rows: 1, columns: columns)
    let w = try BlockDecoding.decode(weight, elementCount: columns, as: type)
    var out: [Float] = []
    for row in 0..<rows {
      let values = x[row * columns..<(row + 1) * columns].map(Double.init)
      let meanSquare = values.reduce(0) { $0 + $1 * $1 } / Double(columns)
      let factor = 1 / (meanSquare + Double(epsilon)).squareRoot()
      for (value, weight) in zip(values, w) { out.append(Float(value * factor * Double(weight))) }
    }
    return out
  }

  /// (x - mean) / √(variance + ε) · weight + bias, row by row; the variance divides by `columns`.
  /// - Parameters:
  ///   - x: `[N, columns]`. - weight, bias: `[columns]` of `type`.
  /// - Returns: `[N, columns]`. Source: LayerNorm, arXiv:1607.06450.
  public static func layerNorm(
    x: [Float], weight: [UInt8], bias: [UInt8], type: ElementType, rows: Int, columns: Int, epsilon: Float
  ) throws(KernelError) -> [Float] {
    try requireMatrix(x, "x", rows: rows, columns: columns)
    _ = try rowByteCount(weight, type, rows: 1, columns: columns)
    _ = try rowByteCount(bias, type, rows: 1, columns: columns)
    let w = try BlockDecoding.decode(weight, elementCount: columns, as: type)
    let b = try BlockDecoding.decode(bias, elementCount: columns, as: type)
    var out: [Float] = []
    for row in 0..<rows {
      let values = x[row * columns..<(row + 1) * columns].map(Double.init)
      let mean = values.reduce(0, +) / Double(columns)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
      let factor = 1 / (variance + Double(epsilon)).squareRoot()
      for index in 0..<columns {
        out.append(Float((values[index] - mean) * factor * Double(w[index]) + Double(b[index])))
      }
    }
    return out
  }

  /// exp(x - max) / Σ exp(x - max), row by row. A row of -∞ only has no maximum to subtract: it gives NaN, as IEEE has it.
  /// - Parameter x: `[N, columns]`.
  /// - Returns: `[N, columns]`.
  public static func softmax(x: [Float], rows: Int, columns: Int) throws(KernelError) -> [Float] {
    try requireMatrix(x, "x", rows: rows, columns: columns)
    var out: [Float] = []
    for row in 0..<rows {
      out += softmax(x[row * columns..<(row + 1) * columns].map(Double.init)).map { Float($0) }
    }
    return out
  }

  /// Softmax of one row in float64.
  static func softmax(_ row: [Double]) -> [Double] {
    let greatest = row.max() ?? 0
    let exponentials = row.map { exponential($0 - greatest) }
    let sum = exponentials.reduce(0, +)
    return exponentials.map { $0 / sum }
  }

  /// Tolerance of the values of `topK`; its ids must be equal.
  public static let topKTolerance = KernelTolerance.exact

  /// The k greatest values of each row, descending; equal values in the order of their ids. NaN counts as less than all else.
  /// - Parameter x: `[N, columns]`, columns ≥ k.
  /// - Returns: values and ids, `[N, k]` each.
  public static func topK(
    x: [Float], rows: Int, columns: Int, k: Int
  ) throws(KernelError) -> (values: [Float], ids: [Int32]) {
    try requireMatrix(x, "x", rows: rows, columns: columns)
    guard k >= 0, k <= columns else { throw .outOfRange("top \(k) of \(columns)") }
    var values: [Float] = []
    var ids: [Int32] = []
    for row in 0..<rows {
      let candidates = Array(x[row * columns..<(row + 1) * columns])
      let order = candidates.indices.sorted { a, b in
        let (va, vb) = (candidates[a], candidates[b])
        if va.isNaN || vb.isNaN { return va.isNaN == vb.isNaN ? a < b : vb.isNaN }
        return va == vb ? a < b : va > vb
      }
      for id in order.prefix(k) {
        values.append(candidates[id])
        ids.append(Int32(id))
      }
    }
    return (values, ids)
  }
}
