/// Horizontal bars in groups, each with its value written behind it.
public struct BarChart: Sendable {
  public struct Group: Sendable {
    public var label: String
    /// One value a series; nil where there is none, with the reason in `notes`.
    public var values: [Double?]
    public var notes: [String]

    public init(_ label: String, _ values: [Double?], notes: [String] = []) {
      self.label = label
      self.values = values
      self.notes = notes
    }
  }

  /// A value that all bars are to be seen beside, as a dashed line with words.
  public struct Reference: Sendable {
    public var value: Double
    public var label: String

    public init(_ value: Double, _ label: String) {
      self.value = value
      self.label = label
    }
  }

  public var title: String
  public var subtitle: String
  public var axis: Axis
  /// Names of the bars of each group; none where every group is one bar.
  public var series: [String]
  public var groups: [Group]
  public var reference: Reference?

  public init(
    title: String, subtitle: String = "", axis: Axis, series: [String] = [], groups: [Group], reference: Reference? = nil
  ) {
    self.title = title
    self.subtitle = subtitle
    self.axis = axis
    self.series = series
    self.groups = groups
    self.reference = reference
  }

  /// The picture, as a whole SVG file.
  public func svg() -> String {
    let barHeight = 15.0
    let groupGap = 11.0
    let (top, footer) = (series.isEmpty ? 66.0 : 84.0, 46.0)
    let rows = groups.reduce(0) { $0 + $1.values.count }
    let height = top + Double(rows) * barHeight + Double(groups.count) * groupGap + footer
    let width = 760.0
    var drawing = Drawing(width: width, height: height, title: title, subtitle: subtitle)
    let left = 28 + (groups.map { Drawing.width(of: $0.label) }.max() ?? 0)
    let values = groups.flatMap { $0.values.compactMap(\.self) }
    let range = axis.range(of: values + (reference.map { [$0.value] } ?? []))
    let right = width - 24 - (values.map { Drawing.width(of: axis.quantity.text($0)) }.max() ?? 0)

    var x = 16.0
    for (index, name) in series.enumerated() {
      drawing.bar(x: x, y: 57, width: 11, height: 11, series: index)
      drawing.name(name, x: x + 16, y: 67, series: index)
      x += 40 + Drawing.width(of: name) * 1.1
    }
    let bottom = height - footer
    for tick in axis.ticks(range) {
      let x = left + axis.position(tick, in: range) * (right - left)
      drawing.line(x, top - 6, x, bottom, classes: tick == range.lowerBound ? "base" : "grid")
      drawing.text(axis.quantity.text(tick), x: x, y: bottom + 16, anchor: .middle, classes: "muted")
    }
    if let reference {
      let x = left + axis.position(reference.value, in: range) * (right - left)
      drawing.line(x, top - 6, x, bottom, classes: "base dashed")
      drawing.text(reference.label, x: x, y: top - 10, anchor: x > width / 2 ? .end : .start, classes: "muted")
    }
    drawing.text(axis.label, x: (left + right) / 2, y: height - 10, anchor: .middle)
    var y = top
    for group in groups {
      let middle = y + Double(group.values.count) * barHeight / 2
      drawing.text(group.label, x: left - 8, y: middle + 4, anchor: .end)
      for (index, value) in group.values.enumerated() {
        if let value {
          let end = axis.position(value, in: range) * (right - left)
          drawing.bar(x: left, y: y + 1.5, width: end, height: barHeight - 3, series: index)
          drawing.text(axis.quantity.text(value), x: left + end + 6, y: y + barHeight - 3.5)
        } else if index < group.notes.count {
          drawing.text(group.notes[index], x: left + 6, y: y + barHeight - 3.5, classes: "muted")
        }
        y += barHeight
      }
      y += groupGap
    }
    return drawing.svg
  }
}
