import Foundation
import Testing
import WebAssembly
import _TestSupport

private typealias B = ModuleBytes

@Suite struct EncoderTests {
  /// Immediates of each kind, with values whose encodings take more than one byte.
  private static func samples(_ kind: ImmediatesKind) -> [[UInt8]] {
    switch kind {
    case .none: [[]]
    case .zeroByte: [[0]]
    case .block: [[0x40], [0x7F], [0x7B], [0x70], [0x80, 0x01]]
    case .label, .function, .local, .global, .table, .memory, .element, .data: [[0], [0x80, 0x01], [0xFF, 0xFF, 0xFF, 0xFF, 0x0F]]
    case .labelTable: [[0, 3], [3, 1, 2, 0x80, 0x01, 4]]
    case .callIndirect, .tablePair, .memoryPair, .elementTable, .dataMemory: [[0, 0], [0x80, 0x01, 3]]
    case .memoryArgument: [[0, 0], [2, 0x80, 0x01], [0x41, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]]
    case .memoryArgumentLane: [[0, 0, 1], [0x40, 1, 0x80, 0x02, 0]]
    case .memoryProtection: [[0, 0], [0x80, 0x01, 2]]
    case .lane: [[0], [15]]
    case .shuffle, .v128: [Array(0..<16)]
    case .i32: [[0], [0x40], [0x80, 0x7F], [0xFF, 0xFF, 0xFF, 0xFF, 0x07]]
    case .i64: [[0], [0x40], [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7F]]
    case .f32: [[1, 0, 0xA0, 0x7F]]
    case .f64: [[1, 2, 3, 4, 5, 6, 0xF4, 0xFF]]
    case .referenceType: [[0x70], [0x6F]]
    case .selectTypes: [[1, 0x7F], [1, 0x6F]]
    }
  }

  /// The module's bytes are those of one body; what the instructions mean does not matter to parser and encoder.
  private static func module(_ code: [UInt8]) -> [UInt8] {
    let body = [0] + code + [0x0B]
    return B.module(
      B.section(1, [1, 0x60, 0, 0]), B.section(3, [1, 0]), B.section(12, [0]), B.section(10, [1, UInt8(body.count)] + body))
  }

  @Test(arguments: Opcode.allCases)
  func `every instruction comes back byte for byte`(opcode: Opcode) throws {
    let structural: [Opcode] = [.block, .loop, .if, .else, .end]
    let code = opcode.rawValue
    let prefix: [UInt8] =
      switch code {
      case ..<0x100: [UInt8(code)]
      case ..<0x200: [0xFC, UInt8(code - 0x100)]
      case ..<0x280: [0xFD, UInt8(code - 0x200)]
      case ..<0x400: [0xFD, UInt8((code - 0x200) & 0x7F) | 0x80, UInt8((code - 0x200) >> 7)]
      default: [0xFE, UInt8(code - 0x400)]
      }
    let features = WasmFeatures.standard.union([.threads, .memoryReferences])
    guard !structural.contains(opcode) else { return }
    for immediates in Self.samples(opcode.information.immediates) {
      let bytes = Self.module(prefix + immediates)
      let module = try Module.parse(bytes, features: features)
      var reader = module.instructions(of: module.functionBodies[0])
      let instruction = try #require(try reader.next())
      #expect(instruction.opcode == opcode)
      #expect(instruction.offset == module.functionBodies[0].codeRange.lowerBound)
      #expect(try reader.next()?.opcode == .end)
      #expect(try reader.next() == nil)
      #expect(module.encode() == bytes, "\(opcode) \(immediates)")
    }
  }

  @Test func `blocks come back byte for byte`() throws {
    for type in Self.samples(.block) {
      for opener: UInt8 in [0x02, 0x03, 0x04] {
        let bytes = Self.module([opener] + type + [0x01] + (opener == 0x04 ? [0x05] : []) + [0x0B])
        #expect(try Module.parse(bytes).encode() == bytes)
      }
    }
  }

