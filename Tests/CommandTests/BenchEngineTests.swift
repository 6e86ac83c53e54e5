import Foundation
import Testing
import _TestSupport

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What holds on every machine: which tests there are, that both sides agree, how the numbers hang together. No time is tested.
@Suite("bench engine")
struct BenchEngineTests {
  private static func report(_ arguments: [String]) throws -> [String: Any] {
    let run = try BinderyExecutable.run(["bench", "engine", "--rounds", "1", "--json"] + arguments)
    #expect(run.status == 0, "\(run.errors)")
    return try #require(run.json)
  }

  @Test("both handler sets find native code's sums with the same number of instructions")
  func counts() throws {
    let folder = try TemporaryFolder()
    let picture = folder.url.appending(path: "engine.svg")
    let best = try Self.report(["--svg", picture.path])
    let portable = try Self.report(["--portable"])
    #expect(portable["handlers"] as? String == "portable")
    let (results, others) = (
      try #require(best["results"] as? [[String: Any]]), try #require(portable["results"] as? [[String: Any]])
    )
    #expect(results.count == 13 && others.count == 13)
    #expect(Set(results.compactMap { $0["test"] as? String }).count == 13)
    for (result, other) in zip(results, others) {
      let name = try #require(result["test"] as? String)
      for key in ["wasm_instructions", "dispatched_instructions"] {
        let count = try #require(result[key] as? Double)
        #expect(count > 0 && other[key] as? Double == count, "\(name), \(key)")
      }
      let native = try #require(result["native_nanoseconds"] as? Double)
      let wasm = try #require(result["wasm_nanoseconds"] as? Double)
      let ratio = try #require(result["ratio"] as? Double)
      #expect(native > 0 && wasm > 0 && abs(ratio * native - wasm) < 1e-6 * wasm, "\(name)")
      #expect(result["rounds"] as? Int == 1)
      #expect((result["unit"] as? String)?.isEmpty == false && (result["checksum"] as? String)?.isEmpty == false, "\(name)")
    }
    let text = try String(contentsOf: picture, encoding: .utf8)
    for result in results { #expect(text.contains(">\(try #require(result["test"] as? String))<")) }
    let parser = XMLParser(data: Data(text.utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  @Test("the table has a line for each test")
  func table() throws {
    let run = try BinderyExecutable.run(["bench", "engine", "--rounds", "1"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.split(separator: "\n").filter { $0.hasPrefix("| ") }.count == 14)
  }

  @Test("wrong usage is told with what was expected")
  func wrongUsage() throws {
    let run = try BinderyExecutable.run(["bench", "engine", "--rounds", "0"])
    #expect(run.status == 64 && run.errors.contains("between 1 and 1000"), "\(run.errors)")
    let picture = try BinderyExecutable.run(["bench", "engine", "--rounds", "1", "--svg", "/nonexistent/engine.svg"])
    #expect(picture.status == 1 && picture.errors.contains("/nonexistent/engine.svg"), "\(picture.errors)")
  }
}
