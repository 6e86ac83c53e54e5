import Charts
import Foundation

extension CopyBenchmark.Report {
  /// Tables in Markdown: one guest (times, then memory), many guests, many processes, kinds of pages.
  public var markdown: String {
    var lines: [String] = []
    if !results.isEmpty { lines += sizeTables }
    if let first = guests.first {
      lines += [
        "The n-th guest of one process, \(Self.bytes(first.fileBytes)) of weights: medians over the guests since the row before, memory the mean of them.",
        "", "| guest | loading | ready | times map's | first pass | copied | anonymous | above map's | file pages | Pss | page tables | faults |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
      ]
      for number in Set(guests.map(\.guest)).sorted() {
        for result in guests where result.guest == number {
          lines.append(
            Self.row(
              ["\(number)", result.loading.rawValue], skipped: result.skipped, cellCount: 10,
              [
                Self.time(result.readySeconds), Self.ratio(result.comparedToMap?.readyRatio), Self.time(result.firstPassSeconds),
                Self.bytes(result.copiedBytes), Self.bytes(result.added?.rssAnonBytes), Self.extra(result.comparedToMap),
                Self.bytes(result.added?.rssFileBytes), Self.bytes(result.added?.pssBytes), Self.bytes(result.added?.pageTableBytes),
                Self.count(result.added?.faultCount),
              ]))
        }
      }
      lines.append("")
    }
    if let first = processes.first {
      lines += [
        "Several processes with a guest each, \(Self.bytes(first.fileBytes)) of weights, loaded one after the other: times of one process, copies, memory "
          + "and faults of all together." + (processBytes.map { " The program itself is in it: \(Self.bytes($0)) of a single process's Pss." } ?? ""),
        "", "| processes | loading | ready | times map's | first pass | copied | anonymous | above map's | file pages | Pss | page tables | faults |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
      ]
      for result in processes {
        lines.append(
          Self.row(
            ["\(result.processes)", result.loading.rawValue], skipped: result.skipped, cellCount: 10,
            [
              Self.time(result.readySeconds), Self.ratio(result.comparedToMap?.readyRatio), Self.time(result.firstPassSeconds),
              Self.bytes(result.copiedBytes), Self.bytes(result.rssAnonBytes), Self.extra(result.comparedToMap),
              Self.bytes(result.rssFileBytes), Self.bytes(result.pssBytes), Self.bytes(result.pageTableBytes), Self.count(result.faultCount),
            ]))
      }
      lines.append("")
    }
    if let pages { lines.append(pages.markdown) }
    return lines.joined(separator: "\n")
  }

  private var sizeTables: [String] {
    var lines = [
      "One guest in a fresh process. " + "Warm: \(caches["warm"] ?? ""). Cold: \(caches["cold"] ?? "").", "",
      "| weights | cache | loading | ready | times map's | first pass | ready and first pass, times map's | next pass |", "|--:|---|---|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      lines.append(
        Self.row(
          head(result), skipped: result.skipped, cellCount: 5,
          [
            Self.time(result.readySeconds), Self.ratio(result.comparedToMap?.readyRatio), Self.time(result.firstPassSeconds),
            Self.ratio(result.comparedToMap?.firstPassDoneRatio), Self.time(result.secondPassSeconds),
          ]))
    }
    lines += [
      "", "What loading and two passes have added to the process (anonymous: RssAnon, file pages: RssFile).", "",
      "| weights | cache | loading | copied | anonymous | above map's | file pages | Pss | page tables | page faults |",
      "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      lines.append(
        Self.row(
          head(result), skipped: result.skipped, cellCount: 7,
          [
            Self.bytes(result.copiedBytes), Self.bytes(result.added?.rssAnonBytes), Self.extra(result.comparedToMap),
            Self.bytes(result.added?.rssFileBytes), Self.bytes(result.added?.pssBytes), Self.bytes(result.added?.pageTableBytes),
            Self.count(result.added?.faultCount),
          ]))
    }
    return lines + [""]
  }

  private func head(_ result: CopyBenchmark.Result) -> [String] {
    [Self.bytes(result.fileBytes) + (result.isSparse ? " (sparse)" : ""), result.cache, result.loading.rawValue]
  }

  /// What one process with a bound file takes above the file.
  private var processBytes: Int? {
    processes.first { $0.loading == .map && $0.processes == 1 }.flatMap { result in result.pssBytes.map { max($0 - result.fileBytes, 0) } }
  }

  // MARK: Cells

  private static func row(_ head: [String], skipped: String?, cellCount: Int, _ cells: [String]) -> String {
    let rest = skipped.map { [$0] + Array(repeating: "", count: cellCount - 1) } ?? cells
    return "| " + (head + rest).joined(separator: " | ") + " |"
  }

  private static func time(_ seconds: Double?) -> String { seconds.map(Quantity.seconds.text) ?? "" }
  private static func bytes(_ count: (some BinaryInteger)?) -> String { count.map { Quantity.bytes.text(Double($0)) } ?? "" }
  private static func count(_ number: Int?) -> String { number.map { "\($0)" } ?? "" }
  /// Three digits are as much as a quotient of two times is worth.
  private static func ratio(_ ratio: Double?) -> String {
    guard let ratio, ratio > 0 else { return "" }
    let unit = pow(10, max(floor(log10(ratio)) - 2, 0))
    return Quantity.number(unit: "x").text(ratio < 1000 ? ratio : (ratio / unit).rounded() * unit)
  }
  private static func extra(_ comparison: CopyBenchmark.Comparison?) -> String { bytes(comparison?.extraBytes) }

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
