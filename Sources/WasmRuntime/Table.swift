import CInterpreter
import WebAssembly

/// A table of references, in a store.
@safe
public struct Table {
  public let store: Store
  let storage: TableStorage

  /// A table of the host, filled with null.
  /// - Throws: `.limit` if the minimum is beyond the store's `tableElementCountMax`.
  public init(store: Store, type: TableType) throws(WasmError) {
    self.init(store: store, storage: try TableStorage(type: type, limits: store.limits))
  }

  init(store: Store, storage: TableStorage) {
    self.store = store
    self.storage = storage
  }

  public var type: TableType { storage.type }
  /// Elements now.
  public var count: UInt64 { storage.count }

  /// The element at an index; nil past the end.
  public subscript(index: UInt64) -> Value? {
    guard index < storage.count else { return nil }
    return Value(bits: V128Bits(low: storage[index], high: 0), type: type.elementType, store: store)
  }

  /// Replaces an element. False past the end.
  public func set(_ value: Value, at index: UInt64) throws(WasmError) -> Bool {
    try check(value)
    guard index < storage.count else { return false }
    storage[index] = value.bits.low
    return true
  }

  /// Appends `delta` copies of a value.
  /// - Returns: the old count, nil beyond the maximum or the limit.
  public func grow(by delta: UInt64, value: Value) throws(WasmError) -> UInt64? {
    try check(value)
    return storage.grow(by: delta, value: value.bits.low)
  }

  private func check(_ value: Value) throws(WasmError) {
    guard value.type == type.elementType, value.belongs(to: store) else {
      throw .argumentMismatch("an element of this table is a \(type.elementType) of its store")
    }
  }
}

/// The elements of a table, and the record by which the core knows it.
@safe
final class TableStorage {
  let type: TableType
  let pointer: UnsafeMutablePointer<bindery_table>
  private let countMax: UInt64
  private var capacity: Int

  init(type: TableType, limits: ResourceLimits) throws(WasmError) {
    guard type.limits.minimum <= limits.tableElementCountMax else {
      throw .limit("a table of \(type.limits.minimum) elements: the limit is \(limits.tableElementCountMax)")
    }
    self.type = type
    let addressable = type.addressType == .i32 ? UInt64(UInt32.max) : .max
    self.countMax = min(type.limits.maximum ?? addressable, addressable, limits.tableElementCountMax)
    let count = Int(type.limits.minimum)
    self.capacity = count
    // SAFETY: owned by this object; `count` elements are initialised.
    unsafe pointer = UnsafeMutablePointer<bindery_table>.allocate(capacity: 1)
    let elements = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
    unsafe elements.initialize(repeating: 0, count: count)
    unsafe pointer.initialize(to: bindery_table(elements: elements, count: UInt64(count)))
  }

  deinit {
    unsafe pointer.pointee.elements.deallocate()
    unsafe pointer.deallocate()
  }

  var count: UInt64 { unsafe pointer.pointee.count }

  subscript(index: UInt64) -> UInt64 {
    // SAFETY: checked here.
    get {
      precondition(index < count, "an element of the table")
      return unsafe pointer.pointee.elements[Int(index)]
    }
    set {
      precondition(index < count, "an element of the table")
      unsafe pointer.pointee.elements[Int(index)] = newValue
    }
  }

  /// Whether [start, start + length) lies in the table.
  func contains(_ start: UInt64, _ length: UInt64) -> Bool { length <= count && start <= count - length }

  func grow(by delta: UInt64, value: UInt64) -> UInt64? {
    let old = count
    let (new, overflow) = old.addingReportingOverflow(delta)
    guard !overflow, new <= countMax else { return nil }
    if Int(new) > capacity {
      let larger = max(Int(new), min(capacity * 2, Int(countMax)))
      // SAFETY: the old elements are moved whole; the rest is initialised below before the count says so.
      let elements = UnsafeMutablePointer<UInt64>.allocate(capacity: larger)
      unsafe elements.moveInitialize(from: pointer.pointee.elements, count: Int(old))
      unsafe pointer.pointee.elements.deallocate()
      unsafe pointer.pointee.elements = unsafe elements
      capacity = larger
    }
    unsafe (pointer.pointee.elements + Int(old)).initialize(repeating: value, count: Int(delta))
    unsafe pointer.pointee.count = new
    return old
  }

  /// Whether this table may be imported where `required` is declared.
  func matches(_ required: TableType) -> Bool {
    guard type.elementType == required.elementType, type.addressType == required.addressType,
      count >= required.limits.minimum
    else { return false }
    guard let requiredMaximum = required.limits.maximum else { return true }
    guard let maximum = type.limits.maximum else { return false }
    return maximum <= requiredMaximum
  }
}

/// A global variable, in a store.
public struct Global {
  public let store: Store
  let storage: GlobalStorage

  /// A global of the host.
  /// - Throws: `.argumentMismatch` if the value has another type.
  public init(store: Store, type: GlobalType, value: Value) throws(WasmError) {
    guard value.type == type.valueType, value.belongs(to: store) else {
      throw .argumentMismatch("expected a \(type.valueType), found a \(value.type)")
    }
    self.init(store: store, storage: GlobalStorage(type: type, bits: value.bits))
  }

  init(store: Store, storage: GlobalStorage) {
    self.store = store
    self.storage = storage
  }

  public var type: GlobalType { storage.type }

  public var value: Value { Value(bits: storage.bits, type: type.valueType, store: store) }

  /// - Throws: `.argumentMismatch` if the global is immutable or the value has another type.
  public func set(_ value: Value) throws(WasmError) {
    guard type.isMutable, value.type == type.valueType, value.belongs(to: store) else {
      throw .argumentMismatch("the global is \(type.isMutable ? "a \(type.valueType)" : "immutable")")
    }
    storage.bits = value.bits
  }
}

@safe
final class GlobalStorage {
  let type: GlobalType
  let pointer: UnsafeMutablePointer<bindery_slot>

  init(type: GlobalType, bits: V128Bits) {
    self.type = type
    // SAFETY: owned by this object.
    unsafe pointer = UnsafeMutablePointer<bindery_slot>.allocate(capacity: 1)
    unsafe pointer.initialize(to: bindery_slot(words: (bits.low, bits.high)))
  }

  deinit { unsafe pointer.deallocate() }

  var bits: V128Bits {
    get { unsafe pointer.pointee.bits }
    set { unsafe pointer.pointee.bits = newValue }
  }
}
