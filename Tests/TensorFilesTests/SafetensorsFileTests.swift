import Foundation
import TensorFiles
import Tensors
import Testing
import _TestSupport

@Suite struct SafetensorsFileTests {
  /// Header and data, with the header's length before.
  static func file(_ header: String, _ data: [UInt8] = [], byteCount: UInt64? = nil) -> [UInt8] {
    GGUFBytes.integer(byteCount ?? UInt64(header.utf8.count)) + Array(header.utf8) + data
  }

  func catalog(_ bytes: [UInt8]) throws(TensorFileError) -> TensorCatalog {
    // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
    try SafetensorsFile.readCatalog(unsafe bytes.span.bytes)
  }

  func error(_ bytes: [UInt8]) -> TensorFileError? {
    do throws(TensorFileError) {
      _ = try catalog(bytes)
      return nil
    } catch { return error }
  }

  func error(_ header: String, _ data: [UInt8] = []) -> TensorFileError? { error(Self.file(header, data)) }

  /// Written by the Python package safetensors 0.8.0: two named metadata values and six tensors, one of them empty.
  static let published = """
    qAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJub3RlIjoiZ3LDtsOfZSBcInhcIlxuIiwiZm9ybWF0IjoicHQifSwiYS5iaWFzIjp7ImR0eXBlIjoiSTY0Iiwic2\
    hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpbMCwxNl19LCJlbXB0eSI6eyJkdHlwZSI6IkY2NCIsInNoYXBlIjpbMCw0XSwiZGF0YV9vZmZzZXRzIjpbMTYsMTZd\
    fSwiYi53ZWlnaHQiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzIsM10sImRhdGFfb2Zmc2V0cyI6WzE2LDQwXX0sInNjYWxhciI6eyJkdHlwZSI6IkYxNiIsIn\
    NoYXBlIjpbXSwiZGF0YV9vZmZzZXRzIjpbNDAsNDJdfSwiYnl0ZXMiOnsiZHR5cGUiOiJVOCIsInNoYXBlIjpbM10sImRhdGFfb2Zmc2V0cyI6WzQyLDQ1XX0s\
    Im1hc2siOnsiZHR5cGUiOiJCT09MIiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbNDUsNDhdfX0gICAgICAgAQAAAAAAAAACAAAAAAAAAAAAAAAAAIA/AA\
    AAQAAAQEAAAIBAAACgQAA+AQIDAQAB
    """

