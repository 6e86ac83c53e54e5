import Tensors
import WasmRuntime

/// The arguments of one call after checking: numbers, and pointers to operands whose every byte the guest itself may access.
///
/// One frame belongs to one provider instance and is reused, so a call allocates nothing once its index buffer has grown to the
/// largest number of rows. Pointers are valid until the call returns: no page state changes while an operation runs.
@safe final class OperationFrame {
  /// The arguments as they came: i64 and i32 zero-extended, f32 bit patterns.
  private let raw: FixedArray<UInt64>
  private let pointers: FixedArray<UnsafeMutableRawPointer?>
  private let byteCounts: FixedArray<UInt64>
  /// Private copies of the index operands of this call, one after another.
  private let indexWords: HostBuffer
  private let stop: StopSignal
  private(set) var parameterCount = 0

  static let parameterCountMax = 24
  /// Elements of a row that an operation does not cut: `columns`, `columns_in`, `width`, heads · head_dim. Every row of a model is shorter
  /// (vocabularies have some 262 144 words, layers some 60 000 inputs), and a row of this length takes about a millisecond.
  static let rowElementCountMax = 1 << 20
  /// Rows of an operation with ids, positions or bases, which are copied and checked one by one. Passes have some hundreds.
  static let indexedRowCountMax = 1 << 20
  /// Rows that are checked before the deadline is looked at again: some tens of microseconds.
  private static let rowsPerCheck = 512

  /// - Parameters:
  ///   - budget: pays for the copies of index operands.
  ///   - stop: ends a check that takes long.
  init(budget: ResourceBudget, stop: StopSignal) {
    self.stop = stop
    indexWords = HostBuffer(budget: budget)
    raw = FixedArray(repeating: 0, count: Self.parameterCountMax)
    // SAFETY: pointers, read only where `check` has stored a checked one in the same call.
    unsafe pointers = FixedArray(repeating: nil, count: Self.parameterCountMax)
    byteCounts = FixedArray(repeating: 0, count: Self.parameterCountMax)
  }

  /// After a call: gives back what was unusually large.
  func shrink() { indexWords.shrink() }

  // MARK: Reading checked arguments

