import Charts

extension MemoryBenchmark.Report {
  /// Tables in Markdown, each with a sentence that says what it shows.
  public var markdown: String {
    [passText, policyText, neighbourText].joined(separator: "\n\n") + "\n"
  }

  // MARK: Passes

  private var passText: String {
    let (time, bytes, number, percent) = (Quantity.seconds, Quantity.bytes, Quantity.number(unit: ""), Quantity.number(unit: "%"))
    var lines = [
      "### What a discard costs a pass",
      "",
      "Pairs of equal passes in one process, one of them after a discard. *More* is the discard and the page faults after it: "
        + "median of the pairs, and the middle half of them. *From its parts*: the discard, and a fault for each page, "
        + "each timed alone.",
      "",
      "| rows of the pass | scratch | pass | discard | more | more, % | middle half, % | from its parts, % | page faults "
        + "| after a discard | left by the discard |",
      "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for pass in passes {
      let left = 100 * Double(pass.scratchBytesAfterDiscard) / Double(max(pass.scratchBytes, 1))
      let cells = [
        pass.rows == 1 ? "1 (decode)" : "\(pass.rows)", bytes.text(Double(pass.scratchBytes)), time.text(pass.seconds),
        time.text(pass.discardSeconds), time.text(pass.differenceSeconds), number.text(pass.differencePercent),
        "\(number.text(pass.differencePercentLow)) to \(number.text(pass.differencePercentHigh))",
        number.text(pass.expectedPercent),
        "\(pass.minorFaults)", "\(pass.minorFaultsWithDiscard)", percent.text(left),
      ]
      lines.append("| " + cells.joined(separator: " | ") + " |")
    }
    lines += [
      "",
      "A page of 4 KiB, alone: \(number.text(pageCost.faultNanoseconds)) ns to fault it in again, "
        + "\(number.text(pageCost.discardNanoseconds)) ns to give it back, "
        + "\(number.text(pageCost.zeroNanoseconds)) ns to zero it in place "
        + "instead." + refaultText,
    ]
    return lines.joined(separator: "\n")
  }

  /// What the pairs say about a fault, where the middle half of them agrees that there was a cost.
  private var refaultText: String {
    let number = Quantity.number(unit: "")
    let certain = passes.filter { $0.differencePercentLow > 0 && $0.refaultNanoseconds > 0 }
    guard !certain.isEmpty else { return "" }
    return " From the pairs, a fault costs "
      + certain.map { "\(number.text($0.refaultNanoseconds)) ns (\($0.rows) row\($0.rows == 1 ? "" : "s"))" }.joined(
        separator: ", ")
      + "; pairs whose middle half lies on both sides of zero say nothing."
  }

  // MARK: Policies

