/// What a guest may do with a mapped page. The raw values are those of the instructions' immediate.
public enum PageProtection: UInt8, Hashable, Sendable, Comparable, CaseIterable {
  case none = 0
  case read = 1
  case readWrite = 2

  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// How a file is bound into a memory.
public enum BindingMode: Hashable, Sendable {
  /// The guest may read. Pages are shared with every other user of the file.
  case readOnly
  /// The guest may read and write; what it writes stays in this memory and never reaches the file.
  case copyOnWrite
  /// A `HostBuffer`: what the guest writes, all users of the buffer read. Never a file.
  case shared
}

/// What is behind a mapped page.
public enum PageBacking: Hashable, Sendable {
  case anonymous
  case host(binding: UInt64, mode: BindingMode)

  var isHost: Bool { self != .anonymous }

  /// Whether such pages may take memory of the process's own: not those of a file that is only read, which all its users share,
  /// and not those of a buffer, which is the host's.
  var isCharged: Bool {
    switch self {
    case .anonymous, .host(_, .copyOnWrite): true
    case .host: false
    }
  }
}

/// The state of one page. This, and not what the processor enforces, decides every access.
public enum PageState: Hashable, Sendable {
  case unmapped
  case mapped(PageBacking, PageProtection)
}

/// A maximal run of pages of equal state and backing.
struct PageExtent: Hashable, Sendable {
  var pages: Range<UInt64>
  var backing: PageBacking
  var protection: PageProtection

  var pageCount: UInt64 { pages.upperBound - pages.lowerBound }

  func continues(_ previous: PageExtent) -> Bool {
    previous.pages.upperBound == pages.lowerBound && previous.backing == backing && previous.protection == protection
  }
}

/// The page states of one memory: its mapped extents, in order of address; pages in no extent are unmapped.
///
/// A byte per page would make single pages cheaper, but the memories here are few extents over many pages (a bound weight file
/// is one extent of thousands of pages), the host limits the number of extents anyway, and questions about ranges, windows and
/// quotas are answered without touching the pages. A lookup is a binary search; a change moves the extents behind it.
struct PageExtentMap: Sendable {
  private(set) var extents: [PageExtent] = []
  private(set) var mappedPageCount: UInt64 = 0
  /// Those of them that a budget pays for.
  private(set) var chargedPageCount: UInt64 = 0
  /// Room for the extents that a change rebuilds, empty between changes: changing page states allocates nothing.
  private var room: [PageExtent] = []

  /// The first extent that ends after `page`: the one that contains it, or else the next.
  func firstIndex(endingAfter page: UInt64) -> Int {
    var low = 0
    var high = extents.count
    while low < high {
      let middle = (low + high) / 2
      if extents[middle].pages.upperBound > page { high = middle } else { low = middle + 1 }
    }
    return low
  }

  func state(of page: UInt64) -> PageState {
    let index = firstIndex(endingAfter: page)
    guard index < extents.count, extents[index].pages.contains(page) else { return .unmapped }
    return .mapped(extents[index].backing, extents[index].protection)
  }

  /// The states of a range in order of address, unmapped gaps included, clipped to it; until `body` returns false.
  func forEachRun(in pages: Range<UInt64>, _ body: (Range<UInt64>, PageState) -> Bool) {
    var page = pages.lowerBound
    var index = firstIndex(endingAfter: page)
    while page < pages.upperBound {
      let isMapped = index < extents.count && extents[index].pages.lowerBound <= page
      let next = index < extents.count ? (isMapped ? extents[index].pages.upperBound : extents[index].pages.lowerBound) : .max
      let end = min(next, pages.upperBound)
      let state: PageState = isMapped ? .mapped(extents[index].backing, extents[index].protection) : .unmapped
      guard body(page..<end, state) else { return }
      if isMapped { index += 1 }
      page = end
    }
  }

  /// The first run of the range for which `refuse` gives a fault.
  func firstFault(in pages: Range<UInt64>, _ refuse: (PageState) -> MemoryFault?) -> MemoryFault? {
    var result: MemoryFault?
    forEachRun(in: pages) { _, state in
      result = refuse(state)
      return result == nil
    }
    return result
  }

