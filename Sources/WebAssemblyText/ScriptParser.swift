import WebAssembly

/// Reads a WAST script. Source: the specification repository, `interpreter/README.md`, "Scripts".
struct ScriptParser {
  private var cursor: TokenCursor
  /// The place of the last command; that of the next is counted from there.
  private var place = (offset: 0, line: 1, column: 1)
  /// How many commands or values are open: both may hold others.
  private var depth = 0
  private static let depthMax = 100

  static func parse(_ text: [UInt8]) throws(TextFormatError) -> Script {
    var parser = ScriptParser(cursor: try TokenCursor(bytes: text))
    // A text without any command is a single module written without `(module ...)`.
    if parser.startsWithField {
      let module = try ModuleTextParser.translate(text)
      return Script(
        commands: [
          ScriptCommand(.module(ScriptModule(name: nil, form: .binary(module.bytes), sourceMap: module.sourceMap)), line: 1)
        ])
    }
    let commands = try parser.parseCommands()
    guard parser.cursor.kind() == .endOfText else { throw parser.cursor.unexpected("a command") }
    return Script(commands: commands)
  }

  private init(cursor: TokenCursor) {
    self.cursor = cursor
  }

  private var startsWithField: Bool {
    cursor.isOpen("func") || cursor.isOpen("type") || cursor.isOpen("import") || cursor.isOpen("memory") || cursor.isOpen("table")
      || cursor.isOpen("global") || cursor.isOpen("export") || cursor.isOpen("start") || cursor.isOpen("elem")
      || cursor.isOpen("data")
  }

  /// Line and column of a command. Commands come in the order of the text: each byte is looked at once.
  private mutating func place(of token: Token) -> (line: Int, column: Int) {
    for byte in cursor.bytes[place.offset..<Int(token.start)] {
      if byte == UInt8(ascii: "\n") {
        place.line += 1
        place.column = 1
      } else if byte & 0xC0 != 0x80 {
        place.column += 1
      }
    }
    place.offset = Int(token.start)
    return (place.line, place.column)
  }

  private mutating func open() throws(TextFormatError) {
    guard depth < Self.depthMax else { throw cursor.error("nested more than \(Self.depthMax) deep", at: cursor.token()) }
    depth += 1
  }

  // MARK: Commands

  private mutating func parseCommands() throws(TextFormatError) -> [ScriptCommand] {
    var commands: [ScriptCommand] = []
    while cursor.kind() == .leftParenthesis {
      let place = place(of: cursor.token())
      commands.append(ScriptCommand(try parseCommand(), line: place.line, column: place.column))
    }
    return commands
  }

  private mutating func parseCommand() throws(TextFormatError) -> ScriptCommand.Kind {
    if cursor.isOpen("module") { return try parseModuleCommand() }
    if cursor.isOpen("invoke") || cursor.isOpen("get") { return .action(try parseAction()) }
    let keyword = cursor.token(1)
    guard keyword.kind == .keyword else {
      cursor.index += 1
      throw cursor.unexpected("a command")
    }
    cursor.index += 2
    let kind: ScriptCommand.Kind
    switch cursor.text(keyword) {
    case "register":
      let name = try cursor.expectName()
      kind = .register(as: name, instance: try cursor.takeIdentifier())
    case "assert_return":
      let action = try parseAction()
      var expected: [ExpectedValue] = []
      while cursor.kind() == .leftParenthesis { expected.append(try parseExpected()) }
      kind = .assertReturn(action, expected)
    case "assert_trap":
      if cursor.isOpen("module") {
        let module = try parseModule()
        kind = .assertUninstantiable(module, message: try cursor.expectName())
      } else {
        let action = try parseAction()
        kind = .assertTrap(action, message: try cursor.expectName())
      }
    case "assert_exhaustion":
      let action = try parseAction()
      kind = .assertExhaustion(action, message: try cursor.expectName())
    case "assert_malformed":
      let module = try parseModule()
      kind = .assertMalformed(module, message: try cursor.expectName())
    case "assert_invalid":
      let module = try parseModule()
      kind = .assertInvalid(module, message: try cursor.expectName())
    case "assert_unlinkable":
      let module = try parseModule()
      kind = .assertUnlinkable(module, message: try cursor.expectName())
    case "thread": kind = try parseThread()
    case "wait":
      guard let name = try cursor.takeIdentifier() else { throw cursor.unexpected("the name of a thread") }
      kind = .wait(thread: name)
    default: throw cursor.error("unexpected token \(cursor.shown(keyword)): expected a command", at: keyword)
    }
    try cursor.expectClose()
    return kind
  }

