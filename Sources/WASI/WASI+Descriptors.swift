import CPlatform
import SystemFiles
import WasmRuntime

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

// Calls on open descriptors. The first argument is the number.
extension WASI {
  private func descriptor(_ call: GuestCall, _ needed: WASIRights = []) throws(WASIErrno) -> Descriptor {
    let descriptor = try descriptors.descriptor(call.u32(0))
    try descriptor.require(needed)
    return descriptor
  }

  // MARK: Position and size

  func descriptorSeek(_ call: GuestCall) throws {
    let offset = Int64(bitPattern: call.u64(1))
    let whence: CInt =
      switch call.u32(2) {
      case 0: SEEK_SET
      case 1: SEEK_CUR
      case 2: SEEK_END
      default: throw WASIErrno.invalid
      }
    // Asking where one is is not seeking.
    let descriptor = try descriptor(call)
    guard descriptor.type != .directory else { throw WASIErrno.badDescriptor }
    guard descriptor.type == .regularFile else { throw WASIErrno.notSeekable }
    try descriptor.require(offset == 0 && whence == SEEK_CUR ? .tell : .seek)
    try call.checkWritable(call.address(3), byteCount: 8)
    let position = lseek(descriptor.host, off_t(offset), whence)
    guard position >= 0 else { throw WASIErrno(host: errno) }
    try call.store(UInt64(position), at: call.address(3))
  }

  func descriptorTell(_ call: GuestCall) throws {
    let descriptor = try descriptor(call)
    guard descriptor.type == .regularFile else { throw WASIErrno.notSeekable }
    try descriptor.require(.tell)
    let position = lseek(descriptor.host, 0, SEEK_CUR)
    guard position >= 0 else { throw WASIErrno(host: errno) }
    try call.store(UInt64(position), at: call.address(1))
  }

  func descriptorSetSize(_ call: GuestCall) throws {
    let descriptor = try descriptor(call, .setSize)
    try WASIErrno.check(bindery_set_size(descriptor.host, try Self.offset(call.u64(1))))
  }

  func descriptorAllocate(_ call: GuestCall) throws {
    let descriptor = try descriptor(call, .allocate)
    let (start, byteCount) = (call.u64(1), call.u64(2))
    let (end, overflow) = start.addingReportingOverflow(byteCount)
    guard !overflow, end <= UInt64(Int64.max) else { throw WASIErrno.tooLarge }
    guard byteCount > 0 else { throw WASIErrno.invalid }
    // What cannot fit is refused before the disk is full.
    try WASIErrno.check(bindery_check_room(descriptor.host, byteCount))
    // Some file systems write every byte: in pieces, between which the guest can be stopped.
    let pieceByteCount: UInt64 = 64 << 20
    var offset = start
    while offset < end {
      try call.store.checkInterrupt()
      try WASIErrno.check(bindery_allocate(descriptor.host, offset, min(pieceByteCount, end - offset)))
      offset += min(pieceByteCount, end - offset)
    }
  }

  func descriptorAdvise(_ call: GuestCall) throws {
    let descriptor = try descriptor(call, .advise)
    guard descriptor.type != .directory else { throw WASIErrno.badDescriptor }
    // Of WASI: normal, sequential, random, willneed, dontneed, noreuse. Linux swaps the second and third.
    let advice: [UInt32: CInt] = [0: 0, 1: 2, 2: 1, 3: 3, 4: 4, 5: 5]
    guard let value = advice[call.u32(3)] else { throw WASIErrno.invalid }
    try WASIErrno.check(bindery_advise(descriptor.host, call.u64(1), call.u64(2), value))
  }

  func descriptorSync(_ call: GuestCall, dataOnly: Bool) throws {
    let descriptor = try descriptor(call, dataOnly ? .dataSync : .sync)
    #if canImport(Darwin)
    let result = fsync(descriptor.host)
    #else
    let result = dataOnly ? fdatasync(descriptor.host) : fsync(descriptor.host)
    #endif
    guard result == 0 else { throw WASIErrno(host: errno) }
  }

  // MARK: Status

  /// The flags of WASI: append, dsync, nonblock, rsync, sync.
  static func guestFlags(_ host: CInt) -> UInt16 {
    var flags: UInt16 = 0
    if host & O_APPEND != 0 { flags |= 1 }
    if host & O_NONBLOCK != 0 { flags |= 4 }
    if host & O_SYNC == O_SYNC { flags |= 16 } else if host & O_DSYNC != 0 { flags |= 2 }
    return flags
  }

  static func hostFlags(_ guest: UInt32) throws(WASIErrno) -> CInt {
    guard guest & ~31 == 0 else { throw .invalid }
    var flags: CInt = 0
    if guest & 1 != 0 { flags |= O_APPEND }
    if guest & 2 != 0 { flags |= O_DSYNC }
    if guest & 4 != 0 { flags |= O_NONBLOCK }
    if guest & (8 | 16) != 0 { flags |= O_SYNC }
    return flags
  }

  func descriptorStatus(_ call: GuestCall) throws {
    let descriptor = try descriptor(call)
    var flags: CInt = 0
    // SAFETY: the result is written only on success.
    try WASIErrno.check(unsafe bindery_descriptor_flags(descriptor.host, &flags))
    let result = call.address(1)
    try call.checkWritable(result, byteCount: 24)
    try call.memory.write(Array(repeating: 0, count: 24), address: result)
    try call.store(descriptor.type.rawValue, at: result)
    try call.store(Self.guestFlags(flags), at: result + 2)
    try call.store(descriptor.rights.rawValue, at: result + 8)
    try call.store(descriptor.inheriting.rawValue, at: result + 16)
  }

