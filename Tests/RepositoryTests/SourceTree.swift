import Foundation
import _TestSupport

/// Reads the checkout's own sources for the rules that this target checks.
enum SourceTree {
  /// The files below a folder of the checkout with one of the given extensions, build folders left out.
  static func files(under folder: String, extensions: Set<String>) throws -> [URL] {
    let root = Repository.path(folder)
    guard let walker = FileManager.default.enumerator(at: root, includingPropertiesForKeys: [.isRegularFileKey]) else { return [] }
    var found: [URL] = []
    for case let url as URL in walker {
      if url.lastPathComponent.hasPrefix(".build") {
        walker.skipDescendants()
      } else if extensions.contains(url.pathExtension) {
        found.append(url)
      }
    }
    return found.sorted { $0.path < $1.path }
  }

  static func text(_ file: URL) throws -> String { try String(contentsOf: file, encoding: .utf8) }

  /// The modules that a Swift source imports, whatever the access level or attribute of the import.
  static func imports(of text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard let index = words.firstIndex(of: "import"), index + 1 < words.count,
        words[..<index].allSatisfy({ $0.hasPrefix("@") || ["public", "package", "internal", "private", "unsafe"].contains($0) })
      else { return nil }
      return String(words[index + 1].prefix { $0 != "." })
    }
  }

  /// The path of a file inside the checkout.
  static func relative(_ file: URL) -> String {
    let root = Repository.root.path
    return file.path.hasPrefix(root) ? String(file.path.dropFirst(root.count + 1)) : file.path
  }

  static func isGenerated(_ text: String) -> Bool { text.prefix(400).lowercased().contains("generated") }
}
