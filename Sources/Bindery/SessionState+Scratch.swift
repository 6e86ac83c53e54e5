import TensorOperations
import WasmRuntime

// Activations, and when their memory goes back to the operating system.
extension SessionState {
  /// What has used the scratch since the last discard.
  enum Touched { case nothing, decode, more }

  /// What has just ended.
  enum Ended { case decode, prefill, everything }

  /// Gives the activations back to the system where the policy says so. (Giving a page of 4 KiB back and faulting it in again
  /// costs about a microsecond: one percent of a pass of a small model.)
  mutating func discardScratch(after ended: Ended) {
    switch options.scratchDiscard {
    case .everyPass: discardScratch()
    case .aboveByteCount(let byteCount): if ended != .decode || decodeExceeds(byteCount) { discardScratch() }
    case .atMostEvery(let duration):
      if ended == .everything || lastDiscard.map({ ContinuousClock.now - $0 >= duration }) ?? true { discardScratch() }
    case .manual: break
    }
  }

  /// Whether decode passes have left more than so many bytes resident. The size of the memory does not tell: it never shrinks,
  /// and a prefill before needed more.
  private mutating func decodeExceeds(_ byteCount: UInt64) -> Bool {
    guard let scratch = instance?.memories.scratch else { return false }
    return scratch.byteCount > byteCount && residentByteCount(of: scratch) > byteCount
  }

  /// Bytes that passes have left resident since the last discard. Counting takes longer than a small discard, so that only one of
  /// 64 decode passes is counted. Where the system does not tell what is resident, the whole size counts.
  private mutating func residentByteCount(of scratch: Memory) -> UInt64 {
    if touched == .nothing { return 0 }
    let position = cachedTokens.count
    if touched == .decode, let decodeCount, decodeCount.positions.contains(position) { return decodeCount.byteCount }
    let byteCount = (try? scratch.residentByteCount()) ?? scratch.byteCount
    if touched == .decode { decodeCount = (byteCount, position..<position + 64) }
    return byteCount
  }

  mutating func discardScratch() {
    // A program that was given up took its memories with it.
    guard let scratch = instance?.memories.scratch else { return }
    let start = ContinuousClock.now
    // Counting first, discarding after.
    let residentByteCount = residentByteCount(of: scratch)
    lastDiscard = start
    guard residentByteCount > 0, (try? scratch.clearPages(start: 0, count: scratch.pageCount)) != nil else { return }
    touched = .nothing
    discards.count += 1
    discards.byteCount += residentByteCount
    discards.seconds += (ContinuousClock.now - start).seconds
  }

  func residentByteCounts() throws -> (scratch: UInt64, cache: UInt64) {
    guard let memories = instance?.memories else { return (0, 0) }
    return (try memories.scratch.residentByteCount(), try memories.cache.residentByteCount())
  }
}
