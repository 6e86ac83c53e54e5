import CPlatform

/// Page faults of one thread since it began. The difference of two moments is what the work between them cost, whatever other
/// threads of the process did.
public struct PageFaultCounts: Hashable, Sendable {
  /// Served from memory: a page of the page cache that this process had not mapped yet, or a fresh page of zeroes.
  public var minor: Int
  /// Served by reading from a device.
  public var major: Int

  /// Those of the calling thread; nil where the system counts for whole processes only. About a third of a microsecond.
  public static var ofThisThread: PageFaultCounts? {
    var (minor, major): (Int64, Int64) = (0, 0)
    // SAFETY: both counters live for the call.
    guard unsafe bindery_thread_fault_counts(&minor, &major) == 0 else { return nil }
    return PageFaultCounts(minor: Int(minor), major: Int(major))
  }

  public static func - (a: PageFaultCounts, b: PageFaultCounts) -> PageFaultCounts {
    PageFaultCounts(minor: a.minor - b.minor, major: a.major - b.major)
  }
}
