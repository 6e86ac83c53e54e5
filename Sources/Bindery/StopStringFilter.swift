/// Holds text back while it could still become a stop string, so that no part of a stop string is ever printed.
///
/// Text arrives in pieces of any size (whole characters). Whatever can no longer be the beginning of a stop string is given on
/// at once; the rest waits for the next piece. At the first stop string found, everything before it is given on and the rest
/// is dropped. Matching is by UTF-8 bytes; of several stop strings the one that begins first wins, ties to the longest.
public struct StopStringFilter: Sendable {
  private let stops: [[UInt8]]
  private var held: [UInt8] = []
  /// Whether a stop string was found; nothing is given on any more.
  public private(set) var isStopped = false

  /// - Parameter stops: empty strings are ignored (an empty string would stop everything at once).
  public init(_ stops: [String]) {
    self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
  }

  /// Adds a piece of text.
  /// - Returns: the text that is now certain not to be part of a stop string; often the whole piece.
  public mutating func append(_ text: String) -> String {
    if isStopped { return "" }
    if stops.isEmpty { return text }
    held.append(contentsOf: text.utf8)
    if let start = firstStop() {
      isStopped = true
      return give(start)
    }
    return give(held.count - heldBackByteCount())
  }

  /// The end of the text: what was held back turns out to be ordinary text.
  public mutating func finish() -> String {
    if isStopped { return "" }
    return give(held.count)
  }

  private mutating func give(_ byteCount: Int) -> String {
    let text = String(decoding: held[..<byteCount], as: UTF8.self)
    held.removeFirst(byteCount)
    if isStopped { held.removeAll() }
    return text
  }

  private func firstStop() -> Int? {
    for start in held.indices where stops.contains(where: { held[start...].starts(with: $0) }) { return start }
    return nil
  }

  /// The length of the longest end of the held text that is a proper beginning of some stop string. A stop string in UTF-8
  /// begins with the first byte of a character, so the text before it ends at a character.
  private func heldBackByteCount() -> Int {
    let longest = stops.map(\.count).max() ?? 0
    for byteCount in stride(from: min(held.count, longest - 1), to: 0, by: -1) {
      let end = held.suffix(byteCount)
      if stops.contains(where: { $0.count > byteCount && $0.starts(with: end) }) { return byteCount }
    }
    return 0
  }
}
