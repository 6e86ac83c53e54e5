import WebAssembly

/// The names of one index space of a module: functions, types, locals, labels.
struct IndexSpace {
  /// The suite's word in `duplicate func`, `unknown func`.
  let kind: String
  private(set) var count = 0
  private var indices: [Name: Int] = [:]
  private(set) var names: [Int: String] = [:]

  init(_ kind: String) { self.kind = kind }

  /// Adds an entry; false if its name is taken.
  mutating func add(_ name: String?) -> Bool {
    defer { count += 1 }
    guard let name else { return true }
    names[count] = name
    return indices.updateValue(count, forKey: Name(name)) == nil
  }

  /// Adds entries without a name.
  mutating func addUnnamed(_ added: Int) { count += added }

  func index(of name: String) -> Int? { indices[Name(name)] }
}

/// Bytes of the binary format as they are written. Source: WebAssembly specification, section 5.2.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []
  /// Which text the bytes are of, in their order.
  private(set) var marks: [SourceMap.Mark] = []

  init(bytes: [UInt8] = []) { self.bytes = bytes }

  /// What is written from here on is of the text at a token.
  mutating func mark(_ token: Token) {
    marks.append(SourceMap.Mark(byteOffset: UInt32(clamping: bytes.count), textOffset: token.start))
  }

  /// How much has been written.
  struct Place {
    fileprivate var byteCount, markCount: Int
  }

  var place: Place { Place(byteCount: bytes.count, markCount: marks.count) }

  /// Moves what was written from a place on to the end of another writer.
  mutating func moveTail(from start: Place, to other: inout ByteWriter) {
    for mark in marks[start.markCount...] {
      let offset = Int(mark.byteOffset) - start.byteCount + other.bytes.count
      other.marks.append(SourceMap.Mark(byteOffset: UInt32(clamping: offset), textOffset: mark.textOffset))
    }
    other.bytes.append(contentsOf: bytes[start.byteCount...])
    marks.removeSubrange(start.markCount...)
    bytes.removeSubrange(start.byteCount...)
  }

  mutating func byte(_ value: UInt8) { bytes.append(value) }

  mutating func unsigned(_ value: some BinaryInteger) {
    var rest = UInt64(value)
    repeat {
      let low = UInt8(rest & 0x7F)
      rest >>= 7
      bytes.append(rest == 0 ? low : low | 0x80)
    } while rest != 0
  }

  mutating func signed(_ value: Int64) {
    var rest = value
    while true {
      let low = UInt8(truncatingIfNeeded: rest & 0x7F)
      rest >>= 7
      if (rest == 0 && low & 0x40 == 0) || (rest == -1 && low & 0x40 != 0) {
        bytes.append(low)
        return
      }
      bytes.append(low | 0x80)
    }
  }

  mutating func raw(_ other: [UInt8]) { bytes.append(contentsOf: other) }

  /// Bytes with their marks.
  mutating func raw(_ other: ByteWriter) {
    let start = UInt32(clamping: bytes.count)
    bytes.append(contentsOf: other.bytes)
    for mark in other.marks {
      marks.append(SourceMap.Mark(byteOffset: mark.byteOffset &+ start, textOffset: mark.textOffset))
    }
  }

  mutating func name(_ text: String) { vector(Array(text.utf8)) }

  /// A byte vector: its length, then the bytes.
  mutating func vector(_ other: [UInt8]) {
    unsigned(other.count)
    raw(other)
  }

  mutating func vector(_ other: ArraySlice<UInt8>) {
    unsigned(other.count)
    bytes.append(contentsOf: other)
  }

  mutating func vector(_ other: ByteWriter) {
    unsigned(other.bytes.count)
    raw(other)
  }

  mutating func littleEndian(_ value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
}
