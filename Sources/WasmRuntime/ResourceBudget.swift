import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What one tenant may make the host spend in memory: a session with all that belongs to it, a WASI program, or a compilation.
///
/// Everything is charged before it is spent and refused where it would not fit; what is freed is credited. One number bounds the
/// sum, whatever it is spent on. A budget may be shared by several stores and used from any thread: a charge costs one atomic
/// exchange.
///
/// Not charged: weight files that are bound read-only, which all sessions share, and address space that is only reserved.
public final class ResourceBudget: Sendable {
  /// What memory is spent on, for reports.
  public enum Use: Int, CaseIterable, Sendable {
    /// Mapped bytes of linear memories.
    case memories
    /// Elements of tables.
    case tables
    /// Register code, machine code and what belongs to them.
    case code
    /// Buffers that the host fills for the guest: index operands, workspaces, logits, sampling, text, log.
    case hostBuffers
    /// Page states of memories.
    case pageStates
    /// Stacks of stores, as they are used.
    case stacks
  }

  /// The most bytes that may be spent at one time.
  public let byteCountMax: UInt64

  private let used = Atomic<UInt64>(0)
  private let refusals = Atomic<UInt64>(0)
  private let peak = Atomic<UInt64>(0)
  private let memories = Atomic<UInt64>(0)
  private let tables = Atomic<UInt64>(0)
  private let code = Atomic<UInt64>(0)
  private let hostBuffers = Atomic<UInt64>(0)
  private let pageStates = Atomic<UInt64>(0)
  private let stacks = Atomic<UInt64>(0)

  /// Half of the machine's physical memory; 1 GiB where the system does not tell.
  public static var byteCountMaxDefault: UInt64 {
    let (pages, pageByteCount) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
    return pages > 0 && pageByteCount > 0 ? UInt64(pages) * UInt64(pageByteCount) / 2 : 1 << 30
  }

  /// - Parameter byteCountMax: nil: `byteCountMaxDefault`.
  public init(byteCountMax: UInt64? = nil) {
    self.byteCountMax = byteCountMax ?? Self.byteCountMaxDefault
  }

  /// Takes `byteCount` bytes from the budget, or nothing.
  /// - Returns: false where they do not fit. Whoever got true gives them back with `credit`.
  public func charge(_ byteCount: UInt64, to use: Use) -> Bool {
    var current = used.load(ordering: .relaxed)
    while true {
      let (sum, overflow) = current.addingReportingOverflow(byteCount)
      guard !overflow, sum <= byteCountMax else {
        refusals.wrappingAdd(1, ordering: .relaxed)
        return false
      }
      let result = used.weakCompareExchange(expected: current, desired: sum, ordering: .relaxed)
      guard !result.exchanged else {
        raisePeak(to: sum)
        break
      }
      current = result.original
    }
    withCounter(use) { _ = $0.wrappingAdd(byteCount, ordering: .relaxed) }
    return true
  }

  /// Gives back what was charged.
  public func credit(_ byteCount: UInt64, to use: Use) {
    let old = used.wrappingSubtract(byteCount, ordering: .relaxed).oldValue
    precondition(old >= byteCount, "what is credited was charged before")
    withCounter(use) { _ = $0.wrappingSubtract(byteCount, ordering: .relaxed) }
  }

  /// Bytes spent now.
  public var usedByteCount: UInt64 { used.load(ordering: .relaxed) }

  /// The most bytes that were spent at one time.
  public var peakByteCount: UInt64 { peak.load(ordering: .relaxed) }

  /// How often something did not fit: whoever compares it before and after a piece of work knows whether the budget was too small.
  public var refusalCount: UInt64 { refusals.load(ordering: .relaxed) }

  /// Bytes spent now on one use.
  public func usedByteCount(on use: Use) -> UInt64 { withCounter(use) { $0.load(ordering: .relaxed) } }

  private func raisePeak(to byteCount: UInt64) {
    var current = peak.load(ordering: .relaxed)
    while byteCount > current {
      let result = peak.weakCompareExchange(expected: current, desired: byteCount, ordering: .relaxed)
      if result.exchanged { return }
      current = result.original
    }
  }

  private func withCounter<Result>(_ use: Use, _ body: (borrowing Atomic<UInt64>) -> Result) -> Result {
    switch use {
    case .memories: body(memories)
    case .tables: body(tables)
    case .code: body(code)
    case .hostBuffers: body(hostBuffers)
    case .pageStates: body(pageStates)
    case .stacks: body(stacks)
    }
  }
}
