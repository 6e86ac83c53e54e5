import Foundation
import WebAssembly
import _TestSupport

/// The modules of the official suite that scripts instantiate, where the suite is there.
enum SuiteModules {
  static var isPresent: Bool { Repository.sharedPath("conformance/wasm-suite/json") != nil }

  private struct Script: Decodable {
    struct Command: Decodable {
      let type: String
      let line: Int
      let filename: String?
      let module_type: String?
      let offset: Int?
      let size: Int?
    }
    let commands: [Command]
  }

  /// Name and bytes of each, in a fixed order.
  static func valid() throws -> [(name: String, bytes: [UInt8])] {
    guard let root = Repository.sharedPath("conformance/wasm-suite/json") else { return [] }
    var modules: [(String, [UInt8])] = []
    let folders = [
      "core", "bulk", "simd", "relaxed-simd", "reference-types", "multi-memory", "memory64", "extended-const", "tail-call",
    ]
    for folder in folders {
      let directory = root.appending(path: folder)
      for file in try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() where file.hasSuffix(".json") {
        let script = try JSONDecoder().decode(Script.self, from: try Data(contentsOf: directory.appending(path: file)))
        var bytes: [String: [UInt8]] = [:]
        for command in script.commands where command.type == "module" && command.module_type == "binary" {
          guard let name = command.filename, let offset = command.offset, let size = command.size else { continue }
          if bytes[name] == nil { bytes[name] = [UInt8](try Data(contentsOf: directory.appending(path: name))) }
          guard let all = bytes[name], offset + size <= all.count else { continue }
          modules.append(("\(folder)/\(file):\(command.line)", Array(all[offset..<offset + size])))
        }
      }
    }
    return modules
  }
}
