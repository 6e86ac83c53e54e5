import CInterpreter
import VirtualMemory
import WebAssembly

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The elements of a table, and the record by which the core knows it.
///
/// Elements are charged to the budget, 8 bytes each, before the table has them. A small table lies in allocated memory. One above
/// 64 KiB has addresses for all that it may grow to, and takes memory where it is written: null is a page that was never touched.
@safe
final class TableStorage {
  let type: TableType
  let pointer: UnsafeMutablePointer<bindery_table>
  private let countMax: UInt64
  private let budget: ResourceBudget
  /// Elements there is room for.
  private var capacity = 0
  /// Elements from this one on, and from the count on, are null.
  private var writtenCount: UInt64 = 0
  /// What holds the elements of a large table.
  private var pages: PageBuffer?

  private static let elementByteCount = UInt64(MemoryLayout<UInt64>.stride)
  private static let smallCapacity = (64 << 10) / MemoryLayout<UInt64>.stride

  init(type: TableType, limits: ResourceLimits, budget: ResourceBudget) throws(WasmError) {
    let count = type.limits.minimum
    guard count <= limits.tableElementCountMax else {
      throw .limit("a table of \(count) elements: the limit is \(limits.tableElementCountMax)")
    }
    self.type = type
    self.budget = budget
    let addressable = type.addressType == .i32 ? UInt64(UInt32.max) : .max
    let affordable = min(budget.byteCountMax, UInt64(Int.max)) / Self.elementByteCount
    countMax = min(type.limits.maximum ?? addressable, addressable, limits.tableElementCountMax, affordable)
    // SAFETY: owned by this object; without elements until there is room for them.
    unsafe pointer = UnsafeMutablePointer<bindery_table>.allocate(capacity: 1)
    unsafe pointer.initialize(to: bindery_table(elements: nil, count: 0))
    guard count <= affordable, budget.charge(count * Self.elementByteCount, to: .tables) else {
      throw .limit(
        "a table of \(count) elements (8 bytes each): the memory limit is \(budget.byteCountMax) bytes, of which \(budget.usedByteCount) are used")
    }
    guard reserve(count) else {
      budget.credit(count * Self.elementByteCount, to: .tables)
      throw .limit("a table of \(count) elements: the system has no memory for it")
    }
    unsafe pointer.pointee.count = count
  }

  deinit {
    budget.credit(count * Self.elementByteCount, to: .tables)
    if pages == nil { unsafe free(pointer.pointee.elements) }
    unsafe pointer.deallocate()
  }

  var count: UInt64 { unsafe pointer.pointee.count }

  subscript(index: UInt64) -> UInt64 {
    // SAFETY: checked here.
    get {
      precondition(index < count, "an element of the table")
      return unsafe pointer.pointee.elements[Int(index)]
    }
    set {
      precondition(index < count, "an element of the table")
      unsafe pointer.pointee.elements[Int(index)] = newValue
    }
  }

  /// Whether [start, start + length) lies in the table.
  func contains(_ start: UInt64, _ length: UInt64) -> Bool { length <= count && start <= count - length }

  /// Whether neither the maximum nor a limit forbids growing; the budget is asked by `grow`.
  func admits(_ delta: UInt64) -> Bool { delta <= countMax && count <= countMax - delta }

  // MARK: Work by the element

  // All of it in pieces. `pause` throws where the store is stopped meanwhile; the pieces done stay done.

  /// Appends `delta` copies of a value, or nothing.
  /// - Returns: the old count; nil where the maximum, a limit, the budget or the system refuses.
  func grow(by delta: UInt64, value: UInt64, _ pause: () throws(Trap) -> Void) throws(Trap) -> UInt64? {
    let old = count
    guard admits(delta), budget.charge(delta * Self.elementByteCount, to: .tables) else { return nil }
    guard reserve(old + delta) else {
      budget.credit(delta * Self.elementByteCount, to: .tables)
      return nil
    }
    let new = old..<(old + delta)
    // Null is there already, but where an earlier growth was stopped.
    let written = value == 0 ? new.clamped(to: 0..<max(writtenCount, old)) : new
    writtenCount = max(writtenCount, written.upperBound)
    do throws(Trap) {
      try write(value, written, pause)
    } catch {
      budget.credit(delta * Self.elementByteCount, to: .tables)
      throw error
    }
    unsafe pointer.pointee.count = new.upperBound
    return old
  }

  /// Sets a range to a value; false where it does not lie in the table.
  func fill(_ start: UInt64, _ value: UInt64, _ length: UInt64, _ pause: () throws(Trap) -> Void) throws(Trap) -> Bool {
    guard contains(start, length) else { return false }
    try write(value, start..<(start + length), pause)
    return true
  }

