/// What a host grants to one memory.
public struct MemoryLimits: Sendable {
  /// What becomes of a guest's request to give memory back.
  public enum DiscardDecision: Hashable, Sendable {
    /// Zero it and give it back to the system.
    case release
    /// Zero it in place.
    case zeroOnly
    /// `memory.try_discard` changes nothing and says so; `memory.discard` zeroes in place.
    case refuse
  }

  /// Bytes of mapped pages: those of a plain memory, or what is mapped and bound into a virtual one.
  public var mappedByteCountMax: UInt64 = .max

  /// Runs of pages of equal state and backing. The system allows a process 65530 mappings; sixteen memories at this limit
  /// would use them up, and merging neighbours keeps ordinary guests at a handful.
  public var extentCountMax = 4096

  /// Address space of one memory. It costs nothing but addresses, of which an x86-64 process has 128 TiB. A memory with page
  /// states whose maximum is above this is not created; a plain memory stops growing there.
  public var reservationByteCountMax: UInt64 = 1 << 40

  /// Address space of a plain 64-bit memory that declares no maximum: growing beyond it gives -1.
  public var unboundedReservationByteCount: UInt64 = 1 << 36

  /// Core dumps leave this memory out. One system call more for each `memory.map`.
  public var isExcludedFromDumps = false

  /// Asked with the byte count of every discard by the guest that is not empty. It must not call the guest or the memory.
  /// `DiscardRateLimit` is a policy ready to use.
  public var discardPolicy: (@Sendable (UInt64) -> DiscardDecision)?

  public init() {}
}

/// A memory that cannot be created: its minimum or maximum does not fit the limits, or the system has no address space for it.
public struct MemoryAllocationError: Error, Hashable, Sendable, CustomStringConvertible {
  public let byteCount: UInt64
  /// Why; a `VirtualMemoryError`'s sentence where the system refused.
  public let reason: String

  public var description: String { "\(MemoryFault.allocationFailure): \(byteCount) bytes: \(reason)" }
}
