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

extension NameSection {
  fileprivate mutating func read(_ reader: inout BinaryReader) throws(WasmParseError) {
    while !reader.isAtEnd {
      let id = try reader.byte()
      let byteCount = Int(try reader.u32())
      guard byteCount <= reader.remainingByteCount else { throw WasmParseError("length out of bounds", at: reader.offset) }
      let end = reader.offset + byteCount
      let outer = reader.limit(toEnd: end)
      switch id {
      case 0: moduleName = try reader.name()
      case 1: functionNames = try Self.readMap(&reader)
      case 2:
        for _ in 0..<(try reader.count()) {
          let function = try reader.u32()
          localNames[function] = try Self.readMap(&reader)
        }
      default: _ = try reader.range(byteCount: byteCount)
      }
      _ = reader.limit(toEnd: outer)
      guard reader.offset == end else { throw WasmParseError("section size mismatch", at: reader.offset) }
    }
  }

  private static func readMap(_ reader: inout BinaryReader) throws(WasmParseError) -> [UInt32: String] {
    let count = try reader.count()
    var names = [UInt32: String](minimumCapacity: min(count, reader.remainingByteCount))
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
