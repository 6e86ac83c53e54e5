import BinaryReading
import WebAssembly

/// The identifiers under which a module is printed: from its name section, where a name can be one.
///
/// A name that occurs twice in its index space cannot be an identifier and is left out.
/// Source: WebAssembly specification, section 7.4.1, and the extended name section proposal.
struct ModuleNames {
  typealias Space = NameSectionText.Space

  private(set) var module: String?
  private var spaces: [Space: [Int: String]] = [:]
  private var locals: [Int: [Int: String]] = [:]

  init(_ module: Module) {
    guard let section = module.customSections.first(where: { $0.name == "name" }) else { return }
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
          let name = try Self.name(&content)
          self.module = name.isEmpty ? nil : name
        case 2:
          for _ in 0..<(try content.readUInt32LEB128()) {
            let function = Int(try content.readUInt32LEB128())
            locals[function] = Self.unique(try Self.map(&content)) { Self.localCount(of: function, in: module) }
          }
        default:
          if let space = Space(rawValue: identifier) {
            spaces[space] = Self.unique(try Self.map(&content)) { Self.count(of: space, in: module) }
          }
        }
      }
    } catch {}
  }

  /// `$name`, quoted where needed, or nil.
  func identifier(_ space: Space, _ index: Int) -> String? { spaces[space]?[index].map(Self.identifier) }

  func localIdentifier(function: Int, _ index: Int) -> String? { locals[function]?[index].map(Self.identifier) }

  /// The identifier, or the index as a number.
  func reference(_ space: Space, _ index: some BinaryInteger) -> String { identifier(space, Int(index)) ?? "\(index)" }

  static func identifier(_ name: String) -> String {
    name.utf8.allSatisfy(Lexer.isTokenCharacter) ? "$\(name)" : "$\(ModulePrinter.quoted(Array(name.utf8)))"
  }

  /// The name section that a parser makes of these identifiers, nil if there are none.
  var encoded: [UInt8]? {
    func list(_ names: [Int: String]) -> [NameSectionText.Entry] {
      names.sorted { $0.key < $1.key }.map { NameSectionText.Entry(index: $0.key, name: $0.value) }
    }
    return NameSectionText(
      module: module, locals: locals.sorted { $0.key < $1.key }.map { (function: $0.key, names: list($0.value)) },
      spaces: spaces.mapValues(list)
    ).encoded
  }

  // MARK: Reading

  private static func name(_ reader: inout BinaryReader) throws(BinaryReadingError) -> String {
    let byteCount = Int(try reader.readUInt32LEB128())
    return try reader.readUTF8(byteCount: byteCount)
  }

  private static func map(_ reader: inout BinaryReader) throws(BinaryReadingError) -> [(Int, String)] {
    var names: [(Int, String)] = []
    for _ in 0..<(try reader.readUInt32LEB128()) {
      let index = Int(try reader.readUInt32LEB128())
      names.append((index, try name(&reader)))
    }
    return names
  }

  /// The names that can be identifiers: of something that is there, said once, not empty.
  private static func unique(_ names: [(Int, String)], count: () -> Int) -> [Int: String] {
    let count = count()
    var seen: [Name: Int] = [:]
    for (_, name) in names { seen[Name(name), default: 0] += 1 }
    let usable = names.filter { $0.0 < count && seen[Name($0.1)] == 1 && !$0.1.isEmpty }
    return Dictionary(usable, uniquingKeysWith: { first, _ in first })
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
