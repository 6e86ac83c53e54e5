#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// References of an element segment, charged to the budget as those of tables are.
@safe
final class ReferenceBuffer {
  let pointer: UnsafeMutablePointer<UInt64>
  let count: Int
  private let budget: ResourceBudget

  /// Room for `count` references, all null.
  /// - Throws: `.limit` where the budget, or the system, refuses.
  init(count: Int, budget: ResourceBudget) throws(WasmError) {
    let byteCount = UInt64(count) * 8
    guard budget.charge(byteCount, to: .tables) else {
      throw .limit(
        "an element segment of \(count) references: the memory limit is \(budget.byteCountMax) bytes, of which \(budget.usedByteCount) are used")
    }
    // SAFETY: one element at least, since nothing may come back for none; zeroes, which are null.
    guard let memory = unsafe calloc(max(count, 1), MemoryLayout<UInt64>.stride) else {
      budget.credit(byteCount, to: .tables)
      throw .limit("an element segment of \(count) references: the system has no memory for it")
    }
    unsafe pointer = unsafe memory.assumingMemoryBound(to: UInt64.self)
    self.count = count
    self.budget = budget
  }

  deinit {
    budget.credit(UInt64(count) * 8, to: .tables)
    unsafe free(pointer)
  }

  subscript(index: Int) -> UInt64 {
    // SAFETY: checked here.
    get {
      precondition(index >= 0 && index < count, "a reference of the segment")
      return unsafe pointer[index]
    }
    set {
      precondition(index >= 0 && index < count, "a reference of the segment")
      unsafe pointer[index] = newValue
    }
  }
}
