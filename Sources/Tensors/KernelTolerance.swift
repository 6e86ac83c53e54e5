/// How far a kernel's output may lie from the reference: a bound on the normalised squared error,
/// Σ(found - expected)² / Σ expected².
///
/// One number for the whole output is what matters to a model, and unlike a bound on each element it does not fail where a
/// sum happens to cancel to almost zero. An output that should be all zeros has no scale of its own: then the error is the
/// plain squared sum. Source: ggml's `test-backend-ops`.
public struct KernelTolerance: Hashable, Sendable {
  public let normalizedSquaredErrorMax: Double

  public init(normalizedSquaredErrorMax: Double) { self.normalizedSquaredErrorMax = normalizedSquaredErrorMax }

  /// The same bits.
  public static let exact = KernelTolerance(normalizedSquaredErrorMax: 0)

  /// The error of `found`; infinity when the lengths differ, or one is NaN or infinite where the other is not the same.
  public static func normalizedSquaredError(of found: [Float], against expected: [Float]) -> Double {
    guard found.count == expected.count else { return .infinity }
    var difference = 0.0
    var scale = 0.0
    for index in expected.indices {
      let (a, b) = (Double(found[index]), Double(expected[index]))
      guard b.isFinite else {
        if a == b || (a.isNaN && b.isNaN) { continue }
        return .infinity
      }
      guard a.isFinite else { return .infinity }
      difference += (a - b) * (a - b)
      scale += b * b
    }
    return scale > 0 ? difference / scale : difference
  }

  public func accepts(_ found: [Float], against expected: [Float]) -> Bool {
    Self.normalizedSquaredError(of: found, against: expected) <= normalizedSquaredErrorMax
  }
}
