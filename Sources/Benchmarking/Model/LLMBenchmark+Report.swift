import Charts
import Foundation

extension LLMBenchmark.Report {
  /// The model's own name, without the folders that lead to it.
  private var name: String { URL(filePath: model).lastPathComponent }

  /// A table as llama-bench prints it.
  public var markdown: String {
    let number = Quantity.number(unit: "")
    let parameters = parameterCount >= 1_000_000_000
      ? number.text(Double(parameterCount) / 1e9) + " B" : number.text(Double(parameterCount) / 1e6) + " M"
    var lines = [
      "| model | size | params | kernels | weights | threads | test | t/s |",
      "|---|--:|--:|---|---|--:|--:|--:|",
    ]
    for result in results {
      let cells = [
        name, Quantity.bytes.text(Double(weightBytes)), parameters, result.kernels, weights, String(result.threads), result.test,
        "\(number.text(result.tokensPerSecond)) "
          + "(\(number.text(result.tokensPerSecondMin))-\(number.text(result.tokensPerSecondMax)))",
      ]
      lines.append("| " + cells.joined(separator: " | ") + " |")
    }
    let count = results.first?.repetitions ?? 0
    let rounds = count == 1 ? "one round" : "median (slowest-fastest) of \(count) rounds in which the tests take turns"
    lines += [
      "",
      "t/s: tokens a second, \(rounds). ppN: prefill of N tokens at once; tgN: decode of N tokens, one at a time.",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  /// The medians as bars.
  public var svg: String {
    var tests: [String] = []
    for result in results where !tests.contains(result.test) { tests.append(result.test) }
    func label(_ result: LLMBenchmark.Result) -> String {
      "\(result.kernels), \(result.threads) thread\(result.threads == 1 ? "" : "s")"
    }
    var series: [String] = []
    for result in results where !series.contains(label(result)) { series.append(label(result)) }
    return BarChart(
      title: "Prefill and decode of \(name)",
      subtitle: "pp: prefill, tg: decode, of so many tokens; weights: \(weights)\(series.count == 1 ? "; \(series[0])" : "")",
      axis: Axis("tokens a second", .number(unit: "")), series: series.count == 1 ? [] : series,
      groups: tests.map { test in
        BarChart.Group(
          test, series.map { name in results.first { $0.test == test && label($0) == name }?.tokensPerSecond })
      }
    ).svg()
  }
}
