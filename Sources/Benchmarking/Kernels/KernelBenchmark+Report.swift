import Charts

extension KernelBenchmark.Report {
  private static let providers = KernelStage.Provider.all.map(\.rawValue)

  /// What the machine gives, and one row an operation, type and shape, in Markdown.
  public var markdown: String { (machine + [""] + operations + [""] + legend).joined(separator: "\n") + "\n" }

  private var threadsText: String { threads == 1 ? "1 thread" : "\(threads) threads" }

  private var machine: [String] {
    let (number, bytes) = (Quantity.number(unit: ""), Quantity.bytes)
    let core = openblasCore.map { " (\($0))" } ?? ""
    var lines = [
      "Native kernels: \(kernels)\(core); \(threadsText); " + (rounds == 1 ? "one round." : "medians of \(rounds) rounds."),
      "",
      "| at most, on this machine | | fastest order of reading |",
      "|---|--:|---|",
    ]
    for read in reads {
      let order = (read.streams == 1 ? "1 stream" : "\(read.streams) streams")
        + (read.ahead > 0 ? ", prefetched \(read.ahead) B ahead" : "")
      let place = read.level == "memory" ? "memory" : "fits \(read.level)"
      let speed = number.text(read.gigabytesPerSecond)
      lines.append("| reads of \(bytes.text(Double(read.bytes))) (\(place)) | \(speed) GB/s | \(order) |")
    }
    lines.append("| f32 multiply-adds in registers | \(number.text(peak)) GFLOP/s | |")
    lines.append("| int8 dot products in registers (\(integerInstruction)) | \(number.text(integerPeak)) GOP/s | |")
    return lines
  }

  private var operations: [String] {
    let number = Quantity.number(unit: "")
    func percent(_ share: Double) -> String { number.text(share * 100) + "%" }
    var lines = [
      "| operation | type | shape | operands in | native, µs | GB/s | of a plain loop | GFLOP/s | of the peak "
        + "| plain C / native | OpenBLAS f32 / native | wasm, µs | wasm / native |",
      "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      guard let native = result.nanoseconds[KernelStage.Provider.native.rawValue] else { continue }
      func ratio(_ provider: KernelStage.Provider) -> String {
        result.nanoseconds[provider.rawValue].map { number.text($0 / native) + "x" } ?? ""
      }
      let computes = result.flops > 0
      let cells = [
        result.operandsIn, number.text(native / 1e3), number.text(result.bytes / native), percent(result.shareOfLoop),
        computes ? number.text(result.flops / native) : "", computes ? "\(percent(result.shareOfPeak)) \(result.arithmetic)" : "",
        ratio(.plainC), ratio(.openBLAS),
        result.nanoseconds[KernelStage.Provider.wasm.rawValue].map { number.text($0 / 1e3) } ?? "", ratio(.wasm),
      ]
      lines.append("| \(result.operation) | \(result.type) | \(result.shape) | " + cells.joined(separator: " | ") + " |")
    }
    return lines
  }

  private var legend: [String] {
    let ring = Quantity.bytes.text(Double(ringBytes))
    return [
      "- reads that fit a cache: by the cache's size; how much of a shared one this process gets shows in the speed.",
      "- times, and the speeds of loops and arithmetic: the best of each round, median of the rounds.",
      "- GB/s counts each operand once; GFLOP/s two for each multiply-add, at least what the operation needs.",
      "- of a plain loop: GB/s to those of a loop that reads and writes as many bytes in the same proportion, and computes "
        + "nothing to speak of; the best of its variants, in turn with the kernel.",
      "- of the peak: GFLOP/s to those of the same arithmetic in registers: f32 multiply-adds, or int8 dot products.",
      "- operands in memory: each call takes the next weights of \(ring), so that none are in a cache.",
      "- OpenBLAS f32: the same shape with weights in f32, sgemv for one row and sgemm for more, with as many threads.",
    ]
  }

  /// The products of a decode step: how fast weights of each type are gone through.
  public var svg: String {
    let products = results.filter { $0.operation == "matmul" && $0.operandsIn == "memory" }
    let number = Quantity.number(unit: "GB/s")
    return BarChart(
      title: "Products of a decode step: one row and 64 MB of weights from memory",
      subtitle: "\(kernels); \(threadsText); each call takes the next weights of \(Quantity.bytes.text(Double(ringBytes)))",
      axis: Axis("weights gone through, GB/s", .number(unit: "")), series: Self.providers,
      groups: products.map { result in
        BarChart.Group(result.type, Self.providers.map { result.gigabytesPerSecond[$0] })
      }, reference: bandwidth > 0 ? BarChart.Reference(bandwidth, "reads alone: \(number.text(bandwidth))") : nil
    ).svg()
  }
}
