/// A kind of pages that can hold weights, and how to get it.
enum PageKind: String, CaseIterable, Codable, Sendable {
  /// Read into anonymous memory that was advised against huge pages.
  case anonymousSmall = "anonymous-4k"
  /// Read into anonymous memory that was advised to have huge pages.
  case anonymousHuge = "anonymous-huge"
  /// Bound at guest address 0, which is a multiple of 2 MiB on the host, as are offsets of the file that has just been written in pieces
  /// of 2 MiB: the best case of `bind`.
  case fileHuge = "file-huge"
  /// The same file, bound at guest address 64 KiB: no multiple of 2 MiB of the file lies at one of the host.
  case fileShifted = "file-shifted"
  /// Bound at 0; the page cache was dropped, then filled by reading the file in order, as after a restart of the machine.
  case fileReread = "file-reread"
  /// Bound at 0, a file that was written 4 KiB at a time: so are its folios.
  case fileSmall = "file-4k"
  /// The same, with all pages mapped before the guest runs.
  case fileSmallPopulated = "file-4k-populated"
  /// Bound at 0, none of the file in the page cache.
  case cold
  /// The same, with huge pages advised.
  case coldHuge = "cold-huge"
  /// The same, with reading ahead advised.
  case coldWillNeed = "cold-will-need"

  /// As tables and pictures call it.
  var title: String {
    switch self {
    case .anonymousSmall: "anonymous, 4 KiB pages"
    case .anonymousHuge: "anonymous, huge pages"
    case .fileHuge: "file, 2 MiB folios"
    case .fileShifted: "file, off by 64 KiB"
    case .fileReread: "file, cached by reading"
    case .fileSmall: "file, 4 KiB folios"
    case .fileSmallPopulated: "file, 4 KiB folios, populated"
    case .cold: "cold file"
    case .coldHuge: "cold file, huge pages advised"
    case .coldWillNeed: "cold file, read-ahead advised"
    }
  }

  /// How the pages came to be what they are.
  var explanation: String {
    switch self {
    case .anonymousSmall: "read() into memory for which huge pages were forbidden (MADV_NOHUGEPAGE)"
    case .anonymousHuge: "read() into memory for which huge pages were advised (MADV_HUGEPAGE)"
    case .fileHuge: "bound at guest address 0, a multiple of 2 MiB; the file was written 2 MiB at a time, and its page cache is in pieces (folios) of that size"
    case .fileShifted: "the same file, bound at guest address 64 KiB: no piece of 2 MiB can be mapped as a huge page"
    case .fileReread: "bound at 0; the page cache was dropped, and filled by reading the file in order"
    case .fileSmall: "bound at 0; the file was written 4 KiB at a time, so its page cache is in single pages"
    case .fileSmallPopulated: "the same, all pages mapped before the guest runs (MADV_POPULATE_READ)"
    case .cold: "bound at 0; the page cache was dropped: the first product reads from the device, or from a cache of the host"
    case .coldHuge: "the same, after MADV_HUGEPAGE: read 4 MiB at a time, into pieces of 2 MiB"
    case .coldWillNeed: "the same, after MADV_WILLNEED"
    }
  }

  var isAnonymous: Bool { self == .anonymousSmall || self == .anonymousHuge }
  var isCold: Bool { self == .cold || self == .coldHuge || self == .coldWillNeed }

  /// Where the file starts in the guest's memory.
  var address: UInt64 { self == .fileShifted ? 1 << 16 : 0 }

  /// Whether all, none or some of the pages are huge, if the kind was had.
  enum HugePages { case all, none, some }

  var hugePages: HugePages {
    switch self {
    case .anonymousHuge, .fileHuge, .coldHuge: .all
    case .anonymousSmall, .fileShifted, .fileSmall, .fileSmallPopulated: .none
    case .fileReread, .cold, .coldWillNeed: .some
    }
  }

  /// Why the kind was not had, going by the bytes that are mapped as huge pages; nil if it was.
  func shortfall(largePageBytes: Int, of byteCount: Int, adviceWasTaken: Bool) -> String? {
    guard adviceWasTaken else { return "the system does not take the advice" }
    let share = Double(largePageBytes) / Double(byteCount)
    switch hugePages {
    case .all where share < 0.9:
      return switch self {
      case .anonymousHuge: "huge pages for a part only: transparent huge pages are switched off, or memory is in pieces"
      default: "huge pages for a part only: the page cache has few large folios (a Linux before 6.16 has none on ext4)"
      }
    case .none where share > 0.1: return "huge pages where there should be none"
    default: return nil
    }
  }
}
