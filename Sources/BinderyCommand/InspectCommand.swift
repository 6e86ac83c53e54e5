import ArgumentParser
import BinaryReading
import Bindery
import Foundation
import SystemFiles
import TensorFiles
import Tensors
import VirtualMemory
import WebAssembly

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Shows what is in a weight file or a WebAssembly module.")

  @Argument(help: "A .gguf or .safetensors file, a bundle folder, or a WebAssembly module, binary or text; - is a module on standard input.")
  var file: String

  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  func run() throws {
    let path = try failing { () throws(BinderyError) in
      ModelBundle.isBundle(file) ? try ModelBundle(path: file).weightsPath() : file
    }
    // What comes through a pipe cannot be mapped: it is a module, or nothing for this command. A bundle names files only.
    guard path != file || path != "-" && !InputFile.isStream(SystemString(path)) else { return try inspectModule(path) }
    let mapped: MappedFile
    do { mapped = try MappedFile(path: path) } catch { throw CommandFailure(error.description) }
    let kind: [UInt8]
    do { kind = try mapped.file.read(at: 0, byteCount: min(1 << 16, mapped.byteCount)) } catch { throw CommandFailure(error.description) }
    if kind.starts(with: [0, 0x61, 0x73, 0x6D]) || ModuleInput.looksLikeText(kind) { try inspectModule(path) } else { try inspectWeights(mapped, path) }
  }

  // MARK: Weight files

  struct WeightsOutput: Encodable {
    struct Tensor: Encodable {
      let name, type: String
      let shape: [Int]
      let offset, byteCount, alignment: Int
    }
    let format: String
    let metadata: [String: JSONValue]
    let tensors: [Tensor]
    let alignment, dataOffset, fileByteCount: Int
  }

  private func inspectWeights(_ file: MappedFile, _ path: String) throws {
    let catalog: TensorCatalog
    do {
      catalog = try file.withBytes { bytes throws(TensorFileError) in try TensorFile.readCatalog(bytes) }
      try file.checkNotLost()
    } catch let error as TensorFileError where error.code == .unsupported && error.fileOffset == 0 {
      throw CommandFailure(
        "'\(path)' is of no known kind: expected a GGUF or safetensors file, or a WebAssembly module (\\0asm, or text)")
    } catch { throw CommandFailure("'\(path)': \(error)") }
    let tensors = catalog.tensors.map {
      WeightsOutput.Tensor(
        name: $0.name, type: $0.type.name, shape: $0.shape.dimensions, offset: $0.fileOffset, byteCount: $0.byteCount,
        alignment: $0.fileAlignment)
    }
    let format: String
    switch catalog.format {
    case .gguf(let version): format = "gguf v\(version)"
    case .safetensors: format = "safetensors"
    }
    let metadata = Dictionary(catalog.metadata.entries.map { ($0.key, Self.value($0.value)) }) { $1 }
    if json {
      return try printJSON(
        WeightsOutput(
          format: format, metadata: metadata, tensors: tensors, alignment: catalog.alignment, dataOffset: catalog.dataOffset,
          fileByteCount: catalog.fileByteCount), keysAsTheyAre: true)
    }
    var text = "\(path.escapedForTerminal): \(format), \(catalog.fileByteCount) bytes, \(catalog.metadata.entries.count) metadata keys, "
    text += "\(tensors.count) tensors, data at \(catalog.dataOffset), alignment \(catalog.alignment)\n\n"
    text += Table.text(["key", "value"], catalog.metadata.entries.map { [$0.key, Self.short($0.value)] })
    text += "\n"
    text += Table.text(
      ["tensor", "type", "shape", "offset", "bytes"],
      tensors.map { [$0.name, $0.type, $0.shape.map(String.init).joined(separator: " x "), "\($0.offset)", "\($0.byteCount)"] })
    try standardOutput(text)
  }

  private static func value(_ value: MetadataValue) -> JSONValue {
    if let text = value.string { return .text(text) }
    if let flag = value.bool { return .bool(flag) }
    if let integer = value.integer { return .integer(integer) }
    if let array = value.array { return .object(["kind": .text("\(array.elementKind)"), "count": .integer(Int64(array.count))]) }
    return value.double.map { $0.isFinite ? .number($0) : .text("\($0)") } ?? .text("\(value)")
  }

  /// A value on one line.
  private static func short(_ value: MetadataValue) -> String {
    if let array = value.array { return "\(array.count) x \(array.elementKind)" }
    if let text = value.string {
      let line = text.debugDescription
      return line.count > 70 ? line.prefix(67) + "..." : line
    }
    if let flag = value.bool { return "\(flag)" }
    if let integer = value.integer { return "\(integer)" }
    return value.double.map { "\($0)" } ?? "\(value)"
  }

  // MARK: Modules

  struct ModuleOutput: Encodable {
    struct Item: Encodable {
      let module: String?
      let name, kind, type: String
    }
    struct Memory: Encodable {
      let index: Int
      let addressType: String
      let minimum: UInt64
      let maximum: UInt64?
      let isShared: Bool
      let pageByteCount: UInt64
      let isVirtual: Bool
      let noAccessPages, readOnlyPages, mappablePages: UInt64
      let isImported: Bool
    }
    let format: String
    let memories: [Memory]
    let imports, exports: [Item]
    let functionCount, tableCount, globalCount, dataSegmentCount, elementSegmentCount, fileByteCount: Int
    let customSections: [String]
  }

  private func inspectModule(_ path: String) throws {
    let bytes = try ModuleInput(path).binary()
    let module: Module
    do {
      module = try Module.parse(bytes)
      try Validator.validate(module)
    } catch { throw CommandFailure("'\(path)': \(error)") }
    let output = ModuleOutput(
      format: "wasm",
      memories: module.memories.enumerated().map { index, type in
        ModuleOutput.Memory(
          index: index, addressType: "\(type.addressType)", minimum: type.limits.minimum, maximum: type.limits.maximum,
          isShared: type.isShared, pageByteCount: 1 << UInt64(type.pageByteCountLog2), isVirtual: type.attributes.isVirtual,
          noAccessPages: type.attributes.noAccessPageCount, readOnlyPages: type.attributes.readOnlyPageCount,
          mappablePages: type.attributes.mappablePageCount, isImported: index < module.importedMemoryCount)
      },
      imports: module.imports.map { item in
        let (kind, type) = Self.description(item.kind, module)
        return ModuleOutput.Item(module: item.module.string, name: item.name.string, kind: kind, type: type)
      },
      exports: module.exports.map { item in
        let (kind, type) = Self.description(item, module)
        return ModuleOutput.Item(module: nil, name: item.name.string, kind: kind, type: type)
      },
      functionCount: module.functionTypeIndices.count, tableCount: module.tables.count, globalCount: module.globals.count,
      dataSegmentCount: module.dataSegments.count, elementSegmentCount: module.elementSegments.count, fileByteCount: bytes.count,
      customSections: module.customSections.map(\.name))
    if json { return try printJSON(output) }
    var text =
      "\(path.escapedForTerminal): WebAssembly module, \(bytes.count) bytes, \(output.functionCount) functions, \(output.memories.count) memories\n"
    text +=
      "\n"
      + Table.text(
        ["memory", "type", ""],
        module.memories.enumerated().map { ["\($0)", Self.description($1), $0 < module.importedMemoryCount ? "imported" : ""] })
    text +=
      "\n" + Table.text(["import", "kind", "type"], output.imports.map { ["\($0.module ?? "").\($0.name)", $0.kind, $0.type] })
    text += "\n" + Table.text(["export", "kind", "type"], output.exports.map { [$0.name, $0.kind, $0.type] })
    try standardOutput(text)
  }

  private static func description(_ kind: Import.Kind, _ module: Module) -> (String, String) {
    switch kind {
    case .function(let type): ("function", Int(type) < module.types.count ? "\(module.types[Int(type)])" : "type \(type)")
    case .table(let type): ("table", "\(type.elementType)")
    case .memory(let type): ("memory", description(type))
    case .global(let type): ("global", (type.isMutable ? "mut " : "") + "\(type.valueType)")
    }
  }

  private static func description(_ export: Export, _ module: Module) -> (String, String) {
    let index = Int(export.index)
    return switch export.kind {
    case .function: ("function", "\(module.functionType(at: index))")
    case .table: ("table", "\(module.tables[index].elementType)")
    case .memory: ("memory", description(module.memories[index]))
    case .global: ("global", (module.globals[index].isMutable ? "mut " : "") + "\(module.globals[index].valueType)")
    }
  }

  /// As in the text format.
  private static func description(_ type: MemoryType) -> String {
    var words = ["\(type.addressType)"]
    if type.attributes.isVirtual { words.append("virtual") }
    words.append("\(type.limits.minimum)")
    if let maximum = type.limits.maximum { words.append("\(maximum)") }
    if type.isShared { words.append("shared") }
    if type.pageByteCountLog2 != 16 { words.append("(pagesize \(1 << type.pageByteCountLog2))") }
    if let count = type.attributes.noAccess { words.append("(noaccess \(count))") }
    if let count = type.attributes.readOnly { words.append("(readonly \(count))") }
    if let count = type.attributes.mappable { words.append("(mappable \(count))") }
    return words.joined(separator: " ")
  }
}

/// A value in JSON.
indirect enum JSONValue: Encodable {
  case text(String)
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case object([String: JSONValue])

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let value): try container.encode(value)
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }
}

/// Rows of text in columns. A cell that is wider than most stands as it is, without blanks for it in all other rows.
enum Table {
  private static let widthMax = 60

  static func text(_ header: [String], _ rows: [[String]]) -> String {
    let cells = ([header] + rows).map { row in
      row.map { cell in
        let text = cell.escapedForTerminal
        return (text: text, width: text.count)
      }
    }
    let widths = header.indices.map { column in cells.map { $0[column].width }.filter { $0 <= widthMax }.max() ?? 0 }
    var result = ""
    for row in cells {
      // Blanks are written when something follows them.
      var blankCount = 0
      for (column, cell) in row.enumerated() {
        if !cell.text.isEmpty {
          result += String(repeating: " ", count: blankCount) + cell.text
          blankCount = 0
        }
        blankCount += max(0, widths[column] - cell.width) + 2
      }
      result += "\n"
    }
    return result
  }
}
