import WasmRuntime

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Memory of the host whose size a guest chooses: charged to the budget of its store before it is taken, and refused instead of ending the
/// process where there is none.
@safe final class HostBuffer {
  private let budget: ResourceBudget
  private(set) var byteCount = 0
  private var base: UnsafeMutableRawPointer?

  /// What is kept for the next operation. More goes back when the operation is over: one giant call is no reason to stay a giant.
  static let keptByteCountMax = 16 << 20

  /// Takes nothing yet.
  init(budget: ResourceBudget) { self.budget = budget }

  deinit { release() }

  /// Room for `byteCount` bytes, aligned to 64, with any content. What `reserve` gave before is no longer valid.
  /// - Returns: nil where the budget or the system refuses it. Above 0 bytes a buffer that is large enough costs nothing.
  func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    if let base = unsafe base, byteCount <= self.byteCount { return unsafe base }
    release()
    // Rounded up, so that slowly growing operands do not ask each time.
    let granule = byteCount <= 1 << 16 ? 1 << 12 : 1 << 18
    let (sum, overflow) = max(1, byteCount).addingReportingOverflow(granule - 1)
    let rounded = sum / granule * granule
    guard byteCount >= 0, !overflow, budget.charge(UInt64(rounded), to: .hostBuffers) else { return nil }
    var pointer: UnsafeMutableRawPointer?
    // SAFETY: an out-parameter of this frame; 64 is a power of two and a multiple of a pointer's size.
    guard unsafe posix_memalign(&pointer, 64, rounded) == 0, let pointer = unsafe pointer else {
      budget.credit(UInt64(rounded), to: .hostBuffers)
      return nil
    }
    unsafe base = pointer
    self.byteCount = rounded
    return unsafe pointer
  }

  /// Gives back what is more than worth keeping.
  func shrink() { if byteCount > Self.keptByteCountMax { release() } }

  private func release() {
    guard let base = unsafe base else { return }
    // SAFETY: allocated by `reserve`; no operation uses it any more.
    unsafe free(base)
    unsafe self.base = nil
    budget.credit(UInt64(byteCount), to: .hostBuffers)
    byteCount = 0
  }
}
