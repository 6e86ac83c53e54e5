import Foundation
import Testing
import _TestSupport

/// The bundles under `models`: what is committed of them, and what a fetch adds.
@Suite("The bundles in the repository")
struct BundleTests {
  struct Manifest: Decodable {
    struct File: Decodable {
      struct Part: Decodable { let byte_count: Int }
      let path: String, byte_count: Int, member: String?, parts: [Part]?
    }
    let name: String, files: [File]
  }

  static func manifests() throws -> [(folder: String, manifest: Manifest)] {
    let models = Repository.path("models")
    return try FileManager.default.contentsOfDirectory(atPath: models.path).sorted().compactMap { name in
      let file = models.appending(path: name).appending(path: "bundle.json")
      guard FileManager.default.fileExists(atPath: file.path) else { return nil }
      return ("models/" + name, try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: file)))
    }
  }

  private static func git(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["git", "-C", Repository.root.path] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }

  @Test("every bundle is named like its folder, and its committed files are there")
  func committedFilesAreThere() throws {
    let manifests = try Self.manifests()
    #expect(manifests.count >= 2)
    for (folder, manifest) in manifests {
      #expect(folder == "models/" + manifest.name)
      for file in manifest.files where file.member == nil && file.parts == nil {
        let path = Repository.path(folder + "/" + file.path).path
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        #expect(size == file.byte_count, "\(path)")
      }
    }
  }

  @Test("what a fetch adds to a bundle is ignored by git, and what is committed is not")
  func fetchedFilesAreIgnored() throws {
    guard try Self.git(["rev-parse", "--git-dir"]).status == 0 else { return }
    for (folder, manifest) in try Self.manifests() {
      for file in manifest.files {
        let isFetched = file.member != nil || file.parts != nil
        #expect(
          (try Self.git(["check-ignore", "-q", "--no-index", folder + "/" + file.path]).status == 0) == isFetched,
          "\(folder)/\(file.path)")
      }
      // Whatever a bundle may list one day.
      for name in ["config.json", "tokenizer.json", "vocab.txt", "tokenizer.model", "model.safetensors", ".fetch-1/tmp/x"] {
        #expect(try Self.git(["check-ignore", "-q", "--no-index", folder + "/" + name]).status == 0, "\(folder)/\(name)")
      }
      #expect(try Self.git(["check-ignore", "-q", "--no-index", folder + "/bundle.json"]).status != 0)
    }
  }
}
