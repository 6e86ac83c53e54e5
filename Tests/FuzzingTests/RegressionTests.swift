import Foundation
import FuzzBodies
import Testing
import _TestSupport

/// Every target that fuzzers run, on what they once found and for a short while at random.
///
/// One after another: a body may keep what it needs from input to input.
@Suite("Fuzz targets", .serialized)
struct RegressionTests {
  private static let names = FuzzTarget.all.map(\.name)

  /// The finds, by folder. One that crashes ends the test process: so the name is printed before.
  @Test("what was found once keeps its promises", arguments: names)
  func finds(name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    let folder = Repository.path("Tests/Regressions").appending(path: name)
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.sorted() ?? []
    for file in files {
      let input = [UInt8](try Data(contentsOf: folder.appending(path: file)))
      print("Regressions/\(name)/\(file)")
      let started = ContinuousClock.now
      do throws(BrokenPromise) { try target.body(input) } catch { Issue.record("\(name)/\(file): \(error)") }
      #expect(ContinuousClock.now - started < .seconds(10), "\(name)/\(file)")
    }
  }

  @Test("the seeds and changed seeds keep their promises", arguments: names)
  func randomInputs(name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    let corpus = target.seeds(Repository.root)
    #expect(!corpus.isEmpty)
    for (index, seed) in corpus.enumerated() {
      do throws(BrokenPromise) { try target.body(seed) } catch { Issue.record("\(name), seed \(index): \(error)") }
    }
    var mutator = InputMutator(seed: 1, target: target)
    let end = ContinuousClock.now + .seconds(1)
    var count = 0
    while ContinuousClock.now < end || count < 50 {
      let input = mutator.input(from: corpus)
      do throws(BrokenPromise) { try target.body(input) } catch {
        Issue.record("\(name), input \(count): \(error): \(Data(input).base64EncodedString())")
        return
      }
      count += 1
    }
  }

  @Test("targets have names of their own")
  func namesDiffer() { #expect(Set(Self.names).count == Self.names.count && Self.names.count >= 13) }
}
