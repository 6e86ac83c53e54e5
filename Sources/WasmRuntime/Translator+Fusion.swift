import WebAssembly

// Operations that take the place of several: see RegisterFused.swift for the instructions.
extension FunctionTranslator {
  /// Emits a fused instruction for `operation` on the top entries together with what led to them, if there is one.
  mutating func emitFused(_ operation: RegisterOpcode, result: ValueType) -> Bool {
    guard result == .v128 else { return false }
    switch operation {
    case .f32x4Add: if emitSum([.f32x4Mul: .f32x4MulAdd], Self.f32x4Sums) { return true }
    case .f64x2Add: if emitSum([.f64x2Mul: .f64x2MulAdd], Self.f64x2Sums) { return true }
    case .i32x4Add: if emitSum([.i32x4DotI16x8S: .i32x4DotAdd], Self.dotSums) { return true }
    case .i32x4RelaxedDotI8x16I7x16AddS: if emitNibbleDot() || emitDotChain() { return true }
    default: break
    }
    guard let last, let table = Self.loadFusions[operation.rawValue], let fused = table[last.operation.rawValue] else { return false }
    return operation.shape == .ternary ? emitAccumulateLoad(fused, last) : emitOperateLoad(fused, last, operation)
  }

  private static let f32x4Sums: [RegisterOpcode: RegisterOpcode] = [
    .f32x4MulLoadM32: .f32x4MulAddLoadM32, .f32x4MulLoadM64: .f32x4MulAddLoadM64,
  ]
  private static let f64x2Sums: [RegisterOpcode: RegisterOpcode] = [
    .f64x2MulLoadM32: .f64x2MulAddLoadM32, .f64x2MulLoadM64: .f64x2MulAddLoadM64,
  ]
  private static let dotSums: [RegisterOpcode: RegisterOpcode] = [
    .i32x4DotLoadM32: .i32x4DotAddLoadM32, .i32x4DotLoadM64: .i32x4DotAddLoadM64,
    .i32x4DotLoad8x8SM32: .i32x4DotAddLoad8x8SM32, .i32x4DotLoad8x8SM64: .i32x4DotAddLoad8x8SM64,
  ]

  /// By operation, then by the load that gives one operand: the instruction for both.
  private static let loadFusions: [UInt16: [UInt16: RegisterOpcode]] = {
    var table: [UInt16: [UInt16: RegisterOpcode]] = [:]
    func add(_ operation: RegisterOpcode, _ load: RegisterOpcode, _ fused: RegisterOpcode) {
      // The variant for 64-bit addresses follows the one for 32-bit addresses in both.
      table[operation.rawValue, default: [:]][load.rawValue] = fused
      table[operation.rawValue, default: [:]][load.rawValue + 1] = fused.advanced(by: 1)
    }
    add(.f32x4Add, .v128LoadM32, .f32x4AddLoadM32)
    add(.f32x4Sub, .v128LoadM32, .f32x4SubLoadM32)
    add(.f32x4Mul, .v128LoadM32, .f32x4MulLoadM32)
    add(.f64x2Add, .v128LoadM32, .f64x2AddLoadM32)
    add(.f64x2Mul, .v128LoadM32, .f64x2MulLoadM32)
    add(.i32x4Add, .v128LoadM32, .i32x4AddLoadM32)
    add(.i16x8Add, .v128LoadM32, .i16x8AddLoadM32)
    add(.v128And, .v128LoadM32, .v128AndLoadM32)
    add(.v128Xor, .v128LoadM32, .v128XorLoadM32)
    add(.i32x4DotI16x8S, .v128LoadM32, .i32x4DotLoadM32)
    add(.i32x4DotI16x8S, .v128Load8x8SM32, .i32x4DotLoad8x8SM32)
    add(.f32x4Mul, .v128Load32SplatM32, .f32x4MulLoadSplatM32)
    add(.f32x4RelaxedMadd, .v128LoadM32, .f32x4RelaxedMaddLoadM32)
    add(.f64x2RelaxedMadd, .v128LoadM32, .f64x2RelaxedMaddLoadM32)
    add(.f32x4RelaxedMadd, .v128Load32SplatM32, .f32x4RelaxedMaddLoadSplatM32)
    add(.i32x4RelaxedDotI8x16I7x16AddS, .v128LoadM32, .i32x4RelaxedDotAddLoadM32)
    return table
  }()

