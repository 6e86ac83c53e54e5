import GuestImports

/// Where keys and values of a sequence lie in `cache`, as f16.
///
///     base | chunk 0                                         | chunk 1, at chunkStride | ...
///          | keys of layer 0: 64 rows | values of layer 0 | keys of layer 1 | ...      |
///
/// So a chunk holds all layers of 64 positions, is mapped at once, and the space of a sequence is contiguous.
struct CacheLayout {
  static let chunkPositions = 64
  static let elementType = ElementType.f16

  var layerCount: Int
  /// Elements of a row: key/value heads times head dimension.
  var width: Int

  private var planeByteCount: UInt64 { UInt64(CacheLayout.chunkPositions) * UInt64(width) * 2 }
  var chunkStride: UInt64 { (2 * UInt64(layerCount) * planeByteCount + 0xffff) & ~0xffff }
  func keyPlaneOffset(layer: Int) -> UInt64 { 2 * UInt64(layer) * planeByteCount }
  func valuePlaneOffset(layer: Int) -> UInt64 { (2 * UInt64(layer) + 1) * planeByteCount }

  func chunkCount(positions: Int) -> Int { (positions + CacheLayout.chunkPositions - 1) / CacheLayout.chunkPositions }
}

/// The sequences of a program: each owns a contiguous range of addresses of `cache`, mapped as the sequence grows.
///
/// An open sequence takes addresses, not memory; memory is taken in chunks of 64 positions when rows arrive, and given back
/// when it is trimmed or closed. Addresses of closed sequences are used again.
struct SequenceCache {
  private struct Sequence {
    var isOpen = false
    var base: UInt64 = 0
    var contextLength = 0
    /// Positions whose keys and values are there: the next row has this position.
    var length = 0
    /// `length` with the rows of the pass that runs.
    var pendingLength = 0
    var mappedChunkCount = 0
  }

  let layout: CacheLayout
  /// The longest context the model was made for.
  let contextLengthMax: Int
  private var sequences: [Sequence] = []

  init(layout: CacheLayout, contextLengthMax: Int) {
    self.layout = layout
    self.contextLengthMax = contextLengthMax
  }

  /// Reserves addresses for a sequence of up to `contextLength` positions; maps nothing.
  mutating func open(contextLength: Int) throws(ProgramError) -> Int {
    guard contextLength > 0, contextLength <= contextLengthMax else {
      throw ProgramError {
        $0.append("context: expected 1 to ")
        $0.append(contextLengthMax)
        $0.append(" positions, which is what the model was made for, found ")
        $0.append(contextLength)
      }
    }
    let byteCount = UInt64(layout.chunkCount(positions: contextLength)) * layout.chunkStride
    let base = firstGap(byteCount)
    let (end, overflow) = base.addingReportingOverflow(byteCount)
    let pageCount = cache_memory_size(), needed = end >> 16
    if overflow || (needed > pageCount && cache_memory_grow(needed - pageCount) == UInt64.max) {
      throw ProgramError {
        $0.append("cache: no addresses left for a sequence of ")
        $0.append(contextLength)
        $0.append(" positions; close another first")
      }
    }
    let sequence = Sequence(isOpen: true, base: base, contextLength: contextLength)
    if let free = sequences.firstIndex(where: { !$0.isOpen }) {
      sequences[free] = sequence
      return free
    }
    sequences.append(sequence)
    return sequences.count - 1
  }

  /// Forgets the positions from `position` on.
  mutating func trim(_ number: Int, to position: Int) throws(ProgramError) {
    try check(number)
    guard position >= 0, position <= sequences[number].length else {
      throw ProgramError {
        appendName(number, to: &$0)
        $0.append("expected a position up to ")
        $0.append(sequences[number].length)
        $0.append(", found ")
        $0.append(position)
      }
    }
    sequences[number].length = position
    release(number)
  }

  mutating func close(_ number: Int) throws(ProgramError) {
    try check(number)
    sequences[number].length = 0
    release(number)
    sequences[number].isOpen = false
  }

