import CPlatform

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A name of the guest's, cut for a call that works on the last component.
struct SplitPath {
  /// Everything before, "." if there is nothing.
  let parent: [UInt8]
  /// Never empty, "." or "..", and without slashes.
  let name: [UInt8]
  let hasTrailingSlash: Bool
}

/// A folder out of which no path leads: not by "..", an absolute path, or a symbolic link, whoever puts it there meanwhile.
///
/// On Linux the kernel sees to it (openat2 with RESOLVE_BENEATH). Elsewhere, and where a filter forbids that call, paths are
/// walked component by component without following links, which are expanded here.
struct SandboxedDirectory {
  /// Not owned.
  let descriptor: CInt
  /// False to walk even where the kernel could do it: for tests.
  var usesKernel = true

  /// As many links as Linux follows.
  private static let linkCountMax = 40
  /// Folders that a walk holds open at a time.
  private static let depthMax = 128

  /// Opens a path below the folder; `flags` are those of open(2). With `follows` false, a link at the end is not followed.
  func open(_ path: [UInt8], flags: CInt, mode: UInt32 = 0o666, follows: Bool) throws(WASIErrno) -> CInt {
    guard !path.isEmpty else { throw .noEntry }
    guard !path.contains(0) else { throw .invalid }
    let flags = follows ? flags : flags | O_NOFOLLOW
    if usesKernel {
      var result: CInt = -1
      let failure = unsafe withPath(path) { unsafe bindery_open_beneath(descriptor, $0, flags, mode, &result) }
      if failure == 0 { return result }
      // EPERM: some containers forbid the call instead of not having it; the walk gives the true answer.
      if failure != ENOSYS, failure != EPERM { throw WASIErrno(host: failure) }
    }
    return try walk(path, flags: flags, mode: mode, follows: follows)
  }

  /// The folder in which the last component of a path is, open as a base for other calls, and that component.
  func openParent(_ path: [UInt8]) throws(WASIErrno) -> (descriptor: CInt, split: SplitPath) {
    let split = try Self.split(path)
    let parent = try open(split.parent, flags: bindery_open_path_flag() | O_DIRECTORY, follows: true)
    return (parent, split)
  }

  static func split(_ path: [UInt8]) throws(WASIErrno) -> SplitPath {
    guard !path.isEmpty else { throw .noEntry }
    guard !path.contains(0) else { throw .invalid }
    let slash = UInt8(ascii: "/")
    guard path[0] != slash else { throw .notPermitted }
    let end = path.lastIndex { $0 != slash }! + 1
    let start = path[..<end].lastIndex(of: slash).map { $0 + 1 } ?? 0
    let name = Array(path[start..<end])
    guard name != [UInt8(ascii: ".")], name != Array("..".utf8) else { throw .invalid }
    let parent = start == 0 ? [UInt8(ascii: ".")] : Array(path[..<start])
    return SplitPath(parent: parent, name: name, hasTrailingSlash: end < path.count)
  }

  /// The target of a link.
  static func readLink(in directory: CInt, _ name: [UInt8]) throws(WASIErrno) -> [UInt8] {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = unsafe withPath(name) { path in
      // SAFETY: at most the array's count is written.
      unsafe buffer.withUnsafeMutableBufferPointer { unsafe readlinkat(directory, path, $0.baseAddress!, $0.count) }
    }
    guard count >= 0 else { throw WASIErrno(host: errno) }
    guard count < buffer.count else { throw .nameTooLong }
    return buffer[..<count].map { UInt8(bitPattern: $0) }
  }

  // MARK: The walk

  private func walk(_ path: [UInt8], flags: CInt, mode: UInt32, follows: Bool) throws(WASIErrno) -> CInt {
    let slash = UInt8(ascii: "/")
    // The folders from the base, which is not ours to close, down to where we are.
    var folders: [CInt] = []
    defer { for folder in folders { close(folder) } }
    var current: CInt { folders.last ?? descriptor }
    var linkCount = 0
    // Components still to come, the next one last. An empty one at the end of a path means that it must be a folder.
    var pending: [[UInt8]] = []
    func push(_ path: [UInt8]) throws(WASIErrno) {
      guard path.first != slash else { throw .notPermitted }
      pending += path.split(separator: slash, omittingEmptySubsequences: false).reversed().map(Array.init)
    }
    try push(path)

    while let component = pending.popLast() {
      let isLast = pending.allSatisfy(\.isEmpty)
      let mustBeFolder = isLast && !pending.isEmpty
      if component.isEmpty || component == [UInt8(ascii: ".")] {
        guard isLast else { continue }
        return try openHere(".", in: current, flags: flags, mode: mode)
      }
      if component == Array("..".utf8) {
        guard let top = folders.popLast() else { throw .notPermitted }
        close(top)
        guard isLast else { continue }
        return try openHere(".", in: current, flags: flags, mode: mode)
      }
      if let target = try linkTarget(component, in: current), !isLast || follows || mustBeFolder {
        // An exclusive creation does not follow a link at the end, whatever the caller wants.
        if isLast, flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL { throw .exists }
        linkCount += 1
        guard linkCount <= Self.linkCountMax else { throw .loop }
        try push(target)
        continue
      }
      if isLast {
        let extra = O_NOFOLLOW | (mustBeFolder ? O_DIRECTORY : 0)
        return try openHere(component, in: current, flags: flags | extra, mode: mode)
      }
      // Each one is a descriptor of the process, which other guests need too.
      guard folders.count < Self.depthMax else { throw .tooManyFiles }
      folders.append(
        try openHere(component, in: current, flags: bindery_open_path_flag() | O_DIRECTORY | O_NOFOLLOW, mode: 0))
    }
    throw .noEntry
  }

  /// The target if a name is a link. What is put in its place between this and the opening is not followed either (O_NOFOLLOW).
  private func linkTarget(_ name: [UInt8], in directory: CInt) throws(WASIErrno) -> [UInt8]? {
    do throws(WASIErrno) {
      return try Self.readLink(in: directory, name)
    } catch {
      // No link, or nothing at all: the opening says which.
      guard error == .invalid || error == .noEntry else { throw error }
      return nil
    }
  }

  private func openHere(_ name: String, in directory: CInt, flags: CInt, mode: UInt32) throws(WASIErrno) -> CInt {
    try openHere(Array(name.utf8), in: directory, flags: flags, mode: mode)
  }

  private func openHere(_ name: [UInt8], in directory: CInt, flags: CInt, mode: UInt32) throws(WASIErrno) -> CInt {
    var result: CInt = -1
    try WASIErrno.check(unsafe withPath(name) { unsafe bindery_open_at(directory, $0, flags, mode, &result) })
    return result
  }
}

/// A path as C takes it. The bytes contain no zero: `open` and `split` have looked.
func withPath<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
  var characters = path.map { CChar(bitPattern: $0) }
  characters.append(0)
  // SAFETY: the array ends with a zero and is not empty.
  return unsafe characters.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
}