  /// Whether the entry is the result of the last instruction, for this use only.
  private func isResult(_ position: Int, of record: Record) -> Bool {
    guard case .temporary = stack[position].place else { return false }
    return vectorAccumulator.slot == temporarySlot(position) && vectorAccumulator.position == record.position
      && vectorAccumulator.isElidable
  }

  /// Whether an instruction's result goes to the operand stack, not to a local.
  private func writesTemporary(_ record: Record) -> Bool {
    UInt16(truncatingIfNeeded: words[record.position + 1]) >= slotField(temporaryBase)
  }

  /// What a load that is about to be absorbed says of its address.
  private struct AbsorbedLoad {
    var view: UInt16
    var address: UInt16
    /// 0 slot, 1 sum of two slots, 2 slot and immediate.
    var form: Int
    /// Word 2 of the fused instruction: offset, and immediate or second field.
    var word: UInt64

    /// What is added to the slot: not for sums, nor for offsets that do not fit. Only where adding cannot carry or must wrap.
    var immediate: UInt32? {
      switch form {
      case 0 where word == 0: 0
      case 2: UInt32(word >> 32)
      default: nil
      }
    }

    /// nil where the address is in the accumulator, or the offset is beyond 32 bits.
    init?(kind: Int, fields: UInt64, offset: UInt64) {
      view = UInt16(truncatingIfNeeded: fields >> 32)
      address = UInt16(truncatingIfNeeded: fields >> 16)
      switch kind {
      case 0: (form, word) = (0, offset)
      case 2: (form, word) = (1, offset | (fields >> 48) << 32)
      case 3:
        (form, word) = (2, offset)
        return
      default: return nil
      }
      guard offset <= UInt32.max else { return nil }
    }
  }

  private func absorbed(_ record: Record) -> AbsorbedLoad? {
    AbsorbedLoad(kind: record.kind, fields: words[record.position + 1], offset: words[record.position + 2])
  }

  /// An operation of two vectors, one of which was just loaded.
  private mutating func emitOperateLoad(_ fused: RegisterOpcode, _ load: Record, _ operation: RegisterOpcode) -> Bool {
    let first = stack.count - 2
    var other = first
    if !isResult(first + 1, of: load) {
      guard operation.shape == .commutative, isResult(first, of: load) else { return false }
      other = first + 1
    }
    guard isPlaced(other), let source = absorbed(load) else { return false }
    removeLast()
    let field = slotField(slot(of: other))
    var kind = source.form * 2
    if isInAccumulator(other) {
      takeFromAccumulator(other)
      kind += 1
    }
    emitResult(fused, kind, operandCount: 2, field, source.view, source.address, [source.word])
    return true
  }

  /// Where a and b may not be exchanged: the instruction whose loaded operand is a.
  private static let firstLoaded: [RegisterOpcode: RegisterOpcode] = [
    .i32x4RelaxedDotAddLoadM32: .i32x4RelaxedDotLoadAddM32, .i32x4RelaxedDotAddLoadM64: .i32x4RelaxedDotLoadAddM64,
  ]

  /// a * b + c, where a or b was just loaded.
  private mutating func emitAccumulateLoad(_ fused: RegisterOpcode, _ load: Record) -> Bool {
    let first = stack.count - 3
    let loaded = isResult(first + 1, of: load) ? first + 1 : first
    guard isResult(loaded, of: load), let source = absorbed(load) else { return false }
    let other = loaded == first ? first + 1 : first
    guard isPlaced(other), isPlaced(first + 2) else { return false }
    let fused = loaded == first ? Self.firstLoaded[fused] ?? fused : fused
    removeLast()
    let field = slotField(slot(of: other))
    if isInAccumulator(other) {
      takeFromAccumulator(other)
      emitAccumulation(fused, isHeld: true, field, source, sum: first + 2, operandCount: 3)
    } else {
      emitAccumulation(fused, isHeld: false, field, source, sum: first + 2, operandCount: 3)
    }
    return true
  }

