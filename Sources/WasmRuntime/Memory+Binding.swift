import Synchronization
import VirtualMemory
import WebAssembly

// Files in a memory: bind, and what can be done with a binding.
extension Memory {
  /// Binds a region of a file at `address`, without reading it: the guest sees the file's pages where they lie in the page
  /// cache. The file may be closed, renamed or unlinked afterwards.
  ///
  /// With d = offset modulo the host page, the first byte lies at address + d, so that whole pages of the file stay whole.
  /// At most two host pages are copied (`copiedByteCount`), none for a whole file. Costs a few system calls.
  ///
  /// Where address and file offset are equal modulo 2 MiB, large folios of the page cache become huge pages: a page fault for each
  /// 2 MiB instead of each 64 KiB, and random reads of 512 MB are a third faster. See also `advise(_:address:byteCount:)`.
  /// - Parameter address: a multiple of the page; the pages up to the end of the region must be in bounds and unmapped.
  /// - Throws: the first that applies of `notVirtual`, `unaligned`, `emptyRegion`, `outOfBounds`, `alreadyMapped`,
  ///   `pastEndOfFile`, `limitReached`, `system`.
  @discardableResult
  public func bind(
    _ region: FileRegion, at address: UInt64, mode: BindingMode = .readOnly
  ) throws(MemoryBindError) -> MemoryBinding {
    guard mode != .shared else { throw .sharedFile }
    return try bind(region, at: address, mode: mode, isGuestOwned: false)
  }

  /// Binds a buffer, or from `offset` (a multiple of the host page) `byteCount` bytes of it. The pages are readable and writable.
  @discardableResult
  public func bind(
    _ buffer: HostBuffer, offset: UInt64 = 0, byteCount: UInt64? = nil, at address: UInt64
  ) throws(MemoryBindError) -> MemoryBinding {
    guard offset % UInt64(hostPageByteCount) == 0 else { throw .unalignedBuffer(offset: offset) }
    let total = UInt64(buffer.byteCount)
    let region = FileRegion(file: buffer.file, offset: offset, byteCount: byteCount ?? (offset <= total ? total - offset : 0))
    return try bind(region, at: address, mode: .shared, isGuestOwned: false)
  }

  func bind(
    _ region: FileRegion, at address: UInt64, mode: BindingMode, isGuestOwned: Bool, fileOffsetMax: UInt64 = .max
  ) throws(MemoryBindError) -> MemoryBinding {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw .busy }
    let (pages, isAtEndOfFile) = try checkBind(region, at: address, fileOffsetMax: fileOffsetMax)
    let protection: PageProtection = mode == .readOnly ? .read : .readWrite
    let backing = PageBacking.host(binding: nextBindingID, mode: mode)
    guard admits(pageCount: pages.upperBound - pages.lowerBound),
      admits(extentCount: extents.extentCount(mapping: pages, backing, protection))
    else { throw .limitReached }

