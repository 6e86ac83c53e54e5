import Foundation
import Testing
import _TestSupport

/// Rules about the source itself.
@Suite("Rules of the source")
struct SourceRuleTests {
  /// Rooms whose job is unsafe memory. Everywhere else the word `unsafe` in code is a defect.
  private static let unsafeRooms: Set = [
    "VirtualMemory", "WasmRuntime", "TensorOperations", "BinaryReading", "TensorStore", "Tensors", "TensorFiles", "Tokenizers",
    "WasmScripts", "WASI", "ModelPrograms", "SystemFiles",
  ]

  @Test("unsafe code lives only in the rooms that may hold it")
  func unsafeIsConfined() throws {
    for file in try SourceTree.files(under: "Sources", extensions: ["swift"]) {
      let path = SourceTree.relative(file)
      let room = String(path.split(separator: "/")[1])
      guard !Self.unsafeRooms.contains(room) else { continue }
      let lines = try SourceTree.text(file).split(separator: "\n", omittingEmptySubsequences: false)
      for (index, line) in lines.enumerated() where Self.usesUnsafe(line) {
        Issue.record("\(path):\(index + 1): unsafe code in \(room), which may not hold any: \(line)")
      }
    }
  }

  @Test("the command writes to its streams through functions that can fail")
  func outputCanFail() throws {
    for file in try SourceTree.files(under: "Sources/BinderyCommand", extensions: ["swift"]) {
      let path = SourceTree.relative(file)
      let lines = try SourceTree.text(file).split(separator: "\n", omittingEmptySubsequences: false)
      for (index, line) in lines.enumerated() {
        // A program in Python may print what it likes.
        let isSwift = !line.contains("hexdigest")
        guard isSwift, line.contains(/(^|[^.\w])print\(|FileHandle\.standard(Output|Error)|\bfputs\(/) else { continue }
        Issue.record("\(path):\(index + 1): use standardOutput or standardError, whose failures are seen: \(line)")
      }
    }
  }

  @Test("hand-written files stay within 700 lines")
  func filesAreShort() throws {
    for folder in ["Sources", "Tests", "models"] {
      for file in try SourceTree.files(under: folder, extensions: ["swift", "c", "h"]) {
        let text = try SourceTree.text(file)
        guard !SourceTree.isGenerated(text) else { continue }
        let lineCount = text.split(separator: "\n", omittingEmptySubsequences: false).count
        #expect(lineCount <= 700, "\(SourceTree.relative(file)) has \(lineCount) lines")
      }
    }
  }

  @Test("no committed file is larger than 2 MB")
  func noLargeBlobs() throws {
    for path in try Self.trackedFiles() {
      let size = try FileManager.default.attributesOfItem(atPath: Repository.path(path).path)[.size] as? Int ?? 0
      #expect(size <= 2_000_000, "\(path) has \(size) bytes")
    }
  }

  @Test("every relative link of the documentation leads to a file")
  func linksResolve() throws {
    let link = /\]\(([^)\s]+)\)/
    for path in try Self.trackedFiles() where path.hasSuffix(".md") {
      let file = Repository.path(path)
      for match in try SourceTree.text(file).matches(of: link) {
        let target = String(match.1.prefix { $0 != "#" })
        guard !target.isEmpty, !target.contains(":") else { continue }
        let destination = file.deletingLastPathComponent().appending(path: target)
        #expect(FileManager.default.fileExists(atPath: destination.path), "\(path) links to \(target), which is not there")
      }
    }
  }

  /// Code that says `unsafe`, comments and strings aside.
  private static func usesUnsafe(_ line: Substring) -> Bool {
    let code = line.prefix(upTo: line.range(of: "//")?.lowerBound ?? line.endIndex)
    return code.contains(/\bunsafe\b|@unsafe|@unchecked|nonisolated\(unsafe\)/)
  }

  /// The files under version control; every file of the checkout where there is no git.
  private static func trackedFiles() throws -> [String] {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["git", "-C", Repository.root.path, "ls-files"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let files = String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
    return files.filter { FileManager.default.fileExists(atPath: Repository.path($0).path) }
  }
}
