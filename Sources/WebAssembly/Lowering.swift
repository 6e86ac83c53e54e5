/// Turns calls of memory intrinsics into instructions: `bindery lower`.
///
/// Compilers know one memory per guest. A guest that works on several declares functions in the import module `memory:NAME`,
/// named for the instruction; lowering replaces each call by the instruction itself on the memory of that name, drops the
/// function import and imports the memory instead. The result is a standard multi-memory module.
///
/// The field of an import is `INSTRUCTION[@OFFSET][#LANE]`, with the parameters and result of the instruction:
///
///     v128.load@16  f32.store  v128.load32_lane@20#2  memory.size  memory.grow  memory.fill  memory.discard
///     memory.map_read  memory.map_readwrite  memory.protect_none  memory.unmap
///     memory.copy           within NAME: destination, source, length
///     memory.copy_from:B    from memory B (`0` or `main`: the guest's own) into NAME
///     memory.copy_to:B      from NAME into memory B
///
/// `memory:0` and `memory:main` are the guest's own memory, so that `memory.discard` reaches it.
/// New memories are imported behind those that the guest imports itself, so a memory that the guest defines gets a higher index;
/// every use of it is renumbered, as are all functions. Only the name section is kept of the custom sections: the others
/// (debugging information, relocations) describe the bytes as they were.
public struct Lowering {
  private let module: Module
  private var rewriting: ModuleRewriting
  /// The new index and type of the memories by name.
  private var memories: [String: (index: UInt32, type: MemoryType)] = [:]
  private var intrinsics: [UInt32: Intrinsic] = [:]

  private struct Intrinsic {
    let memory: String
    let field: String
    let type: FunctionType
    var description: String { "memory:\(memory) \(field)" }
  }

  /// - Parameters:
  ///   - module: a valid module.
  ///   - declarations: the memories to import, in this order. One that is used but not declared is imported from `bindery` with
  ///     the default type, after these.
  /// - Returns: the lowered module in the binary format; it has been validated.
  public static func lower(_ module: Module, memories declarations: [MemoryDeclaration] = []) throws(LoweringError) -> [UInt8] {
    var lowering = Lowering(module)
    return try lowering.lower(declarations)
  }

  private init(_ module: Module) {
    self.module = module
    self.rewriting = ModuleRewriting(module: module)
  }

  private mutating func lower(_ declarations: [MemoryDeclaration]) throws(LoweringError) -> [UInt8] {
    try findIntrinsics()
    try importMemories(declarations)
    for (index, intrinsic) in intrinsics { rewriting.instructionsForCalls[index] = try instruction(for: intrinsic) }
    try refuseUsesAsValues()
    renumberNames()
    let bytes = ModuleEncoder(module: module, rewriting: rewriting).encode()
    do {
      try Validator.validate(try Module.parse(bytes, features: module.features))
    } catch {
      throw LoweringError("the lowered module is not valid: \(error)")
    }
    return bytes
  }
}

// MARK: - Imports

extension Lowering {
  private mutating func findIntrinsics() throws(LoweringError) {
    var imports: [Import] = []
    var oldIndex: UInt32 = 0
    for item in module.imports {
      guard case .function(let type) = item.kind else {
        imports.append(item)
        continue
      }
      if item.module.string.hasPrefix("memory:") {
        let memory = String(item.module.string.dropFirst("memory:".count))
        guard !memory.isEmpty else { throw LoweringError("import module `memory:` names no memory") }
        intrinsics[oldIndex] = Intrinsic(memory: memory, field: item.name.string, type: module.types[Int(type)])
      } else {
        imports.append(item)
      }
      oldIndex += 1
    }
    rewriting.imports = imports
    var newIndex: UInt32 = 0
    for old in module.functionTypeIndices.indices {
      let isGone = intrinsics[UInt32(old)] != nil
      rewriting.functionIndices[old] = isGone ? nil : newIndex
      if !isGone { newIndex += 1 }
    }
  }

  /// What the guest's own memory is called, where no other is declared by that name.
  private static let ownNames = ["0", "main"]

