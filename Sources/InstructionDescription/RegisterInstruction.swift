/// One instruction of the register code, described once: the C handlers, the opcode numbers of the translator, the names of
/// the disassembler and the reference page are generated from it.
///
/// An instruction has several *variants*, one per place its operands come from and its result goes to:
/// `s` a slot, `a` the accumulator (the result of an earlier instruction, still in a machine register), `i` an immediate.
/// A result always goes to the accumulator of its class; the variant `s` stores it to a slot as well.
public struct RegisterInstruction: Sendable {
  /// What an instruction takes and gives, which decides its variants and where its fields lie.
  public enum Shape: String, CaseIterable, Sendable {
    /// No operand, a result: constants, global.get.
    case nullary
    case unary
    case binary
    /// Binary, where operands may be exchanged.
    case commutative
    /// Binary on integers, the second may be a 32-bit immediate (sign-extended).
    case integer
    case integerCommutative
    case ternary
    /// One address, a result. Addresses are a slot, the accumulator, the sum of two slots (`p`), or a slot plus an immediate
    /// (`i`); sums wrap; to a sum of slots the offset is added behind.
    case load
    /// The same with a vector operand in field 3 and a lane.
    case loadLane
    /// A value and an address.
    case store
    /// A store whose value and address have different accumulators.
    case storeVector
    case storeLane
    /// A vector and a vector in memory: the second letter is the form of the address.
    case operateLoad
    /// Two vectors (the first and the third operand) and one in memory, the form of whose address is the last letter.
    case accumulateLoad
    /// A vector and two in memory at a slot plus an immediate each.
    case accumulateLoads
    /// Three vectors in slots, and a fourth operand in a slot or the accumulator.
    case quaternary
    /// Any number of vectors in slots, and a sum `c` in a slot, named by the last field of the last word, or in the accumulator.
    case chain
    /// Two integers, and a distance to jump to.
    case compareBranch
    case compareBranchCommutative
    /// One integer, and a distance to jump to.
    case testBranch
    /// A slot to add an immediate to, a bound in a slot or an immediate, and a distance to jump back.
    case stepBranch
    /// One operand, no result.
    case consumer
    /// An atomic access that gives a value: result, address, view and value in the fields, the offset in word 2, the
    /// replacement's field in word 3. All in slots, for addresses of both sizes.
    case atomic
    /// An atomic store: the value is field 0.
    case atomicStore
    /// One variant, written by hand in C.
    case special

    /// The places of the operands, one string per variant group, in the order of the opcodes.
    public var operandKinds: [String] {
      switch self {
      case .nullary, .atomic, .atomicStore, .special: [""]
      case .unary, .loadLane, .testBranch, .consumer: ["s", "a"]
      case .load: ["s", "a", "p", "i"]
      case .binary: ["ss", "as", "sa"]
      case .commutative: ["ss", "as"]
      case .integer, .compareBranch: ["ss", "as", "sa", "si", "ai"]
      case .integerCommutative, .compareBranchCommutative: ["ss", "as", "si", "ai"]
      case .ternary: ["sss", "ass", "sas", "ssa"]
      case .store: ["ss", "as", "sa", "sp", "ap", "si", "ai"]
      case .storeVector: ["ss", "as", "sa", "aa", "sp", "ap", "si", "ai"]
      case .storeLane: ["ss", "as", "sa"]
      case .operateLoad: ["ss", "as", "sp", "ap", "si", "ai"]
      case .accumulateLoad: ["sss", "ass", "sas", "ssp", "asp", "sap", "ssi", "asi", "sai"]
      case .accumulateLoads: [""]
      case .quaternary, .chain: ["s", "a"]
      case .stepBranch: ["s", "i"]
      }
    }

    /// The second half of a variant's name: where the result goes, or which way a branch jumps (`b`: back, with a poll).
    public var outcomes: [String] {
      switch self {
      case .nullary, .unary, .binary, .commutative, .integer, .integerCommutative, .ternary, .load, .loadLane,
        .operateLoad, .accumulateLoad, .accumulateLoads, .quaternary, .chain, .atomic:
        ["s", "a"]
      case .compareBranch, .compareBranchCommutative, .testBranch: ["f", "b"]
      case .store, .storeVector, .storeLane, .stepBranch, .consumer, .atomicStore, .special: [""]
      }
    }

    public var variantCount: Int { operandKinds.count * outcomes.count }
  }

  public let name: String
  public let shape: Shape
  /// The WebAssembly opcode that is translated to this instruction and nothing else: the plain byte, or 0x100, 0x200 plus the
  /// number after the prefix 0xFC, 0xFD.
  public let wasm: Int?
  /// C types of the operands, and of the result.
  public let operands: [String]
  public let result: String?
  /// C statements: operands are `a`, `b`, `c`, the result is `r`; a branch is taken if `r`.
  public let body: String
  /// Length in 64-bit words. Branches with an immediate have one more.
  public let wordCount: Int
  /// For the reference page, where the name does not say it all.
  public let note: String

  public init(
    _ name: String, _ shape: Shape, wasm: Int? = nil, _ operands: [String] = [], result: String? = nil, words: Int = 2,
    note: String = "", _ body: String = ""
  ) {
    self.name = name
    self.shape = shape
    self.wasm = wasm
    self.operands = operands
    self.result = result
    self.wordCount = words
    self.body = body
    self.note = note
  }

  /// A variant as C and the disassembler name it: `i32_add_as_s`.
  func variantName(_ operandKinds: String, _ outcome: String) -> String {
    [name, operandKinds, outcome].filter { !$0.isEmpty }.joined(separator: "_")
  }

  /// Names of all variants in the order of their opcodes.
  public var variantNames: [String] {
    shape.operandKinds.flatMap { kinds in shape.outcomes.map { variantName(kinds, $0) } }
  }
}

/// The whole register code, in the order of its opcodes.
public let registerInstructions: [RegisterInstruction] =
  controlInstructions() + scalarInstructions() + memoryInstructions() + vectorInstructions() + fusedInstructions()
  + atomicInstructions()
