/// What follows an opcode in the binary format; see ``Immediates`` for the decoded values.
public enum ImmediatesKind: UInt8, Hashable, Sendable {
  case none, block, label, labelTable
  case function, local, global, table, memory, element, data
  case callIndirect, tablePair, memoryPair, elementTable, dataMemory
  case memoryArgument, memoryArgumentLane, memoryProtection
  case lane, shuffle
  case i32, i64, f32, f64, v128
  case referenceType, selectTypes, zeroByte
}

/// A type in the ``Signature`` of an instruction.
public enum StackType: UInt8, Hashable, Sendable {
  case none, i32, i64, f32, f64, v128
  /// i32 or i64, by the address type of the memory that the instruction works on.
  case address

  /// The value type, with `address` standing for what is given.
  @inline(__always)
  public func valueType(address: ValueType) -> ValueType? {
    switch self {
    case .none: nil
    case .i32: .i32
    case .i64: .i64
    case .f32: .f32
    case .f64: .f64
    case .v128: .v128
    case .address: address
    }
  }
}

/// The effect of an instruction on the operand stack, where it is the same wherever the instruction stands.
public struct Signature: Hashable, Sendable {
  /// Operands, the top of the stack last; `.none` behind the last one.
  public let operand0, operand1, operand2: StackType
  public let operandCount: UInt8
  public let result: StackType

  public init(
    _ operand0: StackType = .none, _ operand1: StackType = .none, _ operand2: StackType = .none, to result: StackType = .none
  ) {
    self.operand0 = operand0
    self.operand1 = operand1
    self.operand2 = operand2
    self.operandCount = (operand0 == .none ? 0 : 1) + (operand1 == .none ? 0 : 1) + (operand2 == .none ? 0 : 1)
    self.result = result
  }
}

/// What the instruction table says about one opcode.
public struct OpcodeInformation: Sendable {
  public let opcode: Opcode
  /// The name in the text format. A static string: rows are trivial, so that reading one costs no reference counting.
  public let name: StaticString
  public let immediates: ImmediatesKind
  /// nil where it depends on types, labels or operands: control, parametric, variable and table instructions, `memory.copy`.
  public let signature: Signature?
  /// log2 of the bytes that a load or store accesses: the largest alignment that may be declared. 0 for others.
  public let naturalAlignmentLog2: UInt8
  public let feature: WasmFeatures

  public var mnemonic: String { name.description }
}

/// All instructions, by code.
struct OpcodeTable: Sendable {
  private(set) var entries: [OpcodeInformation?]

  static let shared: OpcodeTable = {
    var table = OpcodeTable(entries: Array(repeating: nil, count: 0x500))
    table.addGenerated()
    return table
  }()

  mutating func add(
    _ opcode: Opcode, _ name: StaticString, _ immediates: ImmediatesKind, _ signature: Signature? = nil, alignment: UInt8 = 0,
    feature: WasmFeatures = .mvp
  ) {
    entries[Int(opcode.rawValue)] = OpcodeInformation(
      opcode: opcode, name: name, immediates: immediates, signature: signature, naturalAlignmentLog2: alignment,
      feature: feature)
  }
}

extension Opcode {
  /// The row of the instruction table.
  public var information: OpcodeInformation {
    guard let information = OpcodeTable.shared.entries[Int(rawValue)] else {
      preconditionFailure("the generated table has a row for every opcode")
    }
    return information
  }

  /// The name in the text format.
  public var mnemonic: String { information.mnemonic }

  /// The opcode of a code (see the raw value), nil when no instruction has it.
  public static func decode(_ code: UInt16) -> OpcodeInformation? {
    code < 0x500 ? OpcodeTable.shared.entries[Int(code)] : nil
  }

  /// Every instruction by its mnemonic. The two forms of `select` share one; the plain form is given.
  public static let byMnemonic: [String: Opcode] = {
    var opcodes: [String: Opcode] = [:]
    for opcode in Opcode.allCases where opcode != .selectTyped { opcodes[opcode.mnemonic] = opcode }
    return opcodes
  }()
}
