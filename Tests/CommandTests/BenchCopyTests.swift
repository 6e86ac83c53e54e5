import Foundation
import Testing
import _TestSupport

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What repeats exactly in the copy benchmark: counts. Times are nobody's test.
@Suite("bench copy")
struct BenchCopyTests {
  @Test("bytes are copied as often as the way of loading says, and mapped weights add no anonymous memory")
  func counts() throws {
    let folder = try TemporaryFolder()
    let picture = folder.url.appending(path: "copy.svg").path
    let run = try BinderyExecutable.run([
      "bench", "copy", "--sizes", "8MB", "--shared-size", "4MB", "--guests", "1,4", "--processes", "2", "--rounds", "1", "--directory",
      folder.url.path, "--svg", picture, "--json",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    let results = try #require(report["results"] as? [[String: Any]])
    #expect(results.count == 8, "four ways, warm and cold")
    for result in results {
      let loading = try #require(result["loading"] as? String)
      let size = try #require(result["file_bytes"] as? Int)
      let copies = ["map": 0, "read": 1, "chunked": 1, "copy": 2]
      #expect(result["copied_bytes"] as? Int == size * (try #require(copies[loading])))
      let added = try #require(result["added"] as? [String: Any])
      let anonymous = try #require(added["rss_anon_bytes"] as? Int)
      if loading == "map" { #expect(anonymous < 1 << 20) } else { #expect(anonymous > size / 10 * 9, "\(loading): \(anonymous)") }
    }
    let guests = try #require(report["guests"] as? [[String: Any]])
    for result in guests where result["guest"] as? Int == 4 {
      let added = try #require((result["added"] as? [String: Any])?["rss_anon_bytes"] as? Int)
      if result["loading"] as? String == "map" { #expect(added < 1 << 20) } else { #expect(added > 3_000_000) }
    }
    let processes = try #require(report["processes"] as? [[String: Any]])
    #expect(processes.count == 4)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["copy.svg"], "the files of weights are removed")
    let parser = XMLParser(data: try Data(contentsOf: URL(filePath: picture)))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  @Test(
    "wrong usage is told with what was expected",
    arguments: [(["--sizes", "big"], "16MB"), (["--guests", "0"], "between 1"), (["--rounds", "0"], "--rounds"), (["--processes", "0"], "--processes")])
  func wrongUsage(arguments: [String], word: String) throws {
    let run = try BinderyExecutable.run(["bench", "copy"] + arguments)
    #expect(run.status == 64 && run.errors.contains(word), "\(run.errors)")
  }

  @Test("a folder that cannot be written to is named")
  func noFolder() throws {
    let run = try BinderyExecutable.run(["bench", "copy", "--sizes", "1MB", "--directory", "/nonexistent"])
    #expect(run.status == 1 && run.errors.contains("/nonexistent"), "\(run.errors)")
  }
}