  /// Takes the rows of a pass: checks that each is the next of its sequence, maps what is missing, and writes the addresses
  /// of the rows' sequences to `bases`. On an error no sequence has changed.
  mutating func begin(rows: Int, positions: UInt64, sequences numbers: UInt64, bases: UInt64) throws(ProgramError) {
    for number in sequences.indices { sequences[number].pendingLength = sequences[number].length }
    do throws(ProgramError) {
      for row in 0..<rows {
        let number = Int(scratch_i32_load(numbers &+ 4 &* UInt64(row)))
        let position = Int(scratch_i32_load(positions &+ 4 &* UInt64(row)))
        try check(number)
        guard position == sequences[number].pendingLength else { throw wrongPosition(number, row, position) }
        guard position < sequences[number].contextLength else { throw contextExceeded(number, rows, numbers) }
        try map(number, position)
        sequences[number].pendingLength = position + 1
        scratch_i64_store(bases &+ 8 &* UInt64(row), Int64(bitPattern: sequences[number].base))
      }
    } catch {
      for number in sequences.indices where sequences[number].isOpen { release(number) }
      throw error
    }
  }

  /// Keeps the rows that `begin` took: their keys and values have been stored.
  mutating func commit() {
    for number in sequences.indices { sequences[number].length = sequences[number].pendingLength }
  }

  // MARK: Helpers

  /// The lowest address with room for `byteCount` between open sequences.
  private func firstGap(_ byteCount: UInt64) -> UInt64 {
    var start: UInt64 = 0
    while let blocking = sequences.first(where: { sequence in
      sequence.isOpen && sequence.base < start &+ byteCount && start < end(sequence)
    }) {
      start = end(blocking)
    }
    return start
  }

  private func end(_ sequence: Sequence) -> UInt64 {
    sequence.base + UInt64(layout.chunkCount(positions: sequence.contextLength)) * layout.chunkStride
  }

  private mutating func map(_ number: Int, _ position: Int) throws(ProgramError) {
    let chunk = position / CacheLayout.chunkPositions
    while sequences[number].mappedChunkCount <= chunk {
      let address = sequences[number].base + UInt64(sequences[number].mappedChunkCount) * layout.chunkStride
      guard cache_memory_map(address, layout.chunkStride) == address else {
        throw ProgramError {
          $0.append("cache: the host refuses ")
          $0.append(unsigned: layout.chunkStride)
          $0.append(" bytes more for position ")
          $0.append(position)
          $0.append(" of sequence ")
          $0.append(number)
        }
      }
      sequences[number].mappedChunkCount += 1
    }
  }

  /// Unmaps the chunks beyond the sequence's length.
  private mutating func release(_ number: Int) {
    let kept = layout.chunkCount(positions: sequences[number].length)
    let mapped = sequences[number].mappedChunkCount
    guard kept < mapped else { return }
    cache_memory_unmap(
      sequences[number].base + UInt64(kept) * layout.chunkStride, UInt64(mapped - kept) * layout.chunkStride)
    sequences[number].mappedChunkCount = kept
  }

  private func check(_ number: Int) throws(ProgramError) {
    if number >= 0, number < sequences.count, sequences[number].isOpen { return }
    throw ProgramError {
      $0.append("sequence ")
      $0.append(number)
      $0.append(" is not open")
    }
  }

  private func appendName(_ number: Int, to text: inout TextBuffer) {
    text.append("sequence ")
    text.append(number)
    text.append(": ")
  }

  private func wrongPosition(_ number: Int, _ row: Int, _ position: Int) -> ProgramError {
    ProgramError {
      appendName(number, to: &$0)
      $0.append("expected position ")
      $0.append(sequences[number].pendingLength)
      $0.append(" next, found ")
      $0.append(position)
      $0.append(" in row ")
      $0.append(row)
    }
  }

  private func contextExceeded(_ number: Int, _ rows: Int, _ numbers: UInt64) -> ProgramError {
    var count = sequences[number].length
    for row in 0..<rows where Int(scratch_i32_load(numbers &+ 4 &* UInt64(row))) == number { count += 1 }
    return ProgramError {
      $0.append("context: sequence ")
      $0.append(number)
      $0.append(" would have ")
      $0.append(count)
      $0.append(" positions, its context holds ")
      $0.append(sequences[number].contextLength)
    }
  }
}
