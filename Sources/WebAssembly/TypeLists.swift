/// The lists of value types that a module's function types name, each once: equal lists have equal numbers.
///
/// So a block costs two numbers, lists are compared by their numbers, and a list of a thousand types is checked against the
/// operand stack, taken from it or put on it as a run of bytes.
struct TypeLists: ~Copyable {
  /// The number of the empty list.
  static let empty: Int32 = 0

  /// The raw values of all lists' types, one list after the other.
  private(set) var bytes: [UInt8] = []
  /// Where each list begins, and one past the last.
  private var starts: [UInt32] = [0, 0]
  /// The numbers of parameters and results by type index.
  private(set) var functionTypes: [(parameters: Int32, results: Int32)] = []
  /// The numbers of the lists of one type, by the low five bits of its byte, which differ between the types.
  private var singles = [Int32](repeating: TypeLists.empty, count: 0x20)
  private var longer: [[ValueType]: Int32] = [:]

  init() {
    for type in ValueType.allCases { singles[Int(type.rawValue & 0x1F)] = add([type]) }
  }

  /// What the lists of a module's types take in memory, at most.
  static func byteCount(of types: [FunctionType]) -> Int { types.count * 128 }

  mutating func reserve(typeCount: Int) { functionTypes.reserveCapacity(typeCount) }

  /// Adds the next type of the module. Linear in its length.
  mutating func append(_ type: FunctionType) {
    functionTypes.append((number(of: type.parameters), number(of: type.results)))
  }

  /// The number of the list that holds one type.
  func single(_ type: ValueType) -> Int32 { singles[Int(type.rawValue & 0x1F)] }

  /// Where the bytes of a list are in `bytes`.
  @inline(__always)
  func range(of list: Int32) -> Range<Int> { Int(starts[Int(list)])..<Int(starts[Int(list) + 1]) }

  private mutating func number(of list: [ValueType]) -> Int32 {
    switch list.count {
    case 0: return Self.empty
    case 1: return single(list[0])
    default:
      if let number = longer[list] { return number }
      let number = add(list)
      longer[list] = number
      return number
    }
  }

  private mutating func add(_ list: [ValueType]) -> Int32 {
    for type in list { bytes.append(type.rawValue) }
    starts.append(UInt32(bytes.count))
    return Int32(starts.count - 2)
  }
}
