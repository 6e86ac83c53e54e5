import CPlatform

/// What the processor may do with a page.
public enum PageAccess: CInt, Hashable, Sendable {
  case none = 0
  case read = 1
  case readWrite = 2
}

/// How pages are going to be used: what the system may do with them to save time. None of it changes what is read.
///
/// Each costs one system call, and lasts until the pages are replaced. Source: madvise(2).
public enum MemoryAdvice: CInt, Hashable, Sendable, CaseIterable {
  /// Large pages of the processor (`AddressReservation.largePageByteCount`, at multiples of that): a fault for each 2 MiB instead of
  /// each 4 KiB, fewer page tables and fewer misses of the translation buffer. On anonymous pages, a touched byte then takes 2 MiB of
  /// memory. On a file, what is read from the device from now on is read 4 MiB at a time into large folios of the page cache, whatever
  /// the device's read-ahead; it changes nothing for what the page cache holds already. Linux: MADV_HUGEPAGE.
  case hugePages = 0
  /// Pages of the smallest size. Linux: MADV_NOHUGEPAGE.
  case noHugePages = 1
  /// Pages of a file: start reading them into the page cache, and return. MADV_WILLNEED.
  case willNeed = 2
  /// Map all of the pages now, reading a file's where they are not in the page cache: no access faults afterwards. Takes as long as
  /// a pass that touches every page. Linux 5.14: MADV_POPULATE_READ.
  case populateRead = 3
  /// The same for pages that are going to be written: each gets memory of its own now. Linux 5.14: MADV_POPULATE_WRITE.
  case populateWrite = 4
  /// Core dumps leave the pages out: for what must not get into a file, such as prompts. Linux: MADV_DONTDUMP.
  case notDumped = 5
}

/// The page of the operating system, in bytes: 4096 on most x86-64 systems, 16384 on Apple silicon.
public var hostPageByteCount: Int { bindery_page_byte_count() }

/// A reserved range of addresses that never moves. It starts without access and without memory behind it; pages are
/// given access, contents and files, and taken back, by offset. Released with its owner.
///
///     base                                                     base + byteCount
///     |  read and write (anonymous)  |  a file, read  |  no access  |
///
/// Offsets and counts are in bytes and multiples of `hostPageByteCount`, inside the reservation: anything else is an error
/// of the caller and stops the program. Reserving costs a few microseconds whatever the size.
@safe
public struct AddressReservation: ~Copyable, @unchecked Sendable {
  /// The first address. It keeps its value until the reservation is released.
  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  private let mapping: UnsafeMutableRawPointer
  private let mappingByteCount: Int

  /// Large pages of the processor, and so of the page cache where the file system has large folios: a file mapped at a
  /// multiple of this gets them (123 page faults instead of 529 on a file of 253 MB).
  public static let largePageByteCount = 2 << 20

  /// Reserves `byteCount` bytes, rounded up to host pages. Large reservations start on a multiple of `largePageByteCount`.
  /// - Parameter isExcludedFromDumps: advises `notDumped` for all of it, with what alignment left over before and behind: neighbours of
  ///   this kind without access are one mapping then. A system that refuses leaves them in dumps.
  /// - Throws: `.reserve` if the system does not give that much address space.
  public init(byteCount: Int, isExcludedFromDumps: Bool = false) throws(VirtualMemoryError) {
    let page = hostPageByteCount
    let (padded, overflow) = byteCount.addingReportingOverflow(page - 1)
    guard byteCount >= 0, !overflow else {
      throw VirtualMemoryError(operation: .reserve, errno: 12, byteCount: byteCount)
    }
    let rounded = max(page, padded / page * page)
    let alignment = rounded >= Self.largePageByteCount ? Self.largePageByteCount : page
    var address: UnsafeMutableRawPointer?
    var start: UnsafeMutableRawPointer?
    var total = 0
    // SAFETY: the three results are written only on success, which is tested next.
    let failure = unsafe bindery_pages_reserve(rounded, alignment, &address, &start, &total)
    guard failure == 0, let address = unsafe address, let start = unsafe start else {
      throw VirtualMemoryError(operation: .reserve, errno: failure, byteCount: rounded)
    }
    unsafe self.base = unsafe address
    self.byteCount = rounded
    unsafe self.mapping = unsafe start
    self.mappingByteCount = total
    var isTaken = false
    // SAFETY: the range is the one just reserved.
    if isExcludedFromDumps { _ = unsafe bindery_pages_advise(start, total, MemoryAdvice.notDumped.rawValue, &isTaken) }
  }

  deinit {
    // SAFETY: the range is the one that was reserved, and nobody can hold an offset into it any more.
    let failure = unsafe bindery_pages_release(mapping, mappingByteCount)
    precondition(failure == 0, "releasing a reservation cannot fail")
  }

  /// Changes the access of pages; contents stay.
  public func protect(at offset: Int, byteCount: Int, access: PageAccess) throws(VirtualMemoryError) {
    guard byteCount > 0 else { return }
    let failure = unsafe bindery_pages_protect(address(offset, byteCount), byteCount, access.rawValue)
    guard failure == 0 else { throw VirtualMemoryError(operation: .protect, errno: failure, byteCount: byteCount) }
  }

