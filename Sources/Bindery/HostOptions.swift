import TensorStore

/// Which provider executes the tensor operations.
public enum KernelProvider: String, Sendable, CaseIterable {
  /// Kernels of this process, on the guest's memories in place.
  case native
  /// Kernels that are guests themselves, executed by the interpreter.
  case wasm
}

/// How weight files get into the guest's memory.
public enum WeightLoading: String, Sendable, CaseIterable {
  /// Mapped from the file: nothing is copied, and all guests and processes share the pages.
  case map
  /// Read by the system into the guest's memory: one copy, for measurements.
  case read
  /// Read into a buffer of the host and copied from there: two copies, for measurements.
  case copy

  var placement: WeightPlacement {
    switch self {
    case .map: .map
    case .read: .read
    case .copy: .copy
    }
  }
}

/// When a session gives the memory of its activations back to the operating system. What was given back is faulted in again by the
/// next pass, page by page; `bindery bench memory` measures both sides.
public enum ScratchDiscardPolicy: Sendable, Hashable {
  /// After every pass, each decoded token included.
  case everyPass
  /// After prefill and at the end of a generation; after a decode pass only if its activations take more than this.
  case aboveByteCount(UInt64)
  /// After a pass if the session's last discard is at least this long ago, and at the end of a generation in any case. What is
  /// not given back stays until the next discard. It bounds how often one session disturbs the threads of all others: each discard
  /// interrupts every processor that runs the process.
  case atMostEvery(Duration)
  /// Only when the host calls `Session.discardScratch()`: when a session has been idle for a while, or never.
  case manual
}

/// What all models of a host share.
public struct HostOptions: Sendable {
  /// Threads that work on one tensor operation; nil: the cores at hand, at most 8.
  public var threadCount: Int?
  public var kernels: KernelProvider = .native
  public var weights: WeightLoading = .map
  /// The most bytes that one session may make this host spend at one time: on all its memories together, on tables, stacks, workspaces
  /// and other buffers. Weights that are mapped are not counted, since all sessions share them. Nil: half of the machine's memory.
  /// `SessionLimits` can say otherwise for a session.
  public var sessionMemoryByteCountMax: UInt64?
  /// Rows of one prefill pass. More rows make matrix products more efficient, and activations larger.
  public var prefillRowCountMax = 512
  /// When activations are given back to the operating system.
  public var scratchDiscard = ScratchDiscardPolicy.aboveByteCount(8 << 20)

  /// What a model program writes with `bindery.log`, line by line, with control characters escaped; nil: nothing is done with it. Each
  /// line is cut after 8 KiB, and each session's log ends after `SessionLimits.logByteCountMax` bytes.
  public var log: (@Sendable (String) -> Void)?

  public init() {}
}
