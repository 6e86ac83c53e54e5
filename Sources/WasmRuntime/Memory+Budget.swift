import Synchronization

/// What a memory has charged to its budget.
struct MemoryCharges {
  /// Pages, and edges of bindings.
  var byteCount: UInt64 = 0
  var extentCount: UInt64 = 0
}

// Pages are charged before they are mapped. What an operation changes is known exactly only after it, where neighbouring extents
// merge or a part of it fails, so it charges the most that it can add, and the lock's release credits the rest.
extension Memory {
  /// Room that an extent may take: twice its size, as arrays grow, in the list and in the list that is rebuilt.
  private static let extentByteCount = UInt64(4 * MemoryLayout<PageExtent>.stride)

  /// Under the lock, before pages are added. False, with nothing changed, where the budget refuses.
  /// - Parameter extentCount: the most extents there will be more.
  func charge(byteCount: UInt64, extentCount: Int) -> Bool {
    guard let budget else { return true }
    let extentCount = UInt64(extentCount)
    guard budget.charge(byteCount, to: .memories) else { return false }
    guard budget.charge(extentCount * Self.extentByteCount, to: .pageStates) else {
      budget.credit(byteCount, to: .memories)
      return false
    }
    charges.byteCount += byteCount
    charges.extentCount += extentCount
    chargesMayDiffer = true
    return true
  }

  /// Under the lock, after a change: charges become what there is.
  ///
  /// Unmapping and protecting cut extents in two. They are not refused for that, since who gives memory back must be able to: what
  /// the budget cannot pay then is at most 0.3 % of the pages that were cut.
  func settleCharges() {
    chargesMayDiffer = false
    guard let budget else { return }
    let pageCount = hasPageStates ? extents.chargedPageCount : size.load(ordering: .relaxed) >> pageByteCountLog2
    let byteCount = (pageCount << pageByteCountLog2) + ownBytesOfBindings
    precondition(byteCount <= charges.byteCount, "pages are charged before they are mapped")
    if byteCount < charges.byteCount { budget.credit(charges.byteCount - byteCount, to: .memories) }
    charges.byteCount = byteCount
    let extentCount = UInt64(extents.extents.count)
    if extentCount < charges.extentCount {
      budget.credit((charges.extentCount - extentCount) * Self.extentByteCount, to: .pageStates)
      charges.extentCount = extentCount
    } else if extentCount > charges.extentCount,
      budget.charge((extentCount - charges.extentCount) * Self.extentByteCount, to: .pageStates)
    {
      charges.extentCount = extentCount
    }
  }

  /// When the memory ends.
  func creditAll() {
    budget?.credit(charges.byteCount, to: .memories)
    budget?.credit(charges.extentCount * Self.extentByteCount, to: .pageStates)
  }

  /// Why the minimum was refused.
  func reasonOfRefusal() -> String {
    var reasons: [String] = []
    if limits.mappedByteCountMax < .max { reasons.append("the limit of mapped bytes is \(limits.mappedByteCountMax)") }
    if let budget {
      reasons.append("the memory limit is \(budget.byteCountMax) bytes, of which \(budget.usedByteCount) are used")
    }
    return reasons.isEmpty ? "the system refused it" : reasons.joined(separator: "; ")
  }
}
