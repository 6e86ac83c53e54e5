import BinaryReading

/// What a guest writes to a terminal, with its control characters escaped: it must not move the cursor, change a title, paste
/// text, or ask the terminal for anything.
///
/// A character may come in parts: its first bytes wait for the rest.
package struct TerminalFilter {
  private var pending: [UInt8] = []

  package init() {}

  /// - Returns: what to show.
  package mutating func filter(_ bytes: [UInt8]) -> [UInt8] {
    let all = pending + bytes
    let complete = all.count - Self.incompleteByteCount(all)
    pending = Array(all[complete...])
    var shown: [UInt8] = []
    // Lines stay lines, and a tab is harmless; everything between them is escaped.
    var start = 0
    for (index, byte) in all[..<complete].enumerated() where byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\t") {
      shown += Array(all[start..<index].escapedForTerminal.utf8)
      shown.append(byte)
      start = index + 1
    }
    shown += Array(all[start..<complete].escapedForTerminal.utf8)
    return shown
  }

  /// The bytes at the end that may be the beginning of a character.
  private static func incompleteByteCount(_ bytes: [UInt8]) -> Int {
    for count in 1...3 where count <= bytes.count {
      let byte = bytes[bytes.count - count]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return length > count ? count : 0
    }
    return 0
  }
}
