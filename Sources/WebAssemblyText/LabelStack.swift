import WebAssembly

/// The labels around a place in a function, from the outermost block to the innermost. Every operation takes constant time, however
/// deep blocks nest.
struct LabelStack {
  private struct Entry {
    var name: Name?
    /// The place of the label of the same name that this one hides.
    var hidden: Int?
  }

  private var entries: [Entry] = []
  /// The place of the innermost label of each name.
  private var places: [Name: Int] = [:]

  mutating func push(_ name: Name?) {
    entries.append(Entry(name: name, hidden: name.flatMap { places.updateValue(entries.count, forKey: $0) }))
  }

  /// Leaves the innermost block; its name.
  @discardableResult
  mutating func pop() -> Name? {
    let entry = entries.removeLast()
    if let name = entry.name { places[name] = entry.hidden }
    return entry.name
  }

  /// The name of the innermost block.
  var innermost: Name? { entries.last?.name }

  /// How many blocks lie between the innermost one and the innermost one of this name.
  func depth(of name: Name) -> Int? { places[name].map { entries.count - 1 - $0 } }
}
