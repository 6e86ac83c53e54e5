import Synchronization

/// Lets guests give memory back so many times a second, for `MemoryLimits.discardPolicy`; what they ask for beyond that is zeroed
/// in place, or refused.
///
/// Each release takes pages from a process whose other threads must be told: a guest that releases in a loop slows down its
/// neighbours. One limit may serve all memories of a process, since the process is what is disturbed.
///
///     let limit = DiscardRateLimit(perSecond: 100)
///     limits.discardPolicy = { limit.decide(byteCount: $0) }
public final class DiscardRateLimit: Sendable {
  /// Releases a second, in the long run.
  public let perSecond: Int
  /// Releases that may follow each other at once after a time without any.
  public let burst: Int
  /// What becomes of the others.
  public let otherwise: MemoryLimits.DiscardDecision

  /// The time at which all releases so far would have been made, had they come at the limit's rate.
  private let due: Mutex<ContinuousClock.Instant?> = Mutex(nil)

  /// - Precondition: both numbers are above 0.
  public init(perSecond: Int, burst: Int = 1, otherwise: MemoryLimits.DiscardDecision = .zeroOnly) {
    precondition(perSecond > 0 && burst > 0, "a rate limit lets through at least one release")
    self.perSecond = perSecond
    self.burst = burst
    self.otherwise = otherwise
  }

  /// Decides about one discard. Takes a lock for some nanoseconds; from any thread.
  public func decide(byteCount: UInt64) -> MemoryLimits.DiscardDecision { decide(at: .now) }

  package func decide(at time: ContinuousClock.Instant) -> MemoryLimits.DiscardDecision {
    let interval = Duration.seconds(1) / perSecond
    return due.withLock { due in
      let start = max(due ?? time, time)
      guard start - time <= interval * (burst - 1) else { return otherwise }
      due = start + interval
      return .release
    }
  }
}
