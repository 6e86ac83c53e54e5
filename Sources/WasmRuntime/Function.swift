import CInterpreter
import WebAssembly

/// A function of an instance or of the host, in a store.
@safe
public struct Function {
  public let store: Store
  public let type: FunctionType
  let pointer: UnsafePointer<bindery_function>

  init(store: Store, type: FunctionType, pointer: UnsafePointer<bindery_function>) {
    self.store = store
    self.type = type
    unsafe self.pointer = unsafe pointer
  }

  /// The function a reference of the store stands for.
  init(store: Store, reference: UInt64) {
    // SAFETY: references come from slots and tables of the store, whose functions live as long as it does.
    guard let pointer = unsafe UnsafePointer<bindery_function>(bitPattern: UInt(reference)), let owner = unsafe pointer.pointee.owner else {
      preconditionFailure("a reference that is not null is the address of a function")
    }
    let type =
      unsafe pointer.pointee.code == nil
      ? unsafe Unmanaged<HostFunction>.fromOpaque(owner).takeUnretainedValue().type
      : unsafe Unmanaged<InstanceState>.fromOpaque(owner).takeUnretainedValue().module.functionType(
        at: Int(pointer.pointee.index))
    unsafe self.init(store: store, type: type, pointer: pointer)
  }

  /// Makes a function of the host that guests of the store can import.
  ///
  /// The body gets its arguments and sets its results in registers: nothing is allocated per call. What it throws ends the run
  /// as a trap of kind `hostError` with that cause; a thrown `Trap`, `MemoryFault` or `MemoryAccessError` becomes the trap itself.
  /// - Parameter name: for messages only.
  public init(
    store: Store, type: FunctionType, name: String = "",
    host body: @escaping (Caller, Arguments, inout Results) throws -> Void
  ) {
    let host = HostFunction(store: store, type: type, name: name, body: body)
    store.hostFunctions.append(host)
    unsafe self.init(store: store, type: type, pointer: UnsafePointer(host.pointer))
  }

  /// Calls the function.
  /// - Throws: `.argumentMismatch` if count or types are not those of `type`, `.trap` if the guest was stopped.
  @discardableResult
  public func callAsFunction(_ arguments: [Value]) throws(WasmError) -> [Value] {
    var results: [Value] = []
    try call(arguments, results: &results)
    return results
  }

  /// The same for calls in a loop: with arrays that are used again, nothing is allocated per call.
  /// - Parameter results: is emptied and filled with the results; empty after a throw.
  public func call(_ arguments: [Value], results: inout [Value]) throws(WasmError) {
    results.removeAll(keepingCapacity: true)
    guard arguments.count == type.parameters.count else {
      throw .argumentMismatch("expected \(type.parameters.count) arguments of \(type), found \(arguments.count)")
    }
    for (index, argument) in arguments.enumerated() {
      guard argument.type == type.parameters[index] else {
        throw .argumentMismatch("argument \(index): expected \(type.parameters[index]), found \(argument.type)")
      }
      guard argument.belongs(to: store) else { throw .argumentMismatch("argument \(index): a function of another store") }
    }
    try unsafe store.run(pointer, type, arguments, &results)
  }

  @discardableResult
  public func callAsFunction(_ arguments: Value...) throws(WasmError) -> [Value] { try callAsFunction(arguments) }

  /// As a slot or a table holds it.
  var reference: UInt64 { unsafe UInt64(UInt(bitPattern: pointer)) }
}

/// Who called a host function.
@safe
public struct Caller {
  public let store: Store
  let pointer: UnsafeMutablePointer<bindery_instance>?

  /// Whether the run in progress is to end: to be asked by what works long, about every millisecond, on any thread.
  public var stopSignal: StopSignal { store.stopSignal }

  /// The instance whose code made the call; nil if the host did.
  public var instance: Instance? {
    // SAFETY: the instance is in the middle of the call.
    guard let owner = unsafe pointer?.pointee.owner else { return nil }
    return unsafe Instance(store: store, state: Unmanaged<InstanceState>.fromOpaque(owner).takeUnretainedValue())
  }

  /// A memory of the calling instance by its index, imported ones first.
  public func memory(at index: Int = 0) -> Memory? {
    // SAFETY: as above.
    guard let owner = unsafe pointer?.pointee.owner else { return nil }
    let memories = unsafe Unmanaged<InstanceState>.fromOpaque(owner).takeUnretainedValue().memories
    return index < memories.count ? memories[index] : nil
  }
}

/// The arguments of a call to the host, where the guest left them. Valid during the call only.
@safe
public struct Arguments {
  let slots: UnsafePointer<bindery_slot>
  let types: [ValueType]

  public var count: Int { types.count }

  // SAFETY (all): the index is checked against the types, one slot each.

  private func slot(_ index: Int, _ type: ValueType) -> bindery_slot {
    precondition(types[index] == type, "argument of another type")
    return unsafe slots[index]
  }

