import Foundation
import WebAssembly
import WebAssemblyText

/// Why a script in JSON form cannot be read.
public struct JSONScriptError: Error, Hashable, Sendable, CustomStringConvertible {
  public let message: String
  /// The line of the command in the original script, 0 where there is none.
  public let line: Int

  public var description: String { line > 0 ? "line \(line): \(message)" : message }
}

/// A specification script in the JSON form of `wast2json` and `wasm-tools json-from-wast`.
///
/// Modules are files beside the JSON, whole or as a range: `filename`, and `offset` and `size` where one file holds them all.
public enum JSONScript {
  /// Reads a script and the modules it names.
  public static func read(contentsOf url: URL) throws -> Script {
    let folder = url.deletingLastPathComponent()
    var files: [String: [UInt8]] = [:]
    guard let json = try? Data(contentsOf: url) else { throw JSONScriptError(message: "the script cannot be read", line: 0) }
    return try parse(json) { name in
      if let bytes = files[name] { return bytes }
      guard let data = try? Data(contentsOf: folder.appending(path: name)) else {
        throw JSONScriptError(message: "the module file `\(name)` beside the script cannot be read", line: 0)
      }
      let bytes = [UInt8](data)
      files[name] = bytes
      return bytes
    }
  }

  /// - Parameter file: the bytes of a module file by the name that the script gives it.
  public static func parse(_ json: Data, file: (String) throws -> [UInt8]) throws -> Script {
    guard let value = try? JSONSerialization.jsonObject(with: json, options: .fragmentsAllowed) else {
      throw JSONScriptError(message: "the script is not JSON", line: 0)
    }
    guard let root = value as? [String: Any], let commands = root["commands"] as? [Any] else {
      throw JSONScriptError(message: "expected an object with a list `commands`", line: 0)
    }
    return Script(commands: try commands.map { try command($0, file: file) })
  }
}

// MARK: - Commands

extension JSONScript {
  private static func command(_ any: Any, file: (String) throws -> [UInt8]) throws -> ScriptCommand {
    guard let object = any as? [String: Any] else { throw JSONScriptError(message: "a command is not an object", line: 0) }
    let reader = ObjectReader(object)
    let message = object["text"] as? String ?? ""
    let kind: ScriptCommand.Kind
    switch try reader.string("type") {
    case "module": kind = .module(try module(reader, file: file))
    case "module_definition": kind = .definition(try module(reader, file: file))
    case "module_instance":
      kind = .instance(name: object["instance"] as? String, definition: object["module"] as? String)
    case "register": kind = .register(as: try reader.string("as"), instance: object["name"] as? String)
    case "action": kind = .action(try action(reader))
    case "assert_return": kind = .assertReturn(try action(reader), try reader.objects("expected").map(expectedValue))
    case "assert_trap": kind = .assertTrap(try action(reader), message: message)
    case "assert_exhaustion": kind = .assertExhaustion(try action(reader), message: message)
    case "assert_malformed": kind = .assertMalformed(try module(reader, file: file), message: message)
    case "assert_invalid": kind = .assertInvalid(try module(reader, file: file), message: message)
    case "assert_unlinkable": kind = .assertUnlinkable(try module(reader, file: file), message: message)
    case "assert_uninstantiable": kind = .assertUninstantiable(try module(reader, file: file), message: message)
    case "thread":
      let commands = try reader.objects("commands").map { try command($0.object, file: file) }
      let shared = (object["shared_module"] as? String).map { [ScriptSharedInstance(instance: $0)] } ?? []
      kind = .thread(name: try reader.string("name"), shared: shared, commands)
    case "wait": kind = .wait(thread: try reader.string("thread"))
    case let other: throw JSONScriptError(message: "unknown command `\(other)`", line: reader.line)
    }
    return ScriptCommand(kind, line: reader.line)
  }

  private static func module(_ reader: ObjectReader, file: (String) throws -> [UInt8]) throws -> ScriptModule {
    let name = try reader.string("filename")
    var bytes: [UInt8]
    do { bytes = try file(name) } catch let error as JSONScriptError {
      throw JSONScriptError(message: error.message, line: reader.line)
    }
    if let offset = reader.object["offset"] as? Int, let size = reader.object["size"] as? Int {
      guard offset >= 0, size >= 0, offset <= bytes.count, size <= bytes.count - offset else {
        throw JSONScriptError(message: "bytes \(offset) to \(offset + size) are not in `\(name)`", line: reader.line)
      }
      bytes = Array(bytes[offset..<offset + size])
    }
    let isText = reader.object["module_type"] as? String == "text"
    return ScriptModule(name: reader.object["name"] as? String, form: isText ? .text(bytes) : .binary(bytes))
  }