  @Test func `a published writer's file is read`() throws {
    let bytes = Array(try #require(Data(base64Encoded: Self.published)))
    let catalog = try catalog(bytes)
    #expect(catalog.format == .safetensors && catalog.dataOffset == 432 && catalog.fileByteCount == 480)
    #expect(catalog.metadata.string("format") == "pt" && catalog.metadata.string("note") == "größe \"x\"\n")
    #expect(catalog.tensors.map(\.name) == ["a.bias", "empty", "b.weight", "scalar", "bytes", "mask"])
    let weight = try #require(catalog[tensor: "b.weight"])
    #expect(weight.type == .f32 && weight.shape.dimensions == [2, 3] && weight.headerDimensions == [2, 3])
    #expect(weight.fileOffset == 432 + 16 && weight.byteCount == 24)
    #expect(try BlockDecoding.decode(bytes, at: weight.fileOffset, elementCount: 6, as: .f32) == [0, 1, 2, 3, 4, 5])
    #expect(catalog[tensor: "scalar"]?.shape.dimensions == [] && catalog[tensor: "scalar"]?.type == .f16)
    #expect(catalog[tensor: "empty"]?.byteCount == 0 && catalog[tensor: "empty"]?.type == .f64)
    #expect(catalog[tensor: "bytes"]?.type == .u8 && catalog[tensor: "mask"]?.type == .bool)
    #expect(catalog[tensor: "a.bias"]?.type == .i64)
    // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
    let found = try TensorFile.readCatalog(unsafe bytes.span.bytes)
    #expect(found.format == .safetensors)
  }

  @Test func `an empty file has no tensors, and any order of keys and tensors is right`() throws {
    #expect(try catalog(Self.file("{}")).tensors.isEmpty)
    let header =
      #"{"b":{"data_offsets":[4,8],"shape":[1],"dtype":"F32"}, "#
      + #""a" : { "dtype" : "I8" , "shape" : [2,2] , "data_offsets":[0,4]} }  "#
    let catalog = try catalog(Self.file(header, [UInt8](repeating: 0, count: 8)))
    #expect(catalog[tensor: "a"]?.fileOffset == catalog.dataOffset && catalog[tensor: "b"]?.fileOffset == catalog.dataOffset + 4)
  }

  @Test func `a header longer than the file, or than the limit, is refused`() {
    #expect(error([])?.code == .malformed)
    #expect(error(Array("{}".utf8))?.code == .malformed)
    for byteCount: UInt64 in [3, 1 << 40, 1 << 63, .max] {
      #expect(error(Self.file("{}", byteCount: byteCount))?.message.hasPrefix("the header has \(byteCount) bytes") == true)
    }
    let long = SafetensorsLimits.headerByteCountMax + 1
    #expect(error(Self.file("{}" + String(repeating: " ", count: long - 2)))?.code == .limitExceeded)
  }

  @Test func `tensors must cover the data without gap, overlap or rest`() {
    func two(_ a: String, _ b: String) -> String {
      #"{"a":{"dtype":"I8","shape":[4],"data_offsets":["# + a + #"]},"b":{"dtype":"I8","shape":[4],"data_offsets":["# + b + "]}}"
    }
    let data = [UInt8](repeating: 0, count: 8)
    #expect(error(two("0,4", "4,8"), data) == nil)
    #expect(error(two("4,8", "0,4"), data) == nil)
    #expect(error(two("0,4", "0,4"), Array(data.prefix(4)))?.message.hasPrefix("it overlaps") == true)
    #expect(error(two("0,4", "2,6"), Array(data.prefix(6)))?.message.hasPrefix("it overlaps") == true)
    #expect(error(two("0,4", "5,9"), data + [0])?.message.hasPrefix("it leaves a gap") == true)
    #expect(error(two("1,5", "5,9"), data + [0])?.message.hasPrefix("it leaves a gap") == true)
    #expect(error(two("0,4", "4,8"), data + [0])?.message.hasPrefix("the tensors end at") == true)
    #expect(error(two("0,4", "4,8"), Array(data.prefix(7)))?.tensorName == "b")
    #expect(error(two("4,0", "4,8"), data)?.tensorName == "a")
    #expect(error(two("0,4", "18446744073709551612,18446744073709551615"), data)?.tensorName == "b")
  }

  @Test func `sizes must follow from type and shape, which must be known`() {
    func one(_ type: String, _ shape: String, _ end: Int) -> TensorFileError? {
      let header = #"{"a":{"dtype":""# + type + #"","shape":["# + shape + #"],"data_offsets":[0,"# + "\(end)]}}"
      return error(header, [UInt8](repeating: 0, count: end))
    }
    #expect(one("F32", "3", 12) == nil && one("F64", "", 8) == nil && one("F8_E4M3", "2,2", 4) == nil)
    #expect(one("F32", "3", 11)?.message == "its shape [3] takes 12 bytes, its data_offsets 11")
    #expect(one("F4", "4", 2)?.code == .unsupported && one("Q4_0", "32", 18)?.code == .unsupported)
    #expect(one("f32", "1", 4)?.code == .unsupported)
    for shape in ["18446744073709551615", "4294967296,4294967296", "4611686018427387904", "0,4294967296,4294967296"] {
      #expect(one("F32", shape, 4)?.message.contains("overflows") == true, "\(shape)")
    }
    #expect(one("F32", "18446744073709551616", 4)?.message.contains("beyond 64 bits") == true)
    #expect(one("I8", "1,1,1,1,1,1,1,1", 1) == nil && one("I8", "1,1,1,1,1,1,1,1,1", 1)?.code == .limitExceeded)
  }

  @Test func `names occur once, and keys are those of the format`() {
    let entry = #"{"dtype":"I8","shape":[0],"data_offsets":[0,0]}"#
    #expect(error(#"{"a":\#(entry),"b":\#(entry)}"#) == nil)
    #expect(error(#"{"a":\#(entry),"\u0061":\#(entry)}"#)?.message == "two tensors have this name")
    #expect(error(#"{"__metadata__":{},"__metadata__":{}}"#)?.message.contains("occurs twice") == true)
    #expect(error(#"{"__metadata__":{"k":"v","k":"w"}}"#)?.message.contains("\"k\" occurs twice") == true)
    #expect(error(#"{"__metadata__":{"k":1}}"#)?.code == .malformed)
    #expect(error(#"{"a":{"dtype":"I8","shape":[0]}}"#)?.message == "expected dtype, shape and two data_offsets")
    #expect(
      error(#"{"a":{"dtype":"I8","shape":[0],"data_offsets":[0]}}"#)?.message == "expected dtype, shape and two data_offsets")
    #expect(error(#"{"a":{"dtype":"I8","dtype":"I8","data_offsets":[0,0]}}"#)?.message.contains("each once") == true)
    #expect(error(#"{"a":{"kind":"I8"}}"#)?.message.contains("found \"kind\"") == true)
  }

  @Test(arguments: [
    "", " {}", "[]", "{", "{\"a\"", "{\"a\":", "{,}", "{\"a\":1}", "{}x", "{}{}", #"{"a":{"shape":[1,]}}"#,
    #"{"a":{"shape":[-1]}}"#, #"{"a":{"shape":[01]}}"#, #"{"a":{"shape":[1.0]}}"#, #"{"a":{"shape":["1"]}}"#,
    #"{"a":{"dtype":null}}"#, #"{"\x":{}}"#, #"{"\ud800":{}}"#, #"{"\ud800\u0041":{}}"#, #"{"\u00zz":{}}"#,
    "{\"a\nb\":{}}", #"{"__metadata__":{"k":{}}}"#, #"{'a':{}}"#,
  ])
  func `what is no header in JSON is refused`(header: String) {
    #expect(error(header)?.code == .malformed)
  }

  @Test func `names may be escaped, and must be UTF-8`() throws {
    let entry = #"{"dtype":"I8","shape":[0],"data_offsets":[0,0]}"#
    let catalog = try catalog(Self.file(#"{"\u00e9\ud83d\ude42\n\/":\#(entry)}"#))
    #expect(catalog.tensors.map(\.name) == ["é🙂\n/"])
    let bad = Array(#"{"a":\#(entry)}"#.utf8).map { $0 == UInt8(ascii: "a") ? 0xFF : $0 }
    #expect(error(GGUFBytes.integer(UInt64(bad.count)) + bad)?.message == "the header: a string is not UTF-8")
  }

  @Test func `a file cut or changed anywhere is an error or a valid catalog, never a crash`() throws {
    let original = Array(try #require(Data(base64Encoded: Self.published)))
    for count in 0..<original.count { #expect(error(Array(original.prefix(count))) != nil, "the first \(count) bytes") }
    let seed: UInt64 = 0xBB67_AE85
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<10_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[index] = Bool.random(using: &generator) ? UInt8.random(in: 0...255, using: &generator) : UInt8(ascii: "9")
      }
      guard let catalog = try? catalog(bytes) else { continue }
      for tensor in catalog.tensors { #expect(tensor.fileRange.upperBound <= bytes.count, "seed \(seed)") }
    }
  }

  @Test func `a file of another kind is said to be neither`() {
    let bytes = Array("#!/bin/sh\necho weights\n".utf8)
    #expect(throws: TensorFileError.self) {
      // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
      try TensorFile.readCatalog(unsafe bytes.span.bytes)
    }
  }
}
