import CPlatform

/// Watches an address range over a mapped file for pages that cannot be read any more, because the file was truncated or its
/// device failed. Reading such a page gives zeroes instead of stopping the process, and the range is lost from then on.
///
/// - Important: the range must stay mapped while this lives.
public final class FaultRange: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): the handle is constant, and its lost flag is read atomically.
  private let handle: OpaquePointer

  /// - Throws: `.watchMapping` if the process's SIGBUS handler cannot be installed.
  public init(address: UnsafeRawPointer, byteCount: Int, isWritable: Bool = false) throws(VirtualMemoryError) {
    var errno: CInt = 0
    guard let handle = unsafe bindery_fault_range_register(address, byteCount, isWritable, &errno) else {
      throw VirtualMemoryError(operation: .watchMapping, errno: errno, byteCount: byteCount)
    }
    unsafe self.handle = unsafe handle
  }

  deinit {
    // SAFETY: the handle is given back once, here.
    unsafe bindery_fault_range_unregister(handle)
  }

  /// True once a page of the range could not be read.
  public var isLost: Bool { unsafe bindery_fault_range_is_lost(handle) }
}

/// The number of file pages lost in this process so far: equal before and after means that every read was good.
public var lostPageCount: UInt32 { bindery_lost_page_count() }
