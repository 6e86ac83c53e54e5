/// The type of a block: no parameters and at most one result, or a function type.
public enum BlockType: Hashable, Sendable {
  case empty
  case value(ValueType)
  /// An index into the module's types.
  case type(UInt32)
}

/// The memory operand of a load or store.
public struct MemoryArgument: Hashable, Sendable {
  /// Added to the address, without wrap-around.
  public let offset: UInt64
  public let memory: UInt32
  /// A hint only.
  public let alignmentLog2: UInt8
  /// The memory is an operand, a `memref` below the address; `memory` is 0 then, and the address an i64.
  public let isReference: Bool

  public init(offset: UInt64, memory: UInt32, alignmentLog2: UInt8, isReference: Bool = false) {
    self.offset = offset
    self.memory = memory
    self.alignmentLog2 = alignmentLog2
    self.isReference = isReference
  }
}

/// Where the labels of a `br_table` stand; ``InstructionReader/labels(of:)`` reads them.
public struct LabelTable: Hashable, Sendable {
  /// Labels without the default one, which comes last.
  public let count: UInt32
  /// The position of the first label in the module's bytes.
  public let offset: Int
}

/// The sixteen bytes of a `v128.const`, or the lanes of a shuffle; byte 0 is the lowest of `low`.
public struct V128Bits: Hashable, Sendable, BitwiseCopyable {
  public var low, high: UInt64
  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  public func byte(at index: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: (index < 8 ? low : high) >> UInt64((index & 7) * 8))
  }
}

/// The decoded immediates of an instruction. Trivial: no case owns memory.
public enum Immediates: Hashable, Sendable {
  case none
  case block(BlockType)
  case label(UInt32)
  case labelTable(LabelTable)
  /// An index of the space that the opcode implies: function, local, global, table, memory, element or data segment.
  case index(UInt32)
  case callIndirect(type: UInt32, table: UInt32)
  /// `memory.copy`, `table.copy`.
  case pair(destination: UInt32, source: UInt32)
  /// `memory.init`, `table.init`: a segment and what it is copied to.
  case segment(segment: UInt32, destination: UInt32)
  case memoryArgument(MemoryArgument)
  case memoryArgumentLane(MemoryArgument, lane: UInt8)
  /// `memory.map`, `memory.protect`: 0 none, 1 read, 2 readwrite.
  case memoryProtection(memory: UInt32, protection: UInt8)
  case lane(UInt8)
  case shuffle(V128Bits)
  case i32(Int32)
  case i64(Int64)
  /// The bits of the number, so that NaN payloads survive.
  case f32(UInt32)
  case f64(UInt64)
  case v128(V128Bits)
  case referenceType(ValueType)
  /// A `select` with types: how many (valid only if one) and the first.
  case selectTypes(count: UInt32, first: ValueType)
}

/// One instruction of a function body or constant expression.
public struct Instruction: Hashable, Sendable {
  public let opcode: Opcode
  public let immediates: Immediates
  /// The position of the opcode in the module's bytes.
  public let offset: Int

  public init(opcode: Opcode, immediates: Immediates = .none, offset: Int = 0) {
    self.opcode = opcode
    self.immediates = immediates
    self.offset = offset
  }
}
