import CPlatform

/// Watches an address range over a mapped file for pages that cannot be read any more, because the file was truncated or its
/// device failed. Reading such a page gives zeroes instead of stopping the process, and the range is lost from then on: all of it
/// reads as zero, by one mapping, however many pages are gone.
///
/// - Important: the range must stay mapped while this lives, and what of it becomes something else must be forgotten.
@safe
public final class FaultRange: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): the handle changes only in `end`, which has the object to itself; what it stands for is
  // changed under a lock of its own, and its lost flag is read atomically.
  private var handle: OpaquePointer?

  /// - Throws: `.watchMapping` if the process's SIGBUS handler cannot be installed.
  public init(address: UnsafeRawPointer, byteCount: Int, isWritable: Bool = false) throws(VirtualMemoryError) {
    var errno: CInt = 0
    guard let handle = unsafe bindery_fault_range_register(address, byteCount, isWritable, &errno) else {
      throw VirtualMemoryError(operation: .watchMapping, errno: errno, byteCount: byteCount)
    }
    unsafe self.handle = unsafe handle
  }

  deinit { end() }

  /// Stops watching: to be called before the range is unmapped, when nobody else uses this object any more.
  public func end() {
    guard let handle = unsafe handle else { return }
    // SAFETY: the handle is given back once: it is nil afterwards.
    unsafe bindery_fault_range_unregister(handle)
    unsafe self.handle = nil
  }

  /// Stops watching a part of the range, whose pages have just been replaced by others. On return nobody will put zeroes there.
  public func forget(_ address: UnsafeRawPointer, byteCount: Int) {
    guard let handle = unsafe handle, byteCount > 0 else { return }
    // SAFETY: the handle is good until `end`; the address is only compared.
    unsafe bindery_fault_range_forget(handle, address, byteCount)
  }

  /// Pages of the range are going to be used for something else, though they could not be replaced: from now on, lost pages are
  /// replaced one by one.
  public func scatter() {
    guard let handle = unsafe handle else { return }
    // SAFETY: the handle is good until `end`.
    unsafe bindery_fault_range_scatter(handle)
  }

  /// True once a page of the range could not be read.
  public var isLost: Bool {
    guard let handle = unsafe handle else { return false }
    return unsafe bindery_fault_range_is_lost(handle)
  }
}

/// The number of losses of file pages in this process so far: equal before and after means that every read was good.
public var lostPageCount: UInt32 { bindery_lost_page_count() }
