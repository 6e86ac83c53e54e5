/// A parsed module: its sections as values, its function bodies and segments as ranges of its bytes.
///
/// Parsing (``parse(_:features:)``) checks the binary format; ``Validator`` checks everything else. Indices of functions,
/// tables, memories and globals count the imported ones first, as in the specification.
public struct Module: Sendable {
  /// The bytes that all offsets and ranges refer to.
  public internal(set) var bytes: [UInt8]
  public internal(set) var features: WasmFeatures

  public internal(set) var types: [FunctionType] = []
  public internal(set) var imports: [Import] = []
  /// The type index of each function, imported ones first. Not checked by the parser.
  public internal(set) var functionTypeIndices: [UInt32] = []
  /// The types of all tables, memories and globals, imported ones first.
  public internal(set) var tables: [TableType] = []
  public internal(set) var memories: [MemoryType] = []
  public internal(set) var globals: [GlobalType] = []
  /// The initial value of the elements of each table that the module defines; nil: null.
  public internal(set) var tableInitializers: [ConstantExpression?] = []
  /// The initial values of the globals that the module defines.
  public internal(set) var globalInitializers: [ConstantExpression] = []
  public internal(set) var exports: [Export] = []
  public internal(set) var startFunction: UInt32?
  public internal(set) var elementSegments: [ElementSegment] = []
  /// The number in the data count section, nil when there is none.
  public internal(set) var dataCount: UInt32?
  /// The bodies of the functions that the module defines.
  public internal(set) var functionBodies: [FunctionBody] = []
  public internal(set) var dataSegments: [DataSegment] = []
  public internal(set) var customSections: [CustomSection] = []

  public internal(set) var importedFunctionCount = 0
  public internal(set) var importedTableCount = 0
  public internal(set) var importedMemoryCount = 0
  public internal(set) var importedGlobalCount = 0

  /// Bytes that were asked for through ``Supervision`` for what this value holds beside `bytes`.
  public internal(set) var chargedByteCount = 0

  /// Where the start function is named, and where the types and definitions stand: for errors.
  var startOffset = 0
  var definitionOffsets = DefinitionOffsets()

  init(bytes: [UInt8], features: WasmFeatures) {
    self.bytes = bytes
    self.features = features
  }
}

/// Positions in the bytes of the items that the public lists do not carry them for.
struct DefinitionOffsets: Sendable {
  var functions: [Int] = []
  var tables: [Int] = []
  var memories: [Int] = []
  var globals: [Int] = []
}

/// Something that the module takes from outside.
public struct Import: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// The index of its type.
    case function(UInt32)
    case table(TableType)
    case memory(MemoryType)
    case global(GlobalType)
  }

  public let module: Name
  public let name: Name
  public let kind: Kind
  /// The position in the module's bytes.
  public let offset: Int

  public init(module: Name, name: Name, kind: Kind, offset: Int = 0) {
    self.module = module
    self.name = name
    self.kind = kind
    self.offset = offset
  }
}

/// Something that the module offers.
public struct Export: Hashable, Sendable {
  public enum Kind: UInt8, Hashable, Sendable {
    case function = 0, table, memory, global
  }

  public let name: Name
  public let kind: Kind
  public let index: UInt32
  public let offset: Int

  public init(name: Name, kind: Kind, index: UInt32, offset: Int = 0) {
    self.name = name
    self.kind = kind
    self.index = index
    self.offset = offset
  }
}

/// An expression that is evaluated at instantiation: its instructions, the final `end` included.
public struct ConstantExpression: Hashable, Sendable {
  public let codeRange: Range<Int>

  public init(codeRange: Range<Int>) { self.codeRange = codeRange }
}

/// The body of a function.
public struct FunctionBody: Hashable, Sendable {
  /// Locals of one type that follow one another.
  public struct LocalGroup: Hashable, Sendable {
    public let count: UInt32
    public let type: ValueType
  }

  /// The declared locals (without the parameters): at most ``ModuleLimits/localCountMax``. A few bytes can declare that many, so
  /// nobody may list them one by one for each function.
  public let locals: [LocalGroup]
  /// The instructions, the final `end` included.
  public let codeRange: Range<Int>

  public var localCount: Int { locals.reduce(0) { $0 + Int($1.count) } }
}

/// References that are put into a table, or kept for `table.init`.
public struct ElementSegment: Sendable {
  public enum Mode: Hashable, Sendable {
    case passive
    /// Only declares functions for `ref.func`.
    case declarative
    case active(table: UInt32, offset: ConstantExpression)
  }
  public enum Items: Hashable, Sendable {
    case functions([UInt32])
    case expressions([ConstantExpression])

    public var count: Int {
      switch self {
      case .functions(let indices): indices.count
      case .expressions(let expressions): expressions.count
      }
    }
  }

  public let mode: Mode
  public let type: ValueType
  public let items: Items
  public let offset: Int
}

/// Bytes that are put into a memory, or kept for `memory.init`.
public struct DataSegment: Hashable, Sendable {
  public enum Mode: Hashable, Sendable {
    case passive
    case active(memory: UInt32, offset: ConstantExpression)
  }

  public let mode: Mode
  /// The contents, in the module's bytes.
  public let range: Range<Int>
  public let offset: Int
}

/// A section without meaning to the language.
public struct CustomSection: Hashable, Sendable {
  public let name: String
  /// The contents behind the name.
  public let range: Range<Int>
  /// The number of the last known section before it, 0 if none: where the encoder puts it back.
  public let precedingSection: UInt8
}

extension Module {
  /// The type of a function. The index and its type must be valid (as after validation).
  public func functionType(at index: Int) -> FunctionType { types[Int(functionTypeIndices[index])] }

  /// A reader of the instructions of a function body that the module defines.
  public func instructions(of body: FunctionBody) -> InstructionReader {
    InstructionReader(bytes: bytes, range: body.codeRange, features: features)
  }

  /// A reader of a constant expression. Its last instruction is `end`.
  public func instructions(of expression: ConstantExpression) -> InstructionReader {
    InstructionReader(bytes: bytes, range: expression.codeRange, features: features)
  }

  /// A copy of the contents of a data segment.
  public func contents(of segment: DataSegment) -> ArraySlice<UInt8> { bytes[segment.range] }
}
