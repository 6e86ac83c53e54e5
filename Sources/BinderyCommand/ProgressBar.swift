import BinaryReading
import Foundation

/// A line on standard error that is redrawn, on a terminal only.
final class ProgressBar {
  private let isShown: Bool
  private var title = ""
  private var total: Int?
  private var lastDrawn = ContinuousClock.now - .seconds(1)

  init(isShown: Bool) { self.isShown = isShown && isatty(2) == 1 }

  func begin(_ title: String, total: Int?) {
    self.title = title.escapedForTerminal
    self.total = total
    draw(0)
  }

  /// Draws at most ten times a second.
  func update(_ done: Int) {
    guard isShown, ContinuousClock.now - lastDrawn > .milliseconds(100) else { return }
    draw(done)
  }

  func end() { if isShown { terminalControl("\r\u{1B}[K") } }

  private func draw(_ done: Int) {
    guard isShown else { return }
    lastDrawn = .now
    let megabytes = { (bytes: Int) in String(format: "%.1f MB", Double(bytes) / 1e6) }
    guard let total, total > 0 else { return terminalControl("\r\u{1B}[K\(title) \(megabytes(done))") }
    let fraction = min(1, Double(done) / Double(total))
    let filled = Int(fraction * 30)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
    terminalControl("\r\u{1B}[K\(title) [\(bar)] \(Int(fraction * 100)) % of \(megabytes(total))")
  }
}
