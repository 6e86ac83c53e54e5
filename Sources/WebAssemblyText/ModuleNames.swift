import BinaryReading
import WebAssembly

/// The identifiers under which a module is printed: from its name section, where a name can be one.
///
/// A name that occurs twice in its index space cannot be an identifier and is left out.
/// Source: WebAssembly specification, section 7.4.1, and the extended name section proposal.
struct ModuleNames {
  enum Space: UInt8 { case function = 1, type = 4, table, memory, global, element, data }

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
        case 0: self.module = try Self.name(&content)
        case 2:
          for _ in 0..<(try content.readUInt32LEB128()) {
            let function = Int(try content.readUInt32LEB128())
            locals[function] = Self.unique(try Self.map(&content))
          }
        default:
          if let space = Space(rawValue: identifier) { spaces[space] = Self.unique(try Self.map(&content)) }
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

  private static func unique(_ names: [(Int, String)]) -> [Int: String] {
    var seen: [String: Int] = [:]
    for (_, name) in names { seen[name, default: 0] += 1 }
    return Dictionary(names.filter { seen[$0.1] == 1 && !$0.1.isEmpty }, uniquingKeysWith: { first, _ in first })
  }
}
