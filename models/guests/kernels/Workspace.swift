import GuestImports

/// Temporary storage of the operation that runs.
///
/// Nothing in it outlives a call, so there is one block: an operation reserves what it needs, all at once, and the block grows
/// to the greatest need so far.
enum Workspace {
  private nonisolated(unsafe) static var block: UnsafeMutableRawPointer?
  private nonisolated(unsafe) static var capacity = 0

  /// `byteCount` bytes, 16-aligned, not cleared. Traps where memory 0 cannot grow so far.
  static func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer {
    if byteCount <= capacity, byteCount >= 0, let block { return block }
    free(block)
    (block, capacity) = (nil, 0)
    guard byteCount >= 0, let larger = malloc(byteCount) else {
      misuse("memory 0 cannot grow; KiB needed for the operation:", Int32(truncatingIfNeeded: byteCount >> 10))
    }
    (block, capacity) = (larger, Int(malloc_usable_size(larger)))
    return larger
  }
}
