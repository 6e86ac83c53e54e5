import BinaryReading
import WebAssembly

/// The identifiers under which a module is printed: from its name section, where a name can be one.
///
/// A name that occurs twice in its index space cannot be an identifier and is left out. Names stay where they are, in the bytes of
/// the module: an entry takes 12 bytes.
/// Source: WebAssembly specification, section 7.4.1, and the extended name section proposal.
struct ModuleNames {
  typealias Space = NameSectionText.Space

  /// A name of something: its bytes in the module. Without bytes: none.
  struct Entry {
    var index: UInt32 = 0
    var start: UInt32 = 0
    var byteCount: UInt32 = 0

    var isPresent: Bool { byteCount > 0 }
    var range: Range<Int> { Int(start)..<Int(start) + Int(byteCount) }
  }

  private(set) var module: Entry?
  /// By index, as far as the last thing that has a name.
  private var spaces: [Space: [Entry]] = [:]
  /// The names of the parameters and locals of all functions, and where those of each function are, in the order of the functions.
  private var locals: [Entry] = []
  private var localGroups: [(function: UInt32, range: Range<Int>)] = []

  init(_ module: Module) {
    guard let section = module.customSections.first(where: { $0.name == "name" }), section.range.upperBound < Int(UInt32.max) else {
      return
    }
    var reader = BinaryReader(module.bytes.span, range: section.range)
    // A name section is no part of the language: what cannot be read of it names nothing.
    do {
      while !reader.isAtEnd {
        let identifier = try reader.readByte()
        let byteCount = Int(try reader.readUInt32LEB128())
        let range = try reader.skip(byteCount: byteCount)
        var content = BinaryReader(module.bytes.span, range: range)
        switch identifier {
        case 0:
          let entry = try Self.name(&content, of: 0, module)
          self.module = entry.isPresent ? entry : nil
        case 2: try readLocals(&content, module)
        default:
          guard let space = Space(rawValue: identifier) else { continue }
          let names = Self.unique(try Self.map(&content, module), count: Self.count(of: space, in: module), module)
          var entries = [Entry](repeating: Entry(), count: names.last.map { Int($0.index) + 1 } ?? 0)
          for name in names { entries[Int(name.index)] = name }
          spaces[space] = entries
        }
      }
    } catch {}
    // Of a function that is listed twice the later names count.
    localGroups = localGroups.enumerated().sorted { ($0.element.function, $1.offset) < ($1.element.function, $0.offset) }.map(\.element)
    var previous: UInt32?
    localGroups.removeAll { group in
      defer { previous = group.function }
      return group.function == previous
    }
  }

  /// The name of something, nil if it has none that can be an identifier.
  @inline(__always)
  func entry(_ space: Space, _ index: Int) -> Entry? {
    guard let entries = spaces[space], index < entries.count, entries[index].isPresent else { return nil }
    return entries[index]
  }

  /// All names of an index space, by index.
  func entries(_ space: Space) -> [Entry] { spaces[space] ?? [] }

  /// The names of the parameters and locals of a function, by index, as far as the last that has one.
  /// - Complexity: logarithmic in the functions, linear in the function's own locals.
  func locals(ofFunction function: Int) -> [Entry] {
    var low = 0
    var high = localGroups.count
    while low < high {
      let middle = (low + high) / 2
      if Int(localGroups[middle].function) < function { low = middle + 1 } else { high = middle }
    }
    guard low < localGroups.count, Int(localGroups[low].function) == function, let last = locals[localGroups[low].range].last else {
      return []
    }
    var entries = [Entry](repeating: Entry(), count: Int(last.index) + 1)
    for entry in locals[localGroups[low].range] { entries[Int(entry.index)] = entry }
    return entries
  }

  /// The name section that a parser makes of these identifiers, nil if there are none.
  func encoded(in module: Module) -> [UInt8]? {
    func list(_ entries: some Sequence<Entry>) -> [NameSectionText.Entry] {
      entries.filter(\.isPresent).map { NameSectionText.Entry(index: Int($0.index), name: module.bytes[$0.range]) }
    }
    return NameSectionText(
      module: self.module.map { module.bytes[$0.range] },
      locals: localGroups.map { (function: Int($0.function), names: list(locals[$0.range])) },
      spaces: spaces.mapValues { list($0) }
    ).encoded
  }

  // MARK: Reading

  private mutating func readLocals(_ reader: inout BinaryReader, _ module: Module) throws(BinaryReadingError) {
    for _ in 0..<(try reader.readUInt32LEB128()) {
      let function = try reader.readUInt32LEB128()
      let names = Self.unique(try Self.map(&reader, module), count: Self.localCount(of: Int(function), in: module), module)
      localGroups.append((function, locals.count..<locals.count + names.count))
      locals += names
    }
  }

  private static func name(_ reader: inout BinaryReader, of index: UInt32, _ module: Module) throws(BinaryReadingError) -> Entry {
    let start = reader.offset
    let range = try reader.skip(byteCount: Int(try reader.readUInt32LEB128()))
    let bytes = module.bytes[range]
    guard bytes.allSatisfy({ $0 < 0x80 }) || String(validating: bytes, as: UTF8.self) != nil else {
      throw BinaryReadingError(.malformedUTF8, at: start)
    }
    return Entry(index: index, start: UInt32(range.lowerBound), byteCount: UInt32(range.count))
  }

  private static func map(_ reader: inout BinaryReader, _ module: Module) throws(BinaryReadingError) -> [Entry] {
    var names: [Entry] = []
    for _ in 0..<(try reader.readUInt32LEB128()) {
      let index = try reader.readUInt32LEB128()
      names.append(try name(&reader, of: index, module))
    }
    return names
  }

  /// The names that can be identifiers: of something that is there, said once, not empty. In the order of the indices.
  private static func unique(_ names: [Entry], count: Int, _ module: Module) -> [Entry] {
    // Equal names have equal hashes. That two others have would cost both their identifiers, and nothing else.
    let hashed = names.indices.map { index -> (hash: Int, index: Int) in
      var hasher = Hasher()
      for byte in module.bytes[names[index].range] { hasher.combine(byte) }
      return (hasher.finalize(), index)
    }.sorted { $0 < $1 }
    var usable: [Int] = []
    for (place, item) in hashed.enumerated() {
      let isTwice = place > 0 && hashed[place - 1].hash == item.hash || place + 1 < hashed.count && hashed[place + 1].hash == item.hash
      if !isTwice, names[item.index].isPresent, Int(names[item.index].index) < count { usable.append(item.index) }
    }
    // Of two names of one thing the first counts.
    usable.sort { (names[$0].index, $0) < (names[$1].index, $1) }
    var result: [Entry] = []
    for index in usable where result.last?.index != names[index].index { result.append(names[index]) }
    return result
  }

  private static func count(of space: Space, in module: Module) -> Int {
    switch space {
    case .function: module.functionTypeIndices.count
    case .type: module.types.count
    case .table: module.tables.count
    case .memory: module.memories.count
    case .global: module.globals.count
    case .element: module.elementSegments.count
    case .data: module.dataSegments.count
    }
  }

  /// Parameters and locals.
  private static func localCount(of function: Int, in module: Module) -> Int {
    guard function < module.functionTypeIndices.count else { return 0 }
    let type = Int(module.functionTypeIndices[function])
    guard type < module.types.count else { return 0 }
    let body = function - module.importedFunctionCount
    return module.types[type].parameters.count
      + (module.functionBodies.indices.contains(body) ? module.functionBodies[body].localCount : 0)
  }
}
