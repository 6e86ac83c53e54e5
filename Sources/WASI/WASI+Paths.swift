import CPlatform
import WasmRuntime

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

// Calls with paths: below a folder of the guest, and never out of it.
extension WASI {
  /// A folder of the guest's with the rights for a call.
  private func folder(_ number: UInt32, _ needed: WASIRights) throws(WASIErrno) -> SandboxedDirectory {
    let descriptor = try descriptors.descriptor(number)
    let directory = try descriptor.directory(usesKernel: resolvesPathsInKernel)
    try descriptor.require(needed)
    return directory
  }

  private func check(_ result: CInt) throws(WASIErrno) {
    if result != 0 { throw WASIErrno(host: errno) }
  }

  // MARK: Opening

  /// fd, lookup flags, path (2), open flags, rights, inherited rights, descriptor flags, result.
  func pathOpen(_ call: GuestCall) throws {
    let base = try descriptors.descriptor(call.u32(0))
    let directory = try base.directory(usesKernel: resolvesPathsInKernel)
    let path = try call.path(2)
    let (openFlags, follows) = (call.u32(4), call.u32(1) & 1 != 0)
    let wanted = WASIRights(rawValue: call.u64(5))
    let inheriting = WASIRights(rawValue: call.u64(6))
    let result = call.address(8)
    try call.checkWritable(result, byteCount: 4)
    guard openFlags & ~15 == 0 else { throw WASIErrno.invalid }
    let (creates, isDirectory, isExclusive, truncates) = (
      openFlags & 1 != 0, openFlags & 2 != 0, openFlags & 4 != 0, openFlags & 8 != 0
    )
    var needed: WASIRights = .open
    if creates { needed.insert(.createFile) }
    if truncates { needed.insert(.pathSetSize) }
    try base.require(needed)
    guard base.inheriting.isSuperset(of: wanted), base.inheriting.isSuperset(of: inheriting) else { throw WASIErrno.notCapable }
    guard !(creates && isDirectory) else { throw WASIErrno.invalid }
    // Before anything is created or cut.
    try descriptors.checkRoom()

    let guestFlags = try Self.hostFlags(call.u32(7))
    let writes = !wanted.isDisjoint(with: [.write, .allocate, .setSize]) && !isDirectory
    let reads = !wanted.isDisjoint(with: [.read, .readDirectory])
    var flags = writes ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY
    if creates { flags |= O_CREAT }
    if isDirectory { flags |= O_DIRECTORY }
    if isExclusive { flags |= O_EXCL }
    if truncates { flags |= O_TRUNC }
    // Opening a pipe that nobody writes to would wait for ever.
    flags |= guestFlags | O_NONBLOCK | O_NOCTTY

    let host = try directory.open(path, flags: flags, follows: follows)
    guard let status = Self.status(of: host) else {
      close(host)
      throw WASIErrno.inputOutput
    }
    let type = FileType(mode: status.st_mode)
    let descriptor = Descriptor(
      host: host, type: type,
      rights: wanted.intersection(type == .directory ? .ofDirectory : type == .regularFile ? .ofFile : .ofStream),
      inheriting: type == .directory ? inheriting : [])
    if guestFlags & O_NONBLOCK == 0 {
      var current: CInt = 0
      // SAFETY: the result is written only on success.
      try WASIErrno.check(unsafe bindery_descriptor_flags(host, &current))
      try WASIErrno.check(bindery_descriptor_set_flags(host, current & ~O_NONBLOCK))
    }
    try call.store(descriptors.insert(descriptor), at: result)
  }

  // MARK: Status and times

  /// fd, lookup flags, path (2), result.
  func pathFileStatus(_ call: GuestCall) throws {
    let directory = try folder(call.u32(0), .pathStatus)
    let host = try directory.open(try call.path(2), flags: bindery_open_path_flag(), follows: call.u32(1) & 1 != 0)
    defer { close(host) }
    guard let status = Self.status(of: host) else { throw WASIErrno(host: errno) }
    try putStatus(status, at: call.address(4), call)
  }

  /// fd, lookup flags, path (2), access time, modification time, flags.
  func pathSetTimes(_ call: GuestCall) throws {
    let directory = try folder(call.u32(0), .pathSetTimes)
    let host = try directory.open(try call.path(2), flags: bindery_open_path_flag(), follows: call.u32(1) & 1 != 0)
    defer { close(host) }
    try Self.setTimes(host, access: call.u64(4), modification: call.u64(5), flags: call.u32(6))
  }

