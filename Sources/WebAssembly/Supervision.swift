/// What reading, checking and translating a module ask while they work: for memory before they take it, and whether to go on.
///
/// Memory is asked for in steps of at least 64 KiB; whoever pays gives back all that was charged when the module is gone
/// (``Module/chargedByteCount``), or when the work has failed.
public struct Supervision {
  /// Takes bytes from whoever pays for the module; false where they do not fit.
  public var charge: (Int) -> Bool
  /// Whether the work is to end, by a deadline or because nobody waits for it any more. Asked about every 64 KiB of a module.
  public var shouldStop: () -> Bool

  /// Everything is granted.
  public static var none: Supervision { Supervision(charge: { _ in true }, shouldStop: { false }) }

  public init(charge: @escaping (Int) -> Bool, shouldStop: @escaping () -> Bool) {
    self.charge = charge
    self.shouldStop = shouldStop
  }

  /// Work between two questions, in bytes of the module or steps that cost about as much.
  static let interval = 1 << 16
}

/// Memory that was granted and is not all used yet.
struct Grant {
  private let charge: (Int) -> Bool
  private var left = 0
  /// What was charged so far.
  private(set) var byteCount = 0

  init(_ supervision: Supervision) { charge = supervision.charge }

  /// - Returns: false where whoever pays refuses.
  @inline(__always)
  mutating func take(_ byteCount: Int) -> Bool {
    guard byteCount > left else {
      left -= byteCount
      return true
    }
    return takeMore(byteCount)
  }

  private mutating func takeMore(_ wanted: Int) -> Bool {
    let asked = max(wanted - left, Supervision.interval)
    guard charge(asked) else { return false }
    byteCount += asked
    left += asked - wanted
    return true
  }
}
