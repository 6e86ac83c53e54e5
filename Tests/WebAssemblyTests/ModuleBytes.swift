import WebAssembly

/// Builds modules byte by byte, so that a test shows the bytes it is about.
enum ModuleBytes {
  static let header: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]

  /// A section of less than 128 bytes.
  static func section(_ id: UInt8, _ contents: [UInt8]) -> [UInt8] {
    precondition(contents.count < 128, "one byte of length")
    return [id, UInt8(contents.count)] + contents
  }

  static func module(_ sections: [UInt8]...) -> [UInt8] { header + sections.flatMap(\.self) }

  /// A module with one memory type after the flags byte given, and nothing else. The flags stand at byte 11.
  static func memory(_ type: [UInt8]) -> [UInt8] { module(section(5, [1] + type)) }

  /// A module with memories and one function of type [] -> [] whose body is `code` (an `end` is added).
  static func code(_ code: [UInt8], memories: [[UInt8]] = [], results: [UInt8] = []) -> [UInt8] {
    let body = [0x00] + code + [0x0B]
    return module(
      section(1, [1, 0x60, 0, UInt8(results.count)] + results), section(3, [1, 0]),
      memories.isEmpty ? [] : section(5, [UInt8(memories.count)] + memories.flatMap(\.self)),
      section(10, [1, UInt8(body.count)] + body))
  }

  /// How a module fails: "malformed" or "invalid", the message and the offset; nil if it is valid.
  static func failure(_ bytes: [UInt8], features: WasmFeatures = .standard) -> Failure? {
    let module: Module
    do { module = try Module.parse(bytes, features: features) } catch {
      return Failure(kind: .malformed, message: error.message, offset: error.offset)
    }
    do { try Validator.validate(module) } catch { return Failure(kind: .invalid, message: error.message, offset: error.offset) }
    return nil
  }

  struct Failure: Equatable, CustomStringConvertible {
    enum Kind { case malformed, invalid }
    let kind: Kind
    let message: String
    let offset: Int
    var description: String { "\(kind) at \(offset): \(message)" }
  }
}
