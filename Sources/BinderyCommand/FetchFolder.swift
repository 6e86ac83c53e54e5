import Foundation

/// A private folder beside the target, so that the last step is a rename within one file system. Nobody else may read or write it,
/// its name is not known beforehand, and it is made, never found.
struct FetchFolder {
  private static let prefix = ".fetch-"

  private let url: URL
  /// Locked as long as this process lives: what is not locked was left behind.
  private let lock: FileHandle

  /// Makes one in a folder, which is cleared of what dead predecessors left.
  init(in parent: String) throws {
    let parent = URL(filePath: Self.absolute(parent))
    Self.removeDead(in: parent)
    url = parent.appending(path: Self.prefix + UUID().uuidString)
    // Private from the first moment on, not only after a change of its mode.
    let mask = umask(0o077)
    defer { _ = umask(mask) }
    do {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
      for name in ["tmp", "files"] {
        try FileManager.default.createDirectory(at: url.appending(path: name), withIntermediateDirectories: false)
      }
      lock = try Self.create(url.appending(path: "lock"))
    } catch {
      throw CommandFailure("cannot create the folder '\(url.path)' to fetch into: \(reason(error))")
    }
    _ = flock(lock.fileDescriptor, LOCK_EX | LOCK_NB)
  }

  /// A new file, never one that is there.
  static func create(_ url: URL) throws -> FileHandle {
    try Data().write(to: url, options: .withoutOverwriting)
    return try FileHandle(forUpdating: url)
  }

  /// The same path from the root on: nothing that begins with `-` reaches another program.
  static func absolute(_ path: String) -> String { URL(filePath: path).absoluteURL.path }

  var temporaryPath: String { url.appending(path: "tmp").path }

  func path(_ name: String) -> String { url.appending(path: name).path }

  /// Where a file of the bundle is put together: apart, since its name may be any.
  func filePath(_ name: String) -> String { url.appending(path: "files").appending(path: name).path }

  func removeFile(_ path: String) throws {
    do { try FileManager.default.removeItem(atPath: path) } catch {
      throw CommandFailure("cannot remove '\(path)': \(reason(error))")
    }
  }

  func remove() {
    try? FileManager.default.removeItem(at: url)
    try? lock.close()
  }

  /// Bytes of all files in it.
  var byteCount: Int {
    var total = 0
    let keys: [URLResourceKey] = [.fileSizeKey]
    guard let files = FileManager.default.enumerator(at: url, includingPropertiesForKeys: keys) else { return 0 }
    for case let file as URL in files { total += (try? file.resourceValues(forKeys: Set(keys)).fileSize) ?? 0 }
    return total
  }

  private static func removeDead(in parent: URL) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: parent.path)) ?? [] where name.hasPrefix(prefix) {
      let folder = parent.appending(path: name)
      let attributes = try? FileManager.default.attributesOfItem(atPath: folder.path)
      guard attributes?[.type] as? FileAttributeType == .typeDirectory else { continue }
      // One that is being made has no lock yet: the young are left alone.
      if let date = attributes?[.modificationDate] as? Date, date.timeIntervalSinceNow > -60 { continue }
      if let lock = try? FileHandle(forUpdating: folder.appending(path: "lock")) {
        defer { try? lock.close() }
        guard flock(lock.fileDescriptor, LOCK_EX | LOCK_NB) == 0 else { continue }
      }
      try? FileManager.default.removeItem(at: folder)
    }
  }
}
