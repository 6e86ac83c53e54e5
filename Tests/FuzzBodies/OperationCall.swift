import TensorOperations
import Tensors
import WasmRuntime

/// A call of a tensor operation, decoded from an input: usually one that gets past the checks, with operands that touch borders.
struct OperationCall {
  /// A range of bytes that the call may write.
  struct Output {
    let memory: TensorOperation.MemoryName
    let range: Range<UInt64>
    let isFloats: Bool
  }

  let operation: TensorOperation
  private(set) var arguments: [UInt64] = []
  private(set) var outputs: [Output] = []
  /// What is put into scratch before the call: ids, positions, bases.
  private(set) var writes: [(address: UInt64, bytes: [UInt8])] = []

  private var numbers: [String: UInt64] = [:]
  private var ends: [TensorOperation.MemoryName: UInt64] = [:]

  init(_ input: inout InputReader) {
    operation = TensorOperation.imports[input.integer(0...TensorOperation.imports.count - 1)]
    chooseNumbers(&input)
    chooseCache(&input)
    // The memory operands last: where they fit depends on all numbers.
    for parameter in operation.parameters {
      guard case .operand(let operand) = parameter.kind else { continue }
      numbers[parameter.name] = chooseAddress(operand, &input)
    }
    for parameter in operation.parameters {
      if case .operand(let operand) = parameter.kind { fill(parameter.name, operand, &input) }
      arguments.append(numbers[parameter.name] ?? 0)
    }
    collectOutputs()
  }

  private func number(_ name: String) -> UInt64 { numbers[name] ?? 0 }

  private var type: ElementType? { UInt32(exactly: number("type")).flatMap(ElementType.init(rawValue:)) }

  // MARK: Numbers

  private mutating func chooseNumbers(_ input: inout InputReader) {
    for parameter in operation.parameters {
      let name = parameter.name
      switch parameter.kind {
      case .operand: continue
      case .elementType:
        var allowed: [UInt32] = [0]
        for case .type(let of, let types) in operation.rules where of == name { allowed = types }
        numbers[name] = input.chance(8) ? UInt64(input.byte()) : UInt64(input.element(of: allowed))
      case .scalar:
        let value = input.element(of: [1e-5, 1, 0.125, 10_000, 30, 0, 0.5, -1, .infinity, .nan, 1e-30] as [Float])
        numbers[name] = UInt64(value.bitPattern)
      case .elementCount: numbers[name] = UInt64(input.integer(0...700))
      case .offset: numbers[name] = 0
      case .count: numbers[name] = UInt64(count(name, &input))
      }
    }
    // Rows of blocks are whole.
    if let type {
      for case .operand(let operand) in operation.parameters.map(\.kind) {
        guard case .typed = operand.element, let last = operand.shape.last, let length = numbers[last], length < 4096 else { continue }
        let block = UInt64(type.blockElementCount)
        numbers[last] = input.chance(6) ? length : min(4, (length + block - 1) / block) * block + (block == 1 ? length : 0) / 5
      }
    }
    for rule in operation.rules where !input.chance(6) {
      switch rule {
      case .atMost(let a, let b): numbers[a] = number(a) % (number(b) + 1)
      case .even(let a): numbers[a] = number(a) & ~1
      case .multiple(let a, let b): numbers[a] = number(b) * (1 + number(a) % 4)
      default: break
      }
    }
    if input.chance(10) {
      let parameter = input.element(of: operation.parameters)
      switch parameter.kind {
      case .operand, .elementType, .scalar: break
      case .count: numbers[parameter.name] = input.border() & 0xFFFF_FFFF
      case .elementCount, .offset: numbers[parameter.name] = input.border()
      }
    }
  }

  private mutating func count(_ name: String, _ input: inout InputReader) -> Int {
    switch name {
    case "rows": input.chance(40) ? input.integer(0...255) : input.integer(0...9)
    case "heads": input.integer(0...7)
    case "kv_heads": 1 + input.integer(0...2)
    case "head_dim", "rope_dim": input.element(of: [1, 2, 3, 4, 8, 16, 31, 32, 64, 80])
    case "mode": input.integer(0...1)
    case "window": input.chance(128) ? 0 : input.integer(0...40)
    case "chunk_positions": 1 + input.integer(0...15)
    case "k": input.integer(0...40)
    default: input.chance(30) ? input.integer(0...700) : input.integer(0...70)
    }
  }

  // MARK: The cache

  private var rowByteCount: UInt64 {
    for case .cacheRows(let rows) in operation.rules {
      let width = rows.width.reduce(UInt64(1)) { $0.multipliedReportingOverflow(by: number($1)).partialValue }
      return width.multipliedReportingOverflow(by: number("type") == 1 ? 2 : 4).partialValue
    }
    return 0
  }

  private mutating func chooseCache(_ input: inout InputReader) {
    let rows = rowByteCount
    guard rows > 0 else { return }
    let plane = number("chunk_positions").multipliedReportingOverflow(by: rows).partialValue
    for (name, value) in [("plane_offset", input.bool() ? plane : 0), ("key_plane_offset", 0), ("value_plane_offset", plane)]
    where operation.parameters.contains(where: { $0.name == name }) {
      numbers[name] = input.chance(8) ? input.border() : value &+ (input.chance(20) ? UInt64(input.byte()) : 0)
    }
    numbers["chunk_stride"] = input.chance(8) ? input.border() : plane &* 2 &+ (input.chance(60) ? UInt64(input.byte()) : 0)
  }

