import GuestImports

/// The part of memory 0 behind the module's own data: temporary storage of the operation that runs.
///
///     | data, stack | persistent: the rotation table | workspace of the current operation ... |
///
/// Nothing in the workspace outlives a call, so there is no allocator: an operation reserves what it needs, all at once.
enum Workspace {
  /// Bytes kept between calls, at the start: `RotationTable`.
  static let persistentByteCount = RotationTable.byteCount

  static var persistent: UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: (guest_heap_base() + 15) & ~15)!
  }

  /// `byteCount` bytes, 16-aligned, not cleared. Traps where memory 0 cannot grow so far.
  static func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let start = UInt(bitPattern: persistent) + UInt(persistentByteCount)
    let (end, overflow) = start.addingReportingOverflow(UInt(bitPattern: byteCount))
    if overflow || byteCount < 0 { misuse("workspace beyond the address space, bytes:", Int32(truncatingIfNeeded: byteCount)) }
    let pageCount = guest_memory_page_count()
    let needed = (end >> 16) + 1
    if needed > pageCount, guest_memory_grow(needed - pageCount) == UInt.max {
      misuse("memory 0 cannot grow, KiB needed:", Int32(truncatingIfNeeded: end >> 10))
    }
    return UnsafeMutableRawPointer(bitPattern: start)!
  }
}
