import Foundation
import Testing
import _TestSupport

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// Which tests are run, how often, and how the numbers hang together. Speeds are nobody's test.
@Suite("bench llm")
struct BenchLLMTests {
  private static let short = ["bench", "llm", BadInputTests.tiny, "--prefill", "8", "--decode", "4"]

  @Test("kernels and thread counts are compared in one run, each test as often as was asked for")
  func configurations() throws {
    let folder = try TemporaryFolder()
    let picture = folder.url.appending(path: "llm.svg")
    let run = try BinderyExecutable.run(
      Self.short + ["--kernels", "native,wasm", "--threads", "1,2", "--rounds", "2", "--svg", picture.path, "--json"])
    #expect(run.status == 0, "\(run.errors)")
    let report = try #require(run.json)
    #expect(report["kernels"] as? String == "native" && report["threads"] as? Int == 1 && report["weights"] as? String == "map")
    let results = try #require(report["results"] as? [[String: Any]])
    let names = results.map { "\($0["kernels"] ?? "") \($0["threads"] ?? "") \($0["test"] ?? "")" }
    #expect(
      names == [
        "native 1 pp8", "native 1 tg4", "native 2 pp8", "native 2 tg4", "wasm 1 pp8", "wasm 1 tg4", "wasm 2 pp8", "wasm 2 tg4",
      ])
    for result in results {
      let speed = try #require(result["tokens_per_second"] as? Double)
      let least = try #require(result["tokens_per_second_min"] as? Double)
      let most = try #require(result["tokens_per_second_max"] as? Double)
      #expect(0 < least && least <= speed && speed <= most && result["repetitions"] as? Int == 2)
    }
    let text = try String(contentsOf: picture, encoding: .utf8)
    for word in ["pp8", "tg4", "native, 1 thread", "wasm, 2 threads"] { #expect(text.contains(">\(word)<"), "\(word)") }
    let parser = XMLParser(data: Data(text.utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  @Test("size and parameters are those of the weight tensors")
  func size() throws {
    let report = try #require(try BinderyExecutable.run(Self.short + ["--rounds", "1", "--threads", "1", "--json"]).json)
    let inspected = try #require(try BinderyExecutable.run(["inspect", BadInputTests.tinyFile.path, "--json"]).json)
    let tensors = try #require(inspected["tensors"] as? [[String: Any]])
    #expect(!tensors.isEmpty)
    let bytes = tensors.reduce(0) { $0 + ($1["byte_count"] as? Int ?? 0) }
    let elements = tensors.reduce(0) { $0 + ($1["shape"] as? [Int] ?? []).reduce(1, *) }
    #expect(report["weight_bytes"] as? Int == bytes && report["parameter_count"] as? Int == elements)
  }

  @Test("the table has a line for each test, as llama-bench prints it")
  func table() throws {
    let run = try BinderyExecutable.run(Self.short + ["--repetitions", "1", "--threads", "1"])
    #expect(run.status == 0, "\(run.errors)")
    let rows = run.output.split(separator: "\n").filter { $0.hasPrefix("| ") }
    #expect(rows.first == "| model | size | params | kernels | weights | threads | test | t/s |" && rows.count == 3)
    #expect(rows[1].hasPrefix("| tiny-stories-1m | ") && rows[1].contains(" | native | map | 1 | pp8 | "))
  }

  @Test("wrong usage is told with what was expected", arguments: [
    (["--rounds", "0"], "--rounds"), (["--repetitions", "0"], "--repetitions"),
    (["--rounds", "1", "--repetitions", "1"], "one of them"), (["--threads", "0"], "between 1 and 256"),
    (["--threads", "1,,2"], "--threads"), (["--threads", "two"], "--threads"), (["--kernels", "gpu"], "native,wasm"),
    (["--kernels", ""], "native,wasm"), (["--prefill", "8,x"], "8,x"), (["--decode=-4"], "-4"),
    (["--prefill", "0", "--decode", "0"], "nothing to measure"), (["--weights", "load"], "weights"),
  ])
  func wrongUsage(arguments: [String], word: String) throws {
    let run = try BinderyExecutable.run(["bench", "llm", BadInputTests.tiny] + arguments)
    #expect(run.status == 64 && run.errors.contains(word), "\(run.errors)")
  }

  @Test("a model that is not there, a prompt beyond its context, and a picture that cannot be written are named")
  func failures() throws {
    let missing = try BinderyExecutable.run(["bench", "llm", "nofile"])
    #expect(missing.status == 1 && missing.errors.contains("nofile"), "\(missing.errors)")
    let long = try BinderyExecutable.run(["bench", "llm", BadInputTests.tiny, "--prefill", "100000", "--decode", "0"])
    #expect(long.status == 1 && long.errors.contains("512"), "\(long.errors)")
    let picture = try BinderyExecutable.run(Self.short + ["--rounds", "1", "--svg", "/nonexistent/llm.svg"])
    #expect(picture.status == 1 && picture.errors.contains("/nonexistent/llm.svg"), "\(picture.errors)")
    #expect(!picture.errors.contains("round"), "told before anything is measured: \(picture.errors)")
  }
}
