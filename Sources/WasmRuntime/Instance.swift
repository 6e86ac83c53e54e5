import CInterpreter
import WebAssembly

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A module instantiated in a store.
public final class Instance {
  public let store: Store
  let state: InstanceState

  /// Links the imports, makes memories, tables and globals, copies the active segments and runs the start function.
  /// - Throws: `.link`, `.limit`, or `.trap` from a segment or the start function, also `deadlineExceeded` and `cancelled`: the store's
  ///   deadline holds from here on. What a trapping instantiation has written to
  ///   imported memories and tables stays written, as the specification has it.
  public init(store: Store, module: CompiledModule, imports: Imports = Imports()) throws(WasmError) {
    guard module.engine === store.engine else { throw .limit("module and store belong to different engines") }
    guard store.instances.count < store.limits.instanceCountMax else {
      throw .limit("more than \(store.limits.instanceCountMax) instances in one store")
    }
    try store.pauseInstantiation()
    let state = try InstanceState(store: store, compiled: module, imports: imports)
    self.store = store
    self.state = state
    store.instances.append(state)
    try state.initialize(store: store)
  }

  init(store: Store, state: InstanceState) {
    self.store = store
    self.state = state
  }

  public var module: CompiledModule { state.compiled }

  /// What the module exports under a name.
  public subscript(export name: String) -> ExternalValue? {
    guard let export = state.compiled.exportsByName[Name(name)] else { return nil }
    return value(of: export)
  }

  /// Every export with its name, in the module's order.
  public var exports: [(name: String, value: ExternalValue)] {
    state.module.exports.map { ($0.name.string, value(of: $0)) }
  }

  /// The exported function of a name, nil if there is none or it is something else.
  public func function(_ name: String) -> Function? {
    if case .function(let function)? = self[export: name] { function } else { nil }
  }

  /// The exported memory of a name.
  public func memory(_ name: String) -> Memory? {
    if case .memory(let memory)? = self[export: name] { memory } else { nil }
  }

  private func value(of export: Export) -> ExternalValue {
    let index = Int(export.index)
    switch export.kind {
    case .function:
      return .function(
        unsafe Function(store: store, type: state.module.functionType(at: index), pointer: UnsafePointer(state.functions[index]!)))
    case .table: return .table(Table(store: store, storage: state.tables[index]))
    case .memory: return .memory(state.memories[index])
    case .global: return .global(Global(store: store, storage: state.globals[index]))
    }
  }
}

/// What an instance is made of: the records of the core, and what keeps them alive. Lives as long as its store.
@safe
final class InstanceState {
  let compiled: CompiledModule
  let context: ExecutionContext
  var module: Module { compiled.module }

  /// The record the core runs with; its views follow it.
  let pointer: UnsafeMutablePointer<bindery_instance>
  /// Imported functions, then those of this instance, which lie in `definedFunctions`.
  let functions: UnsafeMutableBufferPointer<UnsafeMutablePointer<bindery_function>?>
  private let definedFunctions: UnsafeMutableBufferPointer<bindery_function>
  /// All of these in one piece, charged to the budget with the globals that the instance defines.
  private let records: UnsafeMutableRawPointer
  private let chargedByteCount: UInt64
  private let budget: ResourceBudget
  private let globalCells: UnsafeMutableBufferPointer<UnsafeMutablePointer<bindery_slot>?>
  private let tableCells: UnsafeMutableBufferPointer<UnsafeMutablePointer<bindery_table>?>

  var memories: [Memory] = []
  var tables: [TableStorage] = []
  var globals: [GlobalStorage] = []
  /// References of the element segments; nil where one has been dropped.
  var elementSegments: [ReferenceBuffer?] = []
  var dataSegmentIsDropped: [Bool]
  private var registeredViewCount = 0
  /// What the view for references looks at.
  var selectedMemory: Memory?
  private unowned let store: Store

