import VirtualMemory

/// The addresses of one memory, between two ranges that nothing ever makes accessible.
///
///     |  2 GiB without access  |  base ... base + byteCount  |  64 KiB without access  |
///
/// No access is meant to get there: it is a wall behind the checks. A 32-bit number that some code took for signed, or a row
/// below the first, goes at most 2 GiB down; behind the end an access overruns by less than its own length, of which the largest
/// has 16 bytes (and what native kernels read ahead).
///
/// Offsets are those of the memory; all else is as in `AddressReservation`. The whole is one mapping until part of it is committed.
@safe
struct GuardedReservation: ~Copyable {
  static let leadingByteCount = 1 << 31
  static let trailingByteCount = 1 << 16
  /// The most that a memory may have: what 64-bit signed numbers can address.
  static let byteCountMax = Int.max - leadingByteCount - trailingByteCount - (1 << 32)

  private let whole: AddressReservation
  /// Host address of offset 0.
  let base: UnsafeMutableRawPointer

  private let isExcludedFromDumps: Bool

  init(byteCount: Int, isExcludedFromDumps: Bool = false) throws(VirtualMemoryError) {
    self.isExcludedFromDumps = isExcludedFromDumps
    whole = try AddressReservation(
      byteCount: Self.leadingByteCount + byteCount + Self.trailingByteCount, isExcludedFromDumps: isExcludedFromDumps)
    // SAFETY: inside the reservation. Its start is a multiple of the large page, and so is what leads.
    unsafe base = unsafe whole.base + Self.leadingByteCount
  }

  /// Why there were no addresses, and what to do.
  static func explain(_ error: VirtualMemoryError) -> String {
    let count = (try? ProcessMemory.mappingCount()) ?? 0
    guard count >= ProcessMemory.mappingCountMax - 64 else { return error.description }
    return "\(error): this process has \(count) mappings, and the system allows \(ProcessMemory.mappingCountMax) (raise vm.max_map_count)"
  }

  // The offset is checked by the reservation: it lies behind the first guard, and may not reach the second.

  private func place(_ offset: Int) -> Int {
    precondition(offset >= 0 && offset <= Self.byteCountMax, "an offset of the memory")
    return offset + Self.leadingByteCount
  }

  func protect(at offset: Int, byteCount: Int, access: PageAccess) throws(VirtualMemoryError) {
    try whole.protect(at: place(offset), byteCount: byteCount, access: access)
  }

  func commit(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    try whole.commit(at: place(offset), byteCount: byteCount)
  }

  func replace(at offset: Int, byteCount: Int, access: PageAccess) throws(VirtualMemoryError) {
    try whole.replace(at: place(offset), byteCount: byteCount, access: access)
    // New pages have forgotten it. Should the system refuse, a dump has more in it than we like.
    if isExcludedFromDumps { _ = try? whole.advise(.notDumped, at: place(offset), byteCount: byteCount) }
  }

  func discard(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    try whole.discard(at: place(offset), byteCount: byteCount)
  }

  func evict(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    try whole.evict(at: place(offset), byteCount: byteCount)
  }

  func evictClean(at offset: Int, byteCount: Int) throws(VirtualMemoryError) {
    try whole.evictClean(at: place(offset), byteCount: byteCount)
  }

  func map(
    _ file: RegularFile, fileOffset: UInt64, at offset: Int, byteCount: Int, access: PageAccess, isShared: Bool
  ) throws(VirtualMemoryError) {
    try whole.map(file, fileOffset: fileOffset, at: place(offset), byteCount: byteCount, access: access, isShared: isShared)
  }

  func advise(_ advice: MemoryAdvice, at offset: Int, byteCount: Int) throws(VirtualMemoryError) -> Bool {
    try whole.advise(advice, at: place(offset), byteCount: byteCount)
  }

  func residentByteCount(at offset: Int, byteCount: Int) throws(VirtualMemoryError) -> Int {
    try whole.residentByteCount(at: place(offset), byteCount: byteCount)
  }
}
