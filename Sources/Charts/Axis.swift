import Foundation

/// One axis of a chart: what it shows, and how values become positions.
public struct Axis: Sendable {
  public enum Scale: Sendable, Hashable { case linear, logarithmic }

  public var label: String
  public var quantity: Quantity
  public var scale: Scale

  public init(_ label: String, _ quantity: Quantity, scale: Scale = .linear) {
    self.label = label
    self.quantity = quantity
    self.scale = scale
  }

  /// The range that is drawn: whole decades of a logarithmic axis, from zero to a round number on a linear one.
  func range(of values: [Double]) -> ClosedRange<Double> {
    switch scale {
    case .logarithmic:
      let positive = values.filter { $0 > 0 && $0.isFinite }
      guard let low = positive.min(), let high = positive.max() else { return 1...10 }
      let first = floor(log10(low) + 1e-9)
      let last = max(ceil(log10(high) - 1e-9), first + 1)
      return pow(10, first)...pow(10, last)
    case .linear:
      let high = max(values.filter(\.isFinite).max() ?? 1, 0)
      guard high > 0 else { return 0...1 }
      let step = Self.step(high)
      return 0...(step * ceil(high / step - 1e-9))
    }
  }

  /// Where lines and numbers stand.
  func ticks(_ range: ClosedRange<Double>) -> [Double] {
    switch scale {
    case .logarithmic:
      let (first, last) = (Int(log10(range.lowerBound).rounded()), Int(log10(range.upperBound).rounded()))
      // At most eight numbers: of nine decades every second one is written.
      let stride = max(1, (last - first + 7) / 8)
      return Swift.stride(from: first, through: last, by: stride).map { pow(10, Double($0)) }
    case .linear:
      let step = Self.step(range.upperBound)
      return (0...Int((range.upperBound / step).rounded())).map { Double($0) * step }
    }
  }

  /// A position between 0 (low end) and 1 (high end).
  func position(_ value: Double, in range: ClosedRange<Double>) -> Double {
    switch scale {
    case .linear: return (value - range.lowerBound) / (range.upperBound - range.lowerBound)
    case .logarithmic:
      let value = max(value, range.lowerBound)
      return log10(value / range.lowerBound) / log10(range.upperBound / range.lowerBound)
    }
  }

  /// A round number, of which four to eight reach `high`.
  private static func step(_ high: Double) -> Double {
    let power = pow(10, floor(log10(high)))
    for factor in [0.1, 0.2, 0.25, 0.5, 1] where high / (power * factor) <= 6 { return power * factor }
    return power * 2
  }
}
