extension Module {
  /// The module in the binary format, with integers in their shortest form and custom sections where they were.
  public func encode() -> [UInt8] { ModuleEncoder(module: self, rewriting: ModuleRewriting(module: self)).encode() }
}

/// What an encoded module has different from the module it is made of. Starts as the module itself.
struct ModuleRewriting {
  /// What becomes of a call.
  enum Call {
    case function(UInt32)
    case instruction(Instruction)
  }

  var imports: [Import]
  /// The new index of each function; nil for functions that are gone, which nothing may name any more but calls.
  var functionIndices: [UInt32?]
  /// The new index of each memory.
  var memoryIndices: [UInt32]
  /// Instructions that stand for calls of functions that are gone, by the old index. Their memory index is a new one.
  var instructionsForCalls: [UInt32: Instruction] = [:]
  /// Custom sections to write. The name section must be up to date.
  var customSections: [(name: String, contents: [UInt8], precedingSection: UInt8)]

  init(module: Module) {
    imports = module.imports
    functionIndices = module.functionTypeIndices.indices.map { UInt32($0) }
    memoryIndices = module.memories.indices.map { UInt32($0) }
    customSections = module.customSections.map { ($0.name, Array(module.bytes[$0.range]), $0.precedingSection) }
  }

  /// An index that names nothing stays what it is: the encoder repairs no module, nor does it fail on one that is not valid.
  func function(_ index: UInt32) -> UInt32 {
    guard Int(index) < functionIndices.count else { return index }
    guard let new = functionIndices[Int(index)] else { preconditionFailure("uses of a removed function were refused before") }
    return new
  }

  func memory(_ index: UInt32) -> UInt32 { Int(index) < memoryIndices.count ? memoryIndices[Int(index)] : index }
}

/// Writes a module, section by section.
struct ModuleEncoder {
  let module: Module
  let rewriting: ModuleRewriting

  func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.append([0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00])
    writeCustomSections(after: 0, &writer)
    for id: UInt8 in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11] {
      writeSection(id, &writer)
      writeCustomSections(after: id, &writer)
    }
    return writer.bytes
  }

  private func writeCustomSections(after id: UInt8, _ writer: inout ByteWriter) {
    for section in rewriting.customSections where section.precedingSection == id {
      writer.byte(0)
      writer.sized { inner in
        inner.name(section.name)
        inner.append(section.contents)
      }
    }
  }

  private func writeSection(_ id: UInt8, _ writer: inout ByteWriter) {
    switch id {
    case 1: list(id, &writer, module.types) { $0.functionType($1) }
    case 2: list(id, &writer, rewriting.imports) { write($1, &$0) }
    case 3: list(id, &writer, module.functionTypeIndices.dropFirst(module.importedFunctionCount)) { $0.u32($1) }
    case 4:
      let tables = zip(module.tables.dropFirst(module.importedTableCount), module.tableInitializers)
      list(id, &writer, Array(tables)) { writer, table in
        if table.1 != nil { writer.append([0x40, 0x00]) }
        writer.tableType(table.0)
        if let initializer = table.1 { write(initializer, &writer) }
      }
    case 5: list(id, &writer, module.memories.dropFirst(module.importedMemoryCount)) { $0.memoryType($1) }
    case 6:
      let globals = zip(module.globals.dropFirst(module.importedGlobalCount), module.globalInitializers)
      list(id, &writer, Array(globals)) { writer, global in
        writer.globalType(global.0)
        write(global.1, &writer)
      }
    case 7: list(id, &writer, module.exports) { write($1, &$0) }
    case 8: if let start = module.startFunction { single(id, &writer, rewriting.function(start)) }
    case 9: list(id, &writer, module.elementSegments) { write($1, &$0) }
    case 12: if let count = module.dataCount { single(id, &writer, count) }
    case 10: list(id, &writer, module.functionBodies) { write($1, &$0) }
    case 11: list(id, &writer, module.dataSegments) { write($1, &$0) }
    default: preconditionFailure("the list of sections is complete")
    }
  }

  /// Writes a section that is a list, unless the list is empty.
  private func list<Items: Collection>(
    _ id: UInt8, _ writer: inout ByteWriter, _ items: Items, _ body: (inout ByteWriter, Items.Element) -> Void
  ) {
    guard !items.isEmpty else { return }
    writer.byte(id)
    writer.sized { inner in
      inner.count(items.count)
      for item in items { body(&inner, item) }
    }
  }

  private func single(_ id: UInt8, _ writer: inout ByteWriter, _ value: UInt32) {
    writer.byte(id)
    writer.sized { $0.u32(value) }
  }
}

// MARK: - Items

