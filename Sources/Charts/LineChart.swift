/// Values over another quantity, a line per series; each line has its name at its end, so that no legend needs to be matched.
public struct LineChart: Sendable {
  public struct Series: Sendable {
    public var name: String
    public var points: [(x: Double, y: Double)]

    public init(_ name: String, _ points: [(x: Double, y: Double)]) {
      self.name = name
      self.points = points
    }
  }

  public var title: String
  public var subtitle: String
  public var x: Axis
  public var y: Axis
  public var series: [Series]
  /// Whether each point has a dot: for a few measured places, not for a trace over time.
  public var showsPoints: Bool

  public init(title: String, subtitle: String = "", x: Axis, y: Axis, series: [Series], showsPoints: Bool = true) {
    self.title = title
    self.subtitle = subtitle
    self.x = x
    self.y = y
    self.series = series
    self.showsPoints = showsPoints
  }

  /// The picture, as a whole SVG file.
  public func svg() -> String {
    let (width, height) = (760.0, 400.0)
    var drawing = Drawing(width: width, height: height, title: title, subtitle: subtitle)
    let yRange = y.range(of: series.flatMap { $0.points.map(\.y) })
    let xRange = xRange()
    let yTicks = y.ticks(yRange)
    let left = 46 + (yTicks.map { Drawing.width(of: y.quantity.text($0)) }.max() ?? 0)
    let right = width - 24 - (series.map { Drawing.width(of: $0.name) * 1.1 }.max() ?? 0)
    let (top, bottom) = (66.0, height - 52)

    func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double) {
      (
        left + x.position(point.x, in: xRange) * (right - left),
        bottom - y.position(point.y, in: yRange) * (bottom - top)
      )
    }
    for tick in yTicks {
      let y = place((xRange.lowerBound, tick)).y
      drawing.line(left, y, right, y, classes: tick == yTicks.first ? "base" : "grid")
      drawing.text(self.y.quantity.text(tick), x: left - 8, y: y + 4, anchor: .end, classes: "muted")
    }
    for tick in xTicks(xRange) {
      let x = place((tick, yRange.lowerBound)).x
      drawing.line(x, bottom, x, bottom + 4, classes: "base")
      drawing.text(self.x.quantity.text(tick), x: x, y: bottom + 18, anchor: .middle, classes: "muted")
    }
    drawing.text(x.label, x: (left + right) / 2, y: height - 12, anchor: .middle)
    drawing.text(y.label, x: 18, y: (top + bottom) / 2, anchor: .middle, turned: true)
    for (index, entry) in series.enumerated() {
      let points = entry.points.map(place)
      drawing.path(points, series: index)
      if showsPoints { for point in points { drawing.dot(point.x, point.y, series: index) } }
    }
    // Names of lines that end at the right edge stand in a column there, others where their line ends.
    let ends = series.enumerated().compactMap { index, entry in
      entry.points.last.map { (index: index, end: place($0)) }
    }
    for entry in ends where showsPoints && entry.end.x < right - 40 {
      drawing.name(series[entry.index].name, x: entry.end.x + 8, y: entry.end.y + 4, series: entry.index)
    }
    for (index, y) in Self.apart(ends.filter { !showsPoints || $0.end.x >= right - 40 }.map { ($0.index, $0.end.y) }, bottom: bottom) {
      drawing.name(series[index].name, x: right + 8, y: y + 4, series: index)
    }
    return drawing.svg
  }

  /// A logarithmic x axis ends where its values end: its numbers are the measured places, not decades.
  private func xRange() -> ClosedRange<Double> {
    let values = series.flatMap { $0.points.map(\.x) }
    guard x.scale == .logarithmic, let low = values.min(), let high = values.max(), low > 0, low < high else {
      return x.range(of: values)
    }
    return low...high
  }

  private func xTicks(_ range: ClosedRange<Double>) -> [Double] {
    guard x.scale == .logarithmic else { return x.ticks(range) }
    let places = Set(series.flatMap { $0.points.map(\.x) }).sorted()
    let stride = max(1, (places.count + 7) / 8)
    return places.enumerated().compactMap { ($0.offset % stride == 0 || $0.offset == places.count - 1) ? $0.element : nil }
  }

  /// Heights of names, pushed apart where lines end close together.
  private static func apart(_ ends: [(index: Int, y: Double)], bottom: Double) -> [(index: Int, y: Double)] {
    let distance = Drawing.textSize + 3
    var places = ends.sorted { $0.y < $1.y }
    for index in places.indices.dropFirst() { places[index].y = max(places[index].y, places[index - 1].y + distance) }
    if let last = places.indices.last, places[last].y > bottom {
      places[last].y = bottom
      for index in places.indices.dropLast().reversed() { places[index].y = min(places[index].y, places[index + 1].y - distance) }
    }
    return places
  }
}