  init(store: Store, compiled: CompiledModule, imports: Imports) throws(WasmError) {
    let module = compiled.module
    guard module.tables.count <= store.limits.tableCountMax else {
      throw .limit("the module has \(module.tables.count) tables: the limit is \(store.limits.tableCountMax)")
    }
    self.compiled = compiled
    self.context = store.context
    self.store = store
    self.dataSegmentIsDropped = Array(repeating: false, count: module.dataSegments.count)
    memories.reserveCapacity(module.memories.count)
    tables.reserveCapacity(module.tables.count)
    globals.reserveCapacity(module.globals.count)
    elementSegments.reserveCapacity(module.elementSegments.count)

    // One view more than there are memories: that for references.
    let layout = RecordLayout(module: module)
    budget = store.budget
    chargedByteCount = UInt64(layout.byteCount) + UInt64(module.globalInitializers.count) * 96
    guard budget.charge(chargedByteCount, to: .code) else {
      throw .limit(
        "an instance of \(module.functionBodies.count) functions: the memory limit is \(budget.byteCountMax) bytes, of which \(budget.usedByteCount) are used")
    }
    // SAFETY: owned by this object; zeroes, which every record starts from. Cells are filled below, before the core sees them.
    guard let memory = unsafe calloc(layout.byteCount, 1) else {
      budget.credit(chargedByteCount, to: .code)
      throw .limit("an instance of \(module.functionBodies.count) functions: the system has no memory for \(layout.byteCount) bytes")
    }
    unsafe records = unsafe memory
    unsafe pointer = memory.assumingMemoryBound(to: bindery_instance.self)
    unsafe definedFunctions = unsafe layout.buffer(in: memory, at: layout.definedFunctions, count: module.functionBodies.count)
    unsafe functions = unsafe layout.buffer(in: memory, at: layout.functions, count: module.functionTypeIndices.count)
    unsafe globalCells = unsafe layout.buffer(in: memory, at: layout.globals, count: module.globals.count)
    unsafe tableCells = unsafe layout.buffer(in: memory, at: layout.tables, count: module.tables.count)
    unsafe pointer.pointee = bindery_instance(
      functions: functions.baseAddress, globals: globalCells.baseAddress, tables: tableCells.baseAddress,
      owner: Unmanaged.passUnretained(self).toOpaque())

    try link(imports, store: store)
    try define(store: store)
  }

  deinit {
    // SAFETY: the store is gone, so nothing runs. Views end before the memories may.
    deselect()
    for index in 0..<registeredViewCount {
      unsafe memories[index].unregister(bindery_instance_view(pointer, UInt32(index)))
      memories[index].leave(context)
    }
    unsafe free(records)
    budget.credit(chargedByteCount, to: .code)
  }

  /// The reference to a function of the index space.
  func reference(_ index: Int) -> UInt64 { unsafe UInt64(UInt(bitPattern: functions[index])) }

  // MARK: Linking

  private func link(_ imports: Imports, store: Store) throws(WasmError) {
    var functionIndex = 0
    for wanted in module.imports {
      try store.pauseInstantiation()
      guard let found = imports[wanted.module, wanted.name] else {
        throw .link(LinkError(code: .unknownImport, module: wanted.module.string, name: wanted.name.string, details: "which nothing defines"))
      }
      func mismatch(_ expected: String, _ found: String) -> WasmError {
        .link(
          LinkError(
            code: .incompatibleImportType, module: wanted.module.string, name: wanted.name.string,
            details: "expected \(expected), found \(found)"))
      }
      switch (wanted.kind, found) {
      case (.function(let typeIndex), .function(let function)):
        guard function.store === store else { throw mismatch("a function of this store", "one of another") }
        let type = module.types[Int(typeIndex)]
        guard function.type == type else { throw mismatch("\(type)", "\(function.type)") }
        // SAFETY: the function lives as long as the store.
        unsafe functions[functionIndex] = UnsafeMutablePointer(mutating: function.pointer)
        functionIndex += 1
      case (.memory(let type), .memory(let memory)):
        guard memory.matches(type) else { throw mismatch("\(type)", "\(memory.type) of \(memory.pageCount) pages") }
        memories.append(memory)
      case (.table(let type), .table(let table)):
        guard table.store === store else { throw mismatch("a table of this store", "one of another") }
        guard table.storage.matches(type) else { throw mismatch("\(type)", "\(table.type) of \(table.count) elements") }
        tables.append(table.storage)
      case (.global(let type), .global(let global)):
        guard global.store === store else { throw mismatch("a global of this store", "one of another") }
        guard global.type == type else { throw mismatch("\(type)", "\(global.type)") }
        globals.append(global.storage)
      default:
        throw mismatch("\(wanted.kind)", found.kindName)
      }
    }
  }

