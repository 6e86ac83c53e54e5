/// Whether the bytes of `left` from `start` on are those of `right` in `range`: eight at a time.
///
/// Both must lie within their arrays.
public func bytesAreEqual(_ left: [UInt8], from start: Int, _ right: [UInt8], in range: Range<Int>) -> Bool {
  let count = range.count
  precondition(start >= 0 && count <= left.count - start, "the bytes lie within the array")
  precondition(range.lowerBound >= 0 && range.upperBound <= right.count, "the range lies within the array")
  // SAFETY: all loads lie within start..<start + count and range, which lie within the arrays as checked above.
  return unsafe left.withUnsafeBytes { left in
    unsafe right.withUnsafeBytes { right in
      var index = 0
      while index + 8 <= count {
        let a = unsafe left.loadUnaligned(fromByteOffset: start + index, as: UInt64.self)
        let b = unsafe right.loadUnaligned(fromByteOffset: range.lowerBound + index, as: UInt64.self)
        if a != b { return false }
        index += 8
      }
      while index < count {
        if unsafe left[start + index] != right[range.lowerBound + index] { return false }
        index += 1
      }
      return true
    }
  }
}
