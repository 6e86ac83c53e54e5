/// The types of a function's parameters and locals by index.
///
/// A body can declare many locals in a few bytes, so only the first ones are listed one by one; the others are found in their
/// groups by bisection.
package struct LocalTypes {
  /// Locals listed one by one: more than nearly every function has. A module can have as many functions as it has bytes, nearly.
  private static let listedCountMax = 256

  private var listed: [ValueType] = []
  /// Groups by the index behind their last local.
  private var groups: [(end: UInt64, type: ValueType)] = []
  /// Parameters and locals.
  package private(set) var count = 0

  package init() {}

  package mutating func reset(parameters: [ValueType], groups declared: [FunctionBody.LocalGroup]) {
    listed.removeAll(keepingCapacity: true)
    groups.removeAll(keepingCapacity: true)
    var end: UInt64 = 0
    func add(_ type: ValueType, count: UInt64) {
      guard count > 0 else { return }
      let listable = min(count, UInt64(Self.listedCountMax - min(listed.count, Self.listedCountMax)))
      for _ in 0..<listable { listed.append(type) }
      end += count
      groups.append((end, type))
    }
    for type in parameters { add(type, count: 1) }
    for group in declared { add(group.type, count: UInt64(group.count)) }
    count = Int(end)
  }

  /// The type of a local, nil when there is none with that index.
  @inline(__always)
  package subscript(index: UInt32) -> ValueType? {
    if Int(index) < listed.count { return listed[Int(index)] }
    return find(UInt64(index))
  }

  private func find(_ index: UInt64) -> ValueType? {
    var low = 0
    var high = groups.count
    while low < high {
      let middle = (low + high) / 2
      if groups[middle].end <= index { low = middle + 1 } else { high = middle }
    }
    return low < groups.count ? groups[low].type : nil
  }
}