  /// The address that `TensorOperation.CacheRows` gives a position; nil past 2^63.
  private func cacheAddress(base: UInt64, plane: UInt64, position: UInt64) -> UInt64? {
    let chunk = number("chunk_positions")
    guard chunk > 0 else { return nil }
    let (stride, a) = (position / chunk).multipliedReportingOverflow(by: number("chunk_stride"))
    let (place, b) = (position % chunk).multipliedReportingOverflow(by: rowByteCount)
    let (sum, c) = stride.addingReportingOverflow(place)
    let (sum2, d) = sum.addingReportingOverflow(plane)
    let (address, e) = sum2.addingReportingOverflow(base)
    return a || b || c || d || e || address >> 63 != 0 ? nil : address
  }

  // MARK: Operands

  private func byteCount(_ operand: TensorOperation.Operand) -> UInt64 {
    let lengths = operand.shape.map(number)
    let outer = lengths.dropLast().reduce(UInt64(1)) { $0.multipliedReportingOverflow(by: $1).partialValue }
    let row: UInt64
    switch operand.element {
    case .f32, .i32: row = lengths[lengths.count - 1] &* 4
    case .i64: row = lengths[lengths.count - 1] &* 8
    case .typed:
      guard let type else { return 0 }
      row = lengths[lengths.count - 1] / UInt64(type.blockElementCount) &* UInt64(type.blockByteCount)
    }
    return outer &* row
  }

  private mutating func chooseAddress(_ operand: TensorOperation.Operand, _ input: inout InputReader) -> UInt64 {
    let size = OperationMemorySet.byteCount(operand.memory)
    let bytes = byteCount(operand)
    let alignment: UInt64 = operand.element == .i64 ? 8 : 4
    let start = ((ends[operand.memory] ?? 64) + 15) / 16 * 16
    let address: UInt64
    switch input.byte() {
    case 0..<190: address = start &+ UInt64(input.byte() & 3) &* alignment
    case 190..<225: address = size &- bytes
    case 225..<235: address = size &- bytes &+ UInt64(bitPattern: Int64(Int8(bitPattern: input.byte())))
    case 235..<243: address = UInt64(input.integer(0...5)) &* 65536 &- bytes / 2 / alignment &* alignment
    case 243..<248: address = start &+ UInt64(input.byte())
    case 248..<252: address = ends[operand.memory] ?? 0
    default: address = input.border()
    }
    if address < size, bytes < size { ends[operand.memory] = address &+ bytes }
    return address
  }

  /// Gives index operands contents that mostly keep the rules.
  private mutating func fill(_ name: String, _ operand: TensorOperation.Operand, _ input: inout InputReader) {
    let bytes = byteCount(operand)
    guard operand.isIndex, operand.access == .read, bytes > 0, bytes <= 4096 else { return }
    let width = operand.element == .i64 ? 8 : 4
    let isConsecutive = input.chance(128)
    let first = UInt64(input.byte())
    let stride = number("chunk_stride")
    let cacheSize = OperationMemorySet.byteCount(.cache)
    let positionCount = stride > 0 && stride < cacheSize ? cacheSize / stride * max(1, number("chunk_positions")) : 8
    var contents: [UInt8] = []
    for row in 0..<UInt64(bytes) / UInt64(width) {
      var value: UInt64
      switch name {
      case "ids": value = UInt64(input.byte()) % max(1, number("row_count_max"))
      case "positions": value = (isConsecutive ? first + row : UInt64(input.byte())) % max(1, positionCount)
      case "bases": value = isConsecutive ? 0 : UInt64(input.byte() & 1) * 4096
      default: value = UInt64(input.byte())
      }
      if input.chance(1) { value = input.border() }
      contents += (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
    writes.append((number(name), contents))
  }

  // MARK: What may be written

  /// Whether something that is read lies in an output: what comes out depends on the order of things then.
  var readsOutputs: Bool {
    operation.parameters.contains { parameter in
      guard case .operand(let operand) = parameter.kind, operand.access == .read else { return false }
      let start = number(parameter.name)
      let (end, overflow) = start.addingReportingOverflow(byteCount(operand))
      return outputs.contains { $0.memory == operand.memory && $0.range.lowerBound < (overflow ? .max : end) && start < $0.range.upperBound }
    }
  }

  /// Whether bases and positions are what was meant to be written: all of them fit, and none lies over another.
  var knowsOutputs: Bool {
    let ranges = writes.map { write in
      let (end, overflow) = write.address.addingReportingOverflow(UInt64(write.bytes.count))
      return write.address..<(overflow ? .max : end)
    }
    return ranges.indices.allSatisfy { index in
      ranges[index].upperBound <= OperationMemorySet.byteCount(.scratch) && !ranges[..<index].contains { $0.overlaps(ranges[index]) }
    }
  }

  private mutating func collectOutputs() {
    for parameter in operation.parameters {
      guard case .operand(let operand) = parameter.kind, operand.access != .read else { continue }
      let start = number(parameter.name)
      let (end, overflow) = start.addingReportingOverflow(byteCount(operand))
      if !overflow { outputs.append(Output(memory: operand.memory, range: start..<end, isFloats: operand.element == .f32)) }
    }
    for case .cacheRows(let rows) in operation.rules where rows.access != .read {
      func index(_ name: String, _ row: Int, _ width: Int) -> UInt64? {
        guard let bytes = writes.last(where: { $0.address == number(name) })?.bytes, (row + 1) * width <= bytes.count else { return nil }
        return (0..<width).reduce(UInt64(0)) { $0 | UInt64(bytes[row * width + $1]) << UInt64(8 * $1) }
      }
      for row in 0..<Int(min(number("rows"), 2048)) {
        guard let base = index("bases", row, 8), let position = index("positions", row, 4),
          let address = cacheAddress(base: base, plane: number(rows.planeOffset), position: position)
        else { continue }
        outputs.append(Output(memory: .cache, range: address..<address + min(rowByteCount, 1 << 32), isFloats: false))
      }
    }
  }
}
