import Synchronization

/// A value of a template: what Python would have, as far as templates can tell.
public enum TemplateValue: Sendable {
  /// A name that has no value; the name, for messages.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(TemplateString)
  case list(TemplateList)
  case dictionary(TemplateDictionary)
  /// `namespace()`: the one value that a template can change.
  case namespace(TemplateNamespace)
  /// A macro, a global function or a method bound to its value.
  case function(TemplateFunction)
}

extension TemplateValue {
  /// Text that came with a request.
  public static func content(_ text: String) -> TemplateValue { .string(TemplateString(content: text)) }

  /// Text that the template or its host wrote.
  static func template(_ text: String) -> TemplateValue { .string(TemplateString(template: text)) }
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
    for (key, value) in entries { self[.content(key)] = value }
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
    /// The scope is the one where the macro was defined: a number of the rendering's, so that no value keeps a scope alive
    /// that holds the value.
    case macro(MacroDefinition, scope: Int)
  }

  /// Boxed, since values hold functions and these a value.
  final class MethodOwner: Sendable {
    let value: TemplateValue
    init(_ value: TemplateValue) { self.value = value }
  }

  let body: Body

  /// What a method belongs to.
  var owner: TemplateValue? { if case .method(_, let owner) = body { owner.value } else { nil } }
}

/// Sums stay far from overflow: beyond this every limit is exceeded.
private func addingWeights(_ a: Int, _ b: Int) -> Int { min(a + b, 1 << 60) }

extension TemplateValue {
  /// What walking the value costs, in steps: one for each thing in it, and one for every eight bytes of text. Things that are
  /// in it twice count twice.
  var weight: Int {
    switch self {
    case .string(let text): text.weight
    case .list(let list): list.weight
    case .dictionary(let dictionary): dictionary.weight
    case .function(let function): function.owner.map { addingWeights(1, $0.weight) } ?? 1
    default: 1
    }
  }

  /// Levels of lists and dictionaries, and of methods that hold them.
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .dictionary(let dictionary): dictionary.depth
    case .function(let function): function.owner.map { 1 + $0.depth } ?? 0
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

  var isNone: Bool { if case .none = self { true } else { false } }

  /// Nil for `none`, which most arguments may be instead of being left out. (`nil` alone would be a literal of this type.)
  var unlessNone: TemplateValue? { isNone ? Optional<TemplateValue>.none : .some(self) }

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
  /// Python's `==`: 1 == 1.0 == true; strings by code points, not by canonical equivalence. Everything equals itself, also what
  /// is not a number: in a set of values that equal nothing each would be compared with all others.
  public static func == (a: Self, b: Self) -> Bool {
    if let x = a.integer, let y = b.integer { return x == y }
    // An integer that a float cannot hold equals none.
    if let x = a.integer, case .float(let y) = b { return Int(exactly: y) == x }
    if case .float(let x) = a, let y = b.integer { return Int(exactly: x) == y }
    switch (a, b) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.float(let x), .float(let y)): return x == y || (x.isNaN && y.isNaN)
    case (.string(let x), .string(let y)): return x == y
    case (.list(let x), .list(let y)): return x.isTuple == y.isTuple && x.elements == y.elements
    case (.dictionary(let x), .dictionary(let y)):
      return x.entries.count == y.entries.count && x.entries.allSatisfy { y[$0.key] == $0.value }
    case (.namespace(let x), .namespace(let y)): return x === y
    case (.function(let x), .function(let y)):
      switch (x.body, y.body) {
      case (.global(let a), .global(let b)): return a == b
      case (.method(let a, let x), .method(let b, let y)): return a == b && x.value == y.value
      case (.macro(let a, let x), .macro(let b, let y)): return a === b && x == y
      default: return false
      }
    default: return false
    }
  }

  /// Everything that `==` looks at goes in: a template could fill a set with values of one hash, and make it quadratic.
  public func hash(into hasher: inout Hasher) {
    switch self {
    case .bool, .int: hasher.combine(integer)
    case .float(let value):
      if let integer = Int(exactly: value) { hasher.combine(Int?.some(integer)) } else { hasher.combine(value.isNaN ? .nan : value) }
    case .string(let value): hasher.combine(value)
    case .list(let list):
      hasher.combine(list.isTuple)
      hasher.combine(list.elements)
    case .dictionary(let dictionary):
      // Equal whatever the order of entries, so each by itself.
      var sum = 0
      for entry in dictionary.entries {
        var inner = hasher
        inner.combine(entry.key)
        inner.combine(entry.value)
        sum &+= inner.finalize()
      }
      hasher.combine(sum)
    case .namespace(let namespace): hasher.combine(ObjectIdentifier(namespace))
    case .undefined: hasher.combine(0 as UInt8)
    case .none: hasher.combine(1 as UInt8)
    case .function(let function):
      switch function.body {
      case .global(let name): hasher.combine(name)
      case .method(let name, let owner):
        hasher.combine(name)
        hasher.combine(owner.value)
      case .macro(let definition, let scope):
        hasher.combine(ObjectIdentifier(definition))
        hasher.combine(scope)
      }
    }
  }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .content(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(floatLiteral value: Double) { self = .float(value) }
  public init(arrayLiteral elements: TemplateValue...) { self = .list(TemplateList(elements)) }
  public init(dictionaryLiteral elements: (String, TemplateValue)...) { self = .dictionary(TemplateDictionary(elements)) }
  public init(nilLiteral: ()) { self = .none }
}
