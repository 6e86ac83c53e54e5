import CPlatform
import SystemFiles

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// What kind of file a descriptor or a name is; raw values are WASI's.
enum FileType: UInt8 {
  case unknown = 0
  case blockDevice = 1
  case characterDevice = 2
  case directory = 3
  case regularFile = 4
  case socket = 6
  case symbolicLink = 7

  init(mode: mode_t) {
    switch mode & S_IFMT {
    case S_IFREG: self = .regularFile
    case S_IFDIR: self = .directory
    case S_IFLNK: self = .symbolicLink
    case S_IFCHR: self = .characterDevice
    case S_IFBLK: self = .blockDevice
    case S_IFSOCK: self = .socket
    default: self = .unknown
    }
  }

  /// From the type in a directory entry.
  init(entryType: UInt8) {
    switch CInt(entryType) {
    case CInt(DT_REG): self = .regularFile
    case CInt(DT_DIR): self = .directory
    case CInt(DT_LNK): self = .symbolicLink
    case CInt(DT_CHR): self = .characterDevice
    case CInt(DT_BLK): self = .blockDevice
    case CInt(DT_SOCK): self = .socket
    default: self = .unknown
    }
  }
}

/// An open file, folder or stream of the guest. Owns its descriptor of the host.
final class Descriptor {
  let host: CInt
  let type: FileType
  var rights: WASIRights
  /// What files opened below this folder may have at most.
  var inheriting: WASIRights
  /// The name by which a granted folder is known; nil for everything that the program opened itself.
  let preopenName: SystemString?
  /// The names in a folder, as they were when the guest began to list them.
  var listing: DirectoryListing?
  /// For a terminal: what it is not to obey.
  var filter: TerminalFilter?

  init(host: CInt, type: FileType, rights: WASIRights, inheriting: WASIRights = [], preopenName: SystemString? = nil) {
    self.host = host
    self.type = type
    self.rights = rights
    self.inheriting = inheriting
    self.preopenName = preopenName
  }

  deinit { close(host) }

  /// - Throws: `notcapable` if any of the rights is missing.
  func require(_ needed: WASIRights) throws(WASIErrno) {
    guard rights.isSuperset(of: needed) else { throw .notCapable }
  }

  /// The folder as a base for paths.
  func directory(usesKernel: Bool) throws(WASIErrno) -> SandboxedDirectory {
    guard type == .directory else { throw .notDirectory }
    return SandboxedDirectory(descriptor: host, usesKernel: usesKernel)
  }
}

/// The guest's descriptors by number. The lowest free number is given out first.
struct DescriptorTable {
  private var entries: [Descriptor?] = []
  let countMax: Int

  init(countMax: Int) { self.countMax = countMax }

  subscript(number: UInt32) -> Descriptor? {
    number < entries.count ? entries[Int(number)] : nil
  }

  /// - Throws: `badf`.
  func descriptor(_ number: UInt32) throws(WASIErrno) -> Descriptor {
    guard let descriptor = self[number] else { throw .badDescriptor }
    return descriptor
  }

  /// - Throws: `mfile` if nothing can be inserted any more.
  func checkRoom() throws(WASIErrno) {
    guard entries.count < countMax || entries.contains(where: { $0 == nil }) else { throw .tooManyFiles }
  }

  /// - Throws: `mfile` if there are too many.
  mutating func insert(_ descriptor: Descriptor) throws(WASIErrno) -> UInt32 {
    if let free = entries.firstIndex(where: { $0 == nil }) {
      entries[free] = descriptor
      return UInt32(free)
    }
    guard entries.count < countMax else { throw .tooManyFiles }
    entries.append(descriptor)
    return UInt32(entries.count - 1)
  }

  mutating func close(_ number: UInt32) throws(WASIErrno) {
    _ = try descriptor(number)
    entries[Int(number)] = nil
  }

  /// `to` becomes what `from` was; what it was before is closed. Both must be open.
  mutating func renumber(from: UInt32, to: UInt32) throws(WASIErrno) {
    let moved = try descriptor(from)
    _ = try descriptor(to)
    guard from != to else { return }
    entries[Int(to)] = moved
    entries[Int(from)] = nil
  }
}
