import GuestImports

/// Lays out the activations of one pass in `scratch`, one after another, each on a multiple of 64 bytes.
///
/// The host empties the whole memory after a pass: nothing in it outlives one.
struct ScratchPlan {
  private(set) var byteCount: UInt64 = 0
  private var isTooLarge = false
  /// 16 TiB: far beyond any pass, far below where the sums could wrap.
  private let byteCountMax: UInt64 = 1 << 44

  /// f32 [rows, columns].
  mutating func floats(_ rows: Int, _ columns: Int) -> UInt64 { take(rows, columns, elementByteCount: 4) }
  /// i32 [count].
  mutating func integers(_ count: Int) -> UInt64 { take(count, 1, elementByteCount: 4) }
  /// i64 [count].
  mutating func longIntegers(_ count: Int) -> UInt64 { take(count, 1, elementByteCount: 8) }

  private mutating func take(_ rows: Int, _ columns: Int, elementByteCount: UInt64) -> UInt64 {
    let start = byteCount
    let rowByteCount = UInt64(columns) * elementByteCount
    if byteCount > byteCountMax || (rowByteCount > 0 && UInt64(rows) > byteCountMax / rowByteCount) {
      isTooLarge = true
      return 0
    }
    byteCount += (UInt64(rows) * rowByteCount + 63) & ~63
    return start
  }

  /// Grows `scratch` to hold the plan.
  func commit() throws(ProgramError) {
    let pageCount = scratch_memory_size(), needed = (byteCount + 65535) >> 16
    if !isTooLarge, needed <= pageCount || scratch_memory_grow(needed - pageCount) != UInt64.max { return }
    throw ProgramError {
      $0.append("scratch: the pass needs ")
      $0.append(unsigned: byteCount)
      $0.append(isTooLarge ? " bytes and more, which no memory holds" : " bytes, which the host refuses")
    }
  }
}

/// Moves rows `ids[0], ids[1], ...` (ascending) of an array in scratch to its front.
func gatherRows(_ address: UInt64, byteCount rowByteCount: UInt64, ids: UInt64, count: Int) {
  var target = address
  for index in 0..<count {
    var source = address &+ UInt64(UInt32(bitPattern: scratch_i32_load(ids &+ 4 &* UInt64(index)))) &* rowByteCount
    let end = target &+ rowByteCount
    while end &- target >= 16 {
      scratch_store(target, 0, scratch_load(source, 0))
      source &+= 16
      target &+= 16
    }
    while target < end {
      scratch_i32_store(target, scratch_i32_load(source))
      source &+= 4
      target &+= 4
    }
  }
}
