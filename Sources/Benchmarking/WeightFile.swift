import Foundation

/// A file of weights to load: of some size, with contents that nobody reads but the sum. Removed with the object.
final class WeightFile {
  let path: String
  let byteCount: Int
  /// A file without blocks on disk: for sizes that nobody wants to write. Reading it gives zeros, at the speed of the page cache.
  let isSparse: Bool

  /// - Parameter byteCount: at least 64 KiB; rounded down to a multiple of that.
  init(byteCount: Int, folder: String, isSparse: Bool) throws {
    self.byteCount = max(byteCount & ~0xFFFF, 1 << 16)
    self.isSparse = isSparse
    path = folder + "/bindery-bench-\(ProcessInfo.processInfo.processIdentifier)-\(byteCount).weights"
    guard FileManager.default.createFile(atPath: path, contents: nil) else {
      throw WorkerProcess.Failure(description: "cannot create '\(path)': choose another folder with --directory")
    }
    let handle = try FileHandle(forWritingTo: URL(filePath: path))
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
    try handle.close()
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Drops the file's pages from the page cache of this system: the next reader pays for the device, or for the cache of the
  /// host that the device really is.
  func evict() throws {
    let handle = try FileHandle(forReadingFrom: URL(filePath: path))
    posix_fadvise(handle.fileDescriptor, 0, 0, POSIX_FADV_DONTNEED)
    try handle.close()
  }

  /// Brings the whole file into the page cache.
  func warm() throws {
    let handle = try FileHandle(forReadingFrom: URL(filePath: path))
    while let data = try handle.read(upToCount: 1 << 22), !data.isEmpty {}
    try handle.close()
  }
}
