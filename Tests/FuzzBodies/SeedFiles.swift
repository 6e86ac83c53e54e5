import Foundation

/// Reads the files of a checkout that seeds are made from. What is not there gives no seed.
enum SeedFiles {
  static func bytes(_ checkout: URL, _ path: String) -> [UInt8]? {
    (try? Data(contentsOf: checkout.appending(path: path))).map { [UInt8]($0) }
  }

  /// The files of a folder with one of these endings, in order of their names.
  static func all(_ checkout: URL, _ folder: String, endings: [String]) -> [[UInt8]] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkout.appending(path: folder).path)) ?? []
    return names.filter { name in endings.contains { name.hasSuffix($0) } }.sorted().compactMap { bytes(checkout, "\(folder)/\($0)") }
  }

  static func json(_ checkout: URL, _ path: String) -> Any? {
    bytes(checkout, path).flatMap { try? JSONSerialization.jsonObject(with: Data($0)) }
  }
}
