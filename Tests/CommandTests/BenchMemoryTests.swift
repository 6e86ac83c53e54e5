import Foundation
import Testing
import _TestSupport

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What repeats in the memory benchmark: how much of the scratch is left, and which pages fault. Speeds are nobody's test.
@Suite("bench memory")
struct BenchMemoryTests {
  /// Whether anonymous memory comes in pages of 4 KiB unless huge ones are asked for.
  private static let hasPlainPages: Bool = {
    let text = try? String(contentsOfFile: "/sys/kernel/mm/transparent_hugepage/enabled", encoding: .utf8)
    return sysconf(CInt(_SC_PAGESIZE)) == 4096 && text?.contains("[always]") == false
  }()

  @Test("a discard leaves under a hundredth of the scratch, and the pass after it faults all of it in again")
  func scratchLeft() throws {
    let folder = try TemporaryFolder()
    let picture = folder.url.appending(path: "memory.svg")
    let run = try BinderyExecutable.run([
      "bench", "memory", BadInputTests.tiny, "--turns", "2", "--rounds", "1", "--sample", "0.02", "--svg", picture.path,
      "--json",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])

    let passes = try #require(report["passes"] as? [[String: Any]])
    #expect(passes.first?["rows"] as? Int == 1 && passes.count >= 2)
    for pass in passes {
      func number(_ key: String) throws -> Int { try #require(pass[key] as? Int, "\(key)") }
      let (scratch, rows) = (try number("scratch_bytes"), try number("rows"))
      #expect(scratch >= 8192 && scratch > 128 * rows, "\(rows) rows: \(scratch)")
      #expect(try number("scratch_bytes_after_discard") * 100 < scratch, "\(rows) rows")
      let (faults, faultsBefore) = (try number("minor_faults_with_discard"), try number("minor_faults"))
      // Where the system gives larger pages by itself, there are fewer faults.
      let leastFaults = Self.hasPlainPages ? scratch / 4096 : 1
      #expect(faults >= leastFaults && faults > faultsBefore, "\(rows) rows: \(faults) faults, \(faultsBefore) without a discard")
      #expect(try number("pairs") >= 3)
    }
    let scratches = passes.compactMap { $0["scratch_bytes"] as? Int }
    #expect(scratches == scratches.sorted())

    let results = try #require(report["results"] as? [[String: Any]])
    #expect(
      results.compactMap { $0["policy"] as? String } == [
        "every pass", "at most every 100 ms", "above 8 MB", "when idle", "never",
      ])
    for result in results {
      let policy = try #require(result["policy"] as? String)
      let peak = try #require(result["scratch_peak_bytes"] as? Int)
      let left = try #require(result["scratch_resident_bytes"] as? Int)
      let count = try #require(result["discard_count"] as? Int)
      #expect(peak > 1 << 20, "\(policy)")
      if policy == "never" {
        #expect(left * 10 > peak && count == 0, "\(left) of \(peak), \(count) discards")
      } else {
        #expect(left * 100 <= peak && count > 0, "\(policy): \(left) of \(peak), \(count) discards")
      }
      if policy == "above 8 MB" { #expect(count == 4, "after each prefill and at the end of each answer, found \(count)") }
    }
    let traces = try #require(report["traces"] as? [[String: Any]])
    #expect(traces.count == 5 && traces.allSatisfy { ($0["samples"] as? [Any])?.isEmpty == false })

    let neighbours = try #require(report["neighbours"] as? [[String: Any]])
    #expect(Set(neighbours.compactMap { $0["neighbour"] as? String }) == ["decode", "streaming", "pages"])
    for result in neighbours {
      let (median, high) = (result["pass_median_seconds"] as? Double ?? 0, result["pass_percentile99_seconds"] as? Double ?? 0)
      #expect(median > 0 && median <= high)
    }
    let parser = XMLParser(data: try Data(contentsOf: picture))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  @Test("the tables have a line for each pass, policy and neighbour, and say what a policy costs")
  func tables() throws {
    let run = try BinderyExecutable.run([
      "bench", "memory", BadInputTests.tiny, "--turns", "1", "--rounds", "1", "--sample", "0.02",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let lines = run.output.split(separator: "\n")
    #expect(lines.count { $0.hasPrefix("| every pass |") } == 2 && lines.count { $0.hasPrefix("| never |") } == 2)
    #expect(lines.contains { $0.hasPrefix("| 1 (decode) |") } && lines.contains { $0.hasPrefix("| decode of the model") })
    #expect(lines.contains { $0.hasPrefix("- *when idle*: activations take ") && $0.contains("of the processor time") })
    // A table is one only if all its lines have the same number of cells.
    var cellCount: Int?
    for line in run.output.split(separator: "\n", omittingEmptySubsequences: false) {
      guard line.hasPrefix("|") else {
        cellCount = nil
        continue
      }
      let count = line.count { $0 == "|" }
      #expect(count == cellCount ?? count, "\(line)")
      cellCount = count
    }
  }

  @Test("a model that is not there is named")
  func noModel() throws {
    let run = try BinderyExecutable.run(["bench", "memory", "nofile"])
    #expect(run.status == 1 && run.errors.contains("nofile"), "\(run.errors)")
  }
}