  private mutating func importMemories(_ declarations: [MemoryDeclaration]) throws(LoweringError) {
    var declarations = declarations
    for index in intrinsics.keys.sorted() {
      guard let name = intrinsics[index]?.memory, !declarations.contains(where: { $0.name == name }) else { continue }
      if Self.ownNames.contains(name), !module.memories.isEmpty { continue }
      declarations.append(MemoryDeclaration(name: name))
    }
    var added: UInt32 = 0
    for declaration in declarations {
      guard memories[declaration.name] == nil else { throw LoweringError("memory `\(declaration.name)` is declared twice") }
      if let existing = existingMemory(declaration) {
        guard module.memories[Int(existing)] == declaration.type else {
          throw LoweringError("the guest imports memory `\(declaration.importName)` with another type than declared")
        }
        memories[declaration.name] = (existing, declaration.type)
        continue
      }
      memories[declaration.name] = (UInt32(module.importedMemoryCount) + added, declaration.type)
      rewriting.imports.append(
        Import(module: declaration.importModule, name: declaration.importName, kind: .memory(declaration.type)))
      added += 1
    }
    for index in module.memories.indices where index >= module.importedMemoryCount {
      rewriting.memoryIndices[index] = UInt32(index) + added
    }
    guard !module.memories.isEmpty else { return }
    for own in Self.ownNames where memories[own] == nil { memories[own] = (rewriting.memoryIndices[0], module.memories[0]) }
  }

  /// The index of a memory that the guest imports itself from where the declaration says.
  private func existingMemory(_ declaration: MemoryDeclaration) -> UInt32? {
    var index: UInt32 = 0
    for item in module.imports {
      guard case .memory = item.kind else { continue }
      if item.module == declaration.importModule, item.name == declaration.importName { return index }
      index += 1
    }
    return nil
  }
}

// MARK: - Instructions

extension Lowering {
  private func memory(_ name: String, for intrinsic: Intrinsic) throws(LoweringError) -> (index: UInt32, type: MemoryType) {
    guard let memory = memories[name] else {
      throw LoweringError("import `\(intrinsic.description)`: no memory is named `\(name)`")
    }
    return memory
  }

  /// The instruction that a call of the intrinsic becomes. Checks that the function's type is that of the instruction.
  private func instruction(for intrinsic: Intrinsic) throws(LoweringError) -> Instruction {
    func wrong(_ reason: String) -> LoweringError { LoweringError("import `\(intrinsic.description)`: \(reason)") }
    let (index, type) = try memory(intrinsic.memory, for: intrinsic)
    if intrinsic.field == "memory.copy" || intrinsic.field.hasPrefix("memory.copy_") { return try copy(intrinsic) }

    let field = Field(intrinsic.field)
    guard let field, let opcode = Opcode.byMnemonic[field.mnemonic] else { throw wrong("no such instruction") }
    let information = opcode.information
    // Nothing is known about the address, so no alignment is promised; atomics must name theirs.
    let alignmentLog2 = information.feature == .threads ? information.naturalAlignmentLog2 : 0
    let argument = MemoryArgument(offset: field.offset ?? 0, memory: index, alignmentLog2: alignmentLog2)
    let immediates: Immediates
    switch information.immediates {
    case .memoryArgument: immediates = .memoryArgument(argument)
    case .memoryArgumentLane:
      guard let lane = field.lane else { throw wrong("the instruction needs a lane: `\(intrinsic.field)#0`") }
      immediates = .memoryArgumentLane(argument, lane: lane)
    case .memory: immediates = .index(index)
    case .memoryProtection:
      guard let protection = field.protection else {
        throw wrong("the instruction needs a protection: `_none`, `_read`, `_readwrite`")
      }
      immediates = .memoryProtection(memory: index, protection: protection)
    default: throw wrong("the instruction does not work on a memory")
    }
    let takesOffset = information.immediates == .memoryArgument || information.immediates == .memoryArgumentLane
    guard field.offset == nil || takesOffset else { throw wrong("the instruction takes no offset") }
    guard field.lane == nil || information.immediates == .memoryArgumentLane else { throw wrong("the instruction takes no lane") }
    guard field.protection == nil || information.immediates == .memoryProtection else { throw wrong("no such instruction") }
    guard let signature = information.signature else { preconditionFailure("only copies have no fixed signature") }
    try check(intrinsic, is: signature.functionType(address: type.addressType.valueType))
    return Instruction(opcode: opcode, immediates: immediates)
  }

  private func copy(_ intrinsic: Intrinsic) throws(LoweringError) -> Instruction {
    var destination = intrinsic.memory
    var source = intrinsic.memory
    let rest = intrinsic.field.dropFirst("memory.copy".count)
    if rest.hasPrefix("_from:") {
      source = String(rest.dropFirst("_from:".count))
    } else if rest.hasPrefix("_to:") {
      destination = String(rest.dropFirst("_to:".count))
    } else if !rest.isEmpty {
      let known = "memory.copy, memory.copy_from:NAME or memory.copy_to:NAME"
      throw LoweringError("import `\(intrinsic.description)`: no such instruction; expected \(known)")
    }
    let to = try memory(destination, for: intrinsic)
    let from = try memory(source, for: intrinsic)
    let length: ValueType = to.type.addressType == .i64 && from.type.addressType == .i64 ? .i64 : .i32
    let parameters = [to.type.addressType.valueType, from.type.addressType.valueType, length]
    try check(intrinsic, is: FunctionType(parameters: parameters, results: []))
    return Instruction(opcode: .memoryCopy, immediates: .pair(destination: to.index, source: from.index))
  }

