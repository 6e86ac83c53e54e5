import Charts

extension EngineBenchmark.Report {
  /// A table in Markdown: times and counts of a unit of work, ratios.
  public var markdown: String {
    let (time, number) = (Quantity.seconds, Quantity.number(unit: ""))
    var lines = [
      "| test | unit | native | wasm | ratio | min | max | wasm instructions | dispatched |",
      "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      let cells = [
        time.text(result.nativeNanoseconds * 1e-9), time.text(result.wasmNanoseconds * 1e-9),
        number.text(result.ratio), number.text(result.ratioMin), number.text(result.ratioMax),
        number.text(result.wasmInstructions), number.text(result.dispatchedInstructions),
      ]
      lines.append("| \(result.test) | \(result.unit) | " + cells.joined(separator: " | ") + " |")
    }
    lines += ["", "Times and counts of one unit, \(rounds); handlers: \(handlers)."]
    return lines.joined(separator: "\n") + "\n"
  }

  /// The ratios as bars.
  public var svg: String {
    BarChart(
      title: "The interpreter beside native code",
      subtitle: "The same C source with -O2, in turns, \(rounds); handlers: \(handlers)",
      axis: Axis("time of the interpreter, as a multiple of native", .number(unit: "x")),
      groups: results.map { BarChart.Group($0.test, [$0.ratio]) }
    ).svg()
  }

  private var rounds: String {
    let count = results.first?.rounds ?? 0
    return count == 1 ? "one round" : "medians of \(count) rounds"
  }
}
