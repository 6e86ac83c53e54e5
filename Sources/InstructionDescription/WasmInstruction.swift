/// One instruction of WebAssembly as the specification has it: where it stands in the binary format, what follows the opcode,
/// and what it does to the operand stack.
///
/// The table of all of them (``wasmInstructions()``) is the single source of `WebAssembly/Opcode+Generated.swift`, from which
/// parser, validator, translator, encoder and disassembler work. Source: WebAssembly specification 3.0, appendix "Index of
/// Instructions"; `memory.discard` and its kin: the memory-control proposal.
public struct WasmInstruction: Sendable {
  /// What stands between the opcode and the next instruction.
  public enum Immediates: String, Sendable, CaseIterable {
    case none
    /// A block type.
    case block
    /// One branch label; a list of labels and a default one.
    case label, labelTable
    /// One index into the index space of the name.
    case function, local, global, table, memory, element, data
    /// A type index, then a table index.
    case callIndirect
    /// Destination, then source.
    case tablePair, memoryPair
    case elementTable, dataMemory
    /// Alignment, memory index and offset; with a lane index after them.
    case memoryArgument, memoryArgumentLane
    /// A memory index and a protection byte.
    case memoryProtection
    /// One lane index; sixteen of them.
    case lane, shuffle
    case i32, i64, f32, f64, v128
    /// A heap type; a list of value types.
    case referenceType, selectTypes
    /// A reserved zero byte.
    case zeroByte
  }

  /// A value type as a stack signature names it. `address` is i32 or i64, by the type of the memory concerned.
  public enum StackType: String, Sendable, CaseIterable {
    case i32, i64, f32, f64, v128, address
  }

  /// The part of the language that the instruction belongs to, by the name of the member of `WasmFeatures`.
  public enum Feature: String, Sendable, CaseIterable {
    case mvp, signExtension, saturatingConversion, bulkMemory, referenceTypes, simd, relaxedSIMD, tailCall, memoryControl, threads
    case memoryReferences
  }

  /// A page of the opcode space: no prefix byte, or one of three.
  public enum Prefix: UInt16, Sendable {
    case none = 0, fc = 0x100, fd = 0x200, fe = 0x400
  }

  /// The mnemonic of the text format, `i32.add`.
  public let mnemonic: String
  public let prefix: Prefix
  /// The opcode byte, or the number after the prefix.
  public let number: UInt16
  public let immediates: Immediates
  /// What is popped (top of the stack last) and pushed; nil where that depends on types, labels or the operands.
  public let signature: (operands: [StackType], results: [StackType])?
  /// log2 of the bytes accessed, for loads and stores: the largest alignment that may be declared.
  public let naturalAlignmentLog2: UInt8?
  public let feature: Feature

  /// One number for all pages: the plain byte, 0x100 + n for 0xFC n, 0x200 + n for 0xFD n, 0x400 + n for 0xFE n.
  public var code: UInt16 { prefix.rawValue + number }

  /// The name of the enum case: `i32.load8_s` is `i32Load8S`. Reserved words are the caller's business.
  public var caseName: String {
    if mnemonic == "select" && immediates == .selectTypes { return "selectTyped" }
    var name = ""
    var capitalizeNext = false
    for character in mnemonic {
      if character == "." || character == "_" {
        capitalizeNext = true
      } else {
        name += capitalizeNext ? character.uppercased() : String(character)
        capitalizeNext = false
      }
    }
    return name
  }
}

/// Collects instructions of one prefix and feature.
struct WasmInstructionTable {
  let prefix: WasmInstruction.Prefix
  var feature: WasmInstruction.Feature
  private(set) var instructions: [WasmInstruction] = []

  init(prefix: WasmInstruction.Prefix, feature: WasmInstruction.Feature) {
    self.prefix = prefix
    self.feature = feature
  }

  /// Adds instructions with consecutive numbers and the same shape.
  /// - Parameters:
  ///   - mnemonics: separated by spaces; the first has number `first`.
  ///   - signature: `operands -> results`, or nil where it is not fixed.
  mutating func add(
    _ first: UInt16, _ mnemonics: String, _ signature: String? = nil, _ immediates: WasmInstruction.Immediates = .none,
    alignment: UInt8? = nil
  ) {
    for (index, mnemonic) in mnemonics.split(separator: " ").enumerated() {
      instructions.append(
        WasmInstruction(
          mnemonic: String(mnemonic), prefix: prefix, number: first + UInt16(index), immediates: immediates,
          signature: signature.map(Self.parse), naturalAlignmentLog2: alignment, feature: feature))
    }
  }

  private static func parse(
    _ signature: String
  ) -> (operands: [WasmInstruction.StackType], results: [WasmInstruction.StackType]) {
    let words = signature.split(separator: " ", omittingEmptySubsequences: true)
    guard let arrow = words.firstIndex(of: "->") else { preconditionFailure("a signature has an arrow: \(signature)") }
    func types(_ words: ArraySlice<Substring>) -> [WasmInstruction.StackType] {
      words.map { word in
        guard let type = WasmInstruction.StackType(rawValue: String(word)) else {
          preconditionFailure("a signature names stack types: \(signature)")
        }
        return type
      }
    }
    return (types(words[..<arrow]), types(words[(arrow + 1)...]))
  }
}

/// Every instruction, by ascending code.
public func wasmInstructions() -> [WasmInstruction] {
  (wasmPlainInstructions() + wasmMiscellaneousInstructions() + wasmVectorInstructions() + wasmAtomicInstructions())
    .sorted { $0.code < $1.code }
}
