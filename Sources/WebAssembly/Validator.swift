/// Checks a parsed module against the typing rules of the language.
///
/// A module that passes cannot fail in translation, and its code needs no checks at run time but those that the semantics ask
/// for. Function bodies are checked with the algorithm of the specification's appendix ("Validation Algorithm"): one stack of
/// operand types, one of open blocks. Time is linear in the size of the code; nothing is allocated per instruction.
public struct Validator: ~Copyable {
  let module: Module
  let features: WasmFeatures
  let supervision: Supervision
  /// Functions that `ref.func` may name in a body: those in element segments, exports and global initialisers.
  var declaredFunctions: [Bool]
  /// What is asked for is given back when the check is over.
  var grant: Grant
  /// Items checked since it was asked whether to go on.
  private var itemCount = 0

  /// - Parameter supervision: is asked for memory and whether to go on. What was charged is returned when the check is done; after
  ///   an error all of it is to be given back.
  /// - Returns: the bytes that were charged, which nothing holds any more.
  /// - Throws: the first error found. Sections are checked in the order of the binary format. A module that passes is within
  ///   ``ModuleLimits``.
  @discardableResult
  public static func validate(
    _ module: Module, features: WasmFeatures? = nil, supervision: Supervision = .none
  ) throws(ValidationError) -> Int {
    var validator = Validator(module: module, features: features ?? module.features, supervision: supervision)
    return try validator.validate()
  }

  private init(module: Module, features: WasmFeatures, supervision: Supervision) {
    self.module = module
    self.features = features
    self.supervision = supervision
    self.declaredFunctions = Array(repeating: false, count: module.functionTypeIndices.count)
    self.grant = Grant(supervision)
  }

  /// Asks for memory.
  private mutating func take(_ byteCount: Int, at offset: Int) throws(ValidationError) {
    guard grant.take(byteCount) else {
      throw ValidationError("the module needs more memory than is granted", at: offset, reason: .outOfMemory)
    }
  }

  /// Counts an item, and asks now and then whether to go on.
  @inline(__always)
  private mutating func countItem(at offset: Int) throws(ValidationError) {
    itemCount += 1
    guard itemCount >= Self.itemInterval else { return }
    itemCount = 0
    if supervision.shouldStop() { throw ValidationError("checking the module was stopped", at: offset, reason: .stopped) }
  }

  private static let itemInterval = 4096

  private mutating func validate() throws(ValidationError) -> Int {
    try take(declaredFunctions.count, at: 0)
    try validateTypes()
    for (index, type) in module.functionTypeIndices.enumerated() where Int(type) >= module.types.count {
      throw ValidationError("unknown type \(type)", at: module.definitionOffsets.functions[index])
    }
    for (index, type) in module.tables.enumerated() {
      try validate(type, at: module.definitionOffsets.tables[index])
    }
    for (index, initializer) in module.tableInitializers.enumerated() {
      guard let initializer else { continue }
      // Tables come before the globals that the module defines, so only imported ones are visible.
      let type = module.tables[module.importedTableCount + index].elementType
      try validate(initializer, type: type, visibleGlobalCount: module.importedGlobalCount)
    }
    for (index, type) in module.memories.enumerated() {
      try validate(type, at: module.definitionOffsets.memories[index])
    }
    if module.memories.count > 1, !features.contains(.multiMemory) {
      throw ValidationError("multiple memories", at: module.definitionOffsets.memories[1])
    }
    if module.tables.count > 1, !features.contains(.referenceTypes) {
      throw ValidationError("multiple tables", at: module.definitionOffsets.tables[1])
    }
    try validateGlobals()
    try validateExports()
    try validateStart()
    try validateElementSegments()
    try validateDataSegments()
    return try validateBodies()
  }

  /// Checks the function bodies. One value serves all of them.
  private mutating func validateBodies() throws(ValidationError) -> Int {
    try take(TypeLists.byteCount(of: module.types), at: 0)
    var lists = TypeLists()
    lists.reserve(typeCount: module.types.count)
    for type in module.types {
      try countItem(at: 0)
      lists.append(type)
    }
    var bodies = FunctionValidator(module: module, features: features, lists: lists, supervision: supervision, grant: grant)
    bodies.declaredFunctions = declaredFunctions
    for (index, body) in module.functionBodies.enumerated() {
      try countItem(at: body.codeRange.lowerBound)
      try bodies.validate(body, function: module.importedFunctionCount + index)
    }
    return bodies.grant.byteCount
  }

  private func validateTypes() throws(ValidationError) {
    guard !features.contains(.multiValue) else { return }
    for type in module.types where type.results.count > 1 {
      throw ValidationError("invalid result arity", at: 0)
    }
  }
}

// MARK: - Types