  func int(_ parameter: Int) -> Int { Int(truncatingIfNeeded: Int64(bitPattern: raw[parameter])) }
  func float(_ parameter: Int) -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: raw[parameter])) }
  func type(_ parameter: Int) -> UInt32 { UInt32(truncatingIfNeeded: raw[parameter]) }

  /// The host address of an operand. Not nil: an empty operand has some address that is never read.
  func pointer(_ parameter: Int) -> UnsafeMutableRawPointer {
    guard let pointer = unsafe pointers[parameter] else { preconditionFailure("parameter \(parameter) is no checked operand") }
    return unsafe pointer
  }

  func floats(_ parameter: Int) -> UnsafeMutablePointer<Float> { unsafe pointer(parameter).assumingMemoryBound(to: Float.self) }
  func int32s(_ parameter: Int) -> UnsafeMutablePointer<Int32> { unsafe pointer(parameter).assumingMemoryBound(to: Int32.self) }
  func int64s(_ parameter: Int) -> UnsafeMutablePointer<Int64> { unsafe pointer(parameter).assumingMemoryBound(to: Int64.self) }

  // MARK: Checking

  /// Takes the arguments of a call and checks every one; afterwards the accessors above may be used.
  /// - Throws: `OperationMisuse`, or the trap by which a deadline or a cancellation ends the check.
  func check(_ plan: OperationPlan, memories: some OperationMemories, argument: (Int) -> UInt64) throws {
    parameterCount = plan.kinds.count
    for (index, kind) in plan.kinds.enumerated() {
      let value = argument(index)
      switch kind {
      case .operand, .scalar: raw[index] = value
      case .elementCount, .offset:
        raw[index] = value
        if Int64(bitPattern: value) < 0 { throw misuse(plan, index, "must be at least 0, found \(Int64(bitPattern: value))") }
      case .count:
        let count = Int32(truncatingIfNeeded: value)
        raw[index] = UInt64(UInt32(bitPattern: count))
        if count < 0 { throw misuse(plan, index, "must be at least 0, found \(count)") }
      case .elementType:
        raw[index] = UInt64(UInt32(truncatingIfNeeded: value))
      }
    }
    for rule in plan.rules { try checkPlain(plan, rule) }
    try checkOperands(plan, memories)
    try checkLimits(plan)
    try copyIndexOperands(plan)
    for rule in plan.rules { try checkMemory(plan, rule, memories) }
  }

  private func misuse(_ plan: OperationPlan, _ parameter: Int, _ reason: String) -> OperationMisuse {
    OperationMisuse(operation: plan.operation.name, parameter: plan.operation.parameters[parameter].name, reason: reason)
  }

  private func name(_ plan: OperationPlan, _ parameter: Int) -> String { plan.operation.parameters[parameter].name }

  /// Rules between numbers.
  private func checkPlain(_ plan: OperationPlan, _ rule: OperationPlan.Rule) throws(OperationMisuse) {
    switch rule {
    case .multiple(let a, let b):
      if raw[b] == 0 || raw[a] % raw[b] != 0 {
        throw misuse(plan, a, "must be a multiple of \(name(plan, b)), found \(raw[a]) and \(raw[b])")
      }
    case .atMost(let a, let b):
      if raw[a] > raw[b] { throw misuse(plan, a, "must be at most \(name(plan, b)) = \(raw[b]), found \(raw[a])") }
    case .sumAtMost(let a, let b, let c):
      // Counts have 31 bits, so the sum does not wrap.
      if raw[a] + raw[b] > raw[c] {
        throw misuse(
          plan, a, "and \(name(plan, b)) must sum to at most \(name(plan, c)) = \(raw[c]), found \(raw[a]) and \(raw[b])")
      }
    case .atLeast(let a, let minimum):
      if Int64(bitPattern: raw[a]) < minimum { throw misuse(plan, a, "must be at least \(minimum), found \(raw[a])") }
    case .even(let a):
      if raw[a] % 2 != 0 { throw misuse(plan, a, "must be even, found \(raw[a])") }
    case .oneOf(let a, let allowed):
      if raw[a] > 63 || allowed >> raw[a] & 1 == 0 {
        throw misuse(plan, a, "must be one of \((0..<64).filter { allowed >> $0 & 1 != 0 }), found \(raw[a])")
      }
    case .type(let a, let allowed):
      if raw[a] > 63 || allowed >> raw[a] & 1 == 0 {
        throw misuse(plan, a, "\(raw[a])\(Self.typeName(raw[a])) is no element type this operation takes")
      }
    case .idsBelow, .cacheRows: break
    }
  }

  private static func typeName(_ number: UInt64) -> String {
    UInt32(exactly: number).flatMap(ElementType.init(rawValue:)).map { " (\($0.name))" } ?? ""
  }

  /// Byte ranges of the operands, their page states, and overlaps of outputs with other operands.
  private func checkOperands(_ plan: OperationPlan, _ memories: some OperationMemories) throws(OperationMisuse) {
    for operand in plan.operands {
      let byteCount = try operandByteCount(plan, operand)
      byteCounts[operand.parameter] = byteCount
      let address = raw[operand.parameter]
      do {
        // SAFETY: the memory checks the whole range against its page states; the pointer is used during this call only, and no
        // page state changes meanwhile.
        unsafe pointers[operand.parameter] = try memories.pointer(operand.memory, address, byteCount, isWrite: operand.isOutput)
      } catch {
        throw misuse(
          plan, operand.parameter,
          "at \(hexadecimal(address)), \(byteCount) bytes of memory \(operand.memory.rawValue), cannot be "
            + "\(operand.isOutput ? "written" : "read"): \(error)")
      }
    }
    for output in plan.operands where output.isOutput {
      for other in plan.operands where other.parameter != output.parameter && other.memory == output.memory {
        try checkOverlap(plan, output, other)
      }
    }
  }

  /// What no kernel cuts must be short: a guest chooses how many pieces its operation has, not how long one is.
  private func checkLimits(_ plan: OperationPlan) throws(OperationMisuse) {
    for (first, second) in plan.rowLengths {
      // Counts have 31 bits, so the product does not wrap.
      let length = int(first) * (second >= 0 ? int(second) : 1)
      guard length <= Self.rowElementCountMax else {
        let product = second >= 0 ? "· \(name(plan, second)) = \(length) " : ""
        throw misuse(plan, first, "\(product)must be at most \(Self.rowElementCountMax), found \(length)")
      }
    }
    if plan.indexedRows >= 0, int(plan.indexedRows) > Self.indexedRowCountMax {
      throw misuse(
        plan, plan.indexedRows,
        "must be at most \(Self.indexedRowCountMax) with operands of ids or positions, found \(int(plan.indexedRows)): allocation refused")
    }
  }

  private func operandByteCount(_ plan: OperationPlan, _ operand: OperationPlan.Operand) throws(OperationMisuse) -> UInt64 {
    var rowLength = raw[operand.shape.0]
    var outer: UInt64 = 1
    var overflow = false
    func grow(_ axis: Int) {
      let product = outer.multipliedReportingOverflow(by: rowLength)
      overflow = overflow || product.overflow
      (outer, rowLength) = (product.partialValue, raw[axis])
    }
    if operand.shape.1 >= 0 { grow(operand.shape.1) }
    if operand.shape.2 >= 0 { grow(operand.shape.2) }
    let rowByteCount: UInt64
    if operand.elementByteCount > 0 {
      let product = rowLength.multipliedReportingOverflow(by: operand.elementByteCount)
      overflow = overflow || product.overflow
      rowByteCount = product.partialValue
    } else {
      guard let type = ElementType(rawValue: type(operand.typeParameter)), let length = Int(exactly: rowLength) else {
        throw misuse(plan, operand.typeParameter, "\(raw[operand.typeParameter]) is no element type")
      }
      guard let bytes = type.rowByteCount(elementCount: length) else {
        throw misuse(
          plan, operand.parameter,
          "has rows of \(length) elements, which is no multiple of the \(type.blockElementCount) in a block of \(type.name)")
      }
      rowByteCount = UInt64(bytes)
    }
    let total = outer.multipliedReportingOverflow(by: rowByteCount)
    if overflow || total.overflow { throw misuse(plan, operand.parameter, "has more than 2^64 bytes") }
    return total.partialValue
  }

  private func checkOverlap(
    _ plan: OperationPlan, _ output: OperationPlan.Operand, _ other: OperationPlan.Operand
  ) throws(OperationMisuse) {
    // The ends do not wrap: both ranges lie in a memory.
    let (a, b) = (raw[output.parameter], raw[other.parameter])
    let (aCount, bCount) = (byteCounts[output.parameter], byteCounts[other.parameter])
    guard aCount > 0, bCount > 0, a < b + bCount, b < a + aCount else { return }
    if a == b && output.mayEqual >> UInt32(other.parameter) & 1 != 0 { return }
    throw misuse(
      plan, output.parameter,
      "at \(hexadecimal(a)), \(aCount) bytes, overlaps \(name(plan, other.parameter)) at \(hexadecimal(b)), \(bCount) bytes")
  }

  /// What was checked is what is used, whatever an output lies over and whoever else writes.
  private func copyIndexOperands(_ plan: OperationPlan) throws(OperationMisuse) {
    guard plan.indexedRows >= 0 else { return }
    var byteCount = 0
    // Below 2^24: the rows are limited.
    for operand in plan.operands where operand.isIndex && !operand.isOutput { byteCount += Int(byteCounts[operand.parameter]) + 16 }
    guard let words = unsafe indexWords.reserve(byteCount) else {
      throw misuse(plan, plan.indexedRows, "of ids or positions take \(byteCount) bytes: allocation refused")
    }
    var offset = 0
    for operand in plan.operands where operand.isIndex && !operand.isOutput {
      let count = Int(byteCounts[operand.parameter])
      // SAFETY: the buffer holds every index operand with its alignment; the source is a range that the memory has just checked; the
      // stored pointer is used in this call only, and the buffer lives until the next call's copies.
      unsafe (words + offset).copyMemory(from: pointer(operand.parameter), byteCount: count)
      unsafe pointers[operand.parameter] = words + offset
      offset += (count + 15) / 16 * 16
    }
  }

  // MARK: Rules about what the operands hold

  private func checkMemory(
    _ plan: OperationPlan, _ rule: OperationPlan.Rule, _ memories: some OperationMemories
  ) throws {
    switch rule {
    case .idsBelow(let ids, let count, let rows):
      let values = unsafe int32s(ids)
      for row in 0..<int(rows) {
        if row % Self.rowsPerCheck == 0 { try stop.check() }
        // SAFETY: the operand holds `rows` ids.
        let id = unsafe values[row]
        if id < 0 || Int(id) >= int(count) {
          throw misuse(plan, ids, "row \(row) must lie between 0 and \(name(plan, count)) - 1 = \(int(count) - 1), found \(id)")
        }
      }
    case .cacheRows(let cache): try checkCache(plan, cache, memories)
    default: break
    }
  }

  /// Every cache row that the operation will touch, against the page states. Rows of one sequence that follow each other are
  /// checked together: attention of a pass of 512 rows costs one range check, not 512.
  private func checkCache(
    _ plan: OperationPlan, _ cache: OperationPlan.Cache, _ memories: some OperationMemories
  ) throws {
    guard let type = ElementType(rawValue: type(cache.type)) else { throw misuse(plan, cache.type, "is no element type") }
    let width = raw[cache.width.0].multipliedReportingOverflow(by: cache.width.1 >= 0 ? raw[cache.width.1] : 1)
    guard !width.overflow, let length = Int(exactly: width.partialValue),
      let rowByteCount = type.rowByteCount(elementCount: length)
    else { throw misuse(plan, cache.width.0, "makes cache rows too long") }
    let chunk = int(cache.chunkPositions).multipliedReportingOverflow(by: rowByteCount)
    if chunk.overflow || int(cache.chunkStride) < chunk.partialValue {
      throw misuse(
        plan, cache.chunkStride,
        "must be at least \(name(plan, cache.chunkPositions)) rows of \(rowByteCount) bytes, found \(int(cache.chunkStride))")
    }
    let isWrite = cache.access != .read
    let rows = int(cache.rows)
    let bases = unsafe int64s(cache.bases)
    let positions = unsafe int32s(cache.positions)
    let window = cache.window >= 0 ? int(cache.window) : 0
    var row = 0
    var rowChecked = 0
    while row < rows {
      if row >= rowChecked {
        try stop.check()
        rowChecked = row + Self.rowsPerCheck
      }
      // SAFETY: both operands hold `rows` elements, and are this frame's private copies.
      let base = unsafe bases[row]
      if base < 0 { throw misuse(plan, cache.bases, "row \(row) must be at least 0, found \(base)") }
      var first = Int.max
      var last = 0
      let start = row
      repeat {
        // SAFETY: row < rows.
        let position = Int(unsafe positions[row])
        if position < 0 { throw misuse(plan, cache.positions, "row \(row) must be at least 0, found \(position)") }
        // A write touches one row per position; between the first and the last of consecutive rows nothing is left out.
        first = min(first, !cache.isHistory ? position : window > 0 ? max(0, position - window + 1) : 0)
        last = max(last, position)
        row += 1
      } while unsafe row < rows && bases[row] == base && (cache.isHistory || positions[row] == positions[row - 1] &+ 1)
      try checkCacheRange(
        plan, cache, memories, base: base, first...last, rowByteCount: rowByteCount, row: start, isWrite: isWrite)
    }
  }

  private func checkCacheRange(
    _ plan: OperationPlan, _ cache: OperationPlan.Cache, _ memories: some OperationMemories, base: Int64,
    _ positions: ClosedRange<Int>, rowByteCount: Int, row: Int, isWrite: Bool
  ) throws {
    let chunk = int(cache.chunkPositions)
    /// The address of the first byte of a position's row, nil past 2^63.
    func address(_ position: Int) -> Int? {
      let (stride, a) = (position / chunk).multipliedReportingOverflow(by: int(cache.chunkStride))
      let (inChunk, b) = (position % chunk).multipliedReportingOverflow(by: rowByteCount)
      let (plane, c) = int(cache.planeOffset).addingReportingOverflow(inChunk)
      let (place, d) = stride.addingReportingOverflow(plane)
      let (address, e) = Int(base).addingReportingOverflow(place)
      return a || b || c || d || e || address > Int.max - rowByteCount ? nil : address
    }
    // Within a chunk rows follow each other, so first and last row bound what is touched of it.
    var position = positions.lowerBound
    guard let lowest = address(position), let highest = address(positions.upperBound) else {
      throw misuse(plan, cache.bases, "row \(row) and its position \(positions.upperBound) lead past the address range")
    }
    // Addresses ascend with positions (chunks do not overlap), and usually all chunks of a sequence lie in one accessible run of
    // pages: then one check covers them.
    // SAFETY: only asked for its error; the kernels use the memory's base.
    if unsafe (try? memories.pointer(.cache, UInt64(lowest), UInt64(highest - lowest + rowByteCount), isWrite: isWrite)) != nil {
      return
    }
    var chunkCount = 0
    while position <= positions.upperBound {
      if chunkCount % Self.rowsPerCheck == 0 { try stop.check() }
      chunkCount += 1
      let end = min(positions.upperBound, position / chunk * chunk + chunk - 1)
      guard let from = address(position), let to = address(end) else {
        throw misuse(plan, cache.bases, "row \(row) and its position \(end) lead past the address range")
      }
      do {
        // SAFETY: as above.
        _ = unsafe try memories.pointer(.cache, UInt64(from), UInt64(to - from + rowByteCount), isWrite: isWrite)
      } catch {
        throw misuse(
          plan, cache.bases,
          "row \(row): positions \(position) to \(end) of its sequence, at \(hexadecimal(UInt64(from))) of memory cache, cannot "
            + "be \(isWrite ? "written" : "read"): \(error)")
      }
      position = end + 1
    }
  }
}

