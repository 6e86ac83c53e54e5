import Foundation

/// A file of weights to load: of some size, with contents that nobody reads but the sum.
///
/// It has no name: it goes with the process, however that ends, and child processes open it through /proc.
final class WeightFile {
  let path: String
  private let handle: FileHandle
  let byteCount: Int
  /// A file without blocks on disk: for sizes that nobody wants to write. Reading it gives zeros, at the speed of the page cache.
  let isSparse: Bool

  /// - Parameter byteCount: at least 64 KiB; rounded down to a multiple of that.
  init(byteCount: Int, folder: String, isSparse: Bool) throws {
    self.byteCount = max(byteCount & ~0xFFFF, 1 << 16)
    self.isSparse = isSparse
    let process = ProcessInfo.processInfo.processIdentifier
    let name = folder + "/bindery-bench-\(process)-\(byteCount).weights"
    guard FileManager.default.createFile(atPath: name, contents: nil) else {
      throw WorkerProcess.Failure(description: "cannot create '\(name)': choose another folder with --directory")
    }
    handle = try FileHandle(forUpdating: URL(filePath: name))
    try FileManager.default.removeItem(atPath: name)
    path = "/proc/\(process)/fd/\(handle.fileDescriptor)"
    if isSparse {
      try handle.truncate(atOffset: UInt64(self.byteCount))
    } else {
      var state: UInt64 = 0x9E37_79B9_7F4A_7C15
      let block = Data(
        (0..<1 << 17).flatMap { _ -> [UInt8] in
          state ^= state << 13
          state ^= state >> 7
          state ^= state << 17
          return (0..<8).map { UInt8(truncatingIfNeeded: state >> (8 * UInt64($0))) }
        })
      var left = self.byteCount
      while left > 0 {
        try handle.write(contentsOf: block.prefix(left))
        left -= min(left, block.count)
      }
      try handle.synchronize()
    }
  }

  /// Drops the file's pages from the page cache of this system: the next reader pays for the device, or for the cache of the
  /// host that the device really is.
  func evict() { posix_fadvise(handle.fileDescriptor, 0, 0, POSIX_FADV_DONTNEED) }

  /// Brings the whole file into the page cache.
  func warm() throws {
    try handle.seek(toOffset: 0)
    while let data = try handle.read(upToCount: 1 << 22), !data.isEmpty {}
  }
}
