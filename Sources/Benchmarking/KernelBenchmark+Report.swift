import Charts

extension KernelBenchmark.Report {
  private static let native = KernelStage.Provider.native.rawValue

  /// One row an operation, type and shape, in Markdown.
  public var markdown: String {
    let number = Quantity.number(unit: "")
    var lines = [
      "Native kernels: \(kernels); \(threads) thread(s). A plain sum \(number.text(bandwidth)) GB/s, f32 products \(number.text(peak)) GFLOP/s.",
      "",
      "| operation | type | shape | native, µs | GB/s | of a plain sum | GFLOP/s | of f32 products | plain C / native | wasm / native |",
      "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      guard let native = result.nanoseconds[Self.native] else { continue }
      func ratio(_ provider: KernelStage.Provider) -> String {
        result.nanoseconds[provider.rawValue].map { number.text($0 / native) + "x" } ?? ""
      }
      let speed = result.bytes / native
      let flops = result.flops / native
      let cells = [
        number.text(native / 1e3), number.text(speed), number.text(speed / bandwidth * 100) + "%",
        result.flops > 0 ? number.text(flops) : "", result.flops > 0 ? number.text(flops / peak * 100) + "%" : "", ratio(.plainC),
        ratio(.wasm),
      ]
      lines.append("| \(result.operation) | \(result.type) | \(result.shape) | " + cells.joined(separator: " | ") + " |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The products of a decode step: how fast weights of each type are gone through.
  public var svg: String {
    let products = results.filter { $0.operation == "matmul" && $0.shape.hasPrefix("1 x") }
    return BarChart(
      title: "Products of a decode step: 128 MB of weights, one row",
      subtitle: "\(kernels); \(threads) thread(s); a plain sum: \(Quantity.number(unit: "GB/s").text(bandwidth))",
      axis: Axis("weights gone through, GB/s", .number(unit: "")), series: KernelStage.Provider.allCases.map(\.rawValue),
      groups: products.map { result in
        BarChart.Group(result.type, KernelStage.Provider.allCases.map { result.gigabytesPerSecond($0.rawValue) })
      }
    ).svg()
  }
}
