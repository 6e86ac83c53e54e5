import WebAssembly

/// What a module can import and export.
public enum ExternalValue {
  case function(Function)
  case memory(Memory)
  case table(Table)
  case global(Global)

  var kindName: String {
    switch self {
    case .function: "a function"
    case .memory: "a memory"
    case .table: "a table"
    case .global: "a global"
    }
  }
}

/// The definitions that an instance's imports are looked up in.
public struct Imports {
  private var values: [Name: [Name: ExternalValue]] = [:]

  public init() {}

  /// Defines a name, replacing what it stood for.
  public mutating func define(module: String, name: String, _ value: ExternalValue) {
    values[Name(module), default: [:]][Name(name)] = value
  }

  /// Defines every export of an instance.
  public mutating func define(module: String, exportsOf instance: Instance) {
    for (name, value) in instance.exports { define(module: module, name: name, value) }
  }

  public subscript(module: String, name: String) -> ExternalValue? { values[Name(module)]?[Name(name)] }

  subscript(module: Name, name: Name) -> ExternalValue? { values[module]?[name] }
}
