import Foundation
import FuzzBodies

/// Inputs in files.
enum Corpus {
  /// The checkout that this was built from.
  private static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  static func writeSeeds(of target: FuzzTarget, to folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for (index, seed) in target.seeds(checkout).enumerated() {
      try Data(seed.prefix(target.inputByteCountMax)).write(to: folder.appending(path: "seed-\(index)"))
    }
    try Data(target.dictionaryText.utf8).write(to: URL(filePath: folder.path + ".dict"))
  }

  static func replay(_ target: FuzzTarget, _ files: [URL]) throws {
    for file in files {
      let started = ContinuousClock.now
      do throws(BrokenPromise) {
        try target.body([UInt8]((try? Data(contentsOf: file)) ?? Data()))
        print("\(file.lastPathComponent): \(ContinuousClock.now - started)")
      } catch {
        print("\(file.lastPathComponent): BROKEN PROMISE: \(error)")
      }
    }
  }

  /// Runs until the time is over. An input that crashes is the last one written to `FOLDER/../last-TARGET`, if the environment
  /// has BINDERY_FUZZ_KEEP.
  static func runRandomly(_ target: FuzzTarget, seconds: Double, seed: UInt64, folder: URL?) throws {
    var corpus = target.seeds(checkout)
    if let folder {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() {
        corpus.append([UInt8](try Data(contentsOf: folder.appending(path: name))))
      }
    }
    let keep = ProcessInfo.processInfo.environment["BINDERY_FUZZ_KEEP"].map { URL(filePath: $0) }
    var mutator = InputMutator(seed: seed, target: target)
    let end = ContinuousClock.now + .seconds(seconds)
    var count = 0
    while ContinuousClock.now < end {
      for _ in 0..<64 {
        let input = mutator.input(from: corpus)
        if let keep { try Data(input).write(to: keep) }
        do throws(BrokenPromise) {
          try target.body(input)
        } catch {
          let file = "find-\(target.name)-\(seed)-\(count)"
          print("BROKEN PROMISE: \(error): \(file)")
          try Data(input).write(to: URL(filePath: file))
        }
        count += 1
      }
    }
    print("\(target.name): \(count) executions in \(seconds) s, seed \(seed)")
  }
}
