import CAllocationCounter
import VirtualMemory

/// What a piece of work asked of the allocator and of the system, on this thread alone: the same on a busy machine, and while
/// other tests run.
public struct ThreadCounts: Hashable, Sendable {
  public var allocations = 0
  public var allocatedBytes = 0
  public var releases = 0
  /// mmap, munmap, mprotect and madvise.
  public var pageCalls = 0
  /// Page faults served without a device.
  public var pageFaults = 0

  public init() {}

  /// Why this build counts no allocations; nil if it does. The tests that need them are skipped, and say this.
  public static let obstacle: String? = {
    #if DEBUG
      return "allocations are those of optimised code: run the tests with -c release"
    #else
      // SAFETY: nil or a string literal of the C target.
      return unsafe allocation_counter_obstacle().map { unsafe String(cString: $0) }
    #endif
  }()

  /// Whether allocations and page calls are counted in this build: for `.enabled(if:)`.
  public static var areCounted: Bool { obstacle == nil }

  /// Counts what `body` does. It must stay on its thread.
  public static func of<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> (ThreadCounts, Result) {
    let before = now
    let result = try body()
    let after = now
    return (after - before, result)
  }

  /// Counts what one call of `body` does once everything it needs the first time is there: the smallest of several batches, so
  /// that what another test makes this thread do once (a cache of the runtime that grows) does not count.
  ///
  /// - Parameter count: calls in a batch. What happens every few calls only, an array that grows, shows in the sum.
  /// - Returns: the counts of a whole batch.
  public static func steady<Failure: Error>(
    count: Int = 64, _ body: () throws(Failure) -> Void
  ) throws(Failure) -> ThreadCounts {
    for _ in 0..<4 { try body() }
    var best: ThreadCounts?
    for _ in 0..<4 {
      let (counts, _) = try of { () throws(Failure) in
        for _ in 0..<count { try body() }
      }
      best = best.map { $0.smallest(counts) } ?? counts
    }
    return best ?? ThreadCounts()
  }

  /// Since the thread began. Reading it counts nothing.
  public static var now: ThreadCounts {
    // The faults first and the allocations last: reading the former may cost some of the latter.
    let faults = PageFaultCounts.ofThisThread
    let counts = allocation_counts_of_this_thread()
    var result = ThreadCounts()
    result.allocations = Int(counts.allocation_count)
    result.allocatedBytes = Int(counts.byte_count)
    result.releases = Int(counts.release_count)
    result.pageCalls = Int(counts.page_call_count)
    result.pageFaults = faults?.minor ?? 0
    return result
  }

  /// Each count the smaller of two.
  public func smallest(_ other: ThreadCounts) -> ThreadCounts { combined(other, min) }

  public static func - (a: ThreadCounts, b: ThreadCounts) -> ThreadCounts { a.combined(b, -) }

  public static func + (a: ThreadCounts, b: ThreadCounts) -> ThreadCounts { a.combined(b, +) }

  private func combined(_ other: ThreadCounts, _ body: (Int, Int) -> Int) -> ThreadCounts {
    var result = self
    result.allocations = body(allocations, other.allocations)
    result.allocatedBytes = body(allocatedBytes, other.allocatedBytes)
    result.releases = body(releases, other.releases)
    result.pageCalls = body(pageCalls, other.pageCalls)
    result.pageFaults = body(pageFaults, other.pageFaults)
    return result
  }
}
