import Tensors

/// One operation of the import module `tensor`: its name in WebAssembly, its parameters in order, which memory each operand lies
/// in, its shapes, the rules its arguments must keep, and how closely the providers agree.
///
/// `TensorOperation.all` is the only place where the operations are defined. The native provider's host functions and their
/// argument checks, the check of a kernel module's exports, the documentation table and the comparison tests are all made from
/// it.
public struct TensorOperation: Sendable {
  /// The name of the import, `tensor.<name>`, and of the export of a kernel module.
  public let name: String
  /// What it computes, in one sentence.
  public let summary: String
  /// In the order of the WebAssembly parameters.
  public let parameters: [Parameter]
  /// What the arguments must satisfy beyond their kinds.
  public let rules: [Rule]
  /// How far any provider may be from the reference kernel on the same (quantised) weights.
  public let tolerance: KernelTolerance
  /// For the two operations whose work the host splits over kernel instances: the operation of which this is a part. Those
  /// are exported by kernel modules but are no imports of model programs.
  public let sliceOf: String?

  /// A parameter and what its value means.
  public struct Parameter: Sendable {
    public let name: String
    public let kind: Kind

    public enum Kind: Sendable {
      /// i64: the address of an operand.
      case operand(Operand)
      /// i32: a number of rows, columns, heads or positions; read as unsigned 31 bits, so at least 0.
      case count
      /// i64: a number of elements; at least 0.
      case elementCount
      /// i64: an offset or stride in the cache; at least 0.
      case offset
      /// i32: an element type by its ggml number.
      case elementType
      /// f32.
      case scalar
    }
  }

  /// Where an operand lies, how it is used and how large it is.
  public struct Operand: Sendable {
    public let memory: MemoryName
    public let access: Access
    public let element: Element
    /// Names of parameters whose product is the number of elements, outermost first; the last is the row length, which for a
    /// typed operand is a multiple of the type's block size.
    public let shape: [String]
    /// Inputs that the operand (an output) may equal; any other overlap of an output with an operand is misuse.
    public let mayEqual: [String]
    /// Small integer inputs (positions, ids, bases) are copied out of the guest before use, so that what was checked is what
    /// is used even if an output were to lie over them.
    public var isIndex: Bool { element == .i32 || element == .i64 }
  }

  /// The memories of a model program, imported from module `bindery`.
  public enum MemoryName: String, Sendable, CaseIterable { case weights, cache, scratch }
  public enum Access: Sendable { case read, write, readWrite }

  public enum Element: Sendable, Equatable {
    case f32, i32, i64
    /// As the parameter of this name says.
    case typed(String)
  }

  /// A rule between arguments, with names of parameters.
  public enum Rule: Sendable {
    /// The first is a multiple of the second, which is above 0.
    case multiple(String, of: String)
    /// The first is at most the second.
    case atMost(String, String)
    /// The two sum to at most the third.
    case sumAtMost(String, String, String)
    case atLeast(String, Int64)
    case even(String)
    case oneOf(String, [Int64])
    /// The element type is one of these numbers.
    case type(String, [UInt32])
    /// Every id of the index operand lies in 0..<count.
    case idsBelow(ids: String, count: String)
    /// The cache rows that the operation reads or writes. `first` and `last` are positions of each row.
    case cacheRows(CacheRows)
  }

  /// Rows of one plane in the cache, row r at
  /// `bases[r] + (p / chunkPositions) · chunkStride + planeOffset + (p mod chunkPositions) · rowByteCount`.
  public struct CacheRows: Sendable {
    public let planeOffset: String
    /// Names of the parameters whose product is the row's element count.
    public let width: [String]
    public let access: Access
    /// True: positions 0...p of each row (less those before its window); false: p only.
    public let isHistory: Bool
  }
}

extension TensorOperation.Parameter.Kind {
  /// The WebAssembly type of the parameter.
  public var valueType: ScalarType {
    switch self {
    case .operand, .elementCount, .offset: .i64
    case .count, .elementType: .i32
    case .scalar: .f32
    }
  }
}

/// The WebAssembly types that parameters of operations have.
public enum ScalarType: String, Sendable { case i32, i64, f32 }

extension TensorOperation {
  /// The version of this module that a program must have been built for (`program_abi`).
  public static let abiVersion: Int32 = 1

  /// The operation of this name.
  public static func named(_ name: String) -> TensorOperation? { all.first { $0.name == name } }

  /// The index of a parameter; the definition is checked by a test, so a missing name is our bug.
  func index(of parameter: String) -> Int {
    guard let index = parameters.firstIndex(where: { $0.name == parameter }) else {
      preconditionFailure("tensor.\(name) has no parameter \(parameter)")
    }
    return index
  }

  /// The signature as WebAssembly text, e.g. `(param i64 i64 i32)`. No operation has a result.
  public var signature: String {
    "(param " + parameters.map { $0.kind.valueType.rawValue }.joined(separator: " ") + ")"
  }
}
