import CInterpreter
import CPlatform
import Synchronization
import VirtualMemory
import WebAssembly

/// One linear memory: a reserved range of addresses that never moves, of which a prefix is in bounds.
///
///     base                          base + byteCount                 base + reservation
///     |  in bounds: page states     |  reserved, not yet grown to    |  guard  |
///
/// A **plain** memory (no attribute) is readable and writable over its whole size; an access costs one compare. A memory with
/// **page states** (virtual, mappable, or with static sections) keeps for each page whether it is mapped, what is behind it
/// and what may be done with it. The page states decide; the processor's protection mirrors them as a second wall, and no
/// behaviour depends on it. It never allows less than they do.
///
/// A memory lives by itself: several instances in several stores may import it, on several threads. Changes of size and of
/// page states take a lock, and each page's change is seen by a racing access of another instance either wholly or not at all:
/// it succeeds, on the old bytes or on zeroes, or it traps. Nothing waits for it.
///
/// Source: the memory-control proposal (2025-02), on memories of any index; the differences are in the article "Memory".
@safe
public final class Memory: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): mutable state is touched only between acquire() and release(), or atomically.

  /// The type it was made with. The current size is `pageCount`.
  public let type: MemoryType
  public let limits: MemoryLimits
  /// What pays for its pages; nil: nobody.
  public let budget: ResourceBudget?

  let reservation: GuardedReservation
  /// Host address of guest address 0.
  let base: UnsafeMutableRawPointer
  let pageByteCountLog2: UInt64
  let hasPageStates: Bool
  /// Pages that can be mapped, bound and unmapped: [0, this).
  let mappablePageCount: UInt64
  /// Pages of the static sections.
  let staticPageCount: UInt64
  /// The size in pages that growing can reach.
  let growablePageCount: UInt64

  private let lock: OpaquePointer
  /// Of a shared memory: who waits, and who runs in it.
  let sharing: MemorySharing?
  let size = Atomic<UInt64>(0)
  let bytesCopied = Atomic<UInt64>(0)

  // Under the lock:
  var extents = PageExtentMap()
  var bindings: [UInt64: BindingRecord] = [:]
  var nextBindingID: UInt64 = 1
  var views: [RegisteredView] = []
  var pins: [PagePin] = []
  var staticSectionsAreLocked = false
  /// See `charge(byteCount:extentCount:)`.
  var charges = MemoryCharges()
  var chargesMayDiffer = false
  /// Whether it is one of `plainMemoryCount`.
  private var isCounted = false
  var ownBytesOfBindings: UInt64 = 0

  /// Reserves the addresses of the maximum and makes the minimum accessible. Costs a few system calls, whatever the size; no
  /// memory is used before it is touched. Static sections are locked at once.
  /// - Parameter budget: what pays for mapped pages, now and when guests map or grow: see `ResourceBudget`. What it refuses,
  ///   growing and mapping answer with -1. A plain memory reserves no more addresses than it could pay pages for.
  public convenience init(
    type: MemoryType, limits: MemoryLimits = .init(), budget: ResourceBudget? = nil
  ) throws(MemoryAllocationError) {
    try self.init(type: type, limits: limits, budget: budget, deferringStaticSections: false)
  }

  /// With `deferringStaticSections`, static sections stay writable until `lockStaticSections`: for the module that defines the
  /// memory, whose data segments fill them.
  package init(
    type: MemoryType, limits: MemoryLimits, budget: ResourceBudget? = nil, deferringStaticSections: Bool
  ) throws(MemoryAllocationError) {
    let attributes = type.attributes
    let log2 = UInt64(type.pageByteCountLog2)
    guard log2 == 16 || log2 == 0 else {
      throw MemoryAllocationError(byteCount: 0, reason: "pages have 65536 bytes or 1, not 2^\(log2)")
    }
    let sections = attributes.noAccessPageCount.addingReportingOverflow(attributes.readOnlyPageCount)
    let initial = sections.partialValue.addingReportingOverflow(type.limits.minimum)
    guard !sections.overflow, !initial.overflow, initial.partialValue <= UInt64.max >> log2 else {
      throw MemoryAllocationError(byteCount: .max, reason: "its size does not fit 64 bits")
    }
    let pageCount = initial.partialValue
    let hasPageStates = attributes.isVirtual || attributes.mappablePageCount > 0 || sections.partialValue > 0
    let plan = try Self.planReservation(
      type: type, limits: limits, budget: budget, sectionPageCount: sections.partialValue, pageCount: pageCount,
      isExact: hasPageStates)

    self.type = type
    self.limits = limits
    self.budget = budget
    self.pageByteCountLog2 = log2
    self.hasPageStates = hasPageStates
    self.mappablePageCount = attributes.isVirtual ? .max : attributes.mappablePageCount
    self.staticPageCount = sections.partialValue
    self.growablePageCount = plan.pageCount
    self.reservation = plan.reservation
    unsafe self.base = unsafe self.reservation.base
    unsafe self.lock = unsafe bindery_lock_create()
    self.sharing = type.isShared ? MemorySharing() : nil

    if !hasPageStates {
      guard Self.countPlainMemory() else {
        throw MemoryAllocationError(
          byteCount: pageCount << log2,
          reason: "this process has too many memories for \(ProcessMemory.mappingCountMax) mappings (raise vm.max_map_count)")
      }
      isCounted = true
    }
    guard grow(by: pageCount) != nil else {
      throw MemoryAllocationError(byteCount: pageCount << log2, reason: reasonOfRefusal())
    }
    if !deferringStaticSections { lockStaticSections() }
  }

  deinit {
    for record in bindings.values { record.watch?.end() }
    Self.adjustTotalExtentCount(by: -mirroredExtentCount)
    if isCounted { Self.plainMemoryCount.wrappingSubtract(1, ordering: .relaxed) }
    creditAll()
    // SAFETY: nobody else holds the lock: this is the last reference.
    unsafe bindery_lock_destroy(lock)
  }

  // MARK: Size

  /// The size now, in bytes. Plain memories only ever grow.
  public var byteCount: UInt64 { size.load(ordering: .acquiring) }

  /// The size now, in pages of the type. Static sections count.
  public var pageCount: UInt64 { byteCount >> pageByteCountLog2 }

  public var pageByteCount: UInt64 { 1 << pageByteCountLog2 }

  /// Grows by `delta` pages. New pages are plain, or unmapped where the memory is virtual.
  /// - Returns: the old size in pages, or nil (the instruction's -1) if the maximum, a limit or the system refuses.
  @discardableResult
  public func grow(by delta: UInt64) -> UInt64? {
    acquire()
    defer { release() }
    let old = size.load(ordering: .relaxed) >> pageByteCountLog2
    let (new, overflow) = old.addingReportingOverflow(delta)
    guard !overflow, new <= growablePageCount else { return nil }
    guard delta > 0 else { return old }

    // Pages below mappablePageCount start unmapped, the others plain.
    let plain = max(old, min(mappablePageCount, new))..<new
    let mapped = hasPageStates ? extents.mappedPageCount : old
    let plainPageCount = plain.upperBound - plain.lowerBound
    guard mapped + plainPageCount <= limits.mappedByteCountMax >> pageByteCountLog2,
      charge(byteCount: plainPageCount << pageByteCountLog2, extentCount: hasPageStates && plainPageCount > 0 ? 1 : 0)
    else { return nil }
    if !plain.isEmpty {
      let from = roundedUpToHostPage(plain.lowerBound << pageByteCountLog2)
      let to = roundedUpToHostPage(plain.upperBound << pageByteCountLog2)
      do throws(VirtualMemoryError) { try reservation.commit(at: from, byteCount: to - from) } catch { return nil }
      if hasPageStates { setPages(plain, .mapped(.anonymous, .readWrite)) }
    }
    size.store(new << pageByteCountLog2, ordering: .releasing)
    refreshViews(losing: nil)
    return old
  }

  /// Whether neither the maximum nor the reservation forbids growing; limits and the budget are asked by `grow`.
  func mayGrow(by delta: UInt64) -> Bool {
    let (new, overflow) = pageCount.addingReportingOverflow(delta)
    return !overflow && new <= growablePageCount
  }

  // MARK: Import

  /// True if this memory may be imported where `required` is declared: kind, page size and every attribute equal, the size now
  /// at least the minimum, and the maximum at most the one that is required.
  public func matches(_ required: MemoryType) -> Bool {
    guard type.addressType == required.addressType, type.isShared == required.isShared,
      type.pageByteCountLog2 == required.pageByteCountLog2, type.attributes.isEquivalent(to: required.attributes)
    else { return false }
    let sections = staticPageCount
    let minimum = required.limits.minimum.addingReportingOverflow(sections)
    guard !minimum.overflow, pageCount >= minimum.partialValue else { return false }
    guard let requiredMaximum = required.limits.maximum else { return true }
    guard let maximum = type.limits.maximum else { return false }
    return maximum <= requiredMaximum
  }

  // MARK: Measures

  /// Bytes of mapped pages: the size of a plain memory.
  public var mappedByteCount: UInt64 {
    acquire()
    defer { release() }
    return hasPageStates ? extents.mappedPageCount << pageByteCountLog2 : byteCount
  }

  /// Bytes of files that `bind` had to copy because they shared a host page with something else. 0 for whole files.
  public var copiedByteCount: UInt64 { bytesCopied.load(ordering: .relaxed) }

  /// Mapped extents: runs of pages of equal state and backing.
  public var extentCount: Int {
    acquire()
    defer { release() }
    return extents.extents.count
  }

  /// Bytes of this memory that are resident now, file pages included. Reads the page map of the process for every mapped page
  /// (8 bytes for each 4096): for measuring, not for every pass.
  public func residentByteCount() throws(VirtualMemoryError) -> UInt64 {
    acquire()
    defer { release() }
    var total = 0
    func add(_ pages: Range<UInt64>) throws(VirtualMemoryError) {
      let from = Int(pages.lowerBound << pageByteCountLog2) / hostPageByteCount * hostPageByteCount
      let to = roundedUpToHostPage(pages.upperBound << pageByteCountLog2)
      total += try reservation.residentByteCount(at: from, byteCount: to - from)
    }
    if hasPageStates {
      for extent in extents.extents { try add(extent.pages) }
    } else {
      try add(0..<(byteCount >> pageByteCountLog2))
    }
    return UInt64(total)
  }

  /// The state of a page, by its index; unmapped past the end.
  public func pageState(at page: UInt64) -> PageState {
    acquire()
    defer { release() }
    if hasPageStates { return extents.state(of: page) }
    return page < pageCount ? .mapped(.anonymous, .readWrite) : .unmapped
  }

  // MARK: Inside

  // SAFETY (both): the lock lives from init to deinit.
  func acquire() { unsafe bindery_lock_acquire(lock) }
  func release() {
    if chargesMayDiffer { settleCharges() }
    unsafe bindery_lock_release(lock)
  }

  /// A byte count inside the reservation, rounded up to host pages: both fit Int.
  func roundedUpToHostPage(_ byteCount: UInt64) -> Int {
    (Int(byteCount) + hostPageByteCount - 1) / hostPageByteCount * hostPageByteCount
  }

  func byteRange(_ pages: Range<UInt64>) -> (offset: Int, byteCount: Int) {
    (Int(pages.lowerBound << pageByteCountLog2), Int((pages.upperBound - pages.lowerBound) << pageByteCountLog2))
  }

  /// How many pages to reserve: the maximum. A plain memory may get fewer, and then stops growing earlier.
  private static func planReservation(
    type: MemoryType, limits: MemoryLimits, budget: ResourceBudget?, sectionPageCount: UInt64, pageCount: UInt64, isExact: Bool
  ) throws(MemoryAllocationError) -> ReservationPlan {
    let log2 = UInt64(type.pageByteCountLog2)
    // memory.size must be able to tell the size: 2^32 pages of one byte would not fit 32 bits.
    let addressable: UInt64 =
      switch (type.addressType, log2) {
      case (.i32, 0): (1 << 32) - 1
      case (.i32, _): 1 << (32 - log2)
      case (.i64, _): UInt64.max >> log2
      }
    var maximum = addressable
    if let declared = type.limits.maximum {
      let (total, overflow) = declared.addingReportingOverflow(sectionPageCount)
      if !overflow { maximum = min(maximum, total) }
    } else if type.addressType == .i64 {
      maximum = min(maximum, max(pageCount, limits.unboundedReservationByteCount >> log2))
    }
    // Growing stops where the budget ends, so addresses behind that would be wasted.
    if !isExact, let budget { maximum = min(maximum, max(pageCount, budget.byteCountMax >> log2)) }
    let limit = min(limits.reservationByteCountMax, UInt64(GuardedReservation.byteCountMax)) >> log2
    guard pageCount <= maximum, pageCount <= limit, !isExact || maximum <= limit else {
      let wanted = max(pageCount, isExact ? maximum : 0).multipliedReportingOverflow(by: 1 << log2)
      throw MemoryAllocationError(
        byteCount: wanted.overflow ? .max : wanted.partialValue,
        reason: "the limit of address space for one memory is \(limits.reservationByteCountMax) bytes")
    }
    maximum = min(maximum, limit)
    while true {
      do throws(VirtualMemoryError) {
        let reservation = try GuardedReservation(byteCount: Int(maximum << log2), isExcludedFromDumps: limits.isExcludedFromDumps)
        return ReservationPlan(reservation: reservation, pageCount: maximum)
      } catch {
        // Where address space is scarce a plain memory can do with less of it.
        guard !isExact, maximum > pageCount else {
          throw MemoryAllocationError(byteCount: maximum << log2, reason: GuardedReservation.explain(error))
        }
        maximum = max(pageCount, maximum / 2)
      }
    }
  }

  private struct ReservationPlan: ~Copyable {
    let reservation: GuardedReservation
    let pageCount: UInt64
  }
}