  /// A sum whose one side is the product that was just computed.
  /// - Parameters: products: plain products and their sums. - loads: products with an operand in memory, and theirs.
  private mutating func emitSum(
    _ products: [RegisterOpcode: RegisterOpcode], _ loads: [RegisterOpcode: RegisterOpcode]
  ) -> Bool {
    guard let last else { return false }
    let first = stack.count - 2
    let product = isResult(first + 1, of: last) ? first + 1 : first
    guard isResult(product, of: last) else { return false }
    let sum = product == first ? first + 1 : first
    guard isPlaced(sum) else { return false }
    let fields = words[last.position + 1]
    if let fused = products[last.operation] {
      let (a, b) = (UInt16(truncatingIfNeeded: fields >> 16), UInt16(truncatingIfNeeded: fields >> 32))
      removeLast()
      var kind = last.kind
      let c = slotField(slot(of: sum))
      if kind == 0, isInAccumulator(sum) {
        takeFromAccumulator(sum)
        kind = 3
      }
      emitResult(fused, kind, operandCount: 2, a, b, c, [])
      return true
    }
    guard let fused = loads[last.operation] else { return false }
    // The product's fields are those of the sum.
    let view = UInt16(truncatingIfNeeded: fields >> 32)
    let address = UInt16(truncatingIfNeeded: fields >> 48)
    guard var source = AbsorbedLoad(kind: 0, fields: UInt64(view) << 32 | UInt64(address) << 16, offset: 0) else { return false }
    source.form = last.kind / 2
    source.word = words[last.position + 2]
    removeLast()
    emitAccumulation(
      fused, isHeld: last.kind & 1 == 1, UInt16(truncatingIfNeeded: fields >> 16), source, sum: sum, operandCount: 2)
    return true
  }

  /// Emits a * load + c. `isHeld`: a is in the accumulator. If a was itself loaded by the instruction before, for this use only,
  /// that is absorbed too; a load that was made to write a local stays, because the local may be read again.
  private mutating func emitAccumulation(
    _ fused: RegisterOpcode, isHeld: Bool, _ a: UInt16, _ source: AbsorbedLoad, sum: Int, operandCount: Int
  ) {
    let c = slotField(slot(of: sum))
    if isHeld, let first = source.immediate, let both = Self.bothLoads[fused], let last,
      last.operation == (both.m64 ? .v128LoadM64 : .v128LoadM32), writesTemporary(last), let other = absorbed(last),
      let second = other.immediate
    {
      removeLast()
      emitResult(
        both.operation, 0, operandCount: operandCount, c, other.view, source.view,
        [UInt64(other.address) | UInt64(source.address) << 16, UInt64(second) | UInt64(first) << 32])
      return
    }
    var kind = source.form * 3
    if isHeld {
      kind += 1
    } else if isInAccumulator(sum) {
      takeFromAccumulator(sum)
      kind += 2
    }
    emitResult(fused, kind, operandCount: operandCount, a, source.view, source.address, [source.word, UInt64(c)])
  }

  private static let bothLoads: [RegisterOpcode: (operation: RegisterOpcode, m64: Bool)] = [
    .f32x4MulAddLoadM32: (.f32x4MulAddLoadsM32, false), .f32x4MulAddLoadM64: (.f32x4MulAddLoadsM64, true),
    .f32x4RelaxedMaddLoadM32: (.f32x4RelaxedMaddLoadsM32, false), .f32x4RelaxedMaddLoadM64: (.f32x4RelaxedMaddLoadsM64, true),
  ]