  func descriptorSetFlags(_ call: GuestCall) throws {
    let descriptor = try descriptor(call, .setFlags)
    let wanted = try Self.hostFlags(call.u32(1))
    var flags: CInt = 0
    // SAFETY: the result is written only on success.
    try WASIErrno.check(unsafe bindery_descriptor_flags(descriptor.host, &flags))
    // The flags of a stream belong to whoever shares it with the host. Synchrony cannot be changed after opening.
    let changeable = O_APPEND | O_NONBLOCK
    guard (wanted ^ flags) & (O_SYNC | O_DSYNC) == 0 else { throw WASIErrno.notSupported }
    guard descriptor.type == .regularFile || (wanted ^ flags) & changeable == 0 else { throw WASIErrno.notSupported }
    try WASIErrno.check(bindery_descriptor_set_flags(descriptor.host, flags & ~changeable | wanted & changeable))
  }

  /// Rights can only be given up.
  func descriptorSetRights(_ call: GuestCall) throws {
    let descriptor = try descriptor(call)
    let (rights, inheriting) = (WASIRights(rawValue: call.u64(1)), WASIRights(rawValue: call.u64(2)))
    guard descriptor.rights.isSuperset(of: rights), descriptor.inheriting.isSuperset(of: inheriting) else {
      throw WASIErrno.notCapable
    }
    descriptor.rights = rights
    descriptor.inheriting = inheriting
  }

  func descriptorFileStatus(_ call: GuestCall) throws {
    let descriptor = try descriptor(call, .status)
    guard let status = Self.status(of: descriptor.host) else { throw WASIErrno(host: errno) }
    try putStatus(status, at: call.address(1), call)
  }

  func putStatus(_ status: stat, at address: UInt64, _ call: GuestCall) throws {
    #if canImport(Darwin)
    let times = [status.st_atimespec, status.st_mtimespec, status.st_ctimespec]
    #else
    let times = [status.st_atim, status.st_mtim, status.st_ctim]
    #endif
    try call.checkWritable(address, byteCount: 64)
    try call.store(UInt64(truncatingIfNeeded: status.st_dev), at: address)
    try call.store(UInt64(status.st_ino), at: address + 8)
    try call.store(UInt64(FileType(mode: status.st_mode).rawValue), at: address + 16)
    try call.store(UInt64(status.st_nlink), at: address + 24)
    try call.store(UInt64(max(0, status.st_size)), at: address + 32)
    for (index, time) in times.enumerated() { try call.store(Self.nanoseconds(time), at: address + 40 + UInt64(index) * 8) }
  }

  func descriptorSetTimes(_ call: GuestCall) throws {
    let descriptor = try descriptor(call, .setTimes)
    try Self.setTimes(descriptor.host, access: call.u64(1), modification: call.u64(2), flags: call.u32(3))
  }

  /// `flags`: access time given, or now; modification time given, or now; else unchanged.
  static func setTimes(_ descriptor: CInt, access: UInt64, modification: UInt64, flags: UInt32) throws(WASIErrno) {
    guard flags & ~15 == 0, flags & 3 != 3, flags & 12 != 12 else { throw .invalid }
    func split(_ time: UInt64, given: Bool, isNow: Bool) -> (Int64, Int64) {
      if given { return (Int64(time / 1_000_000_000), Int64(time % 1_000_000_000)) }
      return (0, isNow ? -1 : -2)
    }
    let first = split(access, given: flags & 1 != 0, isNow: flags & 2 != 0)
    let second = split(modification, given: flags & 4 != 0, isNow: flags & 8 != 0)
    try WASIErrno.check(bindery_set_times(descriptor, first.0, first.1, second.0, second.1))
  }

  // MARK: Granted folders and listings

  func preopenStatus(_ call: GuestCall) throws {
    guard let name = try descriptor(call).preopenName else { throw WASIErrno.badDescriptor }
    try call.store(UInt64(name.bytes.count) << 32, at: call.address(1))
  }

  func preopenName(_ call: GuestCall) throws {
    guard let name = try descriptor(call).preopenName else { throw WASIErrno.badDescriptor }
    guard call.u32(2) >= name.bytes.count else { throw WASIErrno.nameTooLong }
    try call.memory.write(name.bytes, address: call.address(1))
  }

  /// Entries from a position on, as many as fit; the last one is cut where the buffer ends, so a full buffer means more to come.
  /// A position is an index into the listing that was taken when the guest began at 0.
  func descriptorReadDirectory(_ call: GuestCall) throws {
    let descriptor = try descriptor(call, .readDirectory)
    guard descriptor.type == .directory else { throw WASIErrno.notDirectory }
    let capacity = Int(call.u32(2))
    let result = call.address(4)
    try call.checkWritable(result, byteCount: 4)
    try call.checkWritable(call.address(1), byteCount: UInt64(capacity))
    guard let first = Int(exactly: call.u64(3)) else { throw WASIErrno.invalid }
    if first == 0 { descriptor.listing = try DirectoryListing(of: descriptor.host, for: call.store) }
    var used = 0
    var bytes: [UInt8] = []
    func flush() throws {
      let piece = bytes.count <= capacity - used ? bytes : Array(bytes.prefix(capacity - used))
      try call.memory.write(piece, address: call.address(1) + UInt64(used))
      used += piece.count
      bytes.removeAll(keepingCapacity: true)
      try call.store.checkInterrupt()
    }
    let entries = descriptor.listing?.entries ?? []
    for index in entries.indices.dropFirst(first) where used + bytes.count < capacity {
      entries[index].append(to: &bytes, position: UInt64(index + 1))
      if bytes.count >= 1 << 16 { try flush() }
    }
    try flush()
    try call.store(UInt32(used), at: result)
  }
}
