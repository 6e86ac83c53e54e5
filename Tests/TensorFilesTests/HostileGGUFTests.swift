import TensorFiles
import Tensors
import Testing
import _TestSupport

/// One file per check and per limit: what it says, and the error it must give.
@Suite struct HostileGGUFTests {
  func error(_ bytes: [UInt8]) -> TensorFileError? {
    do {
      _ = try catalog(bytes)
      return nil
    } catch { return error }
  }

  func error(_ change: (inout GGUFBytes) -> Void) -> TensorFileError? {
    var file = GGUFFileTests.sample()
    change(&file)
    return error(file.bytes)
  }

  @Test func `something else than GGUF is named so`() {
    let found = error { $0.magic = Array("GGML".utf8) }
    #expect(found?.code == .malformed && found?.fileOffset == 0)
    #expect(found?.message == "expected a GGUF file to start with \"GGUF\", found 0x4c4d4747")
    #expect(error([])?.message == "the file ends after 0 bytes, within the magic number: it is truncated")
  }

  @Test func `other versions and the other byte order are unsupported`() {
    for version: UInt32 in [0, 1, 4, 99] {
      let found = error { $0.version = version }
      #expect(found?.code == .unsupported && found?.fileOffset == 4)
      #expect(found?.message == "expected GGUF version 2 or 3, found \(version)")
    }
    let found = error { $0.version = 0x0300_0000 }
    #expect(found?.code == .unsupported && found?.message.contains("big-endian") == true)
  }

  @Test func `counts that the file cannot hold reserve nothing`() {
    for count: UInt64 in [1000, 1 << 40, 1 << 63, .max] {
      let tensors = error { $0.tensorCount = count }
      #expect(tensors?.code == .malformed && tensors?.fileOffset == 8)
      #expect(tensors?.message.contains("announces \(count) tensors") == true)
      let keys = error { $0.metadataCount = count }
      #expect(keys?.code == .malformed && keys?.fileOffset == 16)
    }
  }

  @Test func `more tensors or keys than the limit are refused, though the file could hold them`() {
    var tensors = GGUFBytes()
    tensors.tensorCount = UInt64(GGUFLimits.tensorCountMax + 1)
    tensors.data = [UInt8](repeating: 0, count: 24 * (GGUFLimits.tensorCountMax + 1))
    #expect(error(tensors.bytes)?.code == .limitExceeded)
    var keys = GGUFBytes()
    keys.metadataCount = UInt64(GGUFLimits.metadataCountMax + 1)
    keys.data = [UInt8](repeating: 0, count: 13 * (GGUFLimits.metadataCountMax + 1))
    #expect(error(keys.bytes)?.code == .limitExceeded)
  }

  @Test func `strings longer than the file, or than their limit, are refused`() {
    for byteCount: UInt64 in [100_000, 1 << 62, .max] {
      let found = error { $0.add("k", 8, GGUFBytes.integer(byteCount)) }
      #expect(found?.code == .malformed && found?.message.hasPrefix("a string of \(byteCount) bytes") == true)
    }
    let value = error {
      $0.add("k", 8, GGUFBytes.integer(UInt64(GGUFLimits.stringByteCountMax + 1)))
      $0.data = [UInt8](repeating: 0x20, count: GGUFLimits.stringByteCountMax + 2)
    }
    #expect(value?.code == .limitExceeded)
    let longest = String(repeating: "k", count: GGUFLimits.keyByteCountMax)
    #expect(error { $0.add(longest, true) } == nil)
    #expect(error { $0.add(longest + "k", true) }?.code == .limitExceeded)
    let name = String(repeating: "n", count: GGUFLimits.tensorNameByteCountMax)
    #expect(error { $0.tensors.append(.init(name, dimensions: [0])) } == nil)
    #expect(error { $0.tensors.append(.init(name + "n", dimensions: [0])) }?.code == .limitExceeded)
  }

  @Test func `keys, names and values must be UTF-8`() {
    let bad: [UInt8] = GGUFBytes.integer(UInt64(2)) + [0xC3, 0x28]
    #expect(error { $0.metadata.append(bad + GGUFBytes.integer(UInt32(0)) + [1]) }?.message == "key 15 is not UTF-8")
    #expect(error { $0.add("k", 8, bad) }?.message == "a string value is not UTF-8")
    #expect(error { $0.tensors[0].name = [0xFF] }?.message == "the name of tensor 0 is not UTF-8")
    // Elements of arrays may be any bytes.
    #expect(error { $0.add("k", 9, GGUFBytes.integer(UInt32(8)) + GGUFBytes.integer(UInt64(1)) + bad) } == nil)
  }

  @Test func `a key or a tensor that occurs twice is refused`() {
    #expect(error { $0.add("yes", false) }?.message == "the key \"yes\" occurs twice")
    let found = error { $0.tensors.append(.init("vector", dimensions: [0])) }
    #expect(found?.code == .malformed && found?.tensorName == "vector" && found?.message == "two tensors have this name")
  }

