import WasmRuntime

/// The three memories that a model program and its operations share.
public struct ProgramMemories: Sendable {
  public let weights: Memory
  public let cache: Memory
  public let scratch: Memory

  public init(weights: Memory, cache: Memory, scratch: Memory) {
    self.weights = weights
    self.cache = cache
    self.scratch = scratch
  }

  public subscript(name: TensorOperation.MemoryName) -> Memory {
    switch name {
    case .weights: weights
    case .cache: cache
    case .scratch: scratch
    }
  }
}

extension ProgramMemories: OperationMemories {
  func pointer(
    _ memory: TensorOperation.MemoryName, _ address: UInt64, _ byteCount: UInt64, isWrite: Bool
  ) throws -> UnsafeMutableRawPointer {
    // SAFETY: the memory checks the range; a pointer from the read check is only read through.
    if isWrite { return unsafe try self[memory].writablePointer(address: address, byteCount: byteCount) }
    return unsafe UnsafeMutableRawPointer(mutating: try self[memory].readablePointer(address: address, byteCount: byteCount))
  }
}

extension Memory {
  /// `count` floats in place, for the time of `body`: logits are read where the program left them.
  /// - Throws: `.unaligned` if the address is no multiple of 4, or why the range cannot be read.
  package func withFloats<Result>(
    address: UInt64, count: Int, _ body: (Span<Float>) throws(MemoryAccessError) -> Result
  ) throws(MemoryAccessError) -> Result {
    let (byteCount, overflow) = UInt64(max(0, count)).multipliedReportingOverflow(by: 4)
    guard count >= 0, !overflow else { throw MemoryAccessError(.outOfBounds, address: address, byteCount: .max) }
    guard address % 4 == 0 else { throw MemoryAccessError(.unaligned, address: address, byteCount: byteCount) }
    return try unsafe withUnsafeReadableBytes(address: address, byteCount: byteCount) { bytes throws(MemoryAccessError) in
      // SAFETY: the memory keeps the range readable for the time of the closure; its base and the address are aligned.
      let floats = unsafe UnsafeBufferPointer(
        start: bytes.baseAddress?.assumingMemoryBound(to: Float.self), count: count)
      return try body(unsafe Span(_unsafeElements: floats))
    }
  }
}