  private static func action(_ reader: ObjectReader) throws -> ScriptAction {
    let action = try reader.object("action")
    let instance = action.object["module"] as? String
    let field = try action.string("field")
    switch try action.string("type") {
    case "invoke":
      return .invoke(instance: instance, field: field, arguments: try action.objects("args").map(value))
    case "get": return .get(instance: instance, field: field)
    case let other: throw JSONScriptError(message: "unknown action `\(other)`", line: reader.line)
    }
  }
}

// MARK: - Values

extension JSONScript {
  private static func value(_ reader: ObjectReader) throws -> ScriptValue {
    let text = reader.object["value"] as? String
    switch try reader.string("type") {
    case "i32": return .i32(UInt32(try bits(text, 32, reader)))
    case "i64": return .i64(try bits(text, 64, reader))
    case "f32": return .f32(UInt32(try bits(text, 32, reader)))
    case "f64": return .f64(try bits(text, 64, reader))
    case "v128":
      let (width, lanes) = try self.lanes(reader)
      return .v128(joined(try lanes.map { try bits($0, width, reader) }, width: width))
    case "funcref":
      guard text == nil || text == "null" else { throw JSONScriptError(message: "a function is no argument", line: reader.line) }
      return .nullReference(.funcref)
    case "externref": return text == "null" ? .nullReference(.externref) : .externalReference(try bits(text, 64, reader))
    case let other: throw JSONScriptError(message: "unknown type `\(other)`", line: reader.line)
    }
  }

  private static func expectedValue(_ reader: ObjectReader) throws -> ExpectedValue {
    let text = reader.object["value"] as? String
    switch try reader.string("type") {
    case "f32": if let nan = text.flatMap(nanPattern) { return .f32NaN(nan) }
    case "f64": if let nan = text.flatMap(nanPattern) { return .f64NaN(nan) }
    case "v128":
      let (width, lanes) = try self.lanes(reader)
      guard lanes.contains(where: { nanPattern($0) != nil }) else { break }
      let patterns = try lanes.map { lane -> ExpectedValue.FloatLane in
        if let nan = nanPattern(lane) { return .nan(nan) }
        return .bits(try bits(lane, width, reader))
      }
      return width == 32 ? .f32x4(patterns) : .f64x2(patterns)
    case "refnull": return .anyNull
    case "funcref": if text == nil { return .anyFunction }
    case "externref": if text == nil { return .anyExternal }
    case "either": return .either(try reader.objects("values").map(expectedValue))
    default: break
    }
    return .exact(try value(reader))
  }

  private static func nanPattern(_ text: String) -> ExpectedValue.NaN? {
    switch text {
    case "nan:canonical": .canonical
    case "nan:arithmetic": .arithmetic
    default: nil
    }
  }

  /// The bits of a number, which may be written signed or unsigned.
  private static func bits(_ text: String?, _ width: Int, _ reader: ObjectReader) throws -> UInt64 {
    if let text {
      if let value = UInt64(text), width == 64 || value < 1 << UInt64(width) { return value }
      if let value = Int64(text), value < 0, width == 64 || value >= -(1 << Int64(width - 1)) {
        return UInt64(bitPattern: value) & (UInt64.max >> UInt64(64 - width))
      }
    }
    throw JSONScriptError(message: "`\(text ?? "nothing")` is no number of \(width) bits", line: reader.line)
  }

  private static func lanes(_ reader: ObjectReader) throws -> (width: Int, lanes: [String]) {
    guard let width = ["i8": 8, "i16": 16, "i32": 32, "f32": 32, "i64": 64, "f64": 64][try reader.string("lane_type")],
      let lanes = reader.object["value"] as? [String], lanes.count == 128 / width
    else { throw JSONScriptError(message: "malformed vector", line: reader.line) }
    return (width, lanes)
  }

  private static func joined(_ lanes: [UInt64], width: Int) -> V128Bits {
    var bits = V128Bits(low: 0, high: 0)
    for (index, lane) in lanes.enumerated() {
      let position = index * width
      if position < 64 { bits.low |= lane << UInt64(position) } else { bits.high |= lane << UInt64(position - 64) }
    }
    return bits
  }
}

/// An object of the script, with errors that name its line.
private struct ObjectReader {
  let object: [String: Any]
  let line: Int

  init(_ object: [String: Any], line: Int = 0) {
    self.object = object
    self.line = object["line"] as? Int ?? line
  }

  func string(_ key: String) throws -> String {
    guard let value = object[key] as? String else { throw JSONScriptError(message: "no text `\(key)`", line: line) }
    return value
  }

  func object(_ key: String) throws -> ObjectReader {
    guard let value = object[key] as? [String: Any] else { throw JSONScriptError(message: "no object `\(key)`", line: line) }
    return ObjectReader(value, line: line)
  }

  func objects(_ key: String) throws -> [ObjectReader] {
    guard let value = object[key] as? [[String: Any]] else { throw JSONScriptError(message: "no list `\(key)`", line: line) }
    return value.map { ObjectReader($0, line: line) }
  }
}