  /// Gives pages read and write access: anonymous pages, zero where they were not in use before.
  public func commit(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    try protect(at: offset, byteCount: byteCount, access: .readWrite)
  }

  /// Replaces pages by anonymous ones of zeroes; contents and file mappings are gone.
  public func replace(at offset: Int, byteCount: Int, access: PageAccess) throws(VirtualMemoryError) {
    guard byteCount > 0 else { return }
    let failure = unsafe bindery_pages_replace(address(offset, byteCount), byteCount, access.rawValue)
    guard failure == 0 else { throw VirtualMemoryError(operation: .replace, errno: failure, byteCount: byteCount) }
  }

  /// Zeroes anonymous pages and returns their memory to the system. Access stays. About 100 microseconds per resident MB.
  public func discard(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    guard byteCount > 0 else { return }
    let failure = unsafe bindery_pages_discard(address(offset, byteCount), byteCount)
    guard failure == 0 else { throw VirtualMemoryError(operation: .discard, errno: failure, byteCount: byteCount) }
  }

  /// Drops resident pages of a file mapping; the next access reads them again. Changed pages of a private writable mapping
  /// fall back to the file's contents.
  public func evict(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    guard byteCount > 0 else { return }
    let failure = unsafe bindery_pages_evict(address(offset, byteCount), byteCount)
    guard failure == 0 else { throw VirtualMemoryError(operation: .evict, errno: failure, byteCount: byteCount) }
  }

  /// Drops resident pages of a private writable file mapping that have not been written. Nobody may write to them meanwhile.
  /// Where the system does not tell which pages those are, nothing is dropped.
  public func evictClean(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    guard byteCount > 0 else { return }
    let failure = unsafe bindery_pages_evict_clean(address(offset, byteCount), byteCount)
    guard failure == 0 else { throw VirtualMemoryError(operation: .evict, errno: failure, byteCount: byteCount) }
  }

  /// Maps `byteCount` bytes of a file from `fileOffset` (both multiples of the host page) over reserved pages.
  /// Private: with `.readWrite`, changes stay in this process; `isShared`: they are those of the file (a `HostBuffer`'s).
  public func map(
    _ file: RegularFile, fileOffset: UInt64, at offset: Int, byteCount: Int, access: PageAccess, isShared: Bool = false
  ) throws(VirtualMemoryError) {
    guard byteCount > 0 else { return }
    precondition(fileOffset % UInt64(hostPageByteCount) == 0, "file offset is a multiple of the host page")
    let failure = unsafe bindery_pages_map_file(
      address(offset, byteCount), byteCount, file.descriptor, fileOffset, access == .readWrite, isShared)
    guard failure == 0 else {
      throw VirtualMemoryError(operation: .mapFile, errno: failure, byteCount: byteCount, path: file.path)
    }
  }

  /// Tells the system how pages are going to be used. Contents and access stay; the advice is forgotten where pages are replaced
  /// or a file is mapped.
  /// - Returns: whether the system took the advice: false where it does not know it, or cannot take it for these pages. Nothing
  ///   but time depends on that, so callers may ignore it.
  /// - Throws: `.advise` if the system tried and failed; with `.populateRead`, EFAULT for pages of a file that has become shorter.
  @discardableResult
  public func advise(_ advice: MemoryAdvice, at offset: Int, byteCount: Int) throws(VirtualMemoryError) -> Bool {
    guard byteCount > 0 else { return true }
    var isTaken = false
    // SAFETY: the range lies inside the reservation; the result is written whatever happens.
    let failure = unsafe bindery_pages_advise(address(offset, byteCount), byteCount, advice.rawValue, &isTaken)
    guard failure == 0 else { throw VirtualMemoryError(operation: .advise, errno: failure, byteCount: byteCount) }
    return isTaken
  }

  /// Bytes of the range that are resident in this process, file pages included. Reads 8 bytes of /proc/self/pagemap per page.
  public func residentByteCount(at offset: Int, byteCount: Int) throws(VirtualMemoryError) -> Int {
    guard byteCount > 0 else { return 0 }
    var pageCount = 0
    let failure = unsafe bindery_pages_resident_count(address(offset, byteCount), byteCount, &pageCount)
    guard failure == 0 else { throw VirtualMemoryError(operation: .measureResidency, errno: failure) }
    return pageCount * hostPageByteCount
  }

  /// SAFETY: the one place where an offset becomes an address; the checks make it lie inside the reservation.
  private func address(_ offset: Int, _ byteCount: Int) -> UnsafeMutableRawPointer {
    let page = hostPageByteCount
    precondition(
      offset >= 0 && byteCount >= 0 && byteCount <= self.byteCount && offset <= self.byteCount - byteCount,
      "range lies inside the reservation")
    precondition(offset % page == 0 && byteCount % page == 0, "range is a whole number of host pages")
    return unsafe base + offset
  }
}