  @Test func `mnemonics are unique but for the two forms of select, and lead back to the opcode`() {
    let mnemonics = Opcode.allCases.map(\.mnemonic)
    #expect(Set(mnemonics).count == mnemonics.count - 1)
    for opcode in Opcode.allCases where opcode != .selectTyped { #expect(Opcode.byMnemonic[opcode.mnemonic] == opcode) }
    #expect(Opcode.byMnemonic["i8x16.relaxed_dot"] == nil)
    #expect(Opcode.decode(0x4FF) == nil)
    #expect(Opcode.decode(0xFFFF) == nil)
  }

  @Test func `alignments and lane counts of the table`() {
    #expect(Opcode.v128Load.information.naturalAlignmentLog2 == 4)
    #expect(Opcode.i64Load32U.information.naturalAlignmentLog2 == 2)
    #expect(Opcode.v128Store16Lane.information.naturalAlignmentLog2 == 1)
    #expect(Opcode.i64AtomicRmw16CmpxchgU.information.naturalAlignmentLog2 == 1)
    #expect(Opcode.i8x16ExtractLaneU.laneCount == 16 && Opcode.f64x2ReplaceLane.laneCount == 2)
  }

  @Test func `padded integers become short, and the module means the same`() throws {
    // Types and functions with a padded count, a memory argument with a padded offset, a segment with an explicit memory 0.
    let code: [UInt8] = [0x41, 0x80, 0x00, 0x28, 0x82, 0x00, 0x84, 0x80, 0x00, 0x1A]
    let body = [0] + code + [0x0B]
    let bytes = B.module(
      B.section(1, [0x81, 0x00, 0x60, 0, 0]), B.section(3, [1, 0]), B.section(5, [1, 0, 1]),
      B.section(10, [1, UInt8(body.count)] + body), B.section(11, [1, 2, 0, 0x41, 0, 0x0B, 1, 0x61]))
    let module = try Module.parse(bytes)
    let encoded = module.encode()
    #expect(encoded.count < bytes.count)
    let again = try Module.parse(encoded)
    #expect(B.failure(encoded) == nil)
    #expect(again.types == module.types && again.memories == module.memories)
    #expect(Array(again.contents(of: again.dataSegments[0])) == [0x61])
    #expect(again.encode() == encoded)
  }

  @Test func `custom sections stay where they were`() throws {
    let bytes = B.module(
      B.section(0, [1, 0x61, 1]), B.section(1, [1, 0x60, 0, 0]), B.section(0, [1, 0x62, 2]), B.section(3, [1, 0]),
      B.section(10, [1, 2, 0, 0x0B]), B.section(0, [1, 0x63]))
    let module = try Module.parse(bytes)
    #expect(module.customSections.map(\.name) == ["a", "b", "c"])
    #expect(module.encode() == bytes)
  }

  /// Most modules of the suite are in the encoder's form: those come back byte for byte. The others must be stable after one
  /// pass.
  @Test(.enabled(if: SuiteModules.isPresent, "the folder with the official suite is not there (set BINDERY_SHARED)"))
  func `the suite's modules come back`() throws {
    var identicalCount = 0
    var count = 0
    for (name, bytes) in try SuiteModules.valid() {
      let module = try Module.parse(bytes)
      let encoded = module.encode()
      count += 1
      if encoded == bytes {
        identicalCount += 1
        continue
      }
      #expect(B.failure(encoded) == nil, "\(name)")
      let again = try Module.parse(encoded)
      #expect(again.encode() == encoded, "\(name)")
      #expect(again.types == module.types && again.memories == module.memories && again.tables == module.tables, "\(name)")
      #expect(again.exports.map(\.name) == module.exports.map(\.name), "\(name)")
      #expect(again.functionBodies.map(\.locals) == module.functionBodies.map(\.locals), "\(name)")
    }
    #expect(count > 1000)
    #expect(identicalCount * 10 > count * 9, "\(identicalCount) of \(count) are identical")
  }
}
