import Foundation
import TensorFiles
import Tokenizers

extension FuzzTarget {
  static let gguf = FuzzTarget(
    "gguf", "a GGUF header, its arrays, the tokenizer that it describes", inputByteCountMax: 8192,
    dictionary: [
      "GGUF", "general.architecture", "general.alignment", "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges",
      "tokenizer.ggml.token_type", "tokenizer.ggml.scores", "tokenizer.ggml.bos_token_id", "tokenizer.chat_template", "llama", "gpt2",
      "split.count", "\u{3}\0\0\0",
    ],
    seeds: { checkout in
      let tiny = SeedFiles.bytes(checkout, "models/tiny-stories-1m/tiny-stories-1m.gguf").map { [Array($0.prefix(4096))] } ?? []
      return GGUFSeeds.files + tiny
    }
  ) { (input) throws(BrokenPromise) in
    guard let catalog = try? GGUFFile.readCatalog(unsafe input.span.bytes) else { return }
    try check(catalog, input)
    for entry in catalog.metadata.entries {
      // Not a number equals nothing, and is spelled alike.
      let found = catalog.metadata[entry.key]
      try promise(
        found == entry.value || found.map { String(describing: $0) } == String(describing: entry.value),
        "a key does not lead to its value")
      guard let array = entry.value.array else { continue }
      if let values = try? array.values(in: unsafe input.span.bytes) {
        try promise(values.count == array.count, "an array of \(array.count) elements has \(values.count)")
      }
      _ = try? array.strings(in: unsafe input.span.bytes)
      _ = try? array.integers(in: unsafe input.span.bytes)
      _ = try? array.doubles(in: unsafe input.span.bytes)
    }
    if let description = try? catalog.tokenizerDescription(in: unsafe input.span.bytes), let tokenizer = try? description.makeTokenizer() {
      _ = try TokenizerChecks.check(tokenizer, "Once upon <s> a\u{1F600} time", unknownID: description.unknownID)
    }
  }

  static let safetensors = FuzzTarget(
    "safetensors", "a safetensors header",
    dictionary: ["{\"", "\"dtype\":", "\"F32\"", "\"BF16\"", "\"shape\":[", "\"data_offsets\":[", "\"__metadata__\":", "},", "18446744073709551615"],
    seeds: { _ in
      [
        #"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"F16","shape":[1],"data_offsets":[16,18]}}"#,
        #"{"__metadata__":{"format":"pt","x":"\u00e9"},"w":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}"#, "{}",
      ].map { header in
        let count = UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + Array(header.utf8) + [UInt8](repeating: 1, count: 18)
      }
    }
  ) { (input) throws(BrokenPromise) in
    _ = SafetensorsFile.isSafetensors(unsafe input.span.bytes)
    guard let catalog = try? SafetensorsFile.readCatalog(unsafe input.span.bytes) else { return }
    try check(catalog, input)
  }

  /// What the catalog promises of every file that it accepts.
  private static func check(_ catalog: TensorCatalog, _ input: [UInt8]) throws(BrokenPromise) {
    for tensor in catalog.tensors {
      try promise(
        tensor.fileOffset >= catalog.dataOffset && tensor.byteCount >= 0 && tensor.fileOffset <= input.count - tensor.byteCount,
        "tensor '\(tensor.name)' at \(tensor.fileOffset), \(tensor.byteCount) bytes, does not lie in the data of \(input.count) bytes")
      try promise(catalog[tensor: tensor.name] == tensor, "two tensors are called '\(tensor.name)'")
    }
    var end = 0
    for tensor in catalog.tensors.sorted(by: { ($0.fileOffset, $0.byteCount) < ($1.fileOffset, $1.byteCount) }) where tensor.byteCount > 0 {
      try promise(tensor.fileOffset >= end, "two tensors overlap at \(tensor.fileOffset)")
      end = tensor.fileOffset + tensor.byteCount
    }
  }
}

