import CPlatform

/// Watches an address range over a mapped file for pages that cannot be read any more, because the file was truncated or its
/// device failed. Reading such a page gives zeroes instead of stopping the process, and the range is lost from then on.
///
/// - Important: the range must stay mapped while this lives.
@safe
public final class FaultRange: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): the handle changes only in `end`, which has the object to itself, and its lost
  // flag is read atomically.
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

  /// True once a page of the range could not be read.
  public var isLost: Bool {
    guard let handle = unsafe handle else { return false }
    return unsafe bindery_fault_range_is_lost(handle)
  }
}

/// The number of file pages lost in this process so far: equal before and after means that every read was good.
public var lostPageCount: UInt32 { bindery_lost_page_count() }