  private mutating func parseThread() throws(TextFormatError) -> ScriptCommand.Kind {
    try open()
    defer { depth -= 1 }
    guard let name = try cursor.takeIdentifier() else { throw cursor.unexpected("the name of a thread") }
    var shared: [ScriptSharedInstance] = []
    while cursor.takeOpen("shared") {
      try cursor.expectOpen("module")
      guard let instance = try cursor.takeIdentifier() else { throw cursor.unexpected("the name of an instance") }
      shared.append(ScriptSharedInstance(instance: instance))
      try cursor.expectClose()
      try cursor.expectClose()
    }
    return .thread(name: name, shared: shared, try parseCommands())
  }

  // MARK: Modules

  private mutating func parseModuleCommand() throws(TextFormatError) -> ScriptCommand.Kind {
    guard cursor.isKeyword("instance", 2) else {
      let isDefinition = cursor.isKeyword("definition", 2)
      let module = try parseModule()
      return isDefinition ? .definition(module) : .module(module)
    }
    cursor.index += 3
    let name = try cursor.takeIdentifier()
    let definition = try cursor.takeIdentifier()
    try cursor.expectClose()
    return .instance(name: name, definition: definition)
  }

  private mutating func parseModule() throws(TextFormatError) -> ScriptModule {
    try cursor.expectOpen("module")
    _ = cursor.takeKeyword("definition")
    let name = try cursor.takeIdentifier()
    let form: ScriptModule.Form
    var sourceMap: SourceMap?
    if cursor.takeKeyword("binary") {
      form = .binary(try parseStrings())
    } else if cursor.takeKeyword("quote") {
      form = .text(try parseStrings(separator: [UInt8(ascii: "\n")]))
    } else {
      var parser = ModuleTextParser(cursor: cursor, moduleName: name)
      let module = try parser.parseFields()
      form = .binary(module.bytes)
      sourceMap = module.sourceMap
      cursor.index = parser.cursor.index
    }
    try cursor.expectClose()
    return ScriptModule(name: name, form: form, sourceMap: sourceMap)
  }

  private mutating func parseStrings(separator: [UInt8] = []) throws(TextFormatError) -> [UInt8] {
    var bytes: [UInt8] = []
    while cursor.kind() == .string {
      if !bytes.isEmpty { bytes += separator }
      bytes += try cursor.expectString()
    }
    return bytes
  }

  // MARK: Actions and values

  private mutating func parseAction() throws(TextFormatError) -> ScriptAction {
    let isInvoke = cursor.takeOpen("invoke")
    if !isInvoke { try cursor.expectOpen("get") }
    let instance = try cursor.takeIdentifier()
    let field = try cursor.expectName()
    var arguments: [ScriptValue] = []
    while isInvoke, cursor.kind() == .leftParenthesis {
      let token = cursor.token(1)
      guard case .exact(let value) = try parseExpected() else {
        throw cursor.error("unexpected token \(cursor.shown(token)): expected an exact value as an argument", at: token)
      }
      arguments.append(value)
    }
    try cursor.expectClose()
    return isInvoke ? .invoke(instance: instance, field: field, arguments: arguments) : .get(instance: instance, field: field)
  }