extension Validator {
  private func validate(_ type: TableType, at offset: Int) throws(ValidationError) {
    try validateOrder(type.limits, at: offset)
    let most = type.addressType == .i32 ? UInt64(UInt32.max) : UInt64.max
    guard max(type.limits.minimum, type.limits.maximum ?? 0) <= most else {
      throw ValidationError("table size must be at most 2^32-1 elements", at: offset)
    }
  }

  private func validateOrder(_ limits: Limits, at offset: Int) throws(ValidationError) {
    if let maximum = limits.maximum, maximum < limits.minimum {
      throw ValidationError("size minimum must not be greater than maximum", at: offset)
    }
  }

  /// The rules for memory types; those of attributes in the order of their table, the first broken one decides.
  private func validate(_ type: MemoryType, at offset: Int) throws(ValidationError) {
    let attributes = type.attributes
    guard type.pageByteCountLog2 == 16 || type.pageByteCountLog2 == 0 else {
      throw ValidationError("invalid custom page size", at: offset)
    }
    try validateOrder(type.limits, at: offset)
    if attributes.isMappable {
      guard type.limits.maximum != nil else { throw ValidationError("virtual memory must have maximum", at: offset) }
      guard type.pageByteCountLog2 == 16 else {
        throw ValidationError("virtual memory must have default page size", at: offset)
      }
      let hasSections = attributes.noAccess != nil || attributes.readOnly != nil
      guard !hasSections, !(attributes.isVirtual && attributes.mappable != nil) else {
        throw ValidationError("conflicting memory attributes", at: offset)
      }
      // A mappable part has a page at least.
      if let mappable = attributes.mappable, mappable == 0 || mappable > type.limits.maximum ?? 0 {
        throw ValidationError("mappable size must not exceed maximum", at: offset)
      }
    }
    let most = type.pageCountMaximum
    for bound in [type.limits.minimum, type.limits.maximum ?? 0] {
      guard let total = type.totalPageCount(bound), total <= most else {
        let text =
          switch (type.addressType, type.pageByteCountLog2) {
          case (.i32, 16): "65536 pages (4GiB)"
          case (_, 16): "2^48 pages"
          case (.i32, _): "2^32-1 pages of one byte"
          default: "2^64-1 pages of one byte"
          }
        throw ValidationError("memory size must be at most \(text)", at: offset)
      }
    }
    if type.isShared, type.limits.maximum == nil {
      throw ValidationError("shared memory must have maximum", at: offset)
    }
  }
}

extension MemoryType {
  /// The most pages that the address type can reach.
  public var pageCountMaximum: UInt64 {
    switch (addressType, pageByteCountLog2) {
    case (.i32, 16): 1 << 16
    case (.i64, 16): 1 << 48
    case (.i32, _): UInt64(UInt32.max)
    case (.i64, _): UInt64.max
    }
  }

  /// `pageCount` with the static sections before it; nil when the sum overflows.
  public func totalPageCount(_ pageCount: UInt64) -> UInt64? {
    let (sections, overflow) = attributes.noAccessPageCount.addingReportingOverflow(attributes.readOnlyPageCount)
    let (total, totalOverflow) = sections.addingReportingOverflow(pageCount)
    return overflow || totalOverflow ? nil : total
  }
}

// MARK: - Definitions

extension Validator {
  private mutating func validateGlobals() throws(ValidationError) {
    for (index, initializer) in module.globalInitializers.enumerated() {
      try countItem(at: initializer.codeRange.lowerBound)
      let global = module.importedGlobalCount + index
      // An initialiser sees the globals before its own.
      try validate(initializer, type: module.globals[global].valueType, visibleGlobalCount: global)
    }
  }

  private mutating func validateExports() throws(ValidationError) {
    // A set has up to three places for an item.
    try take(module.exports.count * 3 * (MemoryLayout<Name>.stride + 1), at: 0)
    var names = Set<Name>(minimumCapacity: module.exports.count)
    for export in module.exports {
      try countItem(at: export.offset)
      let count =
        switch export.kind {
        case .function: module.functionTypeIndices.count
        case .table: module.tables.count
        case .memory: module.memories.count
        case .global: module.globals.count
        }
      guard Int(export.index) < count else {
        throw ValidationError("unknown \(export.kind) \(export.index)", at: export.offset)
      }
      guard names.insert(export.name).inserted else {
        throw ValidationError("duplicate export name \"\(export.name)\"", at: export.offset)
      }
      if export.kind == .function { declaredFunctions[Int(export.index)] = true }
    }
  }

  private func validateStart() throws(ValidationError) {
    guard let start = module.startFunction else { return }
    guard Int(start) < module.functionTypeIndices.count else {
      throw ValidationError("unknown function \(start)", at: module.startOffset)
    }
    let type = module.functionType(at: Int(start))
    guard type.parameters.isEmpty, type.results.isEmpty else {
      throw ValidationError("start function must have type [] -> []", at: module.startOffset)
    }
  }

