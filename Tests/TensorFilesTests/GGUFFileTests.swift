import Foundation
import TensorFiles
import Tensors
import Testing
import _TestSupport

/// Reads a file that is an array.
func catalog(_ bytes: [UInt8]) throws(TensorFileError) -> TensorCatalog {
  // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
  try GGUFFile.readCatalog(unsafe bytes.span.bytes)
}

@Suite struct GGUFFileTests {
  /// One matrix of Q4_1, one vector of float32 behind it, a value of every kind.
  static func sample() -> GGUFBytes {
    var file = GGUFBytes()
    file.add("general.architecture", "llama")
    file.add("u8", 0, [200])
    file.add("i8", 1, [0xFE])
    file.add("u16", 2, GGUFBytes.integer(UInt16(60000)))
    file.add("i16", 3, GGUFBytes.integer(Int16(-2)))
    file.add("u32", UInt32(4_000_000_000))
    file.add("i32", 5, GGUFBytes.integer(Int32(-3)))
    file.add("f32", Float(0.5))
    file.add("yes", true)
    file.add("no", false)
    file.add("words", ["a", "", "schön"])
    file.add("u64", 10, GGUFBytes.integer(UInt64.max))
    file.add("i64", 11, GGUFBytes.integer(Int64.min))
    file.add("f64", 12, GGUFBytes.integer((-1.25).bitPattern))
    // [[1, 2], []] of i8
    file.add(
      "nested", 9,
      GGUFBytes.integer(UInt32(9)) + GGUFBytes.integer(UInt64(2)) + GGUFBytes.integer(UInt32(1)) + GGUFBytes.integer(UInt64(2))
        + [1, 2] + GGUFBytes.integer(UInt32(1)) + GGUFBytes.integer(UInt64(0)))
    file.tensors = [
      .init("matrix", dimensions: [64, 3], type: 3, offset: 0),
      .init("vector", dimensions: [5], type: 0, offset: 128),
    ]
    file.data = [UInt8](repeating: 7, count: 148)
    return file
  }

  @Test(arguments: [UInt32(2), 3])
  func `a catalog has the names, types, shapes and places of its tensors`(version: UInt32) throws {
    var file = Self.sample()
    file.version = version
    let catalog = try catalog(file.bytes)
    #expect(catalog.format == .gguf(version: version))
    #expect(catalog.alignment == 32)
    #expect(catalog.dataOffset == file.bytes.count - 148)
    #expect(catalog.fileByteCount == file.bytes.count)
    let matrix = try #require(catalog[tensor: "matrix"])
    #expect(matrix.type == .q4_1 && matrix.byteCount == 3 * 2 * 20 && matrix.fileOffset == catalog.dataOffset)
    #expect(matrix.shape.dimensions == [3, 64] && matrix.headerDimensions == [64, 3])
    let vector = try #require(catalog[tensor: "vector"])
    #expect(vector.type == .f32 && vector.byteCount == 20 && vector.fileOffset == catalog.dataOffset + 128)
    #expect(vector.fileAlignment >= 32)
    #expect(catalog[tensor: "other"] == nil)
    #expect(catalog.tensors.map(\.name) == ["matrix", "vector"])
    #expect(catalog.tensorByteCount == 140)
  }

