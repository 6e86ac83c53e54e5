import Foundation

/// A GGUF file whose keys can be changed: an attack, or a variant of a real model, that shows what it changes.
public struct GGUFCopy {
  private var version: UInt32
  private let tensorCount: UInt64
  /// Each key with its kind and value as they stand in the file.
  private var entries: [(key: String, value: [UInt8])] = []
  private let tensors: [UInt8]
  private let data: [UInt8]

  /// The model in the repository.
  public static func tinyModel() throws -> GGUFCopy {
    GGUFCopy(try [UInt8](Data(contentsOf: Repository.path("models/tiny-stories-1m/tiny-stories-1m.gguf"))))
  }

  /// - Parameter bytes: a well-formed file with the usual alignment of 32.
  public init(_ bytes: [UInt8]) {
    var offset = 4
    func integer(_ byteCount: Int) -> UInt64 {
      defer { offset += byteCount }
      return (0..<byteCount).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
    func string() -> [UInt8] {
      let count = Int(integer(8))
      defer { offset += count }
      return Array(bytes[offset..<offset + count])
    }
    func skip(_ kind: UInt64) {
      switch kind {
      case 8: _ = string()
      case 9:
        let element = integer(4)
        for _ in 0..<integer(8) { skip(element) }
      case 0, 1, 7: offset += 1
      case 2, 3: offset += 2
      case 10, 11, 12: offset += 8
      default: offset += 4
      }
    }
    version = UInt32(integer(4))
    tensorCount = integer(8)
    for _ in 0..<integer(8) {
      let key = String(decoding: string(), as: UTF8.self)
      let start = offset
      skip(integer(4))
      entries.append((key, Array(bytes[start..<offset])))
    }
    let start = offset
    for _ in 0..<tensorCount {
      _ = string()
      let rank = Int(integer(4))
      offset += 8 * rank + 4 + 8
    }
    tensors = Array(bytes[start..<offset])
    data = Array(bytes[((offset + 31) / 32 * 32)...])
  }

  /// Sets a key, or adds it.
  public mutating func set(_ key: String, kind: UInt32, _ value: [UInt8]) {
    let value = GGUFBytes.integer(kind) + value
    if let index = entries.firstIndex(where: { $0.key == key }) { entries[index].value = value } else { entries.append((key, value)) }
  }

  public mutating func set(_ key: String, _ value: String) { set(key, kind: 8, GGUFBytes.string(value)) }
  public mutating func set(_ key: String, _ value: Bool) { set(key, kind: 7, [value ? 1 : 0]) }
  public mutating func set(_ key: String, _ value: UInt32) { set(key, kind: 4, GGUFBytes.integer(value)) }

  public var bytes: [UInt8] {
    var header = Array("GGUF".utf8) + GGUFBytes.integer(version) + GGUFBytes.integer(tensorCount)
    header += GGUFBytes.integer(UInt64(entries.count))
    for entry in entries { header += GGUFBytes.string(entry.key) + entry.value }
    header += tensors
    return header + [UInt8](repeating: 0, count: (32 - header.count % 32) % 32) + data
  }
}
