import Foundation
import Testing
import _TestSupport

/// What repeats in the memory benchmark: how much of the scratch is left under each policy. Speeds are nobody's test.
@Suite("bench memory")
struct BenchMemoryTests {
  @Test("a pass with discard leaves under a hundredth of the scratch, a process that never gives back most of it")
  func scratchLeft() throws {
    let run = try BinderyExecutable.run(["bench", "memory", BadInputTests.tiny, "--turns", "2", "--rounds", "1", "--json"])
    #expect(run.status == 0, "\(run.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    let results = try #require(report["results"] as? [[String: Any]])
    #expect(results.count == 4)
    for result in results {
      let policy = try #require(result["policy"] as? String)
      let peak = try #require(result["scratch_peak_bytes"] as? Int)
      let left = try #require(result["scratch_resident_bytes"] as? Int)
      #expect(peak > 1 << 20, "\(policy)")
      if policy == "every pass" || policy == "above 8 MB" { #expect(left * 100 <= peak, "\(policy): \(left) of \(peak)") }
      if policy == "never" { #expect(left * 2 > peak, "\(policy): \(left) of \(peak)") }
    }
    #expect((report["traces"] as? [[String: Any]])?.allSatisfy { ($0["samples"] as? [Any])?.isEmpty == false } == true)
    #expect((report["neighbours"] as? [Any])?.count == 5)
  }

  @Test("a model that is not there is named")
  func noModel() throws {
    let run = try BinderyExecutable.run(["bench", "memory", "nofile"])
    #expect(run.status == 1 && run.errors.contains("nofile"), "\(run.errors)")
  }
}
