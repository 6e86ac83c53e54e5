import CInterpreter
import WebAssembly

/// A table of references, in a store.
@safe
public struct Table {
  public let store: Store
  let storage: TableStorage

  /// A table of the host, filled with null.
  /// - Throws: `.limit` if the minimum is beyond the store's `tableElementCountMax` or its budget.
  public init(store: Store, type: TableType) throws(WasmError) {
    self.init(store: store, storage: try TableStorage(type: type, limits: store.limits, budget: store.budget))
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
  /// - Returns: the old count, nil beyond the maximum, the limit or the budget.
  /// - Throws: `.trap` if the store is stopped meanwhile; the table is as it was then.
  public func grow(by delta: UInt64, value: Value) throws(WasmError) -> UInt64? {
    try check(value)
    do throws(Trap) {
      return try storage.grow(by: delta, value: value.bits.low) { () throws(Trap) in try store.pause() }
    } catch { throw .trap(error) }
  }

  private func check(_ value: Value) throws(WasmError) {
    guard value.type == type.elementType, value.belongs(to: store) else {
      throw .argumentMismatch("an element of this table is a \(type.elementType) of its store")
    }
  }
}