  // MARK: Definitions

  private func define(store: Store) throws(WasmError) {
    let module = self.module
    // SAFETY: one record per body, one cell per index.
    for index in module.functionBodies.indices {
      let functionIndex = module.importedFunctionCount + index
      let type = module.functionType(at: functionIndex)
      let record = unsafe definedFunctions.baseAddress! + index
      unsafe record.initialize(
        to: bindery_function(
          code: UnsafePointer(compiled.code.baseAddress! + index), instance: pointer, host: nil,
          owner: Unmanaged.passUnretained(self).toOpaque(),
          type_id: compiled.typeNumbers[Int(module.functionTypeIndices[functionIndex])],
          parameter_count: UInt32(type.parameters.count), result_count: UInt32(type.results.count), index: UInt32(functionIndex)))
      unsafe functions[functionIndex] = record
    }
    for type in module.tables[module.importedTableCount...] { 
      tables.append(try TableStorage(type: type, limits: store.limits, budget: store.budget))
    }
    for type in module.memories[module.importedMemoryCount...] {
      var limits = store.limits.memoryLimits
      limits.reservationByteCountMax = min(limits.reservationByteCountMax, store.limits.memoryByteCountMax)
      do throws(MemoryAllocationError) {
        memories.append(try Memory(type: type, limits: limits, budget: store.budget, deferringStaticSections: true))
      } catch {
        throw .limit(error.description)
      }
    }
    for (index, memory) in memories.enumerated() {
      unsafe memory.register(bindery_instance_view(pointer, UInt32(index)), run: store.context.run)
      memory.join(context)
      registeredViewCount = index + 1
    }
    for (index, initializer) in module.globalInitializers.enumerated() {
      try store.pauseInstantiation()
      let type = module.globals[module.importedGlobalCount + index]
      globals.append(GlobalStorage(type: type, bits: try evaluate(initializer)))
    }
    for (index, global) in globals.enumerated() { unsafe globalCells[index] = global.pointer }
    for (index, table) in tables.enumerated() { unsafe tableCells[index] = table.pointer }
    for (index, initializer) in module.tableInitializers.enumerated() {
      guard let initializer else { continue }
      let table = tables[module.importedTableCount + index]
      let value = try evaluate(initializer).low
      do throws(Trap) { _ = try table.fill(0, value, table.count) { () throws(Trap) in try store.pause() } } catch { throw .trap(error) }
    }
    for segment in module.elementSegments {
      try store.pauseInstantiation()
      elementSegments.append(try references(of: segment))
    }
  }

  private func references(of segment: ElementSegment) throws(WasmError) -> ReferenceBuffer {
    switch segment.items {
    case .functions(let indices):
      let buffer = try ReferenceBuffer(count: indices.count, budget: store.budget)
      for (position, index) in indices.enumerated() { buffer[position] = reference(Int(index)) }
      return buffer
    case .expressions(let expressions):
      let buffer = try ReferenceBuffer(count: expressions.count, budget: store.budget)
      for (position, expression) in expressions.enumerated() {
        if position % 1024 == 1023 { try store.pauseInstantiation() }
        buffer[position] = try evaluate(expression).low
      }
      return buffer
    }
  }

  // MARK: Initialisation

