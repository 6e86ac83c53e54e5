import VirtualMemory
import WasmRuntime

/// What one session may take.
public struct SessionLimits: Sendable {
  /// The most bytes that the session may make the host spend at one time, on all its memories, tables, stacks and buffers together;
  /// nil: `HostOptions.sessionMemoryByteCountMax`. Weights that are mapped are not counted: all sessions share them.
  public var memoryByteCountMax: UInt64?
  /// Time for making the session: everything that the model program does before it can take a prompt, its start function included.
  /// Nil: no limit. Generations have limits of their own (`GenerationRequest.timeLimit`).
  public var timeLimit: Duration?
  /// Bytes of messages that the model program may log in all; what it writes beyond is dropped.
  public var logByteCountMax = 1 << 20

  public init(memoryByteCountMax: UInt64? = nil, timeLimit: Duration? = nil) {
    self.memoryByteCountMax = memoryByteCountMax
    self.timeLimit = timeLimit
  }
}

/// What a session has made the host spend in memory, as it is charged to the session's budget.
public struct SessionMemory: Sendable, Hashable {
  /// Now, and at most at one time so far.
  public var usedByteCount: UInt64
  public var peakByteCount: UInt64
  /// The limit.
  public var byteCountMax: UInt64
  /// What is used now, by what it is used for.
  public var usedByteCounts: [ResourceBudget.Use: UInt64]

  init(_ budget: ResourceBudget) {
    usedByteCount = budget.usedByteCount
    peakByteCount = budget.peakByteCount
    byteCountMax = budget.byteCountMax
    usedByteCounts = [:]
    for use in ResourceBudget.Use.allCases { usedByteCounts[use] = budget.usedByteCount(on: use) }
  }
}

/// Buffers of the host that grow with what a guest or a request asks for, charged to a budget before they are made.
final class BufferAccount {
  private let budget: ResourceBudget
  private var byteCount: UInt64 = 0

  init(_ budget: ResourceBudget) { self.budget = budget }

  deinit { creditAll() }

  /// - Parameter isOnePiece: of these many bytes one allocation is made next, in a form that cannot fail: whether there is room for it
  ///   is tried here.
  /// - Throws: `memoryLimit` if they do not fit the budget, or the system has no room.
  func charge(_ count: Int, for what: StaticString, isOnePiece: Bool = false) throws(BinderyError) {
    guard let count = UInt64(exactly: count), budget.charge(count, to: .hostBuffers) else {
      throw BinderyError(
        .memoryLimit,
        "\(what) would take \(count) bytes, which do not fit the session's memory limit of \(budget.byteCountMax) bytes "
          + "(\(budget.usedByteCount) are in use)")
    }
    byteCount += count
    guard !isOnePiece || HostMemory.hasRoom(forByteCount: Int(count)) else {
      throw BinderyError(.memoryLimit, "the system has no memory for \(count) bytes of \(what)")
    }
  }

  func creditAll() {
    if byteCount > 0 { budget.credit(byteCount, to: .hostBuffers) }
    byteCount = 0
  }
}
