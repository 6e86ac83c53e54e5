import Foundation

/// What the numbers of an axis are, and how they are written.
public enum Quantity: Sendable, Hashable {
  /// Seconds: 3 µs, 40 ms, 2 s.
  case seconds
  /// Bytes, in powers of ten: 16 MB, 8 GB.
  case bytes
  /// Anything else, with the unit to write behind it (empty for a plain number).
  case number(unit: String)

  /// A short text for a value, with three significant digits at most.
  public func text(_ value: Double) -> String {
    switch self {
    case .seconds: Self.scaled(value, steps: [(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1, "s")])
    case .bytes: Self.scaled(value, steps: [(1, "B"), (1e3, "KB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")])
    case .number(let unit): Self.digits(value) + (unit.isEmpty ? "" : unit.hasPrefix("%") || unit == "x" ? unit : " " + unit)
    }
  }

  private static func scaled(_ value: Double, steps: [(factor: Double, unit: String)]) -> String {
    guard value != 0, let first = steps.first else { return "0" }
    // 0.9995 ms is written as 1 ms, not as 1000 µs.
    let step = steps.last { abs(value) >= $0.factor * 0.9995 } ?? first
    return digits(value / step.factor) + " " + step.unit
  }

  /// At most three significant digits, no exponent, no trailing zeros.
  static func digits(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    let magnitude = abs(value)
    let fraction = magnitude >= 99.95 || magnitude == 0 ? 0 : magnitude >= 9.995 ? 1 : magnitude >= 0.9995 ? 2 : 3
    var text = String(format: "%.\(fraction)f", value)
    if text.contains(".") {
      while text.hasSuffix("0") { text.removeLast() }
      if text.hasSuffix(".") { text.removeLast() }
    }
    return text
  }
}
