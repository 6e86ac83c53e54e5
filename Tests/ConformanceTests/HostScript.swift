import Foundation
import Testing
import VirtualMemory

/// The scripts of `Tests/Fixtures/memory-control/host`: what a host does with memories, in JSON. The README there says what each
/// command means. Read here into dictionaries and numbers; whatever is not as the README says is an error.
struct HostScript {
  struct Case: CustomTestStringConvertible, Sendable {
    let file: String
    let name: String
    private let json: Data

    init(file: String, fields: HostScriptObject) throws {
      self.file = file
      self.name = try fields.string("name")
      self.json = try JSONSerialization.data(withJSONObject: fields.values)
    }

    var fields: HostScriptObject {
      get throws { try HostScriptObject(JSONSerialization.jsonObject(with: json), name) }
    }

    var testDescription: String { "\(file): \(name)" }
  }

  let cases: [Case]

  init(contentsOf url: URL) throws {
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: url))
    let root = try HostScriptObject(object, "the script")
    cases = try root.objects("cases").map { try Case(file: url.lastPathComponent, fields: $0) }
  }
}

struct HostScriptError: Error, CustomStringConvertible {
  let description: String
}

/// A JSON object, and numbers in units of pages.
struct HostScriptObject {
  let values: [String: Any]
  let place: String

  init(_ value: Any?, _ place: String) throws {
    guard let values = value as? [String: Any] else { throw HostScriptError(description: "\(place): no object") }
    self.values = values
    self.place = place
  }

  func has(_ key: String) -> Bool { values[key] != nil }

  func string(_ key: String) throws -> String {
    guard let value = values[key] as? String else { throw HostScriptError(description: "\(place): no text `\(key)`") }
    return value
  }

  func string(_ key: String, default fallback: String) throws -> String { has(key) ? try string(key) : fallback }

  func flag(_ key: String) throws -> Bool {
    guard let value = values[key] as? Bool else { throw HostScriptError(description: "\(place): no true or false `\(key)`") }
    return value
  }

  func number(_ key: String) throws -> UInt64 {
    guard let value = values[key] else { throw HostScriptError(description: "\(place): no number `\(key)`") }
    return try Self.number(value, "\(place) \(key)")
  }

  func number(_ key: String, default fallback: UInt64) throws -> UInt64 { has(key) ? try number(key) : fallback }

  func numbers(_ key: String) throws -> [UInt64] {
    guard let list = values[key] as? [Any] else { throw HostScriptError(description: "\(place): no list `\(key)`") }
    return try list.map { try Self.number($0, "\(place) \(key)") }
  }

  func object(_ key: String) throws -> HostScriptObject { try HostScriptObject(values[key], "\(place) \(key)") }

  func objects(_ key: String) throws -> [HostScriptObject] {
    guard let list = values[key] as? [Any] else { throw HostScriptError(description: "\(place): no list `\(key)`") }
    return try list.enumerated().map { try HostScriptObject($1, "\(place) \(key)[\($0)]") }
  }

  /// A number, or a sum of numbers and multiples of `P` (65536) and `H` (the host page): `2P+1`, `H-1`, `0xFF`.
  static func number(_ value: Any, _ place: String) throws -> UInt64 {
    if let number = value as? NSNumber { return number.uint64Value }
    guard let text = value as? String, !text.isEmpty else { throw HostScriptError(description: "\(place): no number") }
    if text.hasPrefix("0x"), let number = UInt64(text.dropFirst(2), radix: 16) { return number }
    var sum: UInt64 = 0
    for term in text.replacing("-", with: "+-").split(separator: "+") {
      let isNegative = term.hasPrefix("-")
      var digits = isNegative ? term.dropFirst() : term
      var unit: UInt64 = 1
      if digits.hasSuffix("P") { unit = 65536 } else if digits.hasSuffix("H") { unit = UInt64(hostPageByteCount) }
      if unit != 1 { digits = digits.dropLast() }
      guard let count = digits.isEmpty && unit != 1 ? 1 : UInt64(digits) else {
        throw HostScriptError(description: "\(place): `\(text)` is no number")
      }
      sum = isNegative ? sum &- count &* unit : sum &+ count &* unit
    }
    return sum
  }
}
