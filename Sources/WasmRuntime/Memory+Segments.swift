import Synchronization
import VirtualMemory
import WebAssembly

// What instantiation does to a memory: active data segments, then the lock of static sections.
extension Memory {
  /// Copies an active data segment into the memory. In a virtual or mappable region the unmapped pages that it touches become
  /// mapped, readable and writable; pages that refuse a write are found before anything is mapped, so that a segment that
  /// traps maps and writes nothing. An empty segment checks its bounds only.
  /// - Returns: false if `isStopped`, asked between pieces of a MiB, said so.
  /// - Throws: `.outOfBounds`, `.protected`, or `.allocationFailure` where mapping is refused.
  @discardableResult
  package func initialize(
    _ bytes: UnsafeRawBufferPointer, address: UInt64, isStopped: () -> Bool = { false }
  ) throws(MemoryAccessError) -> Bool {
    acquire()
    defer { release() }
    let byteCount = UInt64(bytes.count)
    func refuse(_ fault: MemoryFault) -> MemoryAccessError { .init(fault, address: address, byteCount: byteCount) }
    let (end, overflow) = address.addingReportingOverflow(byteCount)
    guard !overflow, end <= size.load(ordering: .relaxed) else { throw refuse(.outOfBounds) }
    guard byteCount > 0 else { return true }
    if hasPageStates {
      let pages = (address >> pageByteCountLog2)..<(((end - 1) >> pageByteCountLog2) + 1)
      var unmapped: [Range<UInt64>] = []
      var isRefused = false
      extents.forEachRun(in: pages) { run, state in
        switch state {
        case .unmapped: unmapped.append(run)
        case .mapped(_, .readWrite): break
        case .mapped: isRefused = true
        }
        return !isRefused
      }
      guard !isRefused else { throw refuse(.protected) }
      guard mapAnonymous(unmapped, .readWrite) else { throw refuse(.allocationFailure) }
    }
    // SAFETY: the range is in bounds, and every page of it is mapped and writable by now.
    for start in stride(from: 0, to: bytes.count, by: BulkWork.byteCountMax) {
      if start > 0, isStopped() { return false }
      unsafe (base + Int(address) + start).copyMemory(
        from: bytes.baseAddress! + start, byteCount: min(bytes.count - start, BulkWork.byteCountMax))
    }
    return true
  }

  /// Gives the static sections their protection: after the last active segment of the module that defines the memory, before
  /// its start function. Once; later calls do nothing.
  package func lockStaticSections() {
    acquire()
    defer { release() }
    guard staticPageCount > 0, !staticSectionsAreLocked else { return }
    staticSectionsAreLocked = true
    let noAccessPageCount = type.attributes.noAccessPageCount
    refreshViews(losing: 0..<staticPageCount)
    for (pages, protection) in [(0..<noAccessPageCount, PageProtection.none), (noAccessPageCount..<staticPageCount, .read)]
    where !pages.isEmpty {
      protectPages(pages, protection)
      // Pages of one byte are protected by their states alone.
      let (offset, byteCount) = byteRange(pages)
      if pageByteCountLog2 > 0 { try? reservation.protect(at: offset, byteCount: byteCount, access: protection.access) }
    }
  }
}