enum GGUFSeeds {
  private static func integer(_ value: some FixedWidthInteger) -> [UInt8] {
    stride(from: 0, to: value.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
  }
  private static func string(_ text: String) -> [UInt8] { integer(UInt64(text.utf8.count)) + Array(text.utf8) }
  private static func entry(_ key: String, _ kind: UInt32, _ value: [UInt8]) -> [UInt8] { string(key) + integer(kind) + value }
  private static func strings(_ texts: [String]) -> [UInt8] {
    integer(UInt32(8)) + integer(UInt64(texts.count)) + texts.flatMap(string)
  }
  private static func numbers(_ kind: UInt32, _ values: [UInt32]) -> [UInt8] {
    integer(kind) + integer(UInt64(values.count)) + values.flatMap { integer($0) }
  }

  private static func file(version: UInt32, _ metadata: [[UInt8]], tensors: [[UInt8]], data: Int) -> [UInt8] {
    let header = Array("GGUF".utf8) + integer(version) + integer(UInt64(tensors.count)) + integer(UInt64(metadata.count))
      + metadata.flatMap { $0 } + tensors.flatMap { $0 }
    return header + [UInt8](repeating: 0, count: (32 - header.count % 32) % 32 + data)
  }

  private static func tensor(_ name: String, _ dimensions: [UInt64], _ type: UInt32, _ offset: UInt64) -> [UInt8] {
    string(name) + integer(UInt32(dimensions.count)) + dimensions.flatMap { integer($0) } + integer(type) + integer(offset)
  }

  static let files: [[UInt8]] = [
    file(version: 3, [entry("general.architecture", 8, string("llama"))], tensors: [tensor("w", [32, 2], 0, 0), tensor("q", [32], 2, 256)], data: 288),
    file(
      version: 2,
      [
        entry("general.alignment", 4, integer(UInt32(64))), entry("llama.context_length", 4, integer(UInt32(128))), entry("f", 6, integer(UInt32(1))),
        entry("b", 7, [1]), entry("n", 9, integer(UInt32(9)) + integer(UInt64(2)) + numbers(5, [1, 2]) + numbers(0, [])),
      ], tensors: [tensor("t", [4, 2, 2], 1, 0)], data: 128),
    file(
      version: 3,
      [
        entry("tokenizer.ggml.model", 8, string("gpt2")), entry("tokenizer.ggml.pre", 8, string("smollm")),
        entry("tokenizer.ggml.tokens", 9, strings(["O", "n", "c", "e", "On", "ce", "Once", "<s>", "\u{120}"])),
        entry("tokenizer.ggml.merges", 9, strings(["O n", "c e", "On ce"])),
        entry("tokenizer.ggml.token_type", 9, numbers(5, [1, 1, 1, 1, 1, 1, 1, 3, 1])), entry("tokenizer.ggml.bos_token_id", 4, integer(UInt32(7))),
        entry("tokenizer.chat_template", 8, string("{{ messages[0].content }}")),
      ], tensors: [], data: 0),
    file(
      version: 3,
      [
        entry("tokenizer.ggml.model", 8, string("llama")),
        entry("tokenizer.ggml.tokens", 9, strings(["<unk>", "<s>", "</s>", "\u{2581}a", "O", "n", "On", "<0x0A>"])),
        entry("tokenizer.ggml.scores", 9, numbers(6, [0, 0, 0, 0xBF80_0000, 0xC000_0000, 0xC040_0000, 0xBF00_0000, 0])),
        entry("tokenizer.ggml.token_type", 9, numbers(5, [2, 3, 3, 1, 1, 1, 1, 6])), entry("tokenizer.ggml.add_bos_token", 7, [1]),
        entry("tokenizer.ggml.bos_token_id", 4, integer(UInt32(1))), entry("tokenizer.ggml.eos_token_id", 4, integer(UInt32(2))),
        entry("tokenizer.ggml.unknown_token_id", 4, integer(UInt32(0))),
      ], tensors: [], data: 0),
  ]
}
