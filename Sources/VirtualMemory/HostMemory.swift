import CPlatform

/// Memory of the process itself, outside all reservations.
public enum HostMemory {
  /// Whether an allocation of so many bytes would succeed now. For collections of the standard library whose size depends on an input:
  /// they have no form that can fail, and end the process where the system refuses. The answer is that of an allocation that is made and
  /// given back; another thread may take the room in between, which a limit of memory well below that of the system makes unlikely.
  /// Costs a microsecond, whatever the size: no page is touched.
  public static func hasRoom(forByteCount byteCount: Int) -> Bool {
    byteCount >= 0 && bindery_has_room(byteCount)
  }
}