  /// Active segments in order, the lock of static sections, the start function.
  fileprivate func initialize(store: Store) throws(WasmError) {
    for (index, segment) in module.elementSegments.enumerated() {
      try store.pauseInstantiation()
      switch segment.mode {
      case .passive: continue
      case .declarative: break
      case .active(let table, let offset):
        let start = try evaluate(offset).low
        let references = elementSegments[index]
        do throws(Trap) {
          let isDone = try tables[Int(table)].initialize(start, from: references, 0, UInt64(references?.count ?? 0)) { () throws(Trap) in
            try store.pause()
          }
          guard isDone else { throw Trap(.outOfBoundsTableAccess) }
        } catch { throw .trap(error) }
      }
      elementSegments[index] = nil
    }
    for (index, segment) in module.dataSegments.enumerated() {
      guard case .active(let memory, let offset) = segment.mode else { continue }
      try store.pauseInstantiation()
      let address = try evaluate(offset).low
      var isStopped = false
      do {
        // SAFETY: the segment's range was checked against the bytes by the parser.
        let isDone = try unsafe module.bytes.withUnsafeBytes { bytes in
          try unsafe memories[Int(memory)].initialize(UnsafeRawBufferPointer(rebasing: bytes[segment.range]), address: address) {
            store.dueTrapKind() != nil
          }
        }
        if !isDone { isStopped = true }
      } catch let error as MemoryAccessError {
        throw .trap(Trap(.memory(error.fault), message: error.description))
      } catch {
        preconditionFailure("initialize throws MemoryAccessError only")
      }
      if isStopped { throw .trap(Trap(store.dueTrapKind() ?? .cancelled)) }
      dataSegmentIsDropped[index] = true
    }
    for memory in memories[module.importedMemoryCount...] { memory.lockStaticSections() }
    if let start = module.startFunction {
      let pointer = unsafe UnsafePointer(functions[Int(start)]!)
      var results: [Value] = []
      try unsafe store.run(pointer, module.functionType(at: Int(start)), [], &results)
    }
  }

  /// The value of a constant expression, as a slot holds it.
  private func evaluate(_ expression: ConstantExpression) throws(WasmError) -> V128Bits {
    var reader = module.instructions(of: expression)
    var stack: [V128Bits] = []
    func binary(_ operation: (UInt64, UInt64) -> UInt64, is32: Bool) {
      let (b, a) = (stack.removeLast().low, stack.removeLast().low)
      let result = operation(a, b)
      stack.append(V128Bits(low: is32 ? result & 0xFFFF_FFFF : result, high: 0))
    }
    do {
      while let instruction = try reader.next() {
        if let bits = instruction.constantBits {
          stack.append(bits)
          continue
        }
        switch (instruction.opcode, instruction.immediates) {
        case (.globalGet, .index(let index)): stack.append(globals[Int(index)].bits)
        case (.refNull, _): stack.append(V128Bits(low: 0, high: 0))
        case (.refFunc, .index(let index)): stack.append(V128Bits(low: reference(Int(index)), high: 0))
        case (.refMem, .index(let index)):
          stack.append(V128Bits(low: store.reference(to: memories[Int(index)]).bits, high: 0))
        case (.i32Add, _): binary(&+, is32: true)
        case (.i32Sub, _): binary(&-, is32: true)
        case (.i32Mul, _): binary(&*, is32: true)
        case (.i64Add, _): binary(&+, is32: false)
        case (.i64Sub, _): binary(&-, is32: false)
        case (.i64Mul, _): binary(&*, is32: false)
        default: break
        }
      }
    } catch { throw .malformed(error) }
    guard let result = stack.last else { preconditionFailure("validated: a constant expression leaves its value") }
    return result
  }

  // MARK: Backtraces

  func stackFrame(functionIndex: Int, pc: UnsafePointer<UInt64>?, isReturnAddress: Bool) -> StackFrame {
    let name = compiled.functionName(functionIndex)
      ?? module.exports.first { $0.kind == .function && Int($0.index) == functionIndex }?.name.string
    return StackFrame(
      moduleName: compiled.moduleName, functionIndex: functionIndex, functionName: name,
      codeOffset: unsafe compiled.codeOffset(of: pc, functionIndex: functionIndex, isReturnAddress: isReturnAddress))
  }
}
