/// The type of a value on the operand stack. The raw value is its byte in the binary format.
public enum ValueType: UInt8, Hashable, Sendable, CaseIterable {
  case i32 = 0x7F
  case i64 = 0x7E
  case f32 = 0x7D
  case f64 = 0x7C
  case v128 = 0x7B
  case funcref = 0x70
  case externref = 0x6F
  /// A memory, or null: `(ref null mem)`.
  case memref = 0x5A

  public var isReference: Bool { self == .funcref || self == .externref || self == .memref }
  public var isNumber: Bool { !isReference && self != .v128 }
}

extension ValueType: CustomStringConvertible {
  /// The name in the text format.
  public var description: String {
    switch self {
    case .i32: "i32"
    case .i64: "i64"
    case .f32: "f32"
    case .f64: "f64"
    case .v128: "v128"
    case .funcref: "funcref"
    case .externref: "externref"
    case .memref: "memref"
    }
  }
}

/// What a function takes and returns.
public struct FunctionType: Hashable, Sendable, CustomStringConvertible {
  public let parameters: [ValueType]
  public let results: [ValueType]

  public init(parameters: [ValueType], results: [ValueType]) {
    self.parameters = parameters
    self.results = results
  }

  public var description: String {
    func list(_ types: [ValueType]) -> String { "[" + types.map(\.description).joined(separator: " ") + "]" }
    return "\(list(parameters)) -> \(list(results))"
  }
}

/// The type of the addresses of a memory, or of the indices of a table.
public enum AddressType: UInt8, Hashable, Sendable {
  case i32, i64

  public var valueType: ValueType { self == .i32 ? .i32 : .i64 }
}

/// How large a memory (in pages) or a table (in elements) is at first, and may become.
public struct Limits: Hashable, Sendable {
  public let minimum: UInt64
  public let maximum: UInt64?

  public init(minimum: UInt64, maximum: UInt64? = nil) {
    self.minimum = minimum
    self.maximum = maximum
  }
}

/// The attributes of a memory of the memory-control proposal; all absent for a plain memory. Counts are in pages. A count of 0
/// that is given is not an absent one: it takes part in the rules of which attributes may stand together.
public struct MemoryAttributes: Hashable, Sendable {
  /// `noaccess`: pages [0, n) refuse every access.
  public var noAccess: UInt64?
  /// `readonly`: the next n pages refuse writes, once the module is instantiated.
  public var readOnly: UInt64?
  /// All pages start unmapped, and are mapped by `memory.map` or by the host.
  public var isVirtual: Bool
  /// `mappable`: pages [0, n) behave as in a virtual memory, the others as in a plain one.
  public var mappable: UInt64?

  public static let none = MemoryAttributes()

  public init(
    noAccessPageCount: UInt64? = nil, readOnlyPageCount: UInt64? = nil, isVirtual: Bool = false, mappablePageCount: UInt64? = nil
  ) {
    self.noAccess = noAccessPageCount
    self.readOnly = readOnlyPageCount
    self.isVirtual = isVirtual
    self.mappable = mappablePageCount
  }

  /// Pages that refuse every access; 0 where the attribute is absent.
  public var noAccessPageCount: UInt64 { noAccess ?? 0 }
  /// Pages that refuse writes; 0 where the attribute is absent.
  public var readOnlyPageCount: UInt64 { readOnly ?? 0 }
  /// Pages of the mappable part; 0 where the attribute is absent.
  public var mappablePageCount: UInt64 { mappable ?? 0 }

  /// Whether `memory.map`, `memory.unmap` and `memory.protect` are allowed.
  public var isMappable: Bool { isVirtual || mappable != nil }

  /// Whether memories of the two kinds are of one type: a static section of no pages is none, whether it is written or not.
  public func isEquivalent(to other: Self) -> Bool {
    noAccessPageCount == other.noAccessPageCount && readOnlyPageCount == other.readOnlyPageCount && isVirtual == other.isVirtual
      && mappablePageCount == other.mappablePageCount
  }
}

/// The type of a memory.
public struct MemoryType: Hashable, Sendable {
  public let addressType: AddressType
  /// In pages. The static sections of `attributes` come on top of both numbers.
  public let limits: Limits
  public let isShared: Bool
  /// log2 of the page size: 16, or 0 for pages of one byte. Another value does not validate.
  public let pageByteCountLog2: UInt32
  public let attributes: MemoryAttributes

  public init(
    addressType: AddressType = .i32, limits: Limits, isShared: Bool = false, pageByteCountLog2: UInt32 = 16,
    attributes: MemoryAttributes = .none
  ) {
    self.addressType = addressType
    self.limits = limits
    self.isShared = isShared
    self.pageByteCountLog2 = pageByteCountLog2
    self.attributes = attributes
  }
}

/// The type of a table.
public struct TableType: Hashable, Sendable {
  public let elementType: ValueType
  public let limits: Limits
  public let addressType: AddressType

  public init(elementType: ValueType, limits: Limits, addressType: AddressType = .i32) {
    self.elementType = elementType
    self.limits = limits
    self.addressType = addressType
  }
}

/// The type of a global variable.
public struct GlobalType: Hashable, Sendable {
  public let valueType: ValueType
  public let isMutable: Bool

  public init(valueType: ValueType, isMutable: Bool) {
    self.valueType = valueType
    self.isMutable = isMutable
  }
}
