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

  /// What tables mean by a warm and a cold page cache.
  static let cacheMeanings = [
    "warm": "the whole file was read just before, so it is in this system's page cache",
    "cold": """
      posix_fadvise(POSIX_FADV_DONTNEED) dropped the file from this system's page cache just before; the device, or the host of a \
      virtual machine, may still hold it in memory of its own
      """,
  ]

  /// - Parameters:
  ///   - byteCount: at least 64 KiB; rounded down to a multiple of that.
  ///   - contents: what the file consists of, repeated; random bytes if there is nothing.
  ///   - pieceByteCount: bytes of each write. Where the file system has large folios, the page cache of a file that was just written
  ///     consists of folios of about this size, up to 2 MiB.
  init(byteCount: Int, folder: String, isSparse: Bool, contents: [UInt8] = [], pieceByteCount: Int = 1 << 20) throws {
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
      // A ring of the contents, from which a piece can be taken at any phase.
      let period = contents.isEmpty ? Self.randomBytes(1 << 20) : Data(contents)
      var ring = period
      while ring.count < period.count + pieceByteCount { ring += period }
      var done = 0
      while done < self.byteCount {
        let count = min(pieceByteCount, self.byteCount - done)
        let start = done % period.count
        try handle.write(contentsOf: ring[start..<(start + count)])
        done += count
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

  private static func randomBytes(_ count: Int) -> Data {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return Data(
      (0..<(count / 8)).flatMap { _ -> [UInt8] in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return (0..<8).map { UInt8(truncatingIfNeeded: state >> (8 * UInt64($0))) }
      })
  }
}