  /// The maximal run of pages around `page` that allow `protection` (which `page` does).
  func window(around page: UInt64, allowing protection: PageProtection) -> Range<UInt64> {
    var first = firstIndex(endingAfter: page)
    var last = first
    while first > 0, extents[first - 1].pages.upperBound == extents[first].pages.lowerBound,
      extents[first - 1].protection >= protection
    { first -= 1 }
    while last + 1 < extents.count, extents[last].pages.upperBound == extents[last + 1].pages.lowerBound,
      extents[last + 1].protection >= protection
    { last += 1 }
    return extents[first].pages.lowerBound..<extents[last].pages.upperBound
  }

  /// The number of extents there would be after mapping `pages`, all unmapped now.
  func extentCount(mapping pages: Range<UInt64>, _ backing: PageBacking, _ protection: PageProtection) -> Int {
    let extent = PageExtent(pages: pages, backing: backing, protection: protection)
    let index = firstIndex(endingAfter: pages.lowerBound)
    var count = extents.count + 1
    if index > 0, extent.continues(extents[index - 1]) { count -= 1 }
    if index < extents.count, extents[index].continues(extent) { count -= 1 }
    return count
  }

  /// Gives every page of the range one state.
  mutating func set(_ pages: Range<UInt64>, _ state: PageState) {
    replace(pages) { range, _ in
      guard case .mapped(let backing, let protection) = state else { return nil }
      return PageExtent(pages: range, backing: backing, protection: protection)
    }
  }

  /// Changes the protection of the mapped pages of the range.
  mutating func protect(_ pages: Range<UInt64>, _ protection: PageProtection) {
    replace(pages) { range, old in
      guard case .mapped(let backing, _) = old else { return nil }
      return PageExtent(pages: range, backing: backing, protection: protection)
    }
  }

  /// Unmaps those pages of the range that belong to a binding.
  mutating func remove(binding: UInt64, in pages: Range<UInt64>) {
    replace(pages) { range, old in
      guard case .mapped(let backing, let protection) = old else { return nil }
      if case .host(binding, _) = backing { return nil }
      return PageExtent(pages: range, backing: backing, protection: protection)
    }
  }

  /// Replaces the range by what `change` makes of each of its runs, cutting extents at its ends and merging equal neighbours.
  private mutating func replace(_ pages: Range<UInt64>, _ change: (Range<UInt64>, PageState) -> PageExtent?) {
    guard !pages.isEmpty else { return }
    // One extent to each side belongs to the piece that is rebuilt, so that it can be cut or merged.
    var first = firstIndex(endingAfter: pages.lowerBound)
    if first > 0 { first -= 1 }
    var last = firstIndex(endingAfter: pages.upperBound)
    if last < extents.count { last += 1 }

    var piece: [PageExtent] = []
    swap(&piece, &room)
    func append(_ extent: PageExtent?) {
      guard let extent, !extent.pages.isEmpty else { return }
      if let previous = piece.last, extent.continues(previous) {
        piece[piece.count - 1].pages = previous.pages.lowerBound..<extent.pages.upperBound
      } else {
        piece.append(extent)
      }
    }
    func clipped(_ extent: PageExtent, to range: Range<UInt64>) -> PageExtent {
      PageExtent(pages: extent.pages.clamped(to: range), backing: extent.backing, protection: extent.protection)
    }
    for extent in extents[first..<last] { append(clipped(extent, to: 0..<pages.lowerBound)) }
    forEachRun(in: pages) { range, state in
      append(change(range, state))
      return true
    }
    for extent in extents[first..<last] { append(clipped(extent, to: pages.upperBound..<UInt64.max)) }

    for extent in extents[first..<last] {
      mappedPageCount -= extent.pageCount
      if extent.backing.isCharged { chargedPageCount -= extent.pageCount }
    }
    for extent in piece {
      mappedPageCount += extent.pageCount
      if extent.backing.isCharged { chargedPageCount += extent.pageCount }
    }
    extents.replaceSubrange(first..<last, with: piece)
    piece.removeAll(keepingCapacity: true)
    swap(&piece, &room)
  }
}
