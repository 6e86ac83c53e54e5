import CPlatform
import WasmRuntime

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The names in a folder, as they were at one moment. A guest can make folders of any length: what a listing takes is charged to
/// the store's budget, and given back with it.
final class DirectoryListing {
  struct Entry {
    let name: [UInt8]
    let inode: UInt64
    let type: FileType

    /// As `fd_readdir` writes it: the position of the next one, inode, length of the name, type, name.
    func append(to bytes: inout [UInt8], position: UInt64) {
      func append<Number: FixedWidthInteger>(_ value: Number) {
        for shift in stride(from: 0, to: Number.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
      }
      append(position)
      append(inode)
      append(UInt32(name.count))
      append(UInt32(type.rawValue))
      bytes += name
    }

    /// With the array that holds it and the name's own.
    static func byteCount(nameByteCount: Int) -> UInt64 { UInt64(nameByteCount + MemoryLayout<Entry>.stride * 2 + 32) }
  }

  private(set) var entries: [Entry] = []
  private let budget: ResourceBudget
  private var chargedByteCount: UInt64 = 0

  /// - Throws: what the system says; `nomem` where the budget has no room; a trap where the guest's time is over.
  init(of directory: CInt, for store: Store) throws {
    budget = store.budget
    let reader = Reader(stopSignal: store.stopSignal, listing: self)
    let context = unsafe Unmanaged.passUnretained(reader).toOpaque()
    // SAFETY: the callback is called during the call only, with the reader, and with names that end with a zero.
    let failure = unsafe bindery_list_directory(
      directory,
      { context, name, inode, type in
        guard let context = unsafe context, let name = unsafe name else { return false }
        let reader = unsafe Unmanaged<Reader>.fromOpaque(context).takeUnretainedValue()
        let bytes = unsafe UnsafeBufferPointer(start: name, count: strlen(name)).map { UInt8(bitPattern: $0) }
        return reader.take(Entry(name: bytes, inode: inode, type: FileType(entryType: type)))
      }, context)
    if let error = reader.error { throw error }
    try WASIErrno.check(failure)
  }

  deinit { budget.credit(chargedByteCount, to: .hostBuffers) }

  private final class Reader {
    let stopSignal: StopSignal
    let listing: DirectoryListing
    var error: (any Error)?

    init(stopSignal: StopSignal, listing: DirectoryListing) {
      self.stopSignal = stopSignal
      self.listing = listing
    }

    /// - Returns: false to end.
    func take(_ entry: Entry) -> Bool {
      let byteCount = Entry.byteCount(nameByteCount: entry.name.count)
      guard listing.budget.charge(byteCount, to: .hostBuffers) else {
        error = WASIErrno.noMemory
        return false
      }
      listing.chargedByteCount += byteCount
      listing.entries.append(entry)
      do { try stopSignal.check() } catch {
        self.error = error
        return false
      }
      return true
    }
  }
}