  private mutating func validateElementSegments() throws(ValidationError) {
    for segment in module.elementSegments {
      if case .active(let table, let offset) = segment.mode {
        guard Int(table) < module.tables.count else { throw ValidationError("unknown table \(table)", at: segment.offset) }
        let tableType = module.tables[Int(table)]
        try validate(offset, type: tableType.addressType.valueType, visibleGlobalCount: module.globals.count)
        guard tableType.elementType == segment.type else {
          throw ValidationError(
            "type mismatch: segment of \(segment.type), table of \(tableType.elementType)", at: segment.offset)
        }
      }
      switch segment.items {
      case .functions(let functions):
        for function in functions {
          try countItem(at: segment.offset)
          guard Int(function) < module.functionTypeIndices.count else {
            throw ValidationError("unknown function \(function)", at: segment.offset)
          }
          declaredFunctions[Int(function)] = true
        }
      case .expressions(let expressions):
        for expression in expressions {
          try countItem(at: segment.offset)
          try validate(expression, type: segment.type, visibleGlobalCount: module.globals.count)
        }
      }
    }
  }

  private mutating func validateDataSegments() throws(ValidationError) {
    for segment in module.dataSegments {
      try countItem(at: segment.offset)
      guard case .active(let memory, let offset) = segment.mode else { continue }
      guard Int(memory) < module.memories.count else { throw ValidationError("unknown memory \(memory)", at: segment.offset) }
      try validate(offset, type: module.memories[Int(memory)].addressType.valueType, visibleGlobalCount: module.globals.count)
    }
  }
}

// MARK: - Constant expressions

extension Validator {
  /// Checks a constant expression: only constant instructions, and one value of `type` at the end.
  /// - Parameter visibleGlobalCount: globals with smaller indices may be read.
  private mutating func validate(
    _ expression: ConstantExpression, type: ValueType, visibleGlobalCount: Int
  ) throws(ValidationError) {
    var reader = module.instructions(of: expression)
    var stack: [ValueType] = []
    var offset = expression.codeRange.lowerBound
    while let instruction = try nextInstruction(&reader) {
      offset = instruction.offset
      try countItem(at: offset)
      guard stack.count <= ModuleLimits.constantOperandCountMax else {
        throw ValidationError(
          "constant expression too large: more than \(ModuleLimits.constantOperandCountMax) operands", at: offset, reason: .overLimit)
      }
      switch (instruction.opcode, instruction.immediates) {
      case (.i32Const, _): stack.append(.i32)
      case (.i64Const, _): stack.append(.i64)
      case (.f32Const, _): stack.append(.f32)
      case (.f64Const, _): stack.append(.f64)
      case (.v128Const, _): stack.append(.v128)
      case (.refNull, .referenceType(let type)): stack.append(type)
      case (.refFunc, .index(let function)):
        guard Int(function) < module.functionTypeIndices.count else {
          throw ValidationError("unknown function \(function)", at: offset)
        }
        declaredFunctions[Int(function)] = true
        stack.append(.funcref)
      case (.refMem, .index(let memory)):
        guard Int(memory) < module.memories.count else { throw ValidationError("unknown memory \(memory)", at: offset) }
        stack.append(.memref)
      case (.globalGet, .index(let global)):
        guard Int(global) < visibleGlobalCount else { throw ValidationError("unknown global \(global)", at: offset) }
        let globalType = module.globals[Int(global)]
        guard !globalType.isMutable else { throw ValidationError("constant expression required", at: offset) }
        if Int(global) >= module.importedGlobalCount, !features.contains(.extendedConstants) {
          throw ValidationError("constant expression required", at: offset)
        }
        stack.append(globalType.valueType)
      case (.i32Add, _), (.i32Sub, _), (.i32Mul, _), (.i64Add, _), (.i64Sub, _), (.i64Mul, _):
        guard features.contains(.extendedConstants) else { throw ValidationError("constant expression required", at: offset) }
        let operand: ValueType = [.i32Add, .i32Sub, .i32Mul].contains(instruction.opcode) ? .i32 : .i64
        guard stack.popLast() == operand, stack.popLast() == operand else { throw ValidationError("type mismatch", at: offset) }
        stack.append(operand)
      case (.end, _): break
      default: throw ValidationError("constant expression required", at: offset)
      }
    }
    guard stack == [type] else {
      let found = stack.prefix(16).map(\.description).joined(separator: " ") + (stack.count > 16 ? " ..." : "")
      throw ValidationError("type mismatch: the expression must give [\(type)], not [\(found)]", at: offset)
    }
  }
}

/// The next instruction. The parser has read it before, so it can fail only when the features differ.
@inline(__always)
func nextInstruction(_ reader: inout InstructionReader) throws(ValidationError) -> Instruction? {
  do { return try reader.next() } catch { throw ValidationError(error.message, at: error.offset) }
}
