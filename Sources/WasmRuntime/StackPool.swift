import CInterpreter
import Synchronization
import VirtualMemory

/// Stacks of stores. A store takes a pair when it runs for the first time and gives it back with its end.
///
///     slab   | frames | frames | frames | no access | slots | slots | slots |
///
/// Slots and frames of many stores lie in one mapping each, so that ten thousand stores take a few mappings and not some for each:
/// a process may have 65 530. Frames, which hold addresses of the host, have no slots before them. Memory is taken where a stack
/// is touched, and given back, zero, with the stack. Slabs stay: they are addresses only.
@safe
final class StackPool: Sendable {
  static let shared = StackPool()

  @safe
  struct Stacks: @unchecked Sendable {
    // SAFETY (of the unchecked conformance): whoever took the stacks is their only user.
    let slots: UnsafeMutablePointer<UInt8>
    let frames: UnsafeMutablePointer<bindery_frame>
    fileprivate let slab: Slab
  }

  fileprivate struct Size: Hashable {
    let slotByteCount: Int
    let frameByteCount: Int
  }

  fileprivate final class Slab: Sendable {
    let size: Size
    let reservation: AddressReservation
    let slotOffset: Int

    init(_ size: Size, count: Int) throws(VirtualMemoryError) {
      self.size = size
      slotOffset = count * size.frameByteCount + GuardedReservation.trailingByteCount
      reservation = try AddressReservation(byteCount: slotOffset + count * size.slotByteCount)
      try reservation.commit(at: 0, byteCount: count * size.frameByteCount)
      try reservation.commit(at: slotOffset, byteCount: count * size.slotByteCount)
    }
  }

  /// Stacks of a size, and how many there are of it in all.
  private struct Room {
    var free: [Stacks] = []
    var count = 0
  }

  private let rooms = Mutex<[Size: Room]>([:])

  /// - Throws: where the system has no addresses, or no further mapping.
  func take(slotByteCount: Int, frameCount: Int) throws(VirtualMemoryError) -> Stacks {
    let frameByteCount = unsafe frameCount * MemoryLayout<bindery_frame>.stride
    let size = Size(slotByteCount: Self.rounded(slotByteCount), frameByteCount: Self.rounded(frameByteCount))
    var failure: VirtualMemoryError?
    let stacks: Stacks? = rooms.withLock { rooms in
      if let stacks = rooms[size, default: Room()].free.popLast() { return stacks }
      // As many again as there are, up to 64: a process with one store reserves little.
      let wanted = min(max(rooms[size, default: Room()].count, 1), 64)
      for count in wanted > 1 ? [wanted, 1] : [1] {
        do throws(VirtualMemoryError) {
          let slab = try Slab(size, count: count)
          let made = (0..<count).reversed().map { index in
            // SAFETY: inside the slab, which every pair of stacks keeps.
            unsafe Stacks(
              slots: (slab.reservation.base + slab.slotOffset + index * size.slotByteCount).assumingMemoryBound(to: UInt8.self),
              frames: (slab.reservation.base + index * size.frameByteCount).assumingMemoryBound(to: bindery_frame.self), slab: slab)
          }
          rooms[size, default: Room()].count += count
          rooms[size, default: Room()].free += made
          return rooms[size, default: Room()].free.popLast()
        } catch { failure = error }
      }
      return nil
    }
    guard let stacks else { throw failure ?? VirtualMemoryError(operation: .reserve, errno: 12, byteCount: size.slotByteCount) }
    return stacks
  }

  /// What was used is zero for the next store, and its memory goes back to the system.
  func give(_ stacks: Stacks, usedSlotByteCount: Int, usedFrameByteCount: Int) {
    let slab = stacks.slab
    let base = unsafe UnsafeMutableRawPointer(slab.reservation.base)
    do throws(VirtualMemoryError) {
      try slab.reservation.discard(at: unsafe UnsafeMutableRawPointer(stacks.slots) - base, byteCount: Self.rounded(usedSlotByteCount))
      try slab.reservation.discard(at: unsafe UnsafeMutableRawPointer(stacks.frames) - base, byteCount: Self.rounded(usedFrameByteCount))
    } catch {
      // They cannot be made zero: nobody gets them again.
      return
    }
    rooms.withLock { $0[slab.size, default: Room()].free.append(stacks) }
  }

  private static func rounded(_ byteCount: Int) -> Int { (byteCount + hostPageByteCount - 1) / hostPageByteCount * hostPageByteCount }
}
