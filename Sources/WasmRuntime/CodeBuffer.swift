#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A list in memory of its own that may be refused: growing it fails instead of ending the process.
///
/// Whoever appends has made room before, with `reserve`, for what an instruction can write at most. Appending grows the list as
/// well, as a last resort.
@safe
struct CodeBuffer<Element: BitwiseCopyable>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>?
  private(set) var count = 0
  private(set) var capacity = 0

  init() { unsafe base = nil }

  deinit {
    // SAFETY: nobody else has the memory; free takes nil.
    unsafe free(base)
  }

  subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "the index is of an element")
      // SAFETY: the elements below `count` were written.
      return unsafe base![index]
    }
    set {
      precondition(index >= 0 && index < count, "the index is of an element")
      // SAFETY: as above.
      unsafe base![index] = newValue
    }
  }

  var last: Element? { count > 0 ? self[count - 1] : nil }

  /// Makes room for `newCapacity` elements.
  /// - Returns: false where the system has no memory; the list is as before then.
  mutating func reserve(_ newCapacity: Int) -> Bool {
    guard newCapacity > capacity else { return true }
    let (byteCount, overflow) = newCapacity.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    // SAFETY: base is nil or of realloc; when realloc fails it leaves the old memory.
    guard !overflow, let memory = unsafe realloc(base, byteCount) else { return false }
    unsafe base = memory.assumingMemoryBound(to: Element.self)
    capacity = newCapacity
    return true
  }

  mutating func append(_ element: Element) {
    if count == capacity {
      guard reserve(max(64, 2 * capacity)) else { fatalError("out of memory: the room was made before") }
    }
    // SAFETY: count < capacity.
    unsafe base![count] = element
    count += 1
  }

  mutating func append(contentsOf elements: [Element]) {
    for element in elements { append(element) }
  }

  @discardableResult
  mutating func removeLast() -> Element {
    let element = self[count - 1]
    count -= 1
    return element
  }

  mutating func truncate(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count, "a list is cut, not extended")
    count = newCount
  }

  /// The elements, in memory that the caller frees with `free`. No larger than they are.
  consuming func take() -> UnsafeMutableBufferPointer<Element> {
    guard count > 0 else {
      return unsafe UnsafeMutableBufferPointer(start: nil, count: 0)
    }
    let all = count
    // SAFETY: as in `reserve`. Where the system cannot shrink, the memory stays as it was.
    let smaller = unsafe realloc(base, all * MemoryLayout<Element>.stride)
    let elements = unsafe smaller.map { unsafe $0.assumingMemoryBound(to: Element.self) } ?? base
    unsafe base = nil
    return unsafe UnsafeMutableBufferPointer(start: elements, count: all)
  }
}
