import Foundation
import TensorFiles
import TensorStore

/// Weight files that are cut into parts: `NAME-00001-of-00003.gguf` and so on, in one folder. Given any of them, all are opened.
enum WeightParts {
  private static let countMax = 1000

  /// The files that a weight file's name stands for, the first part first.
  /// - Throws: `environment` where one is missing.
  static func paths(of path: String) throws(BinderyError) -> [String] {
    let url = URL(filePath: path)
    guard let match = url.lastPathComponent.wholeMatch(of: /(.*)-([0-9]{5})-of-([0-9]{5})\.gguf/), let count = Int(match.3),
      let number = Int(match.2), 1...count ~= number, count > 1
    else { return [path] }
    guard count <= countMax else {
      throw BinderyError(.malformedInput, "'\(path)' says that it is one of \(count) parts; at most \(countMax) are opened")
    }
    var paths: [String] = []
    for index in 1...count {
      func digits(_ number: Int) -> String { String(String(100_000 + number).dropFirst()) }
      let name = "\(match.1)-\(digits(index))-of-\(digits(count)).gguf"
      let part = index == number ? path : url.deletingLastPathComponent().appending(path: name).relativePath
      guard FileManager.default.fileExists(atPath: part) else {
        throw BinderyError(
          .environment,
          "'\(path)' is part \(number) of \(count): part \(index), '\(part)', is missing; a model in parts needs all of them in one folder")
      }
      paths.append(part)
    }
    return paths
  }

  /// Fails for a part whose name does not say which others belong to it, and for parts that do not belong together.
  static func requireAll(_ weights: WeightSet) throws(BinderyError) {
    for (index, file) in weights.files.enumerated() {
      guard let count = file.catalog.metadata.integer("split.count"), count > 1 else { continue }
      let number = file.catalog.metadata.integer("split.no") ?? 0
      guard count == weights.files.count, number == index else {
        throw BinderyError(
          .malformedInput,
          "'\(file.path)' is part \(number &+ 1) of \(count) of a model, but not by its name: name the parts NAME-00001-of-00002.gguf and "
            + "so on, in one folder")
      }
    }
  }
}
