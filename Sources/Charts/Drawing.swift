import Foundation

/// An SVG picture in the making: shapes in the order they are drawn, colours by role, readable on light and dark pages.
struct Drawing {
  let width: Double
  let height: Double
  private var body = ""

  static let titleSize = 16.0
  static let textSize = 12.0

  init(width: Double, height: Double, title: String, subtitle: String) {
    self.width = width
    self.height = height
    text(title, x: 16, y: 26, classes: "title")
    if !subtitle.isEmpty { text(subtitle, x: 16, y: 45, classes: "muted") }
  }

  /// About how wide a text is drawn: browsers choose the font, so it is an estimate, on the wide side.
  static func width(of text: String, size: Double = textSize) -> Double { Double(text.count) * size * 0.56 }

  enum Anchor: String { case start, middle, end }

  mutating func text(_ text: String, x: Double, y: Double, anchor: Anchor = .start, classes: String = "", turned: Bool = false) {
    let turn = turned ? " transform=\"rotate(-90 \(Self.number(x)) \(Self.number(y)))\"" : ""
    let style = classes.isEmpty ? "" : " class=\"\(classes)\""
    let place = anchor == .start ? "" : " text-anchor=\"\(anchor.rawValue)\""
    body += "<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\"\(place)\(style)\(turn)>\(Self.escaped(text))</text>\n"
  }

  mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, classes: String) {
    body += "<line x1=\"\(Self.number(x1))\" y1=\"\(Self.number(y1))\" x2=\"\(Self.number(x2))\" y2=\"\(Self.number(y2))\""
    body += " class=\"\(classes)\"/>\n"
  }

  mutating func path(_ points: [(x: Double, y: Double)], series: Int) {
    let commands = points.enumerated().map { ($0 == 0 ? "M" : "L") + Self.number($1.x) + " " + Self.number($1.y) }
    body += "<path d=\"\(commands.joined())\" class=\"line s\(series % Self.colors.count)\"/>\n"
  }

  /// The surface between two lines over the same places.
  mutating func area(_ points: [(x: Double, low: Double, high: Double)], series: Int) {
    let outline = points.map { ($0.x, $0.high) } + points.reversed().map { ($0.x, $0.low) }
    let commands = outline.enumerated().map { ($0 == 0 ? "M" : "L") + Self.number($1.0) + " " + Self.number($1.1) }
    body += "<path d=\"\(commands.joined())Z\" class=\"fill s\(series % Self.colors.count)\"/>\n"
  }

  /// A thin line behind or before others, without a colour of its own.
  mutating func outline(_ points: [(x: Double, y: Double)]) {
    let commands = points.enumerated().map { ($0 == 0 ? "M" : "L") + Self.number($1.x) + " " + Self.number($1.y) }
    body += "<path d=\"\(commands.joined())\" class=\"outline\"/>\n"
  }

  mutating func dot(_ x: Double, _ y: Double, series: Int) {
    body += "<circle cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" r=\"3\" class=\"fill s\(series % Self.colors.count)\"/>\n"
  }

  mutating func bar(x: Double, y: Double, width: Double, height: Double, series: Int) {
    body += "<rect x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" width=\"\(Self.number(max(width, 1)))\""
    body += " height=\"\(Self.number(height))\" class=\"fill s\(series % Self.colors.count)\"/>\n"
  }

  /// The colours of series: distinguishable with every kind of colour vision (Okabe and Ito 2008), lighter ones on dark pages.
  private static let colors = [
    ("#0072b2", "#4db2f0"), ("#d55e00", "#ff8a3d"), ("#009e73", "#2fd3a5"), ("#a5497f", "#e69cc6"), ("#8a6d00", "#f0c83c"),
    ("#5b6770", "#a9b4bd"),
  ]

  /// No custom properties: not every viewer of SVG knows them.
  private static func palette(ink: String, muted: String, grid: String, paper: String, colors: [String]) -> String {
    let series = colors.enumerated().map { ".line.s\($0){stroke:\($1)}.fill.s\($0),.name.s\($0){fill:\($1)}" }.joined()
    return
      "text{fill:\(ink)}.muted{fill:\(muted)}.grid{stroke:\(grid)}.base,.outline{stroke:\(muted)}.paper{fill:\(paper)}\(series)"
  }

  var svg: String {
    let light = Self.palette(ink: "#1f2328", muted: "#59636e", grid: "#d8dee4", paper: "#ffffff", colors: Self.colors.map(\.0))
    let dark = Self.palette(ink: "#f0f6fc", muted: "#9198a1", grid: "#333a42", paper: "#0d1117", colors: Self.colors.map(\.1))
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.number(width)) \(Self.number(height))" \
      width="\(Self.number(width))" height="\(Self.number(height))" role="img">
      <style>
      text{font:\(Self.number(Self.textSize))px system-ui,sans-serif}.title{font-size:\(Self.number(Self.titleSize))px;font-weight:600}
      .name,.strong{font-weight:600}.line{fill:none;stroke-width:2}.outline{fill:none;stroke-width:1}.dashed{stroke-dasharray:4 3}
      \(light)
      @media (prefers-color-scheme:dark){\(dark)}
      </style>
      <rect width="100%" height="100%" class="paper"/>
      \(body)</svg>

      """
  }

  mutating func name(_ text: String, x: Double, y: Double, series: Int, anchor: Anchor = .start) {
    self.text(text, x: x, y: y, anchor: anchor, classes: "name s\(series % Self.colors.count)")
  }

  private static func number(_ value: Double) -> String {
    let rounded = (value * 10).rounded() / 10
    return rounded == rounded.rounded() ? String(Int(rounded)) : String(rounded)
  }

  private static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;")
  }
}