  private var policyText: String {
    let (time, bytes, number) = (Quantity.seconds, Quantity.bytes, Quantity.number(unit: ""))
    var lines = [
      "### What each policy saves and costs",
      "",
      "Four sessions of one model answer the same requests under each policy. Memory is anonymous memory of the process above "
        + "that before the first request, caches of the sessions included.",
      "",
      "| give back | mean memory | of never, % | activations, mean | of never, % | peak | at the end | activations at the end |",
      "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      let cells = [
        bytes.text(result.meanBytes), number.text(result.meanPercentOfNever), bytes.text(result.scratchMeanBytes),
        number.text(result.scratchMeanPercentOfNever), bytes.text(result.peakBytes), bytes.text(result.finalBytes),
        bytes.text(Double(result.scratchResidentBytes)) + " of " + bytes.text(Double(result.scratchPeakBytes)),
      ]
      lines.append("| \(result.policy) | " + cells.joined(separator: " | ") + " |")
    }
    lines += [
      "",
      "*Cost* is the time of the discards and of a fault for each page given back, of the processor time of all requests. "
        + "*Measured* compares the processor time of whole processes, which differs by a percent or two without any reason.",
      "",
      "| give back | discards | given back | page faults | cost, % | measured, % | busy | prefill, tokens/s | decode, tokens/s |",
      "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results {
      let cells = [
        number.text(result.discardCount), bytes.text(result.discardedBytes), number.text(result.minorFaults),
        number.text(result.costPercent), number.text(result.busyMorePercent), time.text(result.busySeconds),
        number.text(result.prefillTokensPerSecond), number.text(result.decodeTokensPerSecond),
      ]
      lines.append("| \(result.policy) | " + cells.joined(separator: " | ") + " |")
    }
    lines.append("")
    for result in results.dropLast() {
      lines.append(
        "- *\(result.policy)*: activations take \(number.text(result.scratchMeanPercentOfNever)) % of the memory that they take "
          + "in a process that never gives back, for \(number.text(result.costPercent)) % of the processor time.")
    }
    return lines.joined(separator: "\n")
  }

  // MARK: Neighbours

  private var neighbourText: String {
    let (time, number) = (Quantity.seconds, Quantity.number(unit: ""))
    var lines = [
      "### What discards cost a guest on another thread",
      "",
      "One thread runs passes of a guest, another one touches memory and gives it back (or zeroes it in place: the same stores, "
        + "no shootdowns), each on a processor of its own. Speed: passes for the processor time that the guest took, interrupts "
        + "included, relative to the other thread doing nothing. Times of a pass are by the clock. TLB interrupts are those of "
        + "the whole system, by which a processor is told that pages have gone.",
      "",
      "| neighbour | the other thread | pages at a time | per second | TLB interrupts per second | speed | pass, median "
        + "| pass, 99 % below |",
      "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for result in neighbours {
      let cells = [
        Self.name(result.neighbour), Self.activity(result), result.byteCount == 0 ? "" : "\(result.byteCount >> 12)",
        result.byteCount == 0 ? "" : number.text(result.perSecond), result.shootdownsPerSecond.map { number.text($0) } ?? "",
        number.text(result.ratio), time.text(result.passMedianSeconds), time.text(result.passPercentile99Seconds),
      ]
      lines.append("| " + cells.joined(separator: " | ") + " |")
    }
    lines += ["", recommendation]
    return lines.joined(separator: "\n")
  }

  private static func name(_ neighbour: String) -> String {
    switch NeighbourBenchmark.Neighbour(rawValue: neighbour) {
    case .decode: "decode of the model, native kernels"
    case .streaming: "sum over 16 MB, interpreter"
    case .pages: "random walk over 1024 pages, interpreter"
    case nil: neighbour
    }
  }

  private static func activity(_ result: NeighbourBenchmark.Result) -> String {
    switch NeighbourBenchmark.Activity(rawValue: result.activity) {
    case .discard: "gives back"
    case .limited: "wants to give back, the host allows 100 a second"
    case .zero: "zeroes in place"
    default: "nothing"
    }
  }

  /// What the discards of 1 MB say about a rate: the most that any neighbour lost at each, and what zeroing in place costs it.
  private var recommendation: String {
    let number = Quantity.number(unit: "")
    func worst(_ activity: NeighbourBenchmark.Activity, _ rate: Int?) -> NeighbourBenchmark.Result? {
      neighbours.filter { $0.activity == activity.rawValue && $0.byteCount == 1 << 20 && $0.perSecondAsked == rate }
        .min { $0.ratio < $1.ratio }
    }
    func loss(_ result: NeighbourBenchmark.Result) -> String {
      let rate =
        result.perSecondAsked.map { "\($0) a second" } ?? "as often as it goes (\(number.text(result.perSecond)) a second)"
      return "\(rate): \(number.text(max(0, 100 * (1 - result.ratio)))) % (\(Self.name(result.neighbour)))"
    }
    let discards = [100, 1000, nil].compactMap { worst(.discard, $0) }
    let together =
      neighbours.filter { $0.activity == "discard" && $0.perSecondAsked == nil }
      .map { min($0.processorShare, $0.disturberProcessorShare) }.min() ?? 0
    var text = "The most that a neighbour lost to discards of 1 MB: " + discards.map(loss).joined(separator: "; ") + "."
    if let zero = worst(.zero, nil) { text += " To zeroing in place " + loss(zero) + "." }
    if let rate = discards.last(where: { $0.perSecondAsked != nil && $0.ratio > 0.99 })?.perSecondAsked {
      text += " So up to \(rate) discards a second cost no neighbour 1 %."
    }
    // The rows with the most discards tell best what one takes: the others differ by little more than noise.
    let often = neighbours.filter { $0.activity == "discard" && $0.perSecondAsked == nil && $0.perSecond > 0 && $0.ratio < 1 }
    if let cost = often.map({ (1 - $0.ratio) / $0.perSecond }).max() {
      text += " From the rows with discards as often as it goes, one takes up to \(Quantity.seconds.text(cost)) from a neighbour: "
        + "1 % of its time at \(number.text(0.01 / cost)) a second."
    }
    return text
      + " With discards as often as it goes each thread was on a processor for at least \(number.text(100 * together)) % of the "
      + "time; well below 100 % the machine was busy with something else, and this table is noise."
  }

  // MARK: Picture

  /// Resident memory over time, a panel for each policy, with the course of a process that never gives back in each.
  public var svg: String {
    let number = Quantity.number(unit: "")
    return PanelChart(
      title: "Memory of a process that answers requests in four sessions",
      subtitle: "Anonymous resident memory above that before the first request; the same requests under each policy",
      x: Axis("time, seconds", .number(unit: "")), y: Axis("resident", .bytes), layers: ["caches and the rest", "activations"],
      panels: traces.map { trace in
        let base = trace.samples.first?.rssAnonBytes ?? 0
        let result = results.first { $0.policy == trace.policy }
        let note = result.map { result in
          "activations " + Quantity.bytes.text(result.scratchMeanBytes) + " in the mean"
            + (trace.policy == "never" ? "" : ", for \(number.text(result.costPercent)) % of the processor time")
        }
        return PanelChart.Panel(
          "give back: \(trace.policy)", note: note ?? "",
          points: trace.samples.map { sample in
            (sample.seconds, [Double(max(sample.rssAnonBytes - base - sample.scratchBytes, 0)), Double(sample.scratchBytes)])
          })
      }, reference: traces.count - 1
    ).svg()
  }
}