    var record = BindingRecord(
      region: region, mode: mode, guestAddress: address + region.offset % UInt64(hostPageByteCount),
      guestByteCount: region.byteCount, pages: pages)
    record.isGuestOwned = isGuestOwned
    // A buffer has nobody's bytes behind a part of it that must not be seen.
    plan(&record, isAtEndOfFile: isAtEndOfFile || mode == .shared)
    let pageByteCount = (pages.upperBound - pages.lowerBound) << pageByteCountLog2
    if !backing.isCharged { record.ownByteCount = pageByteCount - UInt64(record.mapped.count) }
    guard charge(byteCount: backing.isCharged ? pageByteCount : record.ownByteCount, extentCount: 1) else { throw .limitReached }
    do throws(VirtualMemoryError) {
      try place(&record, access: protection.access)
    } catch {
      record.watch?.end()
      dropHostPages(pages)
      throw .system(error)
    }
    let id = nextBindingID
    nextBindingID += 1
    bindings[id] = record
    ownBytesOfBindings += record.ownByteCount
    setPages(pages, .mapped(backing, protection))
    bytesCopied.wrappingAdd(UInt64(record.copied.reduce(0) { $0 + $1.count }), ordering: .relaxed)
    return MemoryBinding(memory: self, id: id, record: record)
  }

  /// Binds a whole file.
  @discardableResult
  public func bind(
    _ file: RegularFile, at address: UInt64, mode: BindingMode = .readOnly
  ) throws(MemoryBindError) -> MemoryBinding {
    try bind(FileRegion(file), at: address, mode: mode)
  }

  /// Bytes of the pages that belong to bindings.
  public var boundByteCount: UInt64 {
    acquire()
    defer { release() }
    return extents.extents.reduce(0) { sum, extent in
      extent.backing.isHost ? sum + ((extent.pages.upperBound - extent.pages.lowerBound) << pageByteCountLog2) : sum
    }
  }

  /// Files and buffers that are bound.
  public var bindingCount: Int {
    acquire()
    defer { release() }
    return bindings.count
  }

  // MARK: By range, for guests

  /// Unbinds the pages of a range that belong to bindings; other pages are skipped.
  /// - Throws: `unaligned`, `outOfBounds`, `pinned`; `notBound` if there are none.
  func unbindPages(address: UInt64, byteCount: UInt64) throws(MemoryBindError) {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw .busy }
    let runs = try boundRuns(address: address, byteCount: byteCount)
    guard !runs.contains(where: { isPinned($0.pages) }) else { throw .pinned }
    for run in runs {
      refreshViews(losing: run.pages)
      setPages(run.pages, .unmapped)
      forgetPages(run.pages, of: [run.binding], areReplaced: dropHostPages(run.pages))
    }
  }

  /// Drops clean resident pages of bindings in a range.
  func evictPages(address: UInt64, byteCount: UInt64) throws(MemoryBindError) {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    for run in try boundRuns(address: address, byteCount: byteCount) {
      guard let record = bindings[run.binding] else { continue }
      try evict(record, run.pages, isAlone: !turn.isBusy && !type.isShared)
    }
  }

  private func boundRuns(
    address: UInt64, byteCount: UInt64
  ) throws(MemoryBindError) -> [(binding: UInt64, pages: Range<UInt64>)] {
    guard mappablePageCount > 0 else { throw .notVirtual }
    guard address & (pageByteCount - 1) == 0, byteCount & (pageByteCount - 1) == 0 else {
      throw .unaligned(address: address, pageByteCount: pageByteCount)
    }
    let (end, overflow) = address.addingReportingOverflow(byteCount)
    guard !overflow, end <= self.byteCount else {
      throw .outOfBounds(address: address, byteCount: byteCount, memoryByteCount: self.byteCount)
    }
    var runs: [(binding: UInt64, pages: Range<UInt64>)] = []
    extents.forEachRun(in: (address >> pageByteCountLog2)..<(end >> pageByteCountLog2)) { pages, state in
      if case .mapped(.host(let binding, _), _) = state { runs.append((binding, pages)) }
      return true
    }
    guard !runs.isEmpty else { throw .notBound }
    return runs
  }

  /// Under the lock, when pages of these bindings have been unmapped and dropped: their files are not watched there any more.
  /// Bindings that guests made and that have no page left end here. Those of the host end with its `unbind`, however little is left
  /// of them.
  /// - Parameter areReplaced: whether `dropHostPages` replaced the pages.
  func forgetPages(_ pages: Range<UInt64>, of ids: Set<UInt64>, areReplaced: Bool) {
    let (offset, byteCount) = byteRange(pages)
    for id in ids {
      guard let record = bindings[id] else { continue }
      if !areReplaced {
        // Another thread may still be reading the file's pages, so the watch goes on. There are few such records: a memory in so many
        // pieces that pages cannot be replaced may not bind either.
        record.watch?.scatter()
      } else if record.isGuestOwned, ownedRuns(of: id, record).isEmpty {
        forget(id, record)
      } else {
        // SAFETY: the offset lies inside the reservation.
        unsafe record.watch?.forget(base + offset, byteCount: byteCount)
      }
    }
  }

  private func forget(_ id: UInt64, _ record: BindingRecord) {
    record.watch?.end()
    bindings[id] = nil
    ownBytesOfBindings -= record.ownByteCount
    chargesMayDiffer = true
  }

  // MARK: For MemoryBinding

  func unbind(_ id: UInt64) throws(MemoryBindError) {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw .busy }
    guard let record = bindings[id] else { throw .notBound }
    let runs = ownedRuns(of: id, record)
    guard !runs.contains(where: isPinned) else { throw .pinned }
    refreshViews(losing: record.pages)
    change { $0.remove(binding: id, in: record.pages) }
    for pages in runs { dropHostPages(pages) }
    // Last: until the pages are gone, another thread may be reading them.
    forget(id, record)
  }

  func evict(_ id: UInt64) throws(MemoryBindError) {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard let record = bindings[id] else { throw .notBound }
    for run in ownedRuns(of: id, record) { try evict(record, run, isAlone: !turn.isBusy && !type.isShared) }
  }

  func revert(_ id: UInt64) throws(MemoryBindError) {
    acquire()
    defer { release() }
    let turn = turn()
    defer { turn.end() }
    guard !turn.isBusy else { throw .busy }
    guard let record = bindings[id] else { throw .notBound }
    guard record.mode == .copyOnWrite else { throw .notCopyOnWrite }
    let runs = ownedRuns(of: id, record)
    guard !runs.contains(where: isPinned) else { throw .pinned }
    do throws(VirtualMemoryError) {
      // What can fail comes first: the copied edges, and pages that the guest has made inaccessible.
      for run in runs {
        let (offset, byteCount) = byteRange(run)
        try reservation.protect(at: offset, byteCount: byteCount, access: .readWrite)
      }
      var edges: [(Range<Int>, [UInt8])] = []
      for edge in record.copied where owns(edge, runs) {
        edges.append((edge, try record.region.file.read(at: record.fileOffset(of: edge.lowerBound), byteCount: edge.count)))
      }
      for run in runs { try zeroOutside(record, run) }
      for (edge, bytes) in edges {
        // SAFETY: the edge lies in pages of this binding, which are writable.
        unsafe bytes.withUnsafeBytes { unsafe (base + edge.lowerBound).copyMemory(from: $0.baseAddress!, byteCount: edge.count) }
      }
    } catch {
      throw .system(error)
    }
    try dropFilePages(of: id, record)
  }

  func isLost(_ id: UInt64) -> Bool {
    acquire()
    defer { release() }
    return bindings[id]?.watch?.isLost ?? false
  }

  // MARK: Inside, under the lock

  private func checkBind(
    _ region: FileRegion, at address: UInt64, fileOffsetMax: UInt64
  ) throws(MemoryBindError) -> (pages: Range<UInt64>, isAtEndOfFile: Bool) {
    guard mappablePageCount > 0 else { throw .notVirtual }
    guard address & (pageByteCount - 1) == 0 else { throw .unaligned(address: address, pageByteCount: pageByteCount) }
    guard region.byteCount > 0 else { throw .emptyRegion }
    let limit = min(byteCount >> pageByteCountLog2, mappablePageCount) << pageByteCountLog2
    let head = region.offset % UInt64(hostPageByteCount)
    let length = region.byteCount.addingReportingOverflow(head)
    let end = address.addingReportingOverflow(length.partialValue)
    guard !length.overflow, !end.overflow, end.partialValue <= limit else {
      throw .outOfBounds(address: address, byteCount: region.byteCount, memoryByteCount: limit)
    }
    // The limit is a multiple of the page, so rounding the end up stays within it.
    let pages = (address >> pageByteCountLog2)..<(((end.partialValue - 1) >> pageByteCountLog2) + 1)
    guard extents.firstFault(in: pages, { $0 == .unmapped ? nil : .alreadyMapped }) == nil else {
      throw .alreadyMapped(address: address, byteCount: region.byteCount)
    }
    let fileByteCount: UInt64
    do throws(VirtualMemoryError) {
      fileByteCount = try region.file.currentIdentity().byteCount
    } catch {
      throw error.isNotRegularFile ? .notRegularFile : .system(error)
    }
    let regionEnd = region.offset.addingReportingOverflow(region.byteCount)
    guard !regionEnd.overflow, regionEnd.partialValue <= min(fileByteCount, fileOffsetMax) else {
      throw .pastEndOfFile(
        offset: region.offset, byteCount: region.byteCount, fileByteCount: min(fileByteCount, fileOffsetMax))
    }
    return (pages, regionEnd.partialValue == fileByteCount)
  }

  /// Which host pages are mapped from the file, and which byte ranges copied.
  private func plan(_ record: inout BindingRecord, isAtEndOfFile: Bool) {
    let page = hostPageByteCount
    let start = Int(record.guestAddress)
    let end = start + Int(record.guestByteCount)
    let wholeStart = (start + page - 1) / page * page
    let wholeEnd = isAtEndOfFile ? (end + page - 1) / page * page : end / page * page
    guard wholeStart < wholeEnd else {
      // No host page is wholly the region's: one or two pieces of pages.
      record.copied = [start..<end]
      return
    }
    record.mapped = wholeStart..<wholeEnd
    if start < wholeStart { record.copied.append(start..<wholeStart) }
    if wholeEnd < end { record.copied.append(wholeEnd..<end) }
  }

  /// Puts pages where the plan says. On a throw the pages are in any state; none is visible to a guest.
  private func place(_ record: inout BindingRecord, access: PageAccess) throws(VirtualMemoryError) {
    let (offset, byteCount) = byteRange(record.pages)
    let isWhole = record.mapped == offset..<(offset + byteCount)
    if !isWhole {
      // The edges: anonymous zeroes, into which the copied bytes go.
      try reservation.replace(at: offset, byteCount: byteCount, access: record.copied.isEmpty ? access : .readWrite)
      for edge in record.copied {
        // SAFETY: the edge lies in the pages that were made writable above.
        try unsafe record.region.file.read(
          at: record.fileOffset(of: edge.lowerBound),
          into: UnsafeMutableRawBufferPointer(start: base + edge.lowerBound, count: edge.count))
      }
      if !record.copied.isEmpty, access != .readWrite {
        try reservation.protect(at: offset, byteCount: byteCount, access: access)
      }
    }
    guard !record.mapped.isEmpty else { return }
    try reservation.map(
      record.region.file, fileOffset: record.fileOffset(of: record.mapped.lowerBound),
      at: record.mapped.lowerBound, byteCount: record.mapped.count, access: access, isShared: record.mode == .shared)
    // A buffer cannot shrink.
    guard record.mode != .shared else { return }
    record.watch = try unsafe FaultRange(
      address: base + record.mapped.lowerBound, byteCount: record.mapped.count, isWritable: access == .readWrite)
  }

  /// The runs of pages that still belong to a binding.
  private func ownedRuns(of id: UInt64, _ record: BindingRecord) -> [Range<UInt64>] {
    var runs: [Range<UInt64>] = []
    extents.forEachRun(in: record.pages) { run, state in
      guard case .mapped(.host(id, _), _) = state else { return true }
      if let last = runs.last, last.upperBound == run.lowerBound {
        runs[runs.count - 1] = last.lowerBound..<run.upperBound
      } else {
        runs.append(run)
      }
      return true
    }
    return runs
  }

  private func owns(_ bytes: Range<Int>, _ runs: [Range<UInt64>]) -> Bool {
    let pages = (UInt64(bytes.lowerBound) >> pageByteCountLog2)..<((UInt64(bytes.upperBound - 1) >> pageByteCountLog2) + 1)
    return runs.contains { $0.lowerBound <= pages.lowerBound && pages.upperBound <= $0.upperBound }
  }

  /// Zeroes the anonymous bytes of a run that are outside the region, or copied (they are written again).
  private func zeroOutside(_ record: BindingRecord, _ run: Range<UInt64>) throws(VirtualMemoryError) {
    let (offset, byteCount) = byteRange(run)
    let before = offset..<max(offset, min(offset + byteCount, record.mapped.lowerBound))
    let after = min(max(record.mapped.upperBound, offset), offset + byteCount)..<(offset + byteCount)
    for range in [before, after] { try reservation.discard(at: range.lowerBound, byteCount: range.count) }
  }

  /// Drops clean resident pages of a run of a binding. Of a copy-on-write one only while nobody can write to it: a page written
  /// between the question whether it is clean and its end would be lost.
  private func evict(_ record: BindingRecord, _ run: Range<UInt64>, isAlone: Bool) throws(MemoryBindError) {
    let (offset, byteCount) = byteRange(run)
    let range = record.mapped.clamped(to: offset..<(offset + byteCount))
    do throws(VirtualMemoryError) {
      switch record.mode {
      case .readOnly, .shared: try reservation.evict(at: range.lowerBound, byteCount: range.count)
      case .copyOnWrite:
        guard isAlone, !isPinned(run) else { return }
        try reservation.evictClean(at: range.lowerBound, byteCount: range.count)
      }
    } catch {
      throw .system(error)
    }
  }

  private func dropFilePages(of id: UInt64, _ record: BindingRecord) throws(MemoryBindError) {
    do throws(VirtualMemoryError) {
      for run in ownedRuns(of: id, record) {
        let (offset, byteCount) = byteRange(run)
        let range = record.mapped.clamped(to: offset..<(offset + byteCount))
        try reservation.evict(at: range.lowerBound, byteCount: range.count)
      }
    } catch {
      throw .system(error)
    }
  }
}
