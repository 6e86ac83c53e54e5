import CPlatform

/// Memory of the host that can be bound into several memories, or several times into one, and is the same everywhere.
///
/// Anonymous, of fixed size, zero at first. What one of its users writes, all others read: a ring buffer is one buffer bound
/// twice in a row. Freed when the last binding and this object are gone.
public final class HostBuffer: Sendable {
  /// The size asked for, rounded up to host pages.
  public let byteCount: Int
  /// What `Memory.bind` maps.
  public let file: RegularFile
  private let reservation: AddressReservation

  /// - Throws: `.createBuffer`, `.reserve`, `.mapFile`.
  public init(byteCount: Int) throws(VirtualMemoryError) {
    guard byteCount > 0 else {
      throw VirtualMemoryError(operation: .createBuffer, errno: 0, byteCount: byteCount, reason: "it must have at least a byte")
    }
    let reservation = try AddressReservation(byteCount: byteCount)
    var descriptor: CInt = -1
    // SAFETY: the result is written only on success.
    let failure = unsafe bindery_shared_memory_create(reservation.byteCount, &descriptor)
    guard failure == 0 else {
      throw VirtualMemoryError(operation: .createBuffer, errno: failure, byteCount: reservation.byteCount)
    }
    let file = try RegularFile(owning: descriptor, path: nil)
    try reservation.map(
      file, fileOffset: 0, at: 0, byteCount: reservation.byteCount, access: .readWrite, isShared: true)
    self.byteCount = reservation.byteCount
    self.file = file
    self.reservation = reservation
  }

  /// The bytes, in place, for the time of `body`. Guests may change them meanwhile.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: the mapping covers byteCount bytes and lives as long as self.
    try unsafe body(UnsafeMutableRawBufferPointer(start: reservation.base, count: byteCount))
  }
}