extension ModuleEncoder {
  private func write(_ item: Import, _ writer: inout ByteWriter) {
    writer.name(item.module.string)
    writer.name(item.name.string)
    switch item.kind {
    case .function(let type):
      writer.byte(0)
      writer.u32(type)
    case .table(let type):
      writer.byte(1)
      writer.tableType(type)
    case .memory(let type):
      writer.byte(2)
      writer.memoryType(type)
    case .global(let type):
      writer.byte(3)
      writer.globalType(type)
    }
  }

  private func write(_ export: Export, _ writer: inout ByteWriter) {
    writer.name(export.name.string)
    writer.byte(export.kind.rawValue)
    switch export.kind {
    case .function: writer.u32(rewriting.function(export.index))
    case .memory: writer.u32(rewriting.memory(export.index))
    case .table, .global: writer.u32(export.index)
    }
  }

  private func write(_ segment: ElementSegment, _ writer: inout ByteWriter) {
    var flags: UInt32 = 0
    var usesExpressions = false
    if case .expressions = segment.items { usesExpressions = true }
    // Segments of references other than functions need the form that names the type.
    switch segment.mode {
    case .passive: flags = 1
    case .declarative: flags = 3
    case .active(let table, _): flags = table != 0 || segment.type != .funcref ? 2 : 0
    }
    writer.u32(flags | (usesExpressions ? 4 : 0))
    if case .active(let table, let offset) = segment.mode {
      if flags == 2 { writer.u32(table) }
      write(offset, &writer)
    }
    if flags != 0 { writer.byte(usesExpressions ? segment.type.rawValue : 0) }
    writer.count(segment.items.count)
    switch segment.items {
    case .functions(let functions): for function in functions { writer.u32(rewriting.function(function)) }
    case .expressions(let expressions): for expression in expressions { write(expression, &writer) }
    }
  }

  private func write(_ segment: DataSegment, _ writer: inout ByteWriter) {
    switch segment.mode {
    case .passive: writer.u32(1)
    case .active(let memory, let offset):
      let memory = rewriting.memory(memory)
      writer.u32(memory == 0 ? 0 : 2)
      if memory != 0 { writer.u32(memory) }
      write(offset, &writer)
    }
    writer.count(segment.range.count)
    writer.append(module.contents(of: segment))
  }

  private func write(_ expression: ConstantExpression, _ writer: inout ByteWriter) {
    write(module.instructions(of: expression), &writer)
  }

  private func write(_ body: FunctionBody, _ writer: inout ByteWriter) {
    writer.sized { inner in
      inner.count(body.locals.count)
      for group in body.locals {
        inner.u32(group.count)
        inner.byte(group.type.rawValue)
      }
      write(module.instructions(of: body), &inner)
    }
  }

  private func write(_ instructions: InstructionReader, _ writer: inout ByteWriter) {
    var reader = instructions
    while true {
      let next: Instruction?
      do { next = try reader.next() } catch { preconditionFailure("the parser has read every instruction: \(error)") }
      guard let instruction = next else { return }
      let rewritten = rewrite(instruction)
      writer.instruction(rewritten, labels: labels(of: instruction, reader))
      // A tail call that became an instruction still returns.
      if instruction.opcode == .returnCall, rewritten.opcode != .returnCall {
        writer.instruction(Instruction(opcode: .return), labels: [])
      }
    }
  }

  private func labels(of instruction: Instruction, _ reader: InstructionReader) -> [UInt32] {
    guard case .labelTable(let table) = instruction.immediates else { return [] }
    return reader.labels(of: table)
  }

  /// The instruction with the new indices.
  private func rewrite(_ instruction: Instruction) -> Instruction {
    let immediates: Immediates
    switch (instruction.opcode.information.immediates, instruction.immediates) {
    case (.function, .index(let index)):
      if let replacement = rewriting.instructionsForCalls[index] { return replacement }
      immediates = .index(rewriting.function(index))
    case (.memory, .index(let index)): immediates = .index(rewriting.memory(index))
    case (.memoryPair, .pair(let destination, let source)):
      immediates = .pair(destination: rewriting.memory(destination), source: rewriting.memory(source))
    case (.dataMemory, .segment(let segment, let memory)):
      immediates = .segment(segment: segment, destination: rewriting.memory(memory))
    case (_, .memoryProtection(let memory, let protection)):
      immediates = .memoryProtection(memory: rewriting.memory(memory), protection: protection)
    case (_, .memoryArgument(let argument)): immediates = .memoryArgument(rewrite(argument))
    case (_, .memoryArgumentLane(let argument, let lane)): immediates = .memoryArgumentLane(rewrite(argument), lane: lane)
    default: return instruction
    }
    return Instruction(opcode: instruction.opcode, immediates: immediates, offset: instruction.offset)
  }

  private func rewrite(_ argument: MemoryArgument) -> MemoryArgument {
    argument.isReference ? argument :
      MemoryArgument(offset: argument.offset, memory: rewriting.memory(argument.memory), alignmentLog2: argument.alignmentLog2)
  }
}
