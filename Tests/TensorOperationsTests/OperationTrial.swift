import TensorOperations
import Tensors
import WasmRuntime
import WebAssembly

/// Calls operations with arguments that an adversary or a random generator chose, and sees to it that nothing but the outputs changes: for
/// tests and fuzzers.
///
/// Most arguments are made to pass the checks (small shapes, operands that lie apart, positions that lie in the cache), because what lies
/// behind the checks is what is tried; the source decides, and some of what it says is wild.
final class OperationTrial {
  /// How a call ended.
  enum Outcome: Equatable, Sendable { case done, refused, trapped }

  /// A byte outside the outputs is another than before.
  struct Violation: Error, CustomStringConvertible {
    let description: String
  }

  private let memories: ProgramMemories
  private let store: Store
  private let functions: [(operation: TensorOperation, function: Function)]
  private static let pageCount: UInt64 = 8
  private static let byteCount = 65536 * pageCount

  /// - Parameter threadCount: of a pool of its own.
  init(provider: TensorProvider, engine: Engine, threadCount: Int) throws {
    func memory(isVirtual: Bool) throws -> Memory {
      try Memory(
        type: MemoryType(
          addressType: .i64, limits: Limits(minimum: Self.pageCount, maximum: Self.pageCount),
          attributes: MemoryAttributes(isVirtual: isVirtual)))
    }
    memories = ProgramMemories(
      weights: try memory(isVirtual: true), cache: try memory(isVirtual: true), scratch: try memory(isVirtual: false))
    _ = try memories.weights.map(address: 0, byteCount: Self.byteCount, protection: .readWrite)
    // The last pages of the cache stay unmapped.
    _ = try memories.cache.map(address: 0, byteCount: Self.byteCount * 3 / 4, protection: .readWrite)
    store = Store(engine: engine)
    store.fuel = .max
    var imports = Imports()
    try TensorModule.define(
      in: &imports, store: store, memories: memories, provider: provider, workers: WorkerPool(threadCount: threadCount))
    functions = TensorOperation.imports.compactMap { operation in
      guard case .function(let function)? = imports[TensorModule.name, operation.name] else { return nil }
      return (operation, function)
    }
  }

