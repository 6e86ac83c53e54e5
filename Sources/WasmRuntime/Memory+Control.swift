import Synchronization
import VirtualMemory
import WebAssembly

/// What a discard did.
public enum DiscardResult: Int32, Hashable, Sendable {
  /// `memory.try_discard` only: the policy said no, nothing changed.
  case refused = -1
  /// Every byte is zero and its memory was given back.
  case released = 0
  /// Every byte is zero; part of it was zeroed in place and is still resident.
  case zeroedOnly = 1
}

// The instructions of the memory-control proposal. Each checks the whole range before it changes anything:
// alignment, bounds, length, then page states (the lowest refusing page decides). A throw leaves every page as it was.
//
// All of them throw `.busy` before that, where the host asks while a guest runs in this unshared memory on another thread.
extension Memory {
  /// memory.map: makes unmapped pages anonymous ones of zeroes.
  /// - Returns: false (the instruction's -1) if a quota, the extent limit or the system refuses; then nothing has changed.
  /// - Throws: `.unaligned`, `.outOfBounds`, `.zeroLength`, `.alreadyMapped`.
  public func map(
    address: UInt64, byteCount: UInt64, protection: PageProtection
  ) throws(MemoryAccessError) -> Bool {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw MemoryAccessError(.busy, address: address, byteCount: byteCount) }
    let pages = try checkedPages(address: address, byteCount: byteCount, mapping: true)
    try refuse(pages, address, byteCount) { $0 == .unmapped ? nil : .alreadyMapped }
    return mapAnonymous(CollectionOfOne(pages), protection)
  }

  /// memory.unmap: pages become unmapped and their contents are lost; a file stays what it was. Unmapped pages are fine.
  /// - Throws: `.unaligned`, `.outOfBounds`, `.zeroLength`; `.pinned` while the host uses a page in place.
  public func unmap(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) {
    _ = try unmap(address: address, byteCount: byteCount) { false }
  }

  /// The same for a guest that may have to stop: what takes time is to give back memory in use, 100 µs for each MB.
  /// - Returns: false if `isStopped` said so; then the pages are mapped still, and those at the start may be zero.
  func unmap(address: UInt64, byteCount: UInt64, isStopped: () -> Bool) throws(MemoryAccessError) -> Bool {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw MemoryAccessError(.busy, address: address, byteCount: byteCount) }
    let pages = try checkedPages(address: address, byteCount: byteCount, mapping: true)
    guard !isPinned(pages) else { throw MemoryAccessError(.pinned, address: address, byteCount: byteCount) }
    guard releaseContents(of: pages, isStopped) else { return false }
    var bound: Set<UInt64> = []
    if !bindings.isEmpty {
      extents.forEachRun(in: pages) { _, state in
        if case .mapped(.host(let binding, _), _) = state { bound.insert(binding) }
        return true
      }
    }
    refreshViews(losing: pages)
    setPages(pages, .unmapped)
    let areReplaced = dropHostPages(pages)
    if !bound.isEmpty { forgetPages(pages, of: bound, areReplaced: areReplaced) }
    return true
  }

  /// Before many pages are unmapped: afterwards there is little left to give back. False if it was stopped.
  private func releaseContents(of pages: Range<UInt64>, _ isStopped: () -> Bool) -> Bool {
    guard (pages.upperBound - pages.lowerBound) << pageByteCountLog2 > UInt64(Self.releaseByteCountMax) else { return true }
    var isDone = true
    extents.forEachRun(in: pages) { run, state in
      guard case .mapped(let backing, _) = state, backing.isCharged else { return true }
      let (offset, byteCount) = byteRange(run)
      // A refusal by the system does no harm here.
      isDone = (try? release(offset..<(offset + byteCount), isStopped)) ?? true
      return isDone
    }
    return isDone
  }

  /// Bytes that are given back at one time: 3 ms if all of them are resident.
  private static let releaseByteCountMax = 32 << 20

  /// Gives whole host pages back, piece by piece; false if it was stopped between two.
  private func release(_ bytes: Range<Int>, _ isStopped: () -> Bool) throws(VirtualMemoryError) -> Bool {
    var start = bytes.lowerBound
    while start < bytes.upperBound {
      let count = min(bytes.upperBound - start, Self.releaseByteCountMax)
      try reservation.discard(at: start, byteCount: count)
      start += count
      if start < bytes.upperBound, isStopped() { return false }
    }
    return true
  }

  /// memory.protect: changes what may be done with mapped pages; their contents stay.
  /// - Throws: `.unaligned`, `.outOfBounds`, `.zeroLength`, `.unmapped`, `.hostMappingReadOnly`; `.pinned` while the host uses
  ///   a page in place; `.allocationFailure` if the system cannot give access back (it has no room for another mapping).
  public func protect(
    address: UInt64, byteCount: UInt64, protection: PageProtection
  ) throws(MemoryAccessError) {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw MemoryAccessError(.busy, address: address, byteCount: byteCount) }
    let pages = try checkedPages(address: address, byteCount: byteCount, mapping: true)
    try refuse(pages, address, byteCount) { state in
      guard case .mapped(let backing, _) = state else { return .unmapped }
      if case .host(_, .readOnly) = backing, protection == .readWrite { return .hostMappingReadOnly }
      return nil
    }
    guard !isPinned(pages) else { throw MemoryAccessError(.pinned, address: address, byteCount: byteCount) }
    guard mirrorProtection(pages, protection) else {
      throw MemoryAccessError(.allocationFailure, address: address, byteCount: byteCount)
    }
    refreshViews(losing: pages)
    protectPages(pages, protection)
    awaitSafepoints()
  }

  /// memory.discard: the bytes become zero and their memory goes back to the system. Unmapped pages are skipped.
  /// If the policy refuses, they are zeroed in place.
  /// - Throws: `.unaligned`, `.outOfBounds`, `.protected`, `.hostMapped`; `.pinned` while the host uses a page in place.
  @discardableResult
  public func discard(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) -> DiscardResult {
    try discardWholly(address, byteCount, isTry: false, asks: true)
  }

  /// memory.try_discard: the same, but a refusal by the policy changes nothing and is told.
  public func tryDiscard(address: UInt64, byteCount: UInt64) throws(MemoryAccessError) -> DiscardResult {
    try discardWholly(address, byteCount, isTry: true, asks: true)
  }

  /// Discards pages by index, for the host: the policy is not asked.
  @discardableResult
  public func clearPages(start: UInt64, count: UInt64) throws(MemoryAccessError) -> DiscardResult {
    guard start <= UInt64.max >> pageByteCountLog2, count <= UInt64.max >> pageByteCountLog2 else {
      throw MemoryAccessError(.outOfBounds, address: .max, byteCount: .max)
    }
    return try discardWholly(start << pageByteCountLog2, count << pageByteCountLog2, isTry: false, asks: false)
  }

  // MARK: Checks

  /// Alignment, bounds, length, in this order, and the range in pages. `mapping`: for map, unmap and protect, which need a
  /// mappable region and more than zero bytes.
  private func checkedPages(
    address: UInt64, byteCount: UInt64, mapping: Bool
  ) throws(MemoryAccessError) -> Range<UInt64> {
    func refuse(_ fault: MemoryFault) -> MemoryAccessError { .init(fault, address: address, byteCount: byteCount) }
    if mapping, mappablePageCount == 0 { throw refuse(.notVirtual) }
    let mask = (UInt64(1) << pageByteCountLog2) - 1
    guard address & mask == 0, byteCount & mask == 0 else { throw refuse(.unaligned) }
    let (end, overflow) = address.addingReportingOverflow(byteCount)
    var limit = size.load(ordering: .relaxed)
    if mapping, mappablePageCount < limit >> pageByteCountLog2 { limit = mappablePageCount << pageByteCountLog2 }
    guard !overflow, end <= limit else { throw refuse(.outOfBounds) }
    if mapping, byteCount == 0 { throw refuse(.zeroLength) }
    return (address >> pageByteCountLog2)..<(end >> pageByteCountLog2)
  }

  private func refuse(
    _ pages: Range<UInt64>, _ address: UInt64, _ byteCount: UInt64, _ rule: (PageState) -> MemoryFault?
  ) throws(MemoryAccessError) {
    if let fault = extents.firstFault(in: pages, rule) {
      throw MemoryAccessError(fault, address: address, byteCount: byteCount)
    }
  }

  // MARK: Discard

  private func discardWholly(
    _ address: UInt64, _ byteCount: UInt64, isTry: Bool, asks: Bool
  ) throws(MemoryAccessError) -> DiscardResult {
    guard let result = try discard(address: address, byteCount: byteCount, isTry: isTry, asks: asks, isStopped: { false }) else {
      preconditionFailure("nothing stopped it")
    }
    return result
  }

  /// - Returns: nil if `isStopped`, asked every few milliseconds, said so: then bytes at the start of the range are zero.
  func discard(
    address: UInt64, byteCount: UInt64, isTry: Bool, asks: Bool, isStopped: () -> Bool
  ) throws(MemoryAccessError) -> DiscardResult? {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw MemoryAccessError(.busy, address: address, byteCount: byteCount) }
    let pages = try checkedPages(address: address, byteCount: byteCount, mapping: false)
    guard byteCount > 0 else { return .released }
    if hasPageStates {
      let staticPages = staticSectionsAreLocked ? staticPageCount : 0
      try refuse(pages, address, byteCount) { state in
        switch state {
        case .unmapped: nil
        case .mapped(.host, _): .hostMapped
        case .mapped(.anonymous, .read): .protected
        // Static no-access pages are not a guest's to give back; those it protected itself are.
        case .mapped(.anonymous, .none): staticPages > 0 ? .protected : nil
        case .mapped(.anonymous, .readWrite): nil
        }
      }
    }
    guard !isPinned(pages) else { throw MemoryAccessError(.pinned, address: address, byteCount: byteCount) }

    var decision = asks ? limits.discardPolicy?(byteCount) ?? .release : .release
    if decision == .refuse {
      if isTry { return .refused }
      decision = .zeroOnly
    }
    guard hasPageStates else { return discardBytes(address, byteCount, release: decision == .release, isStopped) }
    var result: DiscardResult? = .released
    extents.forEachRun(in: pages) { run, state in
      guard case .mapped(_, let protection) = state else { return true }
      // Pages without access are released even when the policy would have them zeroed: they cannot be written.
      let (offset, count) = byteRange(run)
      let isReleased = decision == .release || protection == .none
      guard let done = discardBytes(UInt64(offset), UInt64(count), release: isReleased, isStopped) else {
        result = nil
        return false
      }
      if done == .zeroedOnly { result = .zeroedOnly }
      if run.upperBound < pages.upperBound, isStopped() { result = nil }
      return result != nil
    }
    return result
  }

  /// Zeroes accessible anonymous bytes: whole host pages are released, the rest is overwritten.
  private func discardBytes(
    _ address: UInt64, _ byteCount: UInt64, release: Bool, _ isStopped: () -> Bool
  ) -> DiscardResult? {
    let start = Int(address)
    let end = start + Int(byteCount)
    let page = hostPageByteCount
    let wholeStart = (start + page - 1) / page * page
    let wholeEnd = end / page * page
    if release, wholeStart < wholeEnd {
      do throws(VirtualMemoryError) {
        guard try self.release(wholeStart..<wholeEnd, isStopped) else { return nil }
        zero(start..<wholeStart)
        zero(wholeEnd..<end)
        return start == wholeStart && end == wholeEnd ? .released : .zeroedOnly
      } catch {
        // The system would not: zero all of it in place.
      }
    }
    for piece in stride(from: start, to: end, by: BulkWork.byteCountMax) {
      if piece > start, isStopped() { return nil }
      zero(piece..<min(piece + BulkWork.byteCountMax, end))
    }
    return .zeroedOnly
  }

  private func zero(_ bytes: Range<Int>) {
    guard !bytes.isEmpty else { return }
    // SAFETY: the caller's check found the range in bounds, mapped and writable.
    unsafe (base + bytes.lowerBound).initializeMemory(as: UInt8.self, repeating: 0, count: bytes.count)
  }

  // MARK: Changes of state, under the lock

  /// Maps ranges that are unmapped now, all or none. False if a quota, the extent limit or the system refuses.
  func mapAnonymous(_ ranges: some Collection<Range<UInt64>>, _ protection: PageProtection) -> Bool {
    let wanted = ranges.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
    guard admits(pageCount: wanted), charge(byteCount: wanted << pageByteCountLog2, extentCount: ranges.count) else { return false }
    for (index, pages) in ranges.enumerated() {
      let (offset, byteCount) = byteRange(pages)
      let count = extents.extentCount(mapping: pages, .anonymous, protection)
      do throws(VirtualMemoryError) {
        guard admits(extentCount: count) else { throw VirtualMemoryError(operation: .replace, errno: 12) }
        // Another thread may be about to store where these pages were writable a moment ago: see `mirrors`.
        try reservation.replace(at: offset, byteCount: byteCount, access: hasOneUser ? protection.access : .readWrite)
      } catch {
        for done in ranges.prefix(index) {
          setPages(done, .unmapped)
          dropHostPages(done)
        }
        return false
      }
      setPages(pages, .mapped(.anonymous, protection))
    }
    return true
  }

  /// True if that many more pages fit the quota of mapped bytes.
  func admits(pageCount: UInt64) -> Bool {
    extents.mappedPageCount + pageCount <= limits.mappedByteCountMax >> pageByteCountLog2
  }

  /// True if the memory may have that many extents. Beyond a third of the system's limit for the process none may have more.
  func admits(extentCount: Int) -> Bool {
    extentCount <= limits.extentCountMax
      && (extentCount <= extents.extents.count
        || Self.totalExtentCount.load(ordering: .relaxed) < Self.totalExtentCountMax)
  }

  func setPages(_ pages: Range<UInt64>, _ state: PageState) { change { $0.set(pages, state) } }

  func protectPages(_ pages: Range<UInt64>, _ protection: PageProtection) { change { $0.protect(pages, protection) } }

  func change(_ body: (inout PageExtentMap) -> Void) {
    let before = mirroredExtentCount
    body(&extents)
    chargesMayDiffer = true
    Self.adjustTotalExtentCount(by: mirroredExtentCount - before)
  }

  /// Contents of pages that are unmapped now go back to the system, and so does access, where protection is mirrored.
  /// Where it is not, the pages stay accessible to the host, empty, and only the page states refuse.
  /// - Returns: false if the system would not replace the pages: they are still those of the file, if one was bound there.
  @discardableResult
  func dropHostPages(_ pages: Range<UInt64>) -> Bool {
    awaitSafepoints()
    let (offset, byteCount) = byteRange(pages)
    do throws(VirtualMemoryError) {
      guard hasRoomToMirror else { throw VirtualMemoryError(operation: .replace, errno: 12) }
      try reservation.replace(at: offset, byteCount: byteCount, access: hasOneUser ? .none : .readWrite)
      return true
    } catch {
      // A page that is mapped again is replaced first, so what stays here is never seen.
      try? reservation.discard(at: offset, byteCount: byteCount)
      return false
    }
  }

  /// The processor's protection follows, where it can. False if pages would be less accessible than their state says.
  private func mirrorProtection(_ pages: Range<UInt64>, _ protection: PageProtection) -> Bool {
    let (offset, byteCount) = byteRange(pages)
    if protection == .none || mirrors {
      do throws(VirtualMemoryError) {
        guard mirrors else { return true }
        try reservation.protect(at: offset, byteCount: byteCount, access: protection.access)
        return true
      } catch {
        if protection == .none { return true }
      }
    }
    // Access must be given, if not exactly to these pages: whole runs of one backing need no new mapping.
    var isGiven = true
    extents.forEachRun(in: pages) { run, state in
      guard case .mapped(let backing, _) = state else { return true }
      var first = extents.firstIndex(endingAfter: run.lowerBound)
      var last = first
      let list = extents.extents
      while first > 0, list[first - 1].backing == backing,
        list[first - 1].pages.upperBound == list[first].pages.lowerBound
      { first -= 1 }
      while last + 1 < list.count, list[last + 1].backing == backing,
        list[last].pages.upperBound == list[last + 1].pages.lowerBound
      { last += 1 }
      var access = PageAccess.readWrite
      if case .host(_, .readOnly) = backing { access = .read }
      let (offset, byteCount) = byteRange(list[first].pages.lowerBound..<list[last].pages.upperBound)
      do throws(VirtualMemoryError) {
        try reservation.protect(at: offset, byteCount: byteCount, access: access)
      } catch {
        isGiven = false
      }
      return isGiven
    }
    return isGiven
  }

  /// Whether the processor's protection is lowered with that of pages.
  ///
  /// Not when several instances use the memory, or it is shared: another thread may be between the test of an access and the
  /// access. It then finds the old bytes or zeroes, as if it had come first, instead of a page that ends the process.
  private var mirrors: Bool { hasOneUser && hasRoomToMirror }

  private var hasOneUser: Bool { views.count <= 1 && !type.isShared }

  /// False when a guest has cut its memory into so many pieces that mirroring them would use up the mappings of the process
  /// (unmap and protect are not refused for that).
  private var hasRoomToMirror: Bool {
    extents.extents.count <= limits.extentCountMax
      && Self.totalExtentCount.load(ordering: .relaxed) <= Self.totalExtentCountMax
  }

  /// Extents that the processor's protection follows: no more than the limit.
  var mirroredExtentCount: Int { min(extents.extents.count, limits.extentCountMax) }

  /// Mirrored extents of all memories of the process. Each costs the system at most two mappings: a third of them may take two
  /// thirds of what the system allows.
  private static let totalExtentCount = Atomic<Int>(0)
  private static let totalExtentCountMax = ProcessMemory.mappingCountMax / 3

  /// Plain memories, each of which takes two mappings as well.
  static let plainMemoryCount = Atomic<Int>(0)

  /// Counts one more, unless little would be left of the mappings that the process may have: at their end, any allocation may fail.
  static func countPlainMemory() -> Bool {
    let count = plainMemoryCount.wrappingAdd(1, ordering: .relaxed).newValue
    if 2 * (count + totalExtentCount.load(ordering: .relaxed)) <= ProcessMemory.mappingCountMax / 20 * 19 { return true }
    plainMemoryCount.wrappingSubtract(1, ordering: .relaxed)
    return false
  }

  static func adjustTotalExtentCount(by difference: Int) {
    if difference != 0 { totalExtentCount.wrappingAdd(difference, ordering: .relaxed) }
  }
}

extension PageProtection {
  /// What the processor is told.
  var access: PageAccess {
    switch self {
    case .none: .none
    case .read: .read
    case .readWrite: .readWrite
    }
  }
}