  private func check(_ intrinsic: Intrinsic, is type: FunctionType) throws(LoweringError) {
    guard intrinsic.type == type else {
      throw LoweringError("import `\(intrinsic.description)` is declared \(intrinsic.type); the instruction is \(type)")
    }
  }

  /// A field taken apart: `INSTRUCTION[@OFFSET][#LANE]`.
  private struct Field {
    var mnemonic: String
    var offset: UInt64?
    var lane: UInt8?
    var protection: UInt8?

    init?(_ text: String) {
      var rest = text[...]
      if let mark = rest.lastIndex(of: "#") {
        guard let lane = UInt8(rest[rest.index(after: mark)...]) else { return nil }
        self.lane = lane
        rest = rest[..<mark]
      }
      if let mark = rest.lastIndex(of: "@") {
        guard let offset = UInt64(rest[rest.index(after: mark)...]) else { return nil }
        self.offset = offset
        rest = rest[..<mark]
      }
      for (word, code) in [("_none", 0), ("_readwrite", 2), ("_read", 1)] as [(String, UInt8)] where rest.hasSuffix(word) {
        rest = rest.dropLast(word.count)
        protection = code
        break
      }
      mnemonic = String(rest)
    }
  }
}

extension Signature {
  /// The signature as the type of a function, for a memory with this address type.
  func functionType(address: ValueType) -> FunctionType {
    FunctionType(
      parameters: [operand0, operand1, operand2].compactMap { $0.valueType(address: address) },
      results: [result].compactMap { $0.valueType(address: address) })
  }
}

// MARK: - Uses and names

extension Lowering {
  /// An intrinsic is no function any more, so nothing but a call may name it.
  private func refuseUsesAsValues() throws(LoweringError) {
    func refuse(_ index: UInt32, _ use: String) throws(LoweringError) {
      guard let intrinsic = intrinsics[index] else { return }
      throw LoweringError("import `\(intrinsic.description)` is used as a value (\(use)); it can only be called directly")
    }
    for export in module.exports where export.kind == .function { try refuse(export.index, "export `\(export.name)`") }
    if let start = module.startFunction { try refuse(start, "start function") }
    for segment in module.elementSegments {
      switch segment.items {
      case .functions(let functions): for function in functions { try refuse(function, "in a table") }
      case .expressions(let expressions):
        for expression in expressions { try refuseReferences(module.instructions(of: expression), "in a table", refuse) }
      }
    }
    for initializer in module.globalInitializers + module.tableInitializers.compactMap(\.self) {
      try refuseReferences(module.instructions(of: initializer), "initial value", refuse)
    }
    for (index, body) in module.functionBodies.enumerated() {
      try refuseReferences(
        module.instructions(of: body), "ref.func in function \(module.importedFunctionCount + index)", refuse)
    }
  }

  private func refuseReferences(
    _ instructions: InstructionReader, _ use: String, _ refuse: (UInt32, String) throws(LoweringError) -> Void
  ) throws(LoweringError) {
    var reader = instructions
    while true {
      let next: Instruction?
      do { next = try reader.next() } catch { preconditionFailure("the parser has read every instruction: \(error)") }
      guard let instruction = next else { return }
      if instruction.opcode == .refFunc, case .index(let function) = instruction.immediates { try refuse(function, use) }
    }
  }

  /// Keeps the name section alone, with the new function indices.
  private mutating func renumberNames() {
    let old = module.readNames()
    var names = NameSection()
    names.moduleName = old.moduleName
    func new(_ index: UInt32) -> UInt32? {
      Int(index) < rewriting.functionIndices.count ? rewriting.functionIndices[Int(index)] : nil
    }
    for (index, name) in old.functionNames { if let index = new(index) { names.functionNames[index] = name } }
    for (index, locals) in old.localNames { if let index = new(index) { names.localNames[index] = locals } }
    let contents = names.encode()
    // The name section comes last.
    rewriting.customSections = contents.isEmpty ? [] : [("name", contents, 11)]
  }
}
