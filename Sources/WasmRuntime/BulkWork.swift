/// Work of any length, done in pieces, between which the store may be stopped.
enum BulkWork {
  /// Bytes of a piece: 20 to 100 µs, depending on whether the pages were touched before.
  static let byteCountMax = 1 << 20
  static let elementCountMax = byteCountMax / MemoryLayout<UInt64>.stride

  /// Calls `body` with piece after piece of 0..<count, from the start or from the end, and `pause` between two pieces.
  static func forEachPiece(
    of count: Int, pieceCount: Int, isBackward: Bool = false, _ pause: () throws(Trap) -> Void, _ body: (Range<Int>) -> Void
  ) throws(Trap) {
    var done = 0
    while done < count {
      let length = min(pieceCount, count - done)
      let start = isBackward ? count - done - length : done
      body(start..<(start + length))
      done += length
      if done < count { try pause() }
    }
  }
}
