/// Which part of a text each part of the binary made of it stands for: definitions and instructions.
///
/// A validator knows offsets in the binary; people know lines. 8 bytes an instruction.
public struct SourceMap: Sendable {
  /// The binary from `byteOffset` on is of the text at `textOffset`.
  struct Mark: Hashable, Sendable {
    var byteOffset: UInt32
    var textOffset: UInt32
  }

  /// The text that was translated, UTF-8.
  public let text: [UInt8]
  /// In the order of the binary.
  let marks: [Mark]

  init(text: [UInt8], marks: [Mark]) {
    self.text = text
    self.marks = marks
  }

  /// The offset in the text of what stands at an offset of the binary: of the instruction or definition that begins there or
  /// is the last one to begin before it. Nil where there is none.
  /// - Complexity: logarithmic.
  public func textOffset(ofByte offset: Int) -> Int? { mark(ofByte: offset).map { Int($0.textOffset) } }

  /// The last mark at or before an offset of the binary.
  func mark(ofByte offset: Int) -> Mark? {
    var low = 0
    var high = marks.count
    while low < high {
      let middle = (low + high) / 2
      if Int(marks[middle].byteOffset) <= offset { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? marks[low - 1] : nil
  }

  /// The place in the text of what stands at an offset of the binary.
  public func place(ofByte offset: Int) -> SourcePlace? {
    textOffset(ofByte: offset).map { SourcePlace(offset: $0, in: text) }
  }
}

/// The binary form of a text, and the way back.
public struct TranslatedModule: Sendable {
  public let bytes: [UInt8]
  public let sourceMap: SourceMap
}
