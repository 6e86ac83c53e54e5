import WebAssembly

/// A specification script: modules, actions on them, and assertions about both.
///
/// The form is the same whether the script was text (WAST) or JSON.
/// Source: the specification repository, `interpreter/README.md`, "Scripts"; threads proposal for `thread` and `wait`.
public struct Script: Sendable {
  public var commands: [ScriptCommand]

  public init(commands: [ScriptCommand]) { self.commands = commands }
}

/// One command of a script.
public struct ScriptCommand: Sendable {
  public indirect enum Kind: Sendable {
    /// Instantiate a module; it becomes the current one.
    case module(ScriptModule)
    /// Define a module without instantiating it.
    case definition(ScriptModule)
    /// Instantiate a definition, nil being the latest one.
    case instance(name: String?, definition: String?)
    /// Make an instance importable under a name; nil is the current instance.
    case register(as: String, instance: String?)
    case action(ScriptAction)
    case assertReturn(ScriptAction, [ExpectedValue])
    case assertTrap(ScriptAction, message: String)
    case assertExhaustion(ScriptAction, message: String)
    /// The module must not decode or parse.
    case assertMalformed(ScriptModule, message: String)
    /// The module must decode but not validate.
    case assertInvalid(ScriptModule, message: String)
    /// The module must validate but not link.
    case assertUnlinkable(ScriptModule, message: String)
    /// The module must link, but its instantiation must trap.
    case assertUninstantiable(ScriptModule, message: String)
    /// Run commands on a thread of their own, which sees the named instance under its registered name.
    case thread(name: String, shared: [ScriptSharedInstance], [ScriptCommand])
    case wait(thread: String)
  }

  public var kind: Kind
  /// Counted from 1.
  public var line: Int
  /// Counted from 1; 0 where it is not known.
  public var column: Int

  public init(_ kind: Kind, line: Int, column: Int = 0) {
    self.kind = kind
    self.line = line
    self.column = column
  }
}

/// `(shared (module $instance))`: an instance that a thread shares with the script that started it.
public struct ScriptSharedInstance: Hashable, Sendable {
  public var instance: String

  public init(instance: String) { self.instance = instance }
}

/// A module as a script writes it.
public struct ScriptModule: Sendable {
  public enum Form: Sendable {
    /// `(module binary ...)`, or a text module that was parsed with the script.
    case binary([UInt8])
    /// `(module quote ...)`: text that may be malformed.
    case text([UInt8])
  }

  /// Without the `$`.
  public var name: String?
  public var form: Form
  /// Where the parts of a text module stand in the script.
  public var sourceMap: SourceMap?

  public init(name: String?, form: Form, sourceMap: SourceMap? = nil) {
    self.name = name
    self.form = form
    self.sourceMap = sourceMap
  }
}

/// What a script does to an instance; `instance` nil is the current one.
public enum ScriptAction: Sendable {
  case invoke(instance: String?, field: String, arguments: [ScriptValue])
  case get(instance: String?, field: String)
}

/// An argument or exact result.
public enum ScriptValue: Hashable, Sendable {
  case i32(UInt32)
  case i64(UInt64)
  /// The bits.
  case f32(UInt32)
  case f64(UInt64)
  case v128(V128Bits)
  case nullReference(ValueType)
  /// A reference that the host knows by number.
  case externalReference(UInt64)
}

/// What a result must be.
public indirect enum ExpectedValue: Hashable, Sendable {
  public enum NaN: Hashable, Sendable {
    /// The payload is the quiet bit alone, either sign.
    case canonical
    /// The quiet bit is set, whatever else.
    case arithmetic
  }

  /// One lane of a float vector.
  public enum FloatLane: Hashable, Sendable {
    /// The bits, in 32 or 64 bits.
    case bits(UInt64)
    case nan(NaN)
  }

  case exact(ScriptValue)
  case f32NaN(NaN)
  case f64NaN(NaN)
  /// Four or two lanes of which some may be NaN patterns.
  case f32x4([FloatLane])
  case f64x2([FloatLane])
  /// A null reference of any type.
  case anyNull
  /// Any function reference that is not null; any external one.
  case anyFunction
  case anyExternal
  /// One of these (relaxed SIMD).
  case either([ExpectedValue])
}
