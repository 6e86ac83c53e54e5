import WebAssembly

/// The operand stack of the code that is being translated.
///
/// Most entries are temporaries, of which only the type is known; those that stand for locals, constants and operations put off
/// are found without a walk over the others, however deep the stack is:
///
///     positions   0  1  2  3  4  5  6  7
///     places      .  L  .  .  C  .  D  .      . temporary, L local, C constant, D deferred
///     unsettled      1        4     6         ascending; a position that was settled since may still be listed
///     users of a local: a list through the positions, the topmost first
///
/// Every operation costs constant time, or time in proportion to what was pushed before and is taken away.
struct OperandStack {
  typealias Place = FunctionTranslator.Entry.Place

  private var types: [ValueType] = []
  /// Places by position; `.temporary` at and above `count`.
  private var places: [Place] = []
  /// Positions that are no temporaries, ascending, and some that have become temporaries.
  private(set) var unsettled: [Int32] = []
  /// Below this index of `unsettled`, nothing uses a local.
  private(set) var firstUser = 0

  /// Steps of all loops here so far: tests count them.
  private(set) var stepCount = 0

  /// By local: the topmost of the links that use it, -1 for none. A position has two links, numbered twice the position and
  /// one more: a deferred operation may use two locals.
  private var heads: [Int32] = []
  private var below: [Int32] = []
  private var above: [Int32] = []
  /// Locals of the function: slots at and above are not locals.
  private var localCount = 0

  /// Empties the stack for a function.
  mutating func reset(localCount: Int) {
    truncate(to: 0)
    self.localCount = localCount
  }

  var count: Int { types.count }

  subscript(position: Int) -> FunctionTranslator.Entry {
    FunctionTranslator.Entry(place: places[position], type: types[position])
  }

  mutating func setType(_ position: Int, _ type: ValueType) { types[position] = type }

  // MARK: Pushing and popping

  mutating func push(_ place: Place, _ type: ValueType) {
    let position = types.count
    types.append(type)
    if places.count == position { places.append(.temporary) }
    if case .temporary = place { return }
    places[position] = place
    unsettled.append(Int32(position))
    switch place {
    case .local(let local): link(2 * position, local)
    case .deferred(let deferred):
      link(2 * position, deferred.a)
      if deferred.b >= 0 { link(2 * position + 1, deferred.b) }
    case .temporary, .constant: break
    }
  }

  mutating func pushTemporaries(_ list: [ValueType]) {
    types.append(contentsOf: list)
    while places.count < types.count { places.append(.temporary) }
  }

  mutating func removeLast(_ count: Int = 1) { truncate(to: types.count - count) }

  mutating func truncate(to count: Int) {
    while let position = unsettled.last, position >= count {
      unsettled.removeLast()
      setTemporary(Int(position))
      stepCount += 1
    }
    firstUser = min(firstUser, unsettled.count)
    if types.count == count + 1 { types.removeLast() } else { types.removeLast(types.count - count) }
  }

  /// The value of a position lies in its slot from now on.
  mutating func setTemporary(_ position: Int) {
    switch places[position] {
    case .temporary: return
    case .local(let local): unlink(2 * position, local)
    case .deferred(let deferred):
      unlink(2 * position, deferred.a)
      if deferred.b >= 0 { unlink(2 * position + 1, deferred.b) }
    case .constant: break
    }
    places[position] = .temporary
  }

  // MARK: What is not settled

  /// The first index of `unsettled` with a position of at least `position`.
  mutating func firstUnsettled(from position: Int) -> Int {
    var index = unsettled.count
    while index > 0, unsettled[index - 1] >= position { index -= 1 }
    stepCount += unsettled.count - index
    return index
  }

  /// Whether all entries from `position` on are temporaries.
  mutating func isSettled(from position: Int) -> Bool {
    while let last = unsettled.last, case .temporary = places[Int(last)] {
      unsettled.removeLast()
      stepCount += 1
    }
    firstUser = min(firstUser, unsettled.count)
    return (unsettled.last ?? -1) < position
  }

  /// Takes what is settled out of `unsettled` from an index on.
  mutating func compact(from start: Int) {
    stepCount += unsettled.count - start
    var kept = start
    for index in start..<unsettled.count {
      if case .temporary = places[Int(unsettled[index])] { continue }
      unsettled[kept] = unsettled[index]
      kept += 1
    }
    unsettled.removeLast(unsettled.count - kept)
    firstUser = min(firstUser, start)
  }

  /// Says that no entry below `position`, which is the top or above it, uses a local.
  mutating func noteUsersSettled(below position: Int) {
    firstUser = unsettled.count
    if let last = unsettled.last, last >= position { firstUser -= 1 }
  }

  /// The positions below `end` that use a local, ascending.
  mutating func users(of local: Int, below end: Int) -> [Int] {
    guard local < heads.count, heads[local] >= 0 else { return [] }
    var positions: [Int] = []
    var link = heads[local]
    while link >= 0 {
      let position = Int(link / 2)
      if position < end, positions.last != position { positions.append(position) }
      link = below[Int(link)]
      stepCount += 1
    }
    return positions.reversed()
  }

  // MARK: Users of locals

  private mutating func link(_ link: Int, _ local: Int) {
    guard local < localCount else { return }
    while heads.count <= local { heads.append(-1) }
    while below.count <= link {
      below.append(-1)
      above.append(-1)
    }
    let head = heads[local]
    below[link] = head
    above[link] = -1
    if head >= 0 { above[Int(head)] = Int32(link) }
    heads[local] = Int32(link)
  }

  private mutating func unlink(_ link: Int, _ local: Int) {
    guard local < localCount else { return }
    let (next, previous) = (below[link], above[link])
    if next >= 0 { above[Int(next)] = previous }
    if previous >= 0 { below[Int(previous)] = next } else { heads[local] = next }
  }
}