  @Test func `values of every kind are read`() throws {
    let bytes = Self.sample().bytes
    let metadata = try catalog(bytes).metadata
    #expect(metadata.entries.count == 15)
    #expect(metadata.string("general.architecture") == "llama")
    #expect(metadata["u8"] == .uint8(200) && metadata["i8"] == .int8(-2))
    #expect(metadata["u16"] == .uint16(60000) && metadata["i16"] == .int16(-2))
    #expect(metadata["u32"] == .uint32(4_000_000_000) && metadata["i32"] == .int32(-3))
    #expect(metadata["u64"] == .uint64(.max) && metadata["i64"] == .int64(.min))
    #expect(metadata["f32"] == .float32(0.5) && metadata["f64"] == .float64(-1.25))
    #expect(metadata.bool("yes") == true && metadata.bool("no") == false)
    #expect(metadata.integer("u8") == 200 && metadata.integer("i8") == -2 && metadata.integer("i64") == .min)
    #expect(metadata.integer("u64") == nil && metadata.integer("f32") == nil && metadata.integer("absent") == nil)
    #expect(metadata.double("f32") == 0.5 && metadata.double("i8") == -2 && metadata.double("u64") == 0x1p64)
    let words = try #require(metadata.array("words"))
    #expect(words.elementKind == .string && words.count == 3)
    // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
    let span = unsafe bytes.span.bytes
    #expect(try words.strings(in: span) == ["a", "", "schön"])
    #expect(try words.integers(in: span) == nil)
    let nested = try #require(metadata.array("nested"))
    #expect(nested.elementKind == .array)
    let inner = try nested.values(in: span).compactMap(\.array)
    #expect(inner.map(\.count) == [2, 0])
    #expect(try inner[0].integers(in: span) == [1, 2])
    #expect(try inner[0].doubles(in: span) == [1, 2])
    #expect(throws: TensorFileError.self) { try words.values(in: span.extracting(first: 20)) }
  }

  @Test func `an alignment of the file's own moves the data`() throws {
    var file = Self.sample()
    file.add("general.alignment", UInt32(128))
    file.alignment = 128
    let catalog = try catalog(file.bytes)
    #expect(catalog.alignment == 128 && catalog.dataOffset % 128 == 0)
    #expect(catalog.dataOffset == file.bytes.count - 148)
  }

  @Test func `a file may have no tensors, scalars and empty tensors`() throws {
    #expect(try catalog(GGUFBytes().header).tensors.isEmpty)
    var file = GGUFBytes()
    file.tensors = [.init("scalar", dimensions: [], type: 28), .init("empty", dimensions: [0, 7], type: 0, offset: 32)]
    file.data = [UInt8](repeating: 0, count: 32)
    let catalog = try catalog(file.bytes)
    #expect(catalog[tensor: "scalar"]?.byteCount == 8)
    #expect(catalog[tensor: "empty"]?.byteCount == 0)
  }

  @Test func `every element type's size follows from its blocks`() throws {
    for type in ElementType.allCases where ElementType(ggmlNumber: type.rawValue) != nil {
      var file = GGUFBytes()
      file.tensors = [.init("t", dimensions: [256, 2], type: type.rawValue)]
      file.data = [UInt8](repeating: 0, count: 512 / type.blockElementCount * type.blockByteCount)
      #expect(try catalog(file.bytes)[tensor: "t"]?.byteCount == file.data.count, "\(type.name)")
      file.data.removeLast()
      #expect(throws: TensorFileError.self, "\(type.name)") { try catalog(file.bytes) }
    }
  }

  @Test(.enabled(if: Repository.smolLM2 != nil, "run `make fetch` first: SmolLM2's file is not there"))
  func `SmolLM2's catalog is what is known of it`() throws {
    let file = try Data(contentsOf: Repository.smolLM2!, options: .alwaysMapped)
    let catalog = try GGUFFile.readCatalog(file.bytes)
    #expect(catalog.metadata.entries.count == 33 && catalog.tensors.count == 272)
    #expect(catalog.alignment == 32 && catalog.dataOffset == 1_785_664)
    #expect(catalog.metadata.string("general.architecture") == "llama")
    #expect(catalog.metadata.integer("llama.block_count") == 30)
    #expect(catalog.metadata.array("tokenizer.ggml.tokens")?.count == 49152)
    let counts = Dictionary(grouping: catalog.tensors, by: \.type).mapValues(\.count)
    #expect(counts == [.q4_1: 210, .q8_0: 1, .f32: 61])
    let embedding = try #require(catalog[tensor: "token_embd.weight"])
    #expect(embedding.shape.dimensions == [49152, 576] && embedding.type == .q8_0)
    #expect(catalog.tensors.map(\.fileRange.upperBound).max() == catalog.fileByteCount)
  }
}
