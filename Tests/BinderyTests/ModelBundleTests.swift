import Bindery
import Foundation
import Testing
import _TestSupport

@Suite struct ModelBundleTests {
  @Test(arguments: ["tiny-stories-1m", "smollm2-135m-instruct", "gemma-3-270m"])
  func `the bundles in the repository are read`(name: String) throws {
    let bundle = try ModelBundle(path: Repository.path("models/" + name).path)
    #expect(bundle.manifest.name == name && bundle.manifest.files.contains { $0.role == .weights })
  }

  @Test func `parts add up to their file`() throws {
    func bundle(_ byteCount: Int) throws -> ModelBundle {
      let digest = String(repeating: "0", count: 64)
      let part = #"{"package": "a", "version": "1", "member": "m", "byte_count": 3, "sha256": "\#(digest)"}"#
      let file = #"{"path": "w", "role": "weights", "byte_count": \#(byteCount), "sha256": "\#(digest)", "parts": [\#(part), \#(part)]}"#
      return try ModelBundle(path: "x", manifest: Array(#"{"name": "a", "files": [\#(file)]}"#.utf8))
    }
    #expect(try bundle(6).manifest.files[0].parts.count == 2)
    #expect(throws: BinderyError.self) { try bundle(7) }
  }

  @Test func `random changes of a manifest are an error or a manifest, never a crash`() throws {
    let seed: UInt64 = 51
    var generator = SeededGenerator(seed: seed)
    let original = Array(#"{"name":"a","license_terms":{"url":"u","must_accept":true},"source":{"kind":"pypi","package":"p","version":"1.0"},"files":[{"path":"w","role":"weights","byte_count":6,"sha256":"\#(String(repeating: "0", count: 64))","member":"m/n"}]}"#.utf8)
    _ = try ModelBundle(path: "x", manifest: original)
    for _ in 0..<2000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: index)
        default: bytes.remove(at: index)
        }
      }
      do throws(BinderyError) {
        let manifest = try ModelBundle(path: "x", manifest: bytes).manifest
        #expect(!manifest.files.contains { $0.path.contains("/") || $0.path.hasPrefix(".") }, "seed \(seed)")
        #expect(manifest.source.map { !$0.package.requirement.hasPrefix("-") } ?? true, "seed \(seed)")
      } catch { #expect(error.message.contains("'x/bundle.json'"), "seed \(seed)") }
    }
  }
}