  /// A dot product with the low or high nibbles of a local.
  private mutating func emitNibbleDot() -> Bool {
    let first = stack.count - 3
    guard case .deferred(let nibbles) = stack[first + 1].place else { return false }
    let fused: RegisterOpcode =
      switch nibbles.operation {
      case .v128And: .i32x4RelaxedDotAndAdd
      case .i8x16ShrU: .i32x4RelaxedDotShrAdd
      default: .enter
      }
    guard fused != .enter, isPlaced(first), isPlaced(first + 2) else { return false }
    let a = slotField(slot(of: first))
    if fused == .i32x4RelaxedDotShrAdd, let last, last.operation == .i32x4RelaxedDotAndAdd, isResult(first + 2, of: last) {
      let (fields, sum) = (words[last.position + 1], words[last.position + 2])
      removeLast()
      emitResult(
        .i32x4RelaxedDotNibblesAdd, last.kind, operandCount: 3, UInt16(truncatingIfNeeded: fields >> 16),
        UInt16(truncatingIfNeeded: fields >> 32), UInt16(truncatingIfNeeded: fields >> 48),
        [UInt64(a) | UInt64(slotField(nibbles.a)) << 16 | UInt64(slotField(nibbles.b)) << 32 | sum << 48])
      return true
    }
    let d = slotField(slot(of: first + 2))
    var kind = 0
    if isInAccumulator(first + 2) {
      takeFromAccumulator(first + 2)
      kind = 1
    }
    emitResult(fused, kind, operandCount: 3, a, slotField(nibbles.a), slotField(nibbles.b), [UInt64(d)])
    return true
  }

  /// A dot product added to the one before: two become one instruction, two such become one of four.
  private mutating func emitDotChain() -> Bool {
    let first = stack.count - 3
    guard let last, last.operation == .i32x4RelaxedDotI8x16I7x16AddS, last.kind == 0 || last.kind == 3,
      isResult(first + 2, of: last), isPlaced(first), isPlaced(first + 1)
    else { return false }
    let (a, b) = (UInt64(slotField(slot(of: first))), UInt64(slotField(slot(of: first + 1))))
    let fields = words[last.position + 1]
    let (c, d) = (fields >> 16 & 0xFFFF, fields >> 32 & 0xFFFF)
    let lastField: UInt64 = 0xFFFF << 48  // Of the sum, in every form.
    removeLast()
    // What the dot product before added to is in the accumulator, and nowhere else.
    if last.kind == 3, let pair = self.last, pair.operation == .i32x4RelaxedDots2Add, !writesSlot(pair) {
      let (pairFields, rest) = (words[pair.position + 1], words[pair.position + 2])
      removeLast()
      emitResult(
        .i32x4RelaxedDots4Add, pair.kind, operandCount: 3, UInt16(truncatingIfNeeded: pairFields >> 16),
        UInt16(truncatingIfNeeded: pairFields >> 32), UInt16(truncatingIfNeeded: pairFields >> 48),
        [rest & 0xFFFF | c << 16 | d << 32 | a << 48, b | rest & lastField])
      return true
    }
    emitResult(
      .i32x4RelaxedDots2Add, last.kind == 3 ? 1 : 0, operandCount: 3, UInt16(c), UInt16(d), UInt16(a), [b | fields & lastField])
    return true
  }

  /// Whether an instruction with results in slot or accumulator only puts this one into a slot as well.
  private func writesSlot(_ record: Record) -> Bool {
    words[record.position] == UInt64(RegisterTable.firstHandler[Int(record.operation.rawValue)]) + UInt64(record.kind) * 2
  }

  /// Emits an instruction with fields 1 to 3, pops its operands and pushes its vector result.
  private mutating func emitResult(
    _ operation: RegisterOpcode, _ kind: Int, operandCount: Int, _ f1: UInt16, _ f2: UInt16, _ f3: UInt16, _ extra: [UInt64]
  ) {
    let slot = temporarySlot(stack.count - operandCount)
    let (integer, vector) = (integerAccumulator, vectorAccumulator)
    let position = emit(operation, kind * 2, slotField(slot), f1, f2, f3)
    words.append(contentsOf: extra)
    stack.removeLast(operandCount)
    push(.temporary, .v128)
    didWrite(slot, .v128, at: position)
    note(Record(operation: operation, kind: kind, position: position, integer: integer, vector: vector))
  }
}
