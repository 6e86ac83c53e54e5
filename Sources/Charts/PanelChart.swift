/// Stacked areas over time, one panel above another with the same axes: for courses that would cover each other in one picture.
public struct PanelChart: Sendable {
  public struct Panel: Sendable {
    public var name: String
    /// What a reader should see in it, in a few words.
    public var note: String
    /// Layers from the bottom to the top, at each place; as many as the chart has names of layers.
    public var points: [(x: Double, layers: [Double])]

    public init(_ name: String, note: String = "", points: [(x: Double, layers: [Double])]) {
      self.name = name
      self.note = note
      self.points = points
    }
  }

  public var title: String
  public var subtitle: String
  public var x: Axis
  public var y: Axis
  public var layers: [String]
  public var panels: [Panel]
  /// The panel whose upper edge is drawn as a thin line in all others; nil: none.
  public var reference: Int?

  public init(
    title: String, subtitle: String = "", x: Axis, y: Axis, layers: [String], panels: [Panel], reference: Int? = nil
  ) {
    self.title = title
    self.subtitle = subtitle
    self.x = x
    self.y = y
    self.layers = layers
    self.panels = panels
    self.reference = reference
  }

  /// The picture, as a whole SVG file.
  public func svg() -> String {
    let (width, panelHeight, gap) = (760.0, 66.0, 34.0)
    let (top, footer) = (98.0, 46.0)
    let height = top + Double(panels.count) * (panelHeight + gap) - gap + footer
    var drawing = Drawing(width: width, height: height, title: title, subtitle: subtitle)
    let yRange = y.range(of: panels.flatMap { $0.points.map { $0.layers.reduce(0, +) } })
    let xRange = 0...max(panels.flatMap { $0.points.map(\.x) }.max() ?? 0, 1e-9)
    // Three lines a panel at most, the highest among them: it is small.
    let all = y.ticks(yRange)
    let stride = max(1, all.count % 2 == 1 ? all.count / 2 : all.count - 1)
    let yTicks = all.enumerated().filter { $0.offset % stride == 0 }.map(\.element)
    let left = 46 + (yTicks.map { Drawing.width(of: y.quantity.text($0)) }.max() ?? 0)
    let right = width - 24
    drawLegend(&drawing)

    let points = panels.map { thinned($0.points, to: Int(right - left), in: xRange) }
    var bottom = top
    for (index, panel) in panels.enumerated() {
      bottom = top + Double(index) * (panelHeight + gap) + panelHeight
      func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
        (left + (x / xRange.upperBound) * (right - left), bottom - self.y.position(y, in: yRange) * panelHeight)
      }
      drawing.text(panel.name, x: left, y: bottom - panelHeight - 8, classes: "strong")
      drawing.text(panel.note, x: right, y: bottom - panelHeight - 8, anchor: .end, classes: "muted")
      for tick in yTicks {
        let y = place(0, tick).y
        drawing.line(left, y, right, y, classes: tick == 0 ? "base" : "grid")
        drawing.text(self.y.quantity.text(tick), x: left - 8, y: y + 4, anchor: .end, classes: "muted")
      }
      for layer in layers.indices.reversed() {
        drawing.area(
          points[index].map { point in
            let low = point.layers[..<layer].reduce(0, +)
            return (place(point.x, 0).x, place(0, low).y, place(0, low + point.layers[layer]).y)
          }, series: Self.colors[layer % Self.colors.count])
      }
      if let reference, reference != index {
        drawing.outline(points[reference].map { place($0.x, $0.layers.reduce(0, +)) })
      }
    }
    for tick in x.ticks(x.range(of: [xRange.upperBound])) where tick <= xRange.upperBound {
      let position = left + tick / xRange.upperBound * (right - left)
      drawing.line(position, bottom, position, bottom + 4, classes: "base")
      drawing.text(x.quantity.text(tick), x: position, y: bottom + 18, anchor: .middle, classes: "muted")
    }
    drawing.text(x.label, x: (left + right) / 2, y: height - 10, anchor: .middle)
    drawing.text(y.label, x: 18, y: (top + bottom) / 2, anchor: .middle, turned: true)
    return drawing.svg
  }

  /// The bottom layer is what all panels have in common, so it is grey; those above have colours.
  private static let colors = [5, 0, 1, 2, 3, 4]

  private func drawLegend(_ drawing: inout Drawing) {
    var x = 16.0
    for (index, name) in layers.enumerated() {
      drawing.bar(x: x, y: 55, width: 11, height: 11, series: Self.colors[index % Self.colors.count])
      drawing.text(name, x: x + 16, y: 65)
      x += 40 + Drawing.width(of: name)
    }
    if let reference {
      drawing.outline([(x, 61), (x + 16, 61)])
      drawing.text(panels[reference].name, x: x + 22, y: 65)
    }
  }

  /// One point for each unit of the width: the highest of those that fall together.
  private func thinned(
    _ points: [(x: Double, layers: [Double])], to count: Int, in range: ClosedRange<Double>
  ) -> [(x: Double, layers: [Double])] {
    var result: [(x: Double, layers: [Double])] = []
    var last = -1
    for point in points {
      let place = Int(point.x / range.upperBound * Double(count))
      if place > last {
        result.append(point)
        last = place
      } else if let other = result.last, point.layers.reduce(0, +) > other.layers.reduce(0, +) {
        result[result.count - 1] = point
      }
    }
    return result
  }
}
