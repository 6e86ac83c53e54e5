import CInterpreter
import WebAssembly

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
