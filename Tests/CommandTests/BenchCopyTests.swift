import Foundation
import Testing
import _TestSupport

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What repeats exactly in the copy benchmark: counts. Times are nobody's test.
@Suite("bench copy")
struct BenchCopyTests {
  private func report(_ arguments: [String], in folder: TemporaryFolder) throws -> [String: Any] {
    let run = try BinderyExecutable.run(["bench", "copy", "--rounds", "1", "--directory", folder.url.path, "--json"] + arguments)
    #expect(run.status == 0, "\(run.errors)")
    return try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  private func expectPicture(_ path: String) throws {
    let parser = XMLParser(data: try Data(contentsOf: URL(filePath: path)))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  private static let copies = ["map": 0, "read": 1, "read-huge": 1, "chunked": 1, "copy": 2]

  @Test("bytes are copied as often as the way of loading says, and mapped weights add no anonymous memory and few faults")
  func sizes() throws {
    let folder = try TemporaryFolder()
    let picture = folder.url.appending(path: "copy.svg").path
    let report = try report(["--parts", "sizes", "--sizes", "8MB", "--svg", picture], in: folder)
    let results = try #require(report["results"] as? [[String: Any]])
    #expect(results.count == 10, "five ways, warm and cold")
    for result in results {
      let loading = try #require(result["loading"] as? String)
      let size = try #require(result["file_bytes"] as? Int)
      #expect(result["copied_bytes"] as? Int == size * (try #require(Self.copies[loading])))
      let added = try #require(result["added"] as? [String: Any])
      let anonymous = try #require(added["rss_anon_bytes"] as? Int)
      let faults = try #require(added["minor_fault_count"] as? Int) + #require(added["major_fault_count"] as? Int)
      let extra = try #require((result["compared_to_map"] as? [String: Any])?["extra_bytes"] as? Int)
      switch loading {
      case "map":
        #expect(anonymous < 1 << 20 && extra == 0)
        #expect(try #require(added["rss_file_bytes"] as? Int) > size / 10 * 9)
        // The system maps at least 16 pages around the one that was touched, if they are in the page cache; a cold file is read ahead.
        #expect(faults < size / 4096 / 4, "\(faults) faults for \(size / 4096) pages")
      case "read-huge": #expect(anonymous > size / 10 * 9)
      default:
        #expect(anonymous > size / 10 * 9 && extra > size / 10 * 8, "\(loading): \(anonymous)")
        #expect(faults >= size / 4096, "each page is touched for the first time: \(faults) faults")
      }
    }
    let caches = try #require(report["caches"] as? [String: String])
    #expect(caches["cold"]?.contains("posix_fadvise") == true && caches["warm"] != nil)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["copy.svg"], "the files of weights are removed")
    try expectPicture(picture)
  }

  @Test("a guest more costs a copy of the weights, or next to nothing where they are mapped; a process more likewise")
  func many() throws {
    let folder = try TemporaryFolder()
    let report = try report(
      ["--parts", "guests,processes", "--shared-size", "4MB", "--guests", "1,4", "--processes", "1,3"], in: folder)
    let size = 4_000_000 & ~0xFFFF
    let guests = try #require(report["guests"] as? [[String: Any]])
    #expect(guests.count == 10)
    for result in guests {
      let loading = try #require(result["loading"] as? String)
      #expect(result["copied_bytes"] as? Int == size * (try #require(Self.copies[loading])))
      #expect(result["first_pass_seconds"] is Double)
      guard result["guest"] as? Int == 4 else { continue }
      let added = try #require(result["added"] as? [String: Any])
      let anonymous = try #require(added["rss_anon_bytes"] as? Int)
      let proportional = try #require(added["pss_bytes"] as? Int)
      // Guests 2 to 4 share the pages of the first.
      if loading == "map" { #expect(anonymous < 1 << 20 && proportional < 1 << 20) } else { #expect(anonymous > 3_000_000) }
    }
    let processes = try #require(report["processes"] as? [[String: Any]])
    #expect(processes.count == 10)
    for result in processes {
      let loading = try #require(result["loading"] as? String)
      let count = try #require(result["processes"] as? Int)
      #expect(result["copied_bytes"] as? Int == count * size * (try #require(Self.copies[loading])))
      #expect(try #require(result["rss_file_bytes"] as? Int) > 0 && #require(result["page_table_bytes"] as? Int) > 0)
      #expect(try #require(result["fault_count"] as? Int) > 0)
      let extra = try #require((result["compared_to_map"] as? [String: Any])?["extra_bytes"] as? Int)
      if loading == "map" { #expect(extra == 0) } else { #expect(extra > count * size / 10 * 7, "\(loading), \(count): \(extra)") }
    }
    #expect(report["results"] as? [Any] != nil && report["pages"] == nil, "parts that were not asked for are empty")
  }

  @Test("each kind of pages is what it says or says why not; bound kinds copy nothing and fault less than one page at a time")
  func pages() throws {
    let folder = try TemporaryFolder()
    let picture = folder.url.appending(path: "pages.svg").path
    let report = try report(["--parts", "pages", "--pages-size", "16MiB", "--pages-svg", picture], in: folder)
    let pages = try #require(report["pages"] as? [String: Any])
    let size = try #require(pages["file_bytes"] as? Int)
    #expect(size == 16 << 20)
    let results = try #require(pages["results"] as? [[String: Any]])
    #expect(results.count == 10)
    for result in results {
      let kind = try #require(result["kind"] as? String)
      let added = try #require(result["added"] as? [String: Any])
      let large = try #require(added["large_page_bytes"] as? Int)
      let faults = try #require(result["first_product_fault_count"] as? Int)
      let walks = try #require(result["walks"] as? [[String: Any]])
      #expect(walks.map { $0["byte_count"] as? Int } == [18, 20, 22, 24].map { 1 << $0 })
      #expect(result["copied_bytes"] as? Int == (kind.hasPrefix("anonymous") ? size : 0))
      let hasShortfall = result["shortfall"] != nil
      switch kind {
      case "anonymous-4k":
        #expect(large == 0 && !hasShortfall)
        #expect(try #require(result["ready_fault_count"] as? Int) >= size / 4096)
      case "anonymous-huge", "file-huge", "cold-huge": #expect(hasShortfall != (large >= size / 10 * 9), "\(kind): \(large)")
      case "file-shifted", "file-4k":
        // No multiple of 2 MiB of the file lies on one of the address space, or no folio is that large.
        #expect(large < size / 10, "\(kind): \(large)")
        #expect(faults < size / 4096 / 4, "\(kind): \(faults) faults")
      case "file-4k-populated":
        if !hasShortfall { #expect(faults < 64, "all pages were mapped before: \(faults) faults") }
      default: #expect(faults < size / 4096 / 4, "\(kind): \(faults) faults")
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["pages.svg"], "the files of weights are removed")
    try expectPicture(picture)
  }

  @Test("the tables name what they show, and what cold means")
  func tables() throws {
    let folder = try TemporaryFolder()
    let run = try BinderyExecutable.run([
      "bench", "copy", "--rounds", "1", "--directory", folder.url.path, "--sizes", "1MB", "--shared-size", "1MB", "--guests", "1", "--processes",
      "1", "--pages-size", "4MiB",
    ])
    #expect(run.status == 0, "\(run.errors)")
    for text in ["posix_fadvise", "| guest | loading |", "| processes | loading |", "| anonymous, 4 KiB pages |", "times map's"] {
      #expect(run.output.contains(text), "no '\(text)' in the tables")
    }
    // Every row of a table has as many cells as its head.
    var cellCount = 0
    for line in run.output.split(separator: "\n", omittingEmptySubsequences: false) {
      guard line.hasPrefix("|") else {
        cellCount = 0
        continue
      }
      let count = line.count { $0 == "|" }
      if cellCount > 0 { #expect(count == cellCount, "\(line)") }
      cellCount = count
    }
  }

  @Test(
    "wrong usage is told with what was expected",
    arguments: [
      (["--sizes", "big"], "16MB"), (["--guests", "0"], "between 1"), (["--rounds", "0"], "--rounds"), (["--processes", "0"], "--processes"),
      (["--processes", "2,x"], "--processes"), (["--parts", "sizes,all"], "pages"), (["--parts", "sizes", "--pages-svg", "f"], "--pages-svg"),
      (["--pages-size", "1PiB"], "512MiB"),
    ])
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
