import CInterpreter
import WebAssembly

/// A memory as a value of a guest: it can be passed, stored in tables and globals, and loaded and stored through by modules that
/// did not declare or import it. Made by `Store.reference(to:)`, or by the guest's `ref.mem`.
///
/// A reference is good for the life of its store, which keeps the memory alive from the first reference on: guests may have
/// stored it anywhere.
public struct MemoryReference {
  public let store: Store
  public let memory: Memory

  /// As a slot or a table holds it: a number that is never 0.
  var bits: UInt64 { Self.bits(of: memory) }

  init(store: Store, memory: Memory) {
    self.store = store
    self.memory = memory
  }

  /// From a slot.
  init(store: Store, bits: UInt64) {
    guard let memory = store.referencedMemories[bits] else {
      preconditionFailure("a reference that is not null was made by the store")
    }
    self.init(store: store, memory: memory)
  }

  static func bits(of memory: Memory) -> UInt64 { UInt64(UInt(bitPattern: ObjectIdentifier(memory))) }
}

extension Store {
  /// A reference to a memory, for guests of this store. Costs a lookup.
  public func reference(to memory: Memory) -> MemoryReference {
    referencedMemories[MemoryReference.bits(of: memory)] = memory
    return MemoryReference(store: self, memory: memory)
  }
}

extension InstanceState {
  /// The view through which this instance reaches memories by reference: the one behind those of its own memories.
  var referenceViewIndex: UInt32 { UInt32(module.memories.count) }

  /// Turns that view to a memory. Costs two locks when it is another one than the last.
  func select(_ memory: Memory) {
    guard selectedMemory !== memory else { return }
    deselect()
    // SAFETY: the instance was made with room for this view, and it is alive until `deselect`.
    unsafe memory.register(bindery_instance_view(pointer, referenceViewIndex), run: context.run)
    memory.join(context)
    selectedMemory = memory
  }

  func deselect() {
    // SAFETY: as above.
    unsafe selectedMemory?.unregister(bindery_instance_view(pointer, referenceViewIndex))
    selectedMemory?.leave(context)
    selectedMemory = nil
  }
}
