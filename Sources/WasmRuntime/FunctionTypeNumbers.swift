import WebAssembly

/// Function types by number: an indirect call compares numbers. Types of modules that are gone are forgotten, and their numbers
/// used again, so that an engine does not grow with the modules it has seen.
struct FunctionTypeNumbers {
  private var entries: [FunctionType: (number: UInt32, userCount: Int)] = [:]
  private var free: [UInt32] = []

  var count: Int { entries.count }

  mutating func retain(_ type: FunctionType) -> UInt32 {
    if let entry = entries[type] {
      entries[type] = (entry.number, entry.userCount + 1)
      return entry.number
    }
    let number = free.popLast() ?? UInt32(entries.count)
    entries[type] = (number, 1)
    return number
  }

  mutating func release(_ type: FunctionType) {
    guard let entry = entries[type] else { preconditionFailure("what is released was retained") }
    guard entry.userCount == 1 else {
      entries[type] = (entry.number, entry.userCount - 1)
      return
    }
    entries[type] = nil
    free.append(entry.number)
  }
}

/// The engine's numbers of a module's types, held as long as this lives.
final class ModuleTypeNumbers: Sendable {
  private let engine: Engine
  private let types: [FunctionType]
  let numbers: [UInt32]

  /// - Throws: the trap of a work that is to stop.
  init(engine: Engine, types: [FunctionType], work: CompilationWork) throws(WasmError) {
    var numbers: [UInt32] = []
    numbers.reserveCapacity(types.count)
    // In parts, so that others do not wait for a module with a million types.
    for start in stride(from: 0, to: types.count, by: Self.partCount) {
      do { try work.checkProgress() } catch {
        engine.releaseNumbers(of: types[..<start])
        throw error
      }
      numbers += engine.retainNumbers(of: types[start..<min(types.count, start + Self.partCount)])
    }
    self.engine = engine
    self.types = types
    self.numbers = numbers
  }

  deinit {
    for start in stride(from: 0, to: types.count, by: Self.partCount) {
      engine.releaseNumbers(of: types[start..<min(types.count, start + Self.partCount)])
    }
  }

  private static let partCount = 1024
}
