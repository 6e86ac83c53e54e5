/// Modules byte by byte, of any size: for tests with more code than a text should hold.
public struct ModuleWriter {
  public static let i32: UInt8 = 0x7F
  public static let header: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]

  /// Parameters and results by type index.
  public var types: [(parameters: [UInt8], results: [UInt8])]
  /// Type, groups of locals (count and type), and code without the last `end`.
  public var functions: [(type: Int, locals: [(count: Int, type: UInt8)], code: [UInt8])] = []

  public init(types: [(parameters: [UInt8], results: [UInt8])]) { self.types = types }

  /// An unsigned LEB128 number in its shortest form.
  public static func leb(_ number: Int) -> [UInt8] {
    var rest = UInt64(number)
    var bytes: [UInt8] = []
    repeat {
      let low = UInt8(rest & 0x7F)
      rest >>= 7
      bytes.append(rest == 0 ? low : low | 0x80)
    } while rest > 0
    return bytes
  }

  /// A signed LEB128 number that is not negative: an index as a block type.
  public static func signedLEB(_ number: Int) -> [UInt8] {
    var bytes = leb(number)
    guard let last = bytes.last, last & 0x40 != 0 else { return bytes }
    bytes[bytes.count - 1] = last | 0x80
    return bytes + [0]
  }

  public static func section(_ id: UInt8, _ contents: [UInt8]) -> [UInt8] {
    var bytes = [id]
    bytes += leb(contents.count)
    bytes += contents
    return bytes
  }

  /// The code again and again.
  public static func repeated(_ code: [UInt8], _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(code.count * count)
    for _ in 0..<count { bytes += code }
    return bytes
  }

  /// The module; its first function is exported as `f`.
  public var bytes: [UInt8] {
    var typeSection = Self.leb(types.count)
    for type in types {
      typeSection.append(0x60)
      for list in [type.parameters, type.results] {
        typeSection += Self.leb(list.count)
        typeSection += list
      }
    }
    var codeSection = Self.leb(functions.count)
    for function in functions {
      var body = Self.leb(function.locals.count)
      for group in function.locals {
        body += Self.leb(group.count)
        body.append(group.type)
      }
      body += function.code
      body.append(0x0B)
      codeSection += Self.leb(body.count)
      codeSection += body
    }
    var functionSection = Self.leb(functions.count)
    for function in functions { functionSection += Self.leb(function.type) }
    var bytes = Self.header
    bytes += Self.section(1, typeSection)
    bytes += Self.section(3, functionSection)
    if !functions.isEmpty { bytes += Self.section(7, [1, 1, 0x66, 0, 0]) }
    bytes += Self.section(10, codeSection)
    return bytes
  }
}