  /// Fills the memories with what the source gives, each byte of it many times.
  func fill(_ next: () -> UInt64) throws {
    for memory in [memories.weights, memories.scratch] {
      var bytes = [UInt8](repeating: 0, count: Int(Self.byteCount))
      var word = next()
      for index in bytes.indices {
        if index % 8 == 0 { word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
        // Exponents around 1, so that sums of products stay finite; every quantised block is valid.
        bytes[index] = index % 4 == 3 ? UInt8(truncatingIfNeeded: word >> 56) & 0x80 | 0x3E : UInt8(truncatingIfNeeded: word >> 33)
      }
      try memory.write(bytes, address: 0)
    }
  }

  /// Calls one operation.
  /// - Parameter next: any numbers.
  /// - Throws: `Violation`.
  func call(_ next: () -> UInt64) throws -> Outcome {
    let (operation, function) = functions[Int(next() % UInt64(functions.count))]
    let numbers = chooseNumbers(operation, next)
    let arguments = try place(operation, numbers, next)
    let scratch = try memories.scratch.read(address: 0, byteCount: Self.byteCount)
    let weights = try memories.weights.read(address: 0, byteCount: Self.byteCount)
    let mapped = Self.byteCount * 3 / 4
    let cache = try memories.cache.read(address: 0, byteCount: mapped)
    let values: [Value] = zip(arguments, function.type.parameters).map { argument, type in
      switch type {
      case .i64: .i64(argument)
      case .f32: .f32(UInt32(truncatingIfNeeded: argument))
      default: .i32(UInt32(truncatingIfNeeded: argument))
      }
    }
    var outcome = Outcome.done
    do throws(WasmError) { _ = try function(values) } catch {
      outcome = .trapped
      if case .trap(let trap) = error, trap.cause is OperationMisuse { outcome = .refused }
    }
    // What is refused by the native provider has not begun; kernels of the wasm provider refuse in the same way.
    let mayWrite = outcome != .refused
    try compare("weights", weights, memories.weights, [], operation, arguments)
    try compare(
      "scratch", scratch, memories.scratch, mayWrite ? outputs(operation, arguments) : [], operation, arguments)
    try compare(
      "cache", cache, memories.cache, mayWrite ? try appended(operation, arguments, scratch) : [], operation, arguments)
    return outcome
  }

  // MARK: Choosing

  /// Arguments that are no operands.
  private func chooseNumbers(_ operation: TensorOperation, _ next: () -> UInt64) -> [String: UInt64] {
    var numbers: [String: UInt64] = [:]
    let multiple: UInt64 = [1, 1, 32, 256][Int(next() % 4)]
    for parameter in operation.parameters {
      let wild = next() % 64 == 0
      let value: UInt64
      switch (parameter.kind, parameter.name) {
      case (.operand, _): continue
      case (.scalar, "eps"): value = UInt64(Float(1e-5).bitPattern)
      case (.scalar, "softcap"): value = next() % 2 == 0 ? 0 : UInt64(Float(20).bitPattern)
      case (.scalar, _): value = UInt64(Float(1 + next() % 10_000).bitPattern)
      case (.elementType, _): value = UInt64([0, 0, 1, 1, 2, 3, 6, 7, 8, 12, 14, 30][Int(next() % 12)])
      case (.elementCount, _): value = next() % (next() % 8 == 0 ? 60_000 : 300)
      case (_, "columns_in"): value = multiple * (1 + next() % 8)
      case (_, "columns"), (_, "width"): value = next() % 4 == 0 ? multiple * (1 + next() % 8) : next() % 300
      case (_, "columns_out"): value = next() % (next() % 8 == 0 ? 2000 : 100)
      case (_, "rows"): value = next() % (next() % 8 == 0 ? 200 : 12)
      case (_, "row_count_max"): value = 1 + next() % 20
      case (_, "kv_heads"): value = 1 + next() % 4
      case (_, "heads"): value = 1 + next() % 12
      case (_, "head_dim"): value = [1, 7, 8, 16, 20, 64, 96, 128][Int(next() % 8)]
      case (_, "rope_dim"): value = 2 * (next() % 8)
      case (_, "k"): value = next() % 50
      case (_, "mode"): value = next() % 2
      case (_, "window"): value = next() % 3 == 0 ? next() % 70 : 0
      case (_, "chunk_positions"): value = 1 + next() % 40
      default: value = next() % 1000
      }
      numbers[parameter.name] = wild ? [UInt64.max, 1 << 31, (1 << 31) - 1, 1 << 62, 0, next()][Int(next() % 6)] : value
    }
    if let heads = numbers["heads"], let keyValueHeads = numbers["kv_heads"], next() % 32 != 0 {
      numbers["heads"] = max(1, heads / max(1, keyValueHeads)) &* keyValueHeads
    }
    if let columns = numbers["columns"], let k = numbers["k"], next() % 16 != 0 { numbers["k"] = min(k, columns) }
    if let dimension = numbers["head_dim"], let rope = numbers["rope_dim"], next() % 16 != 0 { numbers["rope_dim"] = min(rope, dimension & ~1) }
    // Cache rows of at most 2 KiB; strides that hold a chunk, mostly.
    if let positions = numbers["chunk_positions"] {
      let width = numbers["width"] ?? (numbers["kv_heads"] ?? 1) &* (numbers["head_dim"] ?? 1)
      let row = width &* (numbers["type"] == 0 ? 4 : 2)
      let chunk = row &* positions
      for name in ["plane_offset", "value_plane_offset"] where numbers[name] != nil && next() % 8 != 0 { numbers[name] = chunk }
      if next() % 16 != 0 { numbers["chunk_stride"] = chunk &* 2 &+ next() % 64 }
      if next() % 16 != 0 { numbers["type"] = next() % 2 }
    }
    return numbers
  }

  /// All arguments: operands are put one after another, now and then anywhere.
  private func place(_ operation: TensorOperation, _ numbers: [String: UInt64], _ next: () -> UInt64) throws -> [UInt64] {
    var ends: [TensorOperation.MemoryName: UInt64] = [:]
    return try operation.parameters.map { parameter in
      guard case .operand(let operand) = parameter.kind else { return numbers[parameter.name] ?? 0 }
      let byteCount = Self.byteCount(operand, numbers) ?? 64
      var address = (ends[operand.memory] ?? 0) &+ next() % 9
      if operand.memory == .weights { address = (address &+ 31) / 32 &* 32 }
      switch next() % 48 {
      case 0: address = Self.byteCount &- min(byteCount, Self.byteCount)
      case 1: address = next() % Self.byteCount
      case 2: address = [UInt64.max, 1 << 63, Self.byteCount, 0][Int(next() % 4)]
      case 3...7: if let end = ends[operand.memory], end >= byteCount { address = end &- byteCount }
      default: break
      }
      ends[operand.memory] = min(Self.byteCount, address &+ min(byteCount, Self.byteCount))
      if operand.isIndex, operand.access == .read { try writeIndices(operand, address, numbers, next) }
      return address
    }
  }

  /// Ids, positions and bases that mostly lie where they may.
  private func writeIndices(
    _ operand: TensorOperation.Operand, _ address: UInt64, _ numbers: [String: UInt64], _ next: () -> UInt64
  ) throws {
    let count = Int(min(numbers["rows"] ?? 0, 256))
    let isSequence = next() % 2 == 0
    let most = max(1, numbers["row_count_max"] ?? (next() % 4 == 0 ? 700 : 100))
    let start = next() % min(most, 1 << 31)
    for row in 0..<count {
      let wild = next() % 512 == 0
      if operand.element == .i64 {
        let base = wild ? next() : isSequence ? 4 : next() % 4 * 4096 + next() % 3
        try? memories.scratch.write(elements: [base], address: address &+ UInt64(8 * row))
      } else {
        let index = wild ? next() : isSequence ? (start + UInt64(row)) % most : next() % most
        try? memories.scratch.write(elements: [Int32(truncatingIfNeeded: index)], address: address &+ UInt64(4 * row))
      }
    }
  }

  private static func byteCount(_ operand: TensorOperation.Operand, _ numbers: [String: UInt64]) -> UInt64? {
    var product: UInt64 = 1
    for axis in operand.shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: numbers[axis] ?? 1)
      if overflow { return nil }
      product = next
    }
    guard product < 1 << 40 else { return nil }
    switch operand.element {
    case .f32, .i32: return product * 4
    case .i64: return product * 8
    case .typed(let name):
      guard let number = numbers[name], let type = UInt32(exactly: number).flatMap(ElementType.init(rawValue:)) else { return nil }
      return (product / UInt64(type.blockElementCount) + 1) * UInt64(type.blockByteCount)
    }
  }

  // MARK: Comparing

  /// The parts of scratch that the operation may write.
  private func outputs(_ operation: TensorOperation, _ arguments: [UInt64]) -> [Range<UInt64>] {
    let numbers = named(operation, arguments)
    return zip(operation.parameters, arguments).compactMap { parameter, address in
      guard case .operand(let operand) = parameter.kind, operand.memory == .scratch, operand.access != .read, address <= Self.byteCount
      else { return nil }
      // Kernels of the wasm provider may write up to where they trap.
      let byteCount = Self.byteCount(operand, numbers) ?? .max
      return address..<address + min(byteCount, Self.byteCount - address)
    }
  }

  /// Rows that `cache_append` writes.
  private func appended(_ operation: TensorOperation, _ arguments: [UInt64], _ scratch: [UInt8]) throws -> [Range<UInt64>] {
    guard operation.name == "cache_append" else { return [] }
    let numbers = named(operation, arguments)
    // Counts are the low 32 bits of what was chosen; what is wild was refused, and then nothing is compared with this.
    func number(_ name: String) -> Int {
      let value = numbers[name] ?? 0
      return name.hasSuffix("offset") || name.hasSuffix("stride") ? Int(truncatingIfNeeded: value) : Int(Int32(truncatingIfNeeded: value))
    }
    func word(_ parameter: Int, _ row: Int, _ byteCount: Int) -> Int {
      guard arguments[parameter] <= UInt64(scratch.count) else { return 0 }
      let start = Int(arguments[parameter]) + row * byteCount
      guard start + byteCount <= scratch.count else { return 0 }
      return (0..<byteCount).reduce(0) { $0 | Int(scratch[start + $1]) << (8 * $1) }
    }
    let rowByteCount = number("width") &* (number("type") == 0 ? 4 : 2)
    let chunk = max(1, number("chunk_positions"))
    return (0..<max(0, min(number("rows"), 1 << 16))).map { row in
      let (base, position) = (word(1, row, 8), word(2, row, 4))
      let start = base &+ position / chunk &* number("chunk_stride") &+ number("plane_offset") &+ position % chunk &* rowByteCount
      let from = UInt64(max(0, min(start, Int(Self.byteCount))))
      return from..<from + UInt64(max(0, min(rowByteCount, Int(Self.byteCount))))
    }
  }

  private func named(_ operation: TensorOperation, _ arguments: [UInt64]) -> [String: UInt64] {
    Dictionary(uniqueKeysWithValues: zip(operation.parameters.map(\.name), arguments)).mapValues { $0 }
  }

  private func compare(
    _ name: String, _ before: [UInt8], _ memory: Memory, _ outputs: [Range<UInt64>], _ operation: TensorOperation, _ arguments: [UInt64]
  ) throws {
    var expected = before
    let after = try memory.read(address: 0, byteCount: UInt64(before.count))
    for range in outputs {
      // What lies past the mapped part was refused, or is not there.
      let range = min(before.count, Int(range.lowerBound))..<min(before.count, Int(range.upperBound))
      if !range.isEmpty { expected.replaceSubrange(range, with: after[range]) }
    }
    guard expected != after else { return }
    let place = zip(expected, after).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
    throw Violation(description: "tensor.\(operation.name)(\(arguments)) changed byte \(place) of \(name)")
  }
}
