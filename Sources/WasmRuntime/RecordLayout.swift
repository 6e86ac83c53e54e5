import CInterpreter
import WebAssembly

/// Where the records of an instance lie in one allocation: offsets in bytes.
///
///     | instance, views | defined functions | cells: functions, globals, tables |
struct RecordLayout {
  let definedFunctions: Int
  let functions: Int
  let globals: Int
  let tables: Int
  let byteCount: Int

  /// Counts of a module that was parsed: no larger than its bytes, so that nothing here overflows.
  init(module: Module) {
    // One view more than there are memories: that for references.
    let instance = bindery_instance_byte_count(UInt32(module.memories.count) + 1)
    definedFunctions = (instance + 15) / 16 * 16
    functions = unsafe definedFunctions + module.functionBodies.count * MemoryLayout<bindery_function>.stride
    globals = functions + module.functionTypeIndices.count * 8
    tables = globals + module.globals.count * 8
    byteCount = tables + module.tables.count * 8
  }

  func buffer<Record>(in memory: UnsafeMutableRawPointer, at offset: Int, count: Int) -> UnsafeMutableBufferPointer<Record> {
    // SAFETY: inside the allocation, by the layout, and aligned to what all of these records need.
    unsafe UnsafeMutableBufferPointer(start: (memory + offset).assumingMemoryBound(to: Record.self), count: count)
  }
}