  // MARK: Names

  /// fd, path (2).
  func pathCreateDirectory(_ call: GuestCall) throws {
    let (parent, split) = try folder(call.u32(0), .createDirectory).openParent(try call.path(1))
    defer { close(parent) }
    try check(unsafe withPath(split.name) { unsafe mkdirat(parent, $0, 0o777) })
  }

  /// fd, path (2).
  func pathRemove(_ call: GuestCall, isDirectory: Bool) throws {
    let (parent, split) = try folder(call.u32(0), isDirectory ? .removeDirectory : .unlink).openParent(try call.path(1))
    defer { close(parent) }
    // A slash at the end asks for a folder: the system then refuses a file, and never follows a link.
    let name = split.hasTrailingSlash ? split.name + [UInt8(ascii: "/")] : split.name
    try check(unsafe withPath(name) { unsafe unlinkat(parent, $0, isDirectory ? AT_REMOVEDIR : 0) })
  }

  /// fd, path (2), fd, path (2).
  func pathRename(_ call: GuestCall) throws {
    let (old, oldSplit) = try folder(call.u32(0), .renameSource).openParent(try call.path(1))
    defer { close(old) }
    let (new, newSplit) = try folder(call.u32(3), .renameTarget).openParent(try call.path(4))
    defer { close(new) }
    if oldSplit.hasTrailingSlash || newSplit.hasTrailingSlash {
      guard try isDirectory(oldSplit.name, in: old) else { throw WASIErrno.notDirectory }
    }
    try check(
      unsafe withPath(oldSplit.name) { oldName in unsafe withPath(newSplit.name) { unsafe renameat(old, oldName, new, $0) } })
  }

  /// fd, lookup flags, path (2), fd, path (2). A link at the end of the old path is linked itself, as Linux does.
  func pathLink(_ call: GuestCall) throws {
    guard call.u32(1) & 1 == 0 else { throw WASIErrno.invalid }
    let (old, oldSplit) = try folder(call.u32(0), .linkSource).openParent(try call.path(2))
    defer { close(old) }
    let (new, newSplit) = try folder(call.u32(4), .linkTarget).openParent(try call.path(5))
    defer { close(new) }
    guard !oldSplit.hasTrailingSlash, !newSplit.hasTrailingSlash else { throw WASIErrno.noEntry }
    try check(
      unsafe withPath(oldSplit.name) { oldName in unsafe withPath(newSplit.name) { unsafe linkat(old, oldName, new, $0, 0) } })
  }

  /// The target (2), fd, path (2). A target may lead anywhere inside: whoever follows the link is held inside. An absolute one
  /// could only mislead programs of the host.
  func pathSymbolicLink(_ call: GuestCall) throws {
    let target = try call.path(0)
    guard !target.isEmpty else { throw WASIErrno.noEntry }
    guard !target.contains(0) else { throw WASIErrno.invalid }
    guard target[0] != UInt8(ascii: "/") else { throw WASIErrno.notPermitted }
    let (parent, split) = try folder(call.u32(2), .symbolicLink).openParent(try call.path(3))
    defer { close(parent) }
    guard !split.hasTrailingSlash else { throw WASIErrno.noEntry }
    try check(unsafe withPath(target) { target in unsafe withPath(split.name) { unsafe symlinkat(target, parent, $0) } })
  }

  /// fd, path (2), buffer (2), result: as much of the target as fits.
  func pathReadLink(_ call: GuestCall) throws {
    let (parent, split) = try folder(call.u32(0), .readLink).openParent(try call.path(1))
    defer { close(parent) }
    try call.checkWritable(call.address(5), byteCount: 4)
    try call.checkWritable(call.address(3), byteCount: UInt64(call.u32(4)))
    let target = try SandboxedDirectory.readLink(in: parent, split.name).prefix(Int(call.u32(4)))
    try call.memory.write(Array(target), address: call.address(3))
    try call.store(UInt32(target.count), at: call.address(5))
  }

  private func isDirectory(_ name: [UInt8], in directory: CInt) throws(WASIErrno) -> Bool {
    var status = stat()
    // SAFETY: the result is written only on success.
    try check(unsafe withPath(name) { unsafe fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) })
    return FileType(mode: status.st_mode) == .directory
  }
}