  @Test func `kinds that do not exist and bools that are neither are refused`() {
    #expect(error { $0.add("k", 13, []) }?.message == "key \"k\": the kind 13 is unknown; expected 0...12")
    #expect(error { $0.add("k", 7, [2]) }?.message == "expected a bool of 0 or 1")
    #expect(
      error { $0.add("k", 9, GGUFBytes.integer(UInt32(77)) + GGUFBytes.integer(UInt64(0))) }?.message
        == "an array's elements: the kind 77 is unknown; expected 0...12")
    #expect(
      error { $0.add("k", 9, GGUFBytes.integer(UInt32(7)) + GGUFBytes.integer(UInt64(2)) + [1, 3]) }?.message
        == "expected a bool of 0 or 1")
  }

  @Test func `array counts that overflow or exceed the file are refused, for every kind`() {
    for kind in UInt32(0)...12 {
      for count: UInt64 in [1 << 20, 1 << 61, 1 << 62, .max] {
        let found = error { $0.add("k", 9, GGUFBytes.integer(kind) + GGUFBytes.integer(count)) }
        #expect(found?.code == .malformed, "kind \(kind), count \(count)")
        #expect(found?.message.contains("\(count) array elements") == true)
      }
    }
  }

  @Test func `arrays nest to the limit and no deeper`() {
    func nested(_ depth: Int) -> [UInt8] {
      depth == 1
        ? GGUFBytes.integer(UInt32(0)) + GGUFBytes.integer(UInt64(0))
        : GGUFBytes.integer(UInt32(9)) + GGUFBytes.integer(UInt64(1)) + nested(depth - 1)
    }
    #expect(error { $0.add("k", 9, nested(GGUFLimits.nestingDepthMax)) } == nil)
    #expect(error { $0.add("k", 9, nested(GGUFLimits.nestingDepthMax + 1)) }?.code == .limitExceeded)
    #expect(error { $0.add("k", 9, nested(5000)) }?.code == .limitExceeded)
  }

  @Test func `an alignment must be a 32-bit power of two`() {
    for alignment: UInt32 in [0, 3, 33, .max] {
      let found = error { $0.add("general.alignment", alignment) }
      #expect(found?.code == .malformed && found?.message.hasPrefix("general.alignment: ") == true)
    }
    #expect(error { $0.add("general.alignment", "32") }?.code == .malformed)
    #expect(error { $0.add("general.alignment", 10, GGUFBytes.integer(UInt64(32))) }?.code == .malformed)
    // The largest power of two moves the data beyond the file.
    #expect(error { $0.add("general.alignment", UInt32(1) << 31) }?.message.contains("end beyond the file") == true)
  }

  @Test func `a tensor has at most four dimensions, whose product does not overflow`() {
    #expect(error { $0.tensors[1].dimensions = [5, 1, 1, 1] } == nil)
    #expect(error { $0.tensors[1].dimensions = [5, 1, 1, 1, 1] }?.code == .limitExceeded)
    for dimensions: [UInt64] in [[.max], [1 << 63], [1 << 32, 1 << 32], [1 << 31, 1 << 31, 1 << 31, 0], [1 << 62]] {
      let found = error { $0.tensors[1].dimensions = dimensions }
      #expect(found?.code == .malformed && found?.tensorName == "vector", "\(dimensions)")
    }
    #expect(error { $0.tensors[0].dimensions = [63, 3] }?.message.hasPrefix("rows of 63 elements are no whole number") == true)
  }

  @Test func `unknown and withdrawn element types are unsupported`() {
    for type: UInt32 in [4, 5, 31, 36, 43, 1000, 0x1000, .max] {
      let found = error { $0.tensors[0].type = type }
      #expect(found?.code == .unsupported && found?.message == "its element type \(type) is not known")
    }
  }

  @Test func `offsets must be aligned, within the file and apart`() {
    #expect(error { $0.tensors[1].offset = 129 }?.message == "the offset 129 is no multiple of the alignment 32")
    for offset: UInt64 in [160, 1 << 62, (1 << 63) - 32, 1 << 63, .max - 31] {
      let found = error { $0.tensors[1].offset = offset }
      #expect(found?.code == .malformed && found?.tensorName == "vector", "\(offset)")
    }
    let overlap = error { $0.tensors[1].offset = 96 }
    #expect(overlap?.tensorName == "vector" && overlap?.message.hasPrefix("it overlaps the tensor \"matrix\"") == true)
    #expect(error { $0.tensors[1].offset = 0 }?.message.hasPrefix("it overlaps") == true)
  }

  @Test func `a file cut anywhere is an error, never a crash`() throws {
    let bytes = GGUFFileTests.sample().bytes
    for count in 0..<bytes.count {
      let found = error(Array(bytes.prefix(count)))
      #expect(found != nil, "the first \(count) bytes")
      // Where it points is a place that the file has, or its end.
      #expect(found!.fileOffset <= bytes.count)
    }
    #expect(error(bytes) == nil)
  }

  @Test func `random changes are an error or a valid catalog, never a crash`() {
    let seed: UInt64 = 0x6A09_E667
    var generator = SeededGenerator(seed: seed)
    let original = GGUFFileTests.sample().bytes
    var refusedCount = 0
    for round in 0..<20_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: bytes[index] = 0xFF
        default: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...9, using: &generator)))
        }
        if bytes.isEmpty { bytes = [0] }
      }
      guard let catalog = try? catalog(bytes) else {
        refusedCount += 1
        continue
      }
      for tensor in catalog.tensors {
        #expect(
          tensor.fileOffset >= catalog.dataOffset && tensor.fileRange.upperBound <= bytes.count
            && tensor.shape.byteCount(of: tensor.type) == tensor.byteCount, "seed \(seed), round \(round)")
      }
      for entry in catalog.metadata.entries {
        // SAFETY: `bytes` is unsafe for element types with padding; UInt8 has none.
        _ = try? entry.value.array?.values(in: unsafe bytes.span.bytes)
      }
    }
    #expect(refusedCount > 1000 && refusedCount < 20_000, "seed \(seed): \(refusedCount) of 20000 refused")
  }
}
