import VirtualMemory

/// Pages of the host, zero, which take memory where they are touched. Given back with the object.
final class PageBuffer {
  private let reservation: AddressReservation

  /// - Throws: where the system has no addresses, or no further mapping, for it.
  init(byteCount: Int) throws(VirtualMemoryError) {
    reservation = try AddressReservation(byteCount: byteCount)
    try reservation.commit(at: 0, byteCount: reservation.byteCount)
  }

  var base: UnsafeMutableRawPointer { unsafe reservation.base }
}
