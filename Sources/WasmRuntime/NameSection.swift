import WebAssembly

/// The names that a module gives itself and its functions in its custom section `name`. For messages: what is malformed is
/// left out.
struct NameSection: Sendable {
  var moduleName: String?
  var functionNames: [Int: String] = [:]

  init(_ module: Module) {
    guard let section = module.customSections.first(where: { $0.name == "name" }) else { return }
    var cursor = Cursor(bytes: module.bytes[section.range])
    while let kind = cursor.byte(), let count = cursor.number(), let contents = cursor.take(count) {
      var inner = Cursor(bytes: contents)
      switch kind {
      case 0: moduleName = inner.name()
      case 1:
        guard let count = inner.number() else { continue }
        for _ in 0..<count {
          guard let index = inner.number(), let name = inner.name() else { break }
          functionNames[index] = name
        }
      default: break
      }
    }
  }

  private struct Cursor {
    var bytes: ArraySlice<UInt8>

    mutating func byte() -> UInt8? { bytes.popFirst() }

    mutating func number() -> Int? {
      var result: UInt32 = 0
      for shift in stride(from: UInt32(0), to: 35, by: 7) {
        guard let byte = byte() else { return nil }
        result |= UInt32(byte & 0x7F) << shift
        if byte & 0x80 == 0 { return Int(result) }
      }
      return nil
    }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
      guard count <= bytes.count else { return nil }
      defer { bytes = bytes.dropFirst(count) }
      return bytes.prefix(count)
    }

    mutating func name() -> String? {
      guard let count = number(), let contents = take(count) else { return nil }
      return String(decoding: contents, as: UTF8.self)
    }
  }
}
