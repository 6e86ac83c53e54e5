import Foundation
import Testing
import _TestSupport

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
  }

  @Test("a filter that nothing matches is told with an example")
  func nothing() throws {
    let run = try BinderyExecutable.run(["bench", "kernels", "--filter", "perceptron"])
    #expect(run.status == 1 && run.errors.contains("matmul Q8_0"), "\(run.errors)")
  }
}
