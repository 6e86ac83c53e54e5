import Foundation
import Testing
import _TestSupport

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("bench kernels")
struct BenchKernelsTests {
  @Test("each provider is timed on the operations that were asked for")
  func providers() throws {
    let run = try BinderyExecutable.run(["bench", "kernels", "--filter", "norm", "--rounds", "1", "--json"])
    #expect(run.status == 0, "\(run.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    let results = try #require(report["results"] as? [[String: Any]])
    #expect(Set(results.compactMap { $0["operation"] as? String }) == ["rms_norm", "layer_norm"])
    for result in results {
      let times = try #require(result["nanoseconds"] as? [String: Double])
      #expect(Set(times.keys) == ["native", "plain C", "wasm"] && times.values.allSatisfy { $0 > 0 })
    }
    #expect(report["bandwidth"] as? Double ?? 0 > 0 && report["peak"] as? Double ?? 0 > 0)
    #expect(report["integer_peak"] as? Double ?? 0 > 0)
    // From the nearest cache to memory, each with the speed that was found.
    let reads = try #require(report["reads"] as? [[String: Any]])
    let sizes = reads.compactMap { $0["bytes"] as? Int }
    #expect(sizes == sizes.sorted() && sizes.last == report["ring_bytes"] as? Int && reads.last?["level"] as? String == "memory")
    #expect(reads.allSatisfy { $0["gigabytes_per_second"] as? Double ?? 0 > 0 })
  }

  @Test("products are compared with OpenBLAS, and speeds follow from times")
  func products() throws {
    let folder = try TemporaryFolder()
    let picture = folder.url.appending(path: "kernels.svg")
    let run = try BinderyExecutable.run([
      "bench", "kernels", "--filter", "matmul Q8", "--rounds", "1", "--threads", "2", "--svg", picture.path, "--json",
    ])
    #expect(run.status == 0, "\(run.errors)")
    let report = try #require(run.json)
    let results = try #require(report["results"] as? [[String: Any]])
    #expect(results.count == 2 && results[0]["operands_in"] as? String == "memory")
    for result in results {
      let times = try #require(result["nanoseconds"] as? [String: Double])
      let hasOpenBLAS = report["openblas_core"] is String
      #expect(Set(times.keys) == Set(["native", "plain C", "wasm"] + (hasOpenBLAS ? ["OpenBLAS f32"] : [])))
      let (bytes, flops) = (try #require(result["bytes"] as? Double), try #require(result["flops"] as? Double))
      let speeds = try #require(result["gigabytes_per_second"] as? [String: Double])
      let rates = try #require(result["gigaflops_per_second"] as? [String: Double])
      for provider in ["native", "plain C", "wasm"] {
        let time = try #require(times[provider])
        #expect(abs(try #require(speeds[provider]) * time / bytes - 1) < 1e-9)
        #expect(abs(try #require(rates[provider]) * time / flops - 1) < 1e-9)
      }
      let loop = try #require(result["loop_gigabytes_per_second"] as? Double)
      let peak = try #require(result["peak_gigaflops_per_second"] as? Double)
      #expect(abs(try #require(result["share_of_loop"] as? Double) * loop / (speeds["native"] ?? 0) - 1) < 1e-9)
      #expect(abs(try #require(result["share_of_peak"] as? Double) * peak / (rates["native"] ?? 0) - 1) < 1e-9)
      #expect(result["arithmetic"] as? String == "int8")
    }
    let text = try String(contentsOf: picture, encoding: .utf8)
    #expect(text.contains(">Q8_0<") && text.contains("reads alone"))
    let parser = XMLParser(data: Data(text.utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  @Test("wrong usage is told with what was expected", arguments: [
    (["--threads", "0"], "--threads"), (["--rounds", "0"], "--rounds"), (["--threads", "many"], "--threads"),
  ])
  func wrongUsage(arguments: [String], word: String) throws {
    let run = try BinderyExecutable.run(["bench", "kernels"] + arguments)
    #expect(run.status == 64 && run.errors.contains(word), "\(run.errors)")
  }

  @Test("a filter that nothing matches is told with an example")
  func nothing() throws {
    let run = try BinderyExecutable.run(["bench", "kernels", "--filter", "perceptron"])
    #expect(run.status == 1 && run.errors.contains("matmul Q8_0"), "\(run.errors)")
  }
}