/// A few elements at a place of their own. An operation reads its arguments dozens of times: from arrays that are properties of a class, each
/// read would note the access and retain the array, 3 % of the time of a token.
@safe private final class FixedArray<Element> {
  private let base: UnsafeMutablePointer<Element>
  private let count: Int

  init(repeating value: Element, count: Int) {
    // SAFETY: allocated and initialised here, of a constant size; given back in deinit.
    unsafe base = .allocate(capacity: count)
    unsafe base.initialize(repeating: value, count: count)
    self.count = count
  }

  deinit {
    // SAFETY: as in init.
    unsafe base.deinitialize(count: count)
    unsafe base.deallocate()
  }

  subscript(index: Int) -> Element {
    // SAFETY: the index is checked.
    get {
      precondition(index >= 0 && index < count, "an index within the array")
      return unsafe base[index]
    }
    set {
      precondition(index >= 0 && index < count, "an index within the array")
      unsafe base[index] = newValue
    }
  }
}

/// The three memories of a model program as the checks see them.
protocol OperationMemories {
  /// The host address of a guest range, every byte of which the guest itself could read (or write) at this moment.
  func pointer(
    _ memory: TensorOperation.MemoryName, _ address: UInt64, _ byteCount: UInt64, isWrite: Bool
  ) throws -> UnsafeMutableRawPointer
}

private func hexadecimal(_ address: UInt64) -> String { "0x" + String(address, radix: 16) }
