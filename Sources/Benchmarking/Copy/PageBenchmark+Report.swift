import Charts

extension PageBenchmark.Report {
  /// Tables in Markdown: getting there and going through; loads at random; what could not be had.
  public var markdown: String {
    let (time, bytes, number) = (Quantity.seconds, Quantity.bytes, Quantity.number(unit: ""))
    let size = bytes.text(Double(fileBytes))
    var lines = [
      "Using \(size) of weights (Q8_0), by the pages that hold them. A product goes through all of them: native kernel, one row, one thread.", "",
      "| pages | huge pages | page tables | ready | copied | faults | first product | faults | later products, GB/s | sum by the interpreter, GB/s "
        + "| a random row of 2.2 KB |",
      "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      let cells = [
        bytes.text(Double(result.added.largePageBytes)), bytes.text(Double(result.added.pageTableBytes)), time.text(result.readySeconds),
        bytes.text(Double(result.copiedBytes)), "\(result.readyFaultCount)", time.text(result.firstProductSeconds),
        "\(result.firstProductFaultCount)", number.text(result.productGigabytesPerSecond), number.text(result.sumGigabytesPerSecond),
        time.text(result.rowNanoseconds * 1e-9),
      ]
      lines.append("| \(result.title)\(result.shortfall == nil ? "" : " (*)") | " + cells.joined(separator: " | ") + " |")
    }
    if let first = results.first {
      lines += [
        "", "Nanoseconds of a load by a guest at a random place that depends on the load before, by the bytes that the places lie in. The interpreter's "
          + "own part is the same in every column.", "",
        "| pages | " + first.walks.map { bytes.text(Double($0.byteCount)) }.joined(separator: " | ") + " |",
        "|---|" + first.walks.map { _ in "--:|" }.joined(),
      ]
      for result in results {
        lines.append("| \(result.title) | " + result.walks.map { number.text($0.nanosecondsPerLoad) }.joined(separator: " | ") + " |")
      }
    }
    lines.append("")
    for result in results {
      lines.append("- \(result.title): \(result.explanation)." + (result.shortfall.map { " (*) Not had on this machine: \($0)." } ?? ""))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// How long it takes until the first product over the weights is done, and one after it, by kind of pages.
  public var svg: String {
    BarChart(
      title: "One product over all weights, by the pages that hold them",
      subtitle: "\(Quantity.bytes.text(Double(fileBytes))) of Q8_0, native kernel, one thread; medians. A file is bound, anonymous pages are read into.",
      axis: Axis("time", .seconds), series: ["from opening the file to the end of the first product", "a later product"],
      groups: results.map { BarChart.Group($0.title, [$0.readySeconds + $0.firstProductSeconds, $0.productSeconds]) }
    ).svg()
  }
}