  /// Copies references into a range; false where one of the two ranges is out of bounds.
  func initialize(
    _ start: UInt64, from segment: ReferenceBuffer?, _ source: UInt64, _ length: UInt64, _ pause: () throws(Trap) -> Void
  ) throws(Trap) -> Bool {
    let available = UInt64(segment?.count ?? 0)
    guard contains(start, length), length <= available, source <= available - length else { return false }
    guard let segment, length > 0 else { return true }
    let (target, references) = unsafe (pointer.pointee.elements!, segment.pointer)
    try BulkWork.forEachPiece(of: Int(length), pieceCount: BulkWork.elementCountMax, pause) { piece in
      // SAFETY: both ranges were checked, and nothing but this store, which is here, changes the table.
      unsafe (target + Int(start) + piece.lowerBound).update(from: references + Int(source) + piece.lowerBound, count: piece.count)
    }
    return true
  }

  /// Copies a range of a table, which may be this one and overlap; false where one of the two ranges is out of bounds.
  func copy(
    _ start: UInt64, from other: TableStorage, _ source: UInt64, _ length: UInt64, _ pause: () throws(Trap) -> Void
  ) throws(Trap) -> Bool {
    guard contains(start, length), other.contains(source, length) else { return false }
    guard length > 0 else { return true }
    let (target, elements) = unsafe (pointer.pointee.elements!, other.pointer.pointee.elements!)
    // Towards the end of the source first where a piece would overwrite what is still to be copied.
    let isBackward = other === self && start > source
    try BulkWork.forEachPiece(of: Int(length), pieceCount: BulkWork.elementCountMax, isBackward: isBackward, pause) { piece in
      // SAFETY: both ranges were checked; update handles an overlap inside a piece.
      unsafe (target + Int(start) + piece.lowerBound).update(from: elements + Int(source) + piece.lowerBound, count: piece.count)
    }
    return true
  }

  private func write(_ value: UInt64, _ range: Range<UInt64>, _ pause: () throws(Trap) -> Void) throws(Trap) {
    guard !range.isEmpty else { return }
    let elements = unsafe pointer.pointee.elements! + Int(range.lowerBound)
    try BulkWork.forEachPiece(of: Int(range.upperBound - range.lowerBound), pieceCount: BulkWork.elementCountMax, pause) { piece in
      // SAFETY: the callers' ranges lie in the capacity.
      unsafe (elements + piece.lowerBound).update(repeating: value, count: piece.count)
    }
  }

  // MARK: Room

  /// Makes room for that many elements; what is new in it is null. False where the system has no memory.
  private func reserve(_ wanted: UInt64) -> Bool {
    let wanted = Int(wanted)
    guard wanted > capacity else { return true }
    // A large table got all the addresses there were for it.
    guard pages == nil else { return false }
    if wanted <= Self.smallCapacity {
      let larger = min(max(wanted, capacity * 2), Self.smallCapacity, max(wanted, Int(countMax)))
      // SAFETY: zeroes, which are null.
      guard let elements = unsafe calloc(larger, MemoryLayout<UInt64>.stride) else { return false }
      unsafe move(to: elements.assumingMemoryBound(to: UInt64.self), capacity: larger)
      return true
    }
    var larger = max(wanted, Int(countMax))
    while true {
      if let buffer = try? PageBuffer(byteCount: larger * MemoryLayout<UInt64>.stride) {
        unsafe move(to: buffer.base.assumingMemoryBound(to: UInt64.self), capacity: larger)
        pages = buffer
        return true
      }
      guard larger > wanted else { return false }
      larger = max(wanted, larger / 2)
    }
  }

  /// Only from small ones: what is copied is at most 64 KiB.
  private func move(to elements: UnsafeMutablePointer<UInt64>, capacity larger: Int) {
    let old = unsafe pointer.pointee.elements
    // SAFETY: the old elements fit the larger room, and are given back once.
    if let old = unsafe old { unsafe elements.update(from: old, count: capacity) }
    unsafe free(old)
    unsafe pointer.pointee.elements = unsafe elements
    capacity = larger
  }

  /// Whether this table may be imported where `required` is declared.
  func matches(_ required: TableType) -> Bool {
    guard type.elementType == required.elementType, type.addressType == required.addressType,
      count >= required.limits.minimum
    else { return false }
    guard let requiredMaximum = required.limits.maximum else { return true }
    guard let maximum = type.limits.maximum else { return false }
    return maximum <= requiredMaximum
  }
}
