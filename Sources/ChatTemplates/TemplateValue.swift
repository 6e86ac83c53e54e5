import Synchronization

/// A value of a template: what Python would have, as far as templates can tell.
public enum TemplateValue: Sendable {
  /// A name that has no value; the name, for messages.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  case list(TemplateList)
  case dictionary(TemplateDictionary)
  /// `namespace()`: the one value that a template can change.
  case namespace(TemplateNamespace)
  /// A macro, a global function or a method bound to its value.
  case function(TemplateFunction)
}

/// A list or tuple. Knows how deep it is and how much it holds, so that a template cannot build one that overflows the stack
/// of whoever walks it, or one that holds itself twice, sixty times over.
public struct TemplateList: Sendable {
  public let elements: [TemplateValue]
  /// Printed with parentheses.
  let isTuple: Bool
  let depth: Int
  let weight: Int

  public init(_ elements: [TemplateValue]) { self.init(elements, isTuple: false) }

  init(_ elements: [TemplateValue], isTuple: Bool) {
    self.elements = elements
    self.isTuple = isTuple
    self.depth = 1 + elements.reduce(0) { max($0, $1.depth) }
    self.weight = elements.reduce(1) { addingWeights($0, $1.weight) }
  }
}

/// A dictionary in the order in which its keys were first set.
public struct TemplateDictionary: Sendable {
  public private(set) var entries: [(key: TemplateValue, value: TemplateValue)] = []
  private var indices: [TemplateValue: Int] = [:]
  private(set) var depth = 1
  private(set) var weight = 1

  public init() {}

  public init(_ entries: [(String, TemplateValue)]) {
    for (key, value) in entries { self[.string(key)] = value }
  }

  public subscript(key: TemplateValue) -> TemplateValue? {
    get { indices[key].map { entries[$0].value } }
    set {
      guard let newValue else { return }
      depth = max(depth, 1 + max(newValue.depth, key.depth))
      weight = addingWeights(weight, addingWeights(key.weight, newValue.weight))
      if let index = indices[key] {
        entries[index].value = newValue
      } else {
        indices[key] = entries.count
        entries.append((key, newValue))
      }
    }
  }
}

/// Attributes that outlive the loop they are set in. Belongs to one rendering, on one thread; the lock is there because values
/// may be sent anywhere.
public final class TemplateNamespace: Sendable {
  private let attributes = Mutex<[String: TemplateValue]>([:])

  subscript(name: String) -> TemplateValue? {
    get { attributes.withLock { $0[name] } }
    set { attributes.withLock { $0[name] = newValue } }
  }
}

/// Something that can be called.
public struct TemplateFunction: Sendable {
  enum Body: Sendable {
    case global(String)
    case method(name: String, of: MethodOwner)
    case macro(MacroDefinition)
  }

  /// Boxed, since values hold functions and these a value.
  final class MethodOwner: Sendable {
    let value: TemplateValue
    init(_ value: TemplateValue) { self.value = value }
  }

  let body: Body
}

/// Sums stay far from overflow: beyond this every limit is exceeded.
private func addingWeights(_ a: Int, _ b: Int) -> Int { min(a + b, 1 << 60) }

extension TemplateValue {
  /// What walking the value costs, in steps: one for each thing in it, and one for every eight bytes of text. Things that are
  /// in it twice count twice.
  var weight: Int {
    switch self {
    case .string(let text): 1 + text.utf8.count / 8
    case .list(let list): list.weight
    case .dictionary(let dictionary): dictionary.weight
    default: 1
    }
  }

  /// Levels of lists and dictionaries.
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .dictionary(let dictionary): dictionary.depth
    default: 0
    }
  }

  /// The kind, in words for messages.
  var kindName: String {
    switch self {
    case .undefined: "undefined"
    case .none: "none"
    case .bool: "a boolean"
    case .int: "an integer"
    case .float: "a float"
    case .string: "a string"
    case .list: "a list"
    case .dictionary: "a mapping"
    case .namespace: "a namespace"
    case .function: "a function"
    }
  }

  /// Python's truth: empty things, zeros, none and undefined are false.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .float(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let list): !list.elements.isEmpty
    case .dictionary(let dictionary): !dictionary.entries.isEmpty
    case .namespace, .function: true
    }
  }

  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  /// An integer; booleans count, as in Python.
  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }
}

extension TemplateValue: Hashable {
  /// Python's `==`: 1 == 1.0 == true; strings by code points, not by canonical equivalence.
  public static func == (a: Self, b: Self) -> Bool {
    if let x = a.integer, let y = b.integer { return x == y }
    if let x = a.number, let y = b.number { return x == y }
    switch (a, b) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let x), .string(let y)): return x.utf8.elementsEqual(y.utf8)
    case (.list(let x), .list(let y)): return x.isTuple == y.isTuple && x.elements == y.elements
    case (.dictionary(let x), .dictionary(let y)):
      return x.entries.count == y.entries.count && x.entries.allSatisfy { y[$0.key] == $0.value }
    case (.namespace(let x), .namespace(let y)): return x === y
    default: return false
    }
  }

  public func hash(into hasher: inout Hasher) {
    if let number {
      hasher.combine(number)
      return
    }
    switch self {
    case .string(let value): for byte in value.utf8 { hasher.combine(byte) }
    case .list(let list): hasher.combine(list.elements)
    case .dictionary(let dictionary): hasher.combine(dictionary.entries.count)
    default: hasher.combine(0)
    }
  }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(floatLiteral value: Double) { self = .float(value) }
  public init(arrayLiteral elements: TemplateValue...) { self = .list(TemplateList(elements)) }
  public init(dictionaryLiteral elements: (String, TemplateValue)...) { self = .dictionary(TemplateDictionary(elements)) }
  public init(nilLiteral: ()) { self = .none }
}
