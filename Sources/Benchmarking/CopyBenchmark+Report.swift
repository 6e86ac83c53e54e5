import Charts

extension CopyBenchmark.Report {
  /// Tables in Markdown: one guest, many guests, many processes.
  public var markdown: String {
    let (time, bytes) = (Quantity.seconds, Quantity.bytes)
    func text(_ value: Double?, _ quantity: Quantity) -> String { value.map(quantity.text) ?? "" }
    func text(_ value: Int?) -> String { value.map { bytes.text(Double($0)) } ?? "" }
    var lines = [
      "| weights | cache | loading | ready | first pass | next pass | copied | anonymous | file pages | faults |",
      "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      let head = "| \(bytes.text(Double(result.fileBytes)))\(result.isSparse ? " (sparse)" : "") | \(result.cache) | \(result.loading) | "
      if let reason = result.skipped {
        lines.append(head + "\(reason) | | | | | | |")
        continue
      }
      let cells = [
        text(result.readySeconds, time), text(result.firstPassSeconds, time), text(result.secondPassSeconds, time),
        text(result.copiedBytes.map { Double($0) }, bytes), text(result.added?.rssAnonBytes), text(result.added?.rssFileBytes),
        result.added.map { "\($0.minorFaultCount + $0.majorFaultCount)" } ?? "",
      ]
      lines.append(head + cells.joined(separator: " | ") + " |")
    }
    lines += ["", "| weights | loading | guest | ready | added anonymous | added Pss | added page tables |", "|--:|---|--:|--:|--:|--:|--:|"]
    for result in guests {
      let head = "| \(bytes.text(Double(result.fileBytes))) | \(result.loading) | \(result.guest) | "
      lines.append(
        head + (result.skipped.map { "\($0) | | | |" }
          ?? "\(text(result.readySeconds, time)) | \(text(result.added?.rssAnonBytes)) | \(text(result.added?.pssBytes)) | "
          + "\(text(result.added?.pageTableBytes)) |"))
    }
    lines += ["", "| weights | loading | processes | anonymous, all | Pss, all |", "|--:|---|--:|--:|--:|"]
    for result in processes {
      let head = "| \(bytes.text(Double(result.fileBytes))) | \(result.loading) | \(result.processes) | "
      lines.append(head + (result.skipped.map { "\($0) | |" } ?? "\(text(result.rssAnonBytes)) | \(text(result.pssBytes)) |"))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The picture of the argument: the time until a guest can use its weights, over the size of the file.
  public var svg: String {
    LineChart(
      title: "Time until a guest can use its weights", subtitle: "One guest in a fresh process, file in the page cache, median",
      x: Axis("file of weights", .bytes, scale: .logarithmic), y: Axis("time to ready", .seconds, scale: .logarithmic),
      series: WeightGuest.Loading.allCases.map { loading in
        LineChart.Series(
          loading.rawValue,
          results.compactMap { result in
            guard result.loading == loading, result.cache == "warm", let ready = result.readySeconds else { return nil }
            return (Double(result.fileBytes), ready)
          })
      }
    ).svg()
  }
}
