extension ReferenceKernels {
  /// Tolerance of `matmul`: `quantizedActivationTolerance` for a provider that rounds activations, else `floatTolerance`.
  /// A dense F32 or F16 product never rounds its activations.
  public static func matmulTolerance(_ type: ElementType, activationsQuantized: Bool) -> KernelTolerance {
    activationsQuantized && type.isQuantized ? quantizedActivationTolerance : floatTolerance
  }

  /// x · Wᵀ.
  /// - Parameters:
  ///   - x: `[N, I]`. - weight: `[O, I]` of `type`. - rows, columnsIn, columnsOut: N, I, O.
  /// - Returns: `[N, O]`. Sums in float64.
  public static func matmul(
    x: [Float], weight: [UInt8], type: ElementType, rows: Int, columnsIn: Int, columnsOut: Int
  ) throws(KernelError) -> [Float] {
    try requireMatrix(x, "x", rows: rows, columns: columnsIn)
    let stride = try rowByteCount(weight, type, rows: columnsOut, columns: columnsIn)
    var out = [Float](repeating: 0, count: rows * columnsOut)
    for column in 0..<columnsOut {
      let w = try BlockDecoding.decode(weight, at: column * stride, elementCount: columnsIn, as: type)
      for row in 0..<rows {
        var sum = 0.0
        for index in 0..<columnsIn { sum += Double(x[row * columnsIn + index]) * Double(w[index]) }
        out[row * columnsOut + column] = Float(sum)
      }
    }
    return out
  }

  /// Tolerance of `getRows`: decoding is exact.
  public static let getRowsTolerance = KernelTolerance.exact

  /// Row `ids[r]` of the weight for each r, decoded.
  /// - Parameters:
  ///   - weight: `[rowCountMax, columns]` of `type`. - ids: `[N]`, each in 0..<rowCountMax.
  /// - Returns: `[N, columns]`.
  public static func getRows(
    weight: [UInt8], type: ElementType, ids: [Int32], columns: Int, rowCountMax: Int
  ) throws(KernelError) -> [Float] {
    let stride = try rowByteCount(weight, type, rows: rowCountMax, columns: columns)
    var out: [Float] = []
    for id in ids {
      guard id >= 0, Int(id) < rowCountMax else { throw .outOfRange("row \(id) of \(rowCountMax)") }
      out += try BlockDecoding.decode(weight, at: Int(id) * stride, elementCount: columns, as: type)
    }
    return out
  }

  /// Checks a weight matrix's length; bytes per row.
  static func rowByteCount(
    _ weight: [UInt8], _ type: ElementType, rows: Int, columns: Int
  ) throws(KernelError) -> Int {
    guard let shape = TensorShape([rows, columns]), let byteCount = shape.byteCount(of: type),
      let rowByteCount = type.rowByteCount(elementCount: columns), byteCount == weight.count
    else {
      throw .shapeMismatch("weight: [\(rows), \(columns)] of \(type.name) expected, found \(weight.count) bytes")
    }
    return rowByteCount
  }
}