  private mutating func parseExpected() throws(TextFormatError) -> ExpectedValue {
    let keyword = cursor.token(1)
    guard cursor.kind() == .leftParenthesis, keyword.kind == .keyword else { throw cursor.unexpected("a value") }
    try open()
    defer { depth -= 1 }
    cursor.index += 2
    let value: ExpectedValue
    switch cursor.text(keyword) {
    case "i32.const": value = .exact(.i32(UInt32(try parseInteger(32))))
    case "i64.const": value = .exact(.i64(try parseInteger(64)))
    case "f32.const":
      switch try parseFloatLane(32) {
      case .bits(let bits): value = .exact(.f32(UInt32(bits)))
      case .nan(let pattern): value = .f32NaN(pattern)
      }
    case "f64.const":
      switch try parseFloatLane(64) {
      case .bits(let bits): value = .exact(.f64(bits))
      case .nan(let pattern): value = .f64NaN(pattern)
      }
    case "v128.const": value = try parseVector()
    case "ref.null":
      if cursor.takeKeyword("func") {
        value = .exact(.nullReference(.funcref))
      } else if cursor.takeKeyword("extern") {
        value = .exact(.nullReference(.externref))
      } else if cursor.takeKeyword("mem") {
        value = .exact(.nullReference(.memref))
      } else {
        value = .anyNull
      }
    case "ref.func": value = .anyFunction
    case "ref.extern":
      value = cursor.kind() == .number ? .exact(.externalReference(try cursor.expectUnsigned(bitCount: 64))) : .anyExternal
    case "either":
      var choices: [ExpectedValue] = []
      while cursor.kind() == .leftParenthesis { choices.append(try parseExpected()) }
      value = .either(choices)
    default: throw cursor.error("unexpected token \(cursor.shown(keyword)): expected a value", at: keyword)
    }
    try cursor.expectClose()
    return value
  }

  /// A number of a value, through the module parser's literal rules.
  private mutating func parseInteger(_ bitCount: Int) throws(TextFormatError) -> UInt64 {
    var parser = ModuleTextParser(cursor: cursor, moduleName: nil)
    let value = try parser.parseInteger(bitCount: bitCount)
    cursor.index = parser.cursor.index
    return value
  }

  private mutating func parseFloatLane(_ bitCount: Int) throws(TextFormatError) -> ExpectedValue.FloatLane {
    if cursor.takeKeyword("nan:canonical") { return .nan(.canonical) }
    if cursor.takeKeyword("nan:arithmetic") { return .nan(.arithmetic) }
    var parser = ModuleTextParser(cursor: cursor, moduleName: nil)
    let bits = bitCount == 32 ? UInt64(try parser.parseFloat32()) : try parser.parseFloat64()
    cursor.index = parser.cursor.index
    return .bits(bits)
  }

  private mutating func parseVector() throws(TextFormatError) -> ExpectedValue {
    for (shape, bitCount) in [("f32x4", 32), ("f64x2", 64)] where cursor.hasPrefix(shape) {
      cursor.index += 1
      var lanes: [ExpectedValue.FloatLane] = []
      for _ in 0..<(128 / bitCount) { lanes.append(try parseFloatLane(bitCount)) }
      guard lanes.allSatisfy({ if case .bits = $0 { true } else { false } }) else {
        return bitCount == 32 ? .f32x4(lanes) : .f64x2(lanes)
      }
      return .exact(.v128(Self.pack(lanes, bitCount)))
    }
    var parser = ModuleTextParser(cursor: cursor, moduleName: nil)
    var body = FunctionTextBody()
    try parser.parseVector(&body)
    cursor.index = parser.cursor.index
    let bytes = body.code.bytes
    func word(_ range: Range<Int>) -> UInt64 { range.reversed().reduce(0) { $0 << 8 | UInt64(bytes[$1]) } }
    return .exact(.v128(V128Bits(low: word(0..<8), high: word(8..<16))))
  }

  private static func pack(_ lanes: [ExpectedValue.FloatLane], _ bitCount: Int) -> V128Bits {
    let bits = lanes.map { lane -> UInt64 in if case .bits(let bits) = lane { bits } else { 0 } }
    if bitCount == 64 { return V128Bits(low: bits[0], high: bits[1]) }
    return V128Bits(low: bits[0] | bits[1] << 32, high: bits[2] | bits[3] << 32)
  }
}
