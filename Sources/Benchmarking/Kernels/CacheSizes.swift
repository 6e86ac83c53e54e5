import Foundation

/// The caches that one core can use, as Linux says; nothing where it does not say.
struct CacheSizes: Sendable {
  /// Bytes by level: 1 (data), 2, 3...
  let byteCounts: [(level: Int, byteCount: Int)]

  init() {
    let folder = "/sys/devices/system/cpu/cpu0/cache"
    func field(_ index: Int, _ name: String) -> String? {
      let text = try? String(contentsOfFile: "\(folder)/index\(index)/\(name)", encoding: .utf8)
      return text?.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    byteCounts = (0..<8).compactMap { index in
      guard let level = field(index, "level").flatMap({ Int($0) }), field(index, "type") != "Instruction",
        let size = field(index, "size"), let kilobytes = Int(size.dropLast()), size.hasSuffix("K")
      else { return nil }
      return (level, kilobytes << 10)
    }
  }

  func byteCount(level: Int) -> Int? { byteCounts.first { $0.level == level }?.byteCount }

  /// The smallest cache that holds so many bytes.
  /// - Parameter threadCount: threads on cores of their own, each with an equal part of the bytes; the third level is shared.
  func name(holding byteCount: Int, threadCount: Int) -> String {
    if byteCounts.isEmpty { return "a cache" }
    let found = byteCounts.first { byteCount <= $0.byteCount * ($0.level < 3 ? threadCount : 1) }
    return found.map { "L\($0.level)" } ?? "memory"
  }
}
