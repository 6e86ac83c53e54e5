import BinaryReading

/// The names of the module and its functions, from the custom section `name`. Only for people: backtraces, disassembly.
public struct NameSection: Sendable {
  public var moduleName: String?
  /// By function index, imported functions first.
  public var functionNames: [UInt32: String] = [:]
  /// Names of parameters and locals by function index.
  public var localNames: [UInt32: [UInt32: String]] = [:]

  public init() {}
}

extension Module {
  /// Reads the name section. A malformed one gives the names that could be read before the error, as the specification asks.
  ///
  /// Cost: the section is read at each call; keep the result.
  public func readNames() -> NameSection {
    var names = NameSection()
    guard let section = customSections.last(where: { $0.name == "name" }) else { return names }
    var reader = BinaryReader(bytes.span, range: section.range)
    try? names.read(&reader)
    return names
  }
}

extension Module {
  /// Where the name section names functions: for each function the position of its name's length in ``bytes``, 0 where it has
  /// no name. Empty where no function has one.
  ///
  /// Four bytes a function, however long the names are: for who asks for few of them, and seldom. One pass over the section,
  /// which may be malformed: what stands before the first error counts.
  package func readFunctionNameOffsets() -> (moduleName: String?, offsets: [UInt32]) {
    guard let section = customSections.last(where: { $0.name == "name" }) else { return (nil, []) }
    var reader = BinaryReader(bytes.span, range: section.range)
    var moduleName: String?
    var offsets: [UInt32] = []
    try? NameSection.forEachSubsection(&reader) { (id, reader) throws(WasmParseError) in
      switch id {
      case 0: moduleName = try reader.name()
      case 1:
        if offsets.isEmpty { offsets = Array(repeating: 0, count: functionTypeIndices.count) }
        for _ in 0..<(try reader.count()) {
          let index = Int(try reader.u32())
          let offset = reader.offset
          _ = try reader.range(byteCount: Int(try reader.u32()))
          if index < offsets.count { offsets[index] = UInt32(truncatingIfNeeded: offset) }
        }
      default: _ = try reader.range(byteCount: reader.remainingByteCount)
      }
    }
    return (moduleName, offsets)
  }

  /// The name whose length stands at `offset` of ``bytes``; nil where it is no UTF-8 text.
  package func name(at offset: Int) -> String? {
    var reader = BinaryReader(bytes.span, range: offset..<bytes.count)
    return try? reader.name()
  }
}

extension NameSection {
  /// Calls `body` with the number of each subsection and a reader that ends with it; the body reads all of it.
  fileprivate static func forEachSubsection(
    _ reader: inout BinaryReader, _ body: (UInt8, inout BinaryReader) throws(WasmParseError) -> Void
  ) throws(WasmParseError) {
    while !reader.isAtEnd {
      let id = try reader.byte()
      let byteCount = Int(try reader.u32())
      guard byteCount <= reader.remainingByteCount else { throw WasmParseError("length out of bounds", at: reader.offset) }
      let end = reader.offset + byteCount
      let outer = reader.limit(toEnd: end)
      try body(id, &reader)
      _ = reader.limit(toEnd: outer)
      guard reader.offset == end else { throw WasmParseError("section size mismatch", at: reader.offset) }
    }
  }

  fileprivate mutating func read(_ reader: inout BinaryReader) throws(WasmParseError) {
    try Self.forEachSubsection(&reader) { (id, reader) throws(WasmParseError) in
      switch id {
      case 0: moduleName = try reader.name()
      case 1: functionNames = try Self.readMap(&reader)
      case 2:
        for _ in 0..<(try reader.count()) {
          let function = try reader.u32()
          localNames[function] = try Self.readMap(&reader)
        }
      default: _ = try reader.range(byteCount: reader.remainingByteCount)
      }
    }
  }

  private static func readMap(_ reader: inout BinaryReader) throws(WasmParseError) -> [UInt32: String] {
    let count = try reader.count()
    // An entry has two bytes at least. Nothing more is reserved than what one function of a large module needs.
    var names = [UInt32: String](minimumCapacity: min(count, reader.remainingByteCount / 2, 1024))
    for _ in 0..<count {
      let index = try reader.u32()
      names[index] = try reader.name()
    }
    return names
  }

  /// The contents of the section, in the order of the indices.
  func encode() -> [UInt8] {
    var writer = ByteWriter()
    if let moduleName {
      writer.byte(0)
      writer.sized { $0.name(moduleName) }
    }
    if !functionNames.isEmpty {
      writer.byte(1)
      writer.sized { Self.write(functionNames, &$0) }
    }
    if !localNames.isEmpty {
      writer.byte(2)
      writer.sized { inner in
        inner.count(localNames.count)
        for (function, names) in localNames.sorted(by: { $0.key < $1.key }) {
          inner.u32(function)
          Self.write(names, &inner)
        }
      }
    }
    return writer.bytes
  }

  private static func write(_ names: [UInt32: String], _ writer: inout ByteWriter) {
    writer.count(names.count)
    for (index, name) in names.sorted(by: { $0.key < $1.key }) {
      writer.u32(index)
      writer.name(name)
    }
  }
}
