import VirtualMemory

/// Why a file could not be bound, or a binding not be changed. Nothing has changed.
public enum MemoryBindError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The memory is neither virtual nor mappable.
  case notVirtual
  /// The address is not a multiple of the memory's page.
  case unaligned(address: UInt64, pageByteCount: UInt64)
  case emptyRegion
  case outOfBounds(address: UInt64, byteCount: UInt64, memoryByteCount: UInt64)
  case alreadyMapped(address: UInt64, byteCount: UInt64)
  case pastEndOfFile(offset: UInt64, byteCount: UInt64, fileByteCount: UInt64)
  case notRegularFile
  /// The quota of mapped bytes, the number of extents, or the tenant's budget.
  case limitReached
  case system(VirtualMemoryError)
  /// It has been unbound before, or its memory is gone.
  case notBound
  /// The host uses one of its pages in place.
  case pinned
  /// A guest runs in this unshared memory, on another thread.
  case busy
  /// Only a copy-on-write binding can be reverted.
  case notCopyOnWrite
  /// Files are never bound shared: a guest must not write to them.
  case sharedFile
  /// A part of a `HostBuffer` starts at a host page.
  case unalignedBuffer(offset: UInt64)

  public var description: String {
    switch self {
    case .notVirtual: "cannot bind: the memory is not virtual"
    case .unaligned(let address, let pageByteCount):
      "cannot bind at address \(address): it is not a multiple of the page of \(pageByteCount) bytes"
    case .emptyRegion: "cannot bind an empty region of a file"
    case .outOfBounds(let address, let byteCount, let memoryByteCount):
      "cannot bind \(byteCount) bytes at address \(address): the memory has \(memoryByteCount) bytes that can be mapped"
    case .alreadyMapped(let address, let byteCount):
      "cannot bind \(byteCount) bytes at address \(address): some of the pages are mapped already"
    case .pastEndOfFile(let offset, let byteCount, let fileByteCount):
      "cannot bind \(byteCount) bytes from offset \(offset): the file has \(fileByteCount) bytes"
    case .notRegularFile: "cannot bind: not a regular file"
    case .limitReached: "cannot bind: the memory's limit of mapped bytes or of extents, or the tenant's budget, is reached"
    case .system(let error): "cannot bind: \(error)"
    case .notBound: "the binding has been unbound"
    case .pinned: "the host is using pages of the binding in place"
    case .busy: "cannot bind or unbind: a guest is running in the memory"
    case .notCopyOnWrite: "only a copy-on-write binding can be reverted"
    case .sharedFile: "cannot bind a file shared: only a HostBuffer can be written to by guests"
    case .unalignedBuffer(let offset):
      "cannot bind a buffer from offset \(offset): it is not a multiple of the host page of \(hostPageByteCount) bytes"
    }
  }
}

/// A region of a file, bound into a memory: its bytes lie at guest addresses [guestAddress, guestAddress + guestByteCount).
///
/// It ends with `unbind`, or with the memory; letting go of this object ends nothing.
public final class MemoryBinding: Sendable {
  public let region: FileRegion
  public let mode: BindingMode
  /// Where the first byte of the region is: the address of the binding plus the offset within a host page.
  public let guestAddress: UInt64
  public let guestByteCount: UInt64
  /// The pages that the binding occupies, by index.
  public let pageRange: Range<UInt64>
  let id: UInt64
  private weak let memory: Memory?

  init(memory: Memory, id: UInt64, record: BindingRecord) {
    self.memory = memory
    self.id = id
    self.region = record.region
    self.mode = record.mode
    self.guestAddress = record.guestAddress
    self.guestByteCount = record.guestByteCount
    self.pageRange = record.pages
  }

  /// Unmaps the pages that still belong to the binding.
  /// - Throws: `notBound`, `busy`, `pinned`.
  public func unbind() throws(MemoryBindError) { try owner().unbind(id) }

  /// Drops resident pages from this process; the contents stay, and are read again on demand. What a copy-on-write guest has
  /// written stays resident.
  public func evict() throws(MemoryBindError) { try owner().evict(id) }

  /// Copy-on-write only: forgets what was written; the file's bytes are seen again.
  /// - Throws: `notBound`, `busy`, `notCopyOnWrite`, `pinned`, `system`.
  public func revert() throws(MemoryBindError) { try owner().revert(id) }

  /// True once bytes could not be read because the file disappeared.
  public var isLost: Bool { memory?.isLost(id) ?? false }

  private func owner() throws(MemoryBindError) -> Memory {
    guard let memory else { throw .notBound }
    return memory
  }
}

/// What a memory keeps of a binding.
///
///     pages       |  page                              |  page                              |
///     host pages  |  copied  |  file  |  file  |  file |  file  |  copied  |  zero  |  zero |
///     region             [..............................................]
///
/// Whole host pages of the file are mapped. The first and the last one, where they hold bytes of the file that are not of the
/// region, are copied, so that no other byte is visible. A region that ends where the file ends has its last host page mapped
/// too: the system fills it with zeroes. What is left of the last page is zero.
struct BindingRecord {
  let region: FileRegion
  let mode: BindingMode
  let guestAddress: UInt64
  let guestByteCount: UInt64
  let pages: Range<UInt64>
  /// Offsets into the reservation: mapped from the file, and copied from it.
  var mapped: Range<Int> = 0..<0
  var copied: [Range<Int>] = []
  var watch: FaultRange?
  /// Bytes of its pages that are not the file's: those that were copied, and zeroes. Not used where all of its pages are charged.
  var ownByteCount: UInt64 = 0
  /// Made by a guest, that holds no object of the host: forgotten when its last page is unmapped.
  var isGuestOwned = false

  /// The file offset of the byte at an offset into the reservation.
  func fileOffset(of offset: Int) -> UInt64 { region.offset + (UInt64(offset) - guestAddress) }
}
