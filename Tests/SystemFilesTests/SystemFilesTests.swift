import Foundation
import SystemFiles
import Testing
import _TestSupport

@Suite("Files and streams of the system")
struct SystemFilesTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func path(_ name: String) -> SystemString { SystemString(folder.url.appending(path: name).path) }
  private func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() }
  private func contents(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: folder.url.appending(path: name)), as: UTF8.self)
  }

  // MARK: Output

  @Test("a file appears when it is committed, whole; one that is not leaves nothing", arguments: [0, 10, 65_536, 1_000_000])
  func commit(byteCount: Int) throws {
    let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0) }
    let file = try OutputFile(path("new"))
    for start in stride(from: 0, to: byteCount, by: 999) { try file.write(Array(bytes[start..<min(start + 999, byteCount)])) }
    #expect(!FileManager.default.fileExists(atPath: path("new").description))
    try file.commit()
    #expect(try Data(contentsOf: folder.url.appending(path: "new")) == Data(bytes))
    do { try OutputFile(path("dropped")).write(bytes) }
    #expect(try names() == ["new"])
  }

  @Test("a file that is replaced keeps its mode; a new one gets the mask's")
  func modes() throws {
    _ = try folder.write([1], to: "old")
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path("old").description)
    for name in ["old", "new"] {
      let file = try OutputFile(path(name))
      try file.write([2])
      try file.commit()
    }
    let mask = umask(0)
    umask(mask)
    func mode(_ name: String) throws -> Int? {
      try FileManager.default.attributesOfItem(atPath: path(name).description)[.posixPermissions] as? Int
    }
    #expect(try mode("old") == 0o640 && mode("new") == 0o666 & ~Int(mask))
  }

  @Test("links are followed, also one that leads nowhere yet; a circle of links is an error")
  func links() throws {
    _ = try folder.write([1], to: "target")
    for (link, target) in [("link", "target"), ("dangling", "later"), ("a", "b"), ("b", "a")] {
      try FileManager.default.createSymbolicLink(atPath: path(link).description, withDestinationPath: target)
    }
    for name in ["link", "dangling"] {
      let file = try OutputFile(path(name))
      try file.write(Array(name.utf8))
      try file.commit()
    }
    #expect(try contents("target") == "link" && contents("later") == "dangling")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path("link").description) == "target")
    #expect(throws: SystemFileError.self) { try OutputFile(path("a")) }
    #expect(try names() == ["a", "b", "dangling", "later", "link", "target"])
  }

  @Test("a full device is an error, when the bytes reach it")
  func fullDevice() throws {
    guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
    let file = try OutputFile("/dev/full")
    let error = #expect(throws: SystemFileError.self) {
      try file.write([1, 2, 3])
      try file.commit()
    }
    #expect(error?.description == "cannot write '/dev/full': No space left on device")
  }

  @Test("what cannot be written says why", arguments: [("missing/x", "there is no folder"), (".", "it is a folder"), ("", "empty")])
  func refused(name: String, words: String) throws {
    let error = #expect(throws: SystemFileError.self) { try OutputFile(name.isEmpty ? "" : path(name)) }
    #expect(error?.description.contains(words) == true, "\(String(describing: error))")
  }

  @Test("a descriptor's own name writes to it where it is, and leaves it open")
  func descriptorNames() throws {
    let handle = try FileHandle(forUpdating: URL(filePath: folder.write(Array("abc".utf8), to: "open")))
    try handle.seekToEnd()
    for _ in 0..<2 {
      let file = try OutputFile(SystemString("/dev/fd/\(handle.fileDescriptor)"))
      try file.write(Array("+".utf8))
      try file.commit()
    }
    #expect(try contents("open") == "abc++")
  }

  // MARK: Input

  @Test("pipes are read to their end, and files")
  func pipes() throws {
    let pipe = Pipe()
    let bytes = [UInt8](repeating: 7, count: 300_000)
    let writer = Thread {
      try? pipe.fileHandleForWriting.write(contentsOf: Data(bytes))
      try? pipe.fileHandleForWriting.close()
    }
    writer.start()
    #expect(try InputFile.read(SystemString("/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)"), byteCountMax: 300_000) == bytes)
    _ = try folder.write(bytes, to: "file")
    #expect(try InputFile.read(path("file"), byteCountMax: 300_000) == bytes)
    #expect(try InputFile.read("/dev/null", byteCountMax: 0) == [])
  }

  @Test("a named pipe is waited for, and its end is the end of whoever wrote")
  func namedPipe() throws {
    #expect(unsafe mkfifo(path("fifo").description, 0o600) == 0)
    let name = path("fifo").description
    let writer = Thread {
      Thread.sleep(forTimeInterval: 0.05)
      try? FileHandle(forWritingTo: URL(filePath: name)).write(contentsOf: Data("hi".utf8))
    }
    writer.start()
    #expect(try InputFile.read(path("fifo"), byteCountMax: 10) == Array("hi".utf8))
  }

  @Test("input that is too long, endless, stopped, a folder, or not there")
  func refusedInput() throws {
    _ = try folder.write([1, 2, 3], to: "file")
    func failure(_ path: SystemString, max: Int = 2, isStopped: () -> Bool = { false }) -> String {
      let error = #expect(throws: SystemFileError.self) { try InputFile.read(path, byteCountMax: max, isStopped: isStopped) }
      return error?.description ?? ""
    }
    #expect(failure(path("file")).contains("longer than 2 bytes"))
    #expect(failure("/dev/zero", max: 1 << 20).contains("longer than 1048576 bytes"))
    #expect(failure(path("."), max: 10).contains("folder") && failure(path("none")).contains("No such file"))
    #expect(failure(SystemString([97, 0, 98])).contains("zero byte"))
    let pipe = Pipe()
    let start = ContinuousClock.now
    #expect(failure(SystemString("/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")) {
      ContinuousClock.now - start > .milliseconds(60)
    }.contains("cancel"))
  }

  // MARK: Text

  @Test("bytes go through a string and come back, whatever they are")
  func carriers() {
    var generator = SeededGenerator(seed: 8)
    let alphabet: [[UInt8]] = [
      [0x61], [0xFF], [0xC3, 0xA9], [0xE2, 0x82, 0xAC], [0xF0, 0x9F, 0x8D, 0x8E], [0xF4, 0x8F, 0xBC, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
      [0xC3], [0xED, 0xA0, 0x80], [0x80], [0xF4], [0xC0, 0x80], [0x65, 0xCC, 0x81],
    ]
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0...6, using: &generator)).flatMap { _ in alphabet.randomElement(using: &generator)! }
      let string = SystemString(bytes)
      #expect(SystemString(carriedBy: string.carrier) == string, "\(bytes)")
      #expect(SystemString.carriesBytes(string.carrier) == (string.text == nil), "\(bytes)")
    }
    #expect(SystemString("plain \u{1F34E}").carrier == "plain \u{1F34E}")
  }

  @Test("the arguments of this process, as the system has them")
  func arguments() {
    #expect(SystemString.processArguments.map(\.description) == CommandLine.arguments)
  }
}