  public func i32(_ index: Int) -> UInt32 { unsafe slot(index, .i32).i32 }
  public func i64(_ index: Int) -> UInt64 { unsafe slot(index, .i64).i64 }
  public func f32(_ index: Int) -> Float { unsafe slot(index, .f32).f32 }
  public func f64(_ index: Int) -> Double { unsafe slot(index, .f64).f64 }
  public func v128(_ index: Int) -> V128Bits { slot(index, .v128).bits }

  /// Any argument as a value.
  public func value(_ index: Int, store: Store) -> Value {
    let type = types[index]
    return unsafe Value(bits: slots[index].bits, type: type, store: store)
  }
}

/// The results of a call to the host. What is not set is zero.
@safe
public struct Results {
  let slots: UnsafeMutablePointer<bindery_slot>
  let types: [ValueType]

  public var count: Int { types.count }

  // SAFETY (all): the index is checked against the types, one slot each.

  private func set(_ bits: V128Bits, _ type: ValueType, _ index: Int) {
    precondition(types[index] == type, "result of another type")
    unsafe slots[index].bits = bits
  }

  public mutating func set(_ value: UInt32, at index: Int = 0) { set(V128Bits(low: UInt64(value), high: 0), .i32, index) }
  public mutating func set(_ value: Int32, at index: Int = 0) { set(UInt32(bitPattern: value), at: index) }
  public mutating func set(_ value: UInt64, at index: Int = 0) { set(V128Bits(low: value, high: 0), .i64, index) }
  public mutating func set(_ value: Int64, at index: Int = 0) { set(UInt64(bitPattern: value), at: index) }
  public mutating func set(_ value: Float, at index: Int = 0) {
    set(V128Bits(low: UInt64(value.bitPattern), high: 0), .f32, index)
  }
  public mutating func set(_ value: Double, at index: Int = 0) { set(V128Bits(low: value.bitPattern, high: 0), .f64, index) }
  public mutating func set(_ value: V128Bits, at index: Int = 0) { set(value, .v128, index) }
  public mutating func set(_ value: Value, at index: Int = 0) { set(value.bits, value.type, index) }
}

/// A function of the host, and the record by which the core knows it.
@safe
final class HostFunction {
  let type: FunctionType
  let name: String
  let pointer: UnsafeMutablePointer<bindery_function>
  private unowned let store: Store
  private let body: (Caller, Arguments, inout Results) throws -> Void

  init(
    store: Store, type: FunctionType, name: String, body: @escaping (Caller, Arguments, inout Results) throws -> Void
  ) {
    self.store = store
    self.type = type
    self.name = name
    self.body = body
    // SAFETY: owned by this object, which the store keeps as long as it lives.
    unsafe pointer = UnsafeMutablePointer<bindery_function>.allocate(capacity: 1)
    unsafe pointer.initialize(
      to: bindery_function(
        code: nil, instance: nil, host: hostCall, owner: nil, type_id: store.engine.number(of: type),
        parameter_count: UInt32(type.parameters.count), result_count: UInt32(type.results.count), index: 0))
    unsafe pointer.pointee.owner = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit { unsafe pointer.deallocate() }

  /// Runs the body. Results are set apart from the arguments and moved over them afterwards.
  fileprivate func call(_ caller: UnsafeMutablePointer<bindery_instance>?, _ slots: UnsafeMutablePointer<bindery_slot>) -> Int32 {
    let (parameterCount, resultCount) = (type.parameters.count, type.results.count)
    // SAFETY: the core made room for arguments and results.
    let resultSlots = unsafe slots + parameterCount
    for index in 0..<resultCount { unsafe resultSlots[index] = bindery_slot(words: (0, 0)) }
    var results = unsafe Results(slots: resultSlots, types: type.results)
    do {
      try body(
        unsafe Caller(store: store, pointer: caller), unsafe Arguments(slots: UnsafePointer(slots), types: type.parameters),
        &results)
    } catch {
      store.pendingTrap = trap(for: error)
      return Int32(BINDERY_TRAP_HOST.rawValue)
    }
    if parameterCount > 0 {
      for index in 0..<resultCount { unsafe slots[index] = resultSlots[index] }
    }
    return 0
  }

  private func trap(for error: any Error) -> Trap {
    switch error {
    case let trap as Trap: trap
    case WasmError.trap(let trap): trap
    case let fault as MemoryFault: Trap(.memory(fault))
    case let error as MemoryAccessError: Trap(.memory(error.fault), message: error.description, cause: error)
    default: Trap(.hostError, message: "host function \(name.isEmpty ? "" : name + " ")failed: \(error)", cause: error)
    }
  }
}

/// The C function behind every host function.
private let hostCall:
  @convention(c) (
    UnsafeMutablePointer<bindery_context>?, UnsafePointer<bindery_function>?, UnsafeMutablePointer<bindery_slot>?
  ) -> Int32 = { context, function, slots in
    // SAFETY: the core passes a function of kind host, whose owner the store keeps, and the slots of its arguments.
    guard let context = unsafe context, let slots = unsafe slots, let owner = unsafe function?.pointee.owner else {
      preconditionFailure("a host function has an owner")
    }
    return unsafe Unmanaged<HostFunction>.fromOpaque(owner)._withUnsafeGuaranteedRef { host in
      unsafe host.call(context.pointee.caller_instance, slots)
    }
  }
