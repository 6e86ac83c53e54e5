/// The instructions without a prefix byte.
func wasmPlainInstructions() -> [WasmInstruction] {
  var table = WasmInstructionTable(prefix: .none, feature: .mvp)
  addControl(to: &table)
  addVariablesAndMemory(to: &table)
  addNumeric(to: &table)
  return table.instructions
}

private func addControl(to table: inout WasmInstructionTable) {
  table.add(0x00, "unreachable")
  table.add(0x01, "nop", "->")
  table.add(0x02, "block loop if", nil, .block)
  table.add(0x05, "else")
  table.add(0x0B, "end")
  table.add(0x0C, "br br_if", nil, .label)
  table.add(0x0E, "br_table", nil, .labelTable)
  table.add(0x0F, "return")
  table.add(0x10, "call", nil, .function)
  table.add(0x11, "call_indirect", nil, .callIndirect)
  table.feature = .tailCall
  table.add(0x12, "return_call", nil, .function)
  table.add(0x13, "return_call_indirect", nil, .callIndirect)
  table.feature = .mvp
  table.add(0x1A, "drop select")
  table.feature = .referenceTypes
  table.add(0x1C, "select", nil, .selectTypes)
  table.add(0x25, "table.get table.set", nil, .table)
  table.add(0xD0, "ref.null", nil, .referenceType)
  table.add(0xD1, "ref.is_null")
  table.add(0xD2, "ref.func", nil, .function)
  table.feature = .mvp
}

private func addVariablesAndMemory(to table: inout WasmInstructionTable) {
  table.add(0x20, "local.get local.set local.tee", nil, .local)
  table.add(0x23, "global.get global.set", nil, .global)

  table.add(0x28, "i32.load", "address -> i32", .memoryArgument, alignment: 2)
  table.add(0x29, "i64.load", "address -> i64", .memoryArgument, alignment: 3)
  table.add(0x2A, "f32.load", "address -> f32", .memoryArgument, alignment: 2)
  table.add(0x2B, "f64.load", "address -> f64", .memoryArgument, alignment: 3)
  table.add(0x2C, "i32.load8_s i32.load8_u", "address -> i32", .memoryArgument, alignment: 0)
  table.add(0x2E, "i32.load16_s i32.load16_u", "address -> i32", .memoryArgument, alignment: 1)
  table.add(0x30, "i64.load8_s i64.load8_u", "address -> i64", .memoryArgument, alignment: 0)
  table.add(0x32, "i64.load16_s i64.load16_u", "address -> i64", .memoryArgument, alignment: 1)
  table.add(0x34, "i64.load32_s i64.load32_u", "address -> i64", .memoryArgument, alignment: 2)
  table.add(0x36, "i32.store", "address i32 ->", .memoryArgument, alignment: 2)
  table.add(0x37, "i64.store", "address i64 ->", .memoryArgument, alignment: 3)
  table.add(0x38, "f32.store", "address f32 ->", .memoryArgument, alignment: 2)
  table.add(0x39, "f64.store", "address f64 ->", .memoryArgument, alignment: 3)
  table.add(0x3A, "i32.store8", "address i32 ->", .memoryArgument, alignment: 0)
  table.add(0x3B, "i32.store16", "address i32 ->", .memoryArgument, alignment: 1)
  table.add(0x3C, "i64.store8", "address i64 ->", .memoryArgument, alignment: 0)
  table.add(0x3D, "i64.store16", "address i64 ->", .memoryArgument, alignment: 1)
  table.add(0x3E, "i64.store32", "address i64 ->", .memoryArgument, alignment: 2)
  table.add(0x3F, "memory.size", "-> address", .memory)
  table.add(0x40, "memory.grow", "address -> address", .memory)
}

private func addNumeric(to table: inout WasmInstructionTable) {
  table.add(0x41, "i32.const", "-> i32", .i32)
  table.add(0x42, "i64.const", "-> i64", .i64)
  table.add(0x43, "f32.const", "-> f32", .f32)
  table.add(0x44, "f64.const", "-> f64", .f64)

  func prefixed(_ type: String, _ names: String) -> String {
    names.split(separator: " ").map { "\(type).\($0)" }.joined(separator: " ")
  }
  let integerComparisons = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
  let floatComparisons = "eq ne lt gt le ge"
  let integerBinary = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
  let floatUnary = "abs neg ceil floor trunc nearest sqrt"
  let floatBinary = "add sub mul div min max copysign"

  table.add(0x45, "i32.eqz", "i32 -> i32")
  table.add(0x46, prefixed("i32", integerComparisons), "i32 i32 -> i32")
  table.add(0x50, "i64.eqz", "i64 -> i32")
  table.add(0x51, prefixed("i64", integerComparisons), "i64 i64 -> i32")
  table.add(0x5B, prefixed("f32", floatComparisons), "f32 f32 -> i32")
  table.add(0x61, prefixed("f64", floatComparisons), "f64 f64 -> i32")
  table.add(0x67, "i32.clz i32.ctz i32.popcnt", "i32 -> i32")
  table.add(0x6A, prefixed("i32", integerBinary), "i32 i32 -> i32")
  table.add(0x79, "i64.clz i64.ctz i64.popcnt", "i64 -> i64")
  table.add(0x7C, prefixed("i64", integerBinary), "i64 i64 -> i64")
  table.add(0x8B, prefixed("f32", floatUnary), "f32 -> f32")
  table.add(0x92, prefixed("f32", floatBinary), "f32 f32 -> f32")
  table.add(0x99, prefixed("f64", floatUnary), "f64 -> f64")
  table.add(0xA0, prefixed("f64", floatBinary), "f64 f64 -> f64")

  table.add(0xA7, "i32.wrap_i64", "i64 -> i32")
  table.add(0xA8, "i32.trunc_f32_s i32.trunc_f32_u", "f32 -> i32")
  table.add(0xAA, "i32.trunc_f64_s i32.trunc_f64_u", "f64 -> i32")
  table.add(0xAC, "i64.extend_i32_s i64.extend_i32_u", "i32 -> i64")
  table.add(0xAE, "i64.trunc_f32_s i64.trunc_f32_u", "f32 -> i64")
  table.add(0xB0, "i64.trunc_f64_s i64.trunc_f64_u", "f64 -> i64")
  table.add(0xB2, "f32.convert_i32_s f32.convert_i32_u", "i32 -> f32")
  table.add(0xB4, "f32.convert_i64_s f32.convert_i64_u", "i64 -> f32")
  table.add(0xB6, "f32.demote_f64", "f64 -> f32")
  table.add(0xB7, "f64.convert_i32_s f64.convert_i32_u", "i32 -> f64")
  table.add(0xB9, "f64.convert_i64_s f64.convert_i64_u", "i64 -> f64")
  table.add(0xBB, "f64.promote_f32", "f32 -> f64")
  table.add(0xBC, "i32.reinterpret_f32", "f32 -> i32")
  table.add(0xBD, "i64.reinterpret_f64", "f64 -> i64")
  table.add(0xBE, "f32.reinterpret_i32", "i32 -> f32")
  table.add(0xBF, "f64.reinterpret_i64", "i64 -> f64")

  table.feature = .signExtension
  table.add(0xC0, "i32.extend8_s i32.extend16_s", "i32 -> i32")
  table.add(0xC2, "i64.extend8_s i64.extend16_s i64.extend32_s", "i64 -> i64")
  table.feature = .mvp
}

/// The instructions of prefix 0xFC: saturating conversions, bulk operations, memory control.
func wasmMiscellaneousInstructions() -> [WasmInstruction] {
  var table = WasmInstructionTable(prefix: .fc, feature: .saturatingConversion)
  table.add(0x00, "i32.trunc_sat_f32_s i32.trunc_sat_f32_u", "f32 -> i32")
  table.add(0x02, "i32.trunc_sat_f64_s i32.trunc_sat_f64_u", "f64 -> i32")
  table.add(0x04, "i64.trunc_sat_f32_s i64.trunc_sat_f32_u", "f32 -> i64")
  table.add(0x06, "i64.trunc_sat_f64_s i64.trunc_sat_f64_u", "f64 -> i64")
  table.feature = .bulkMemory
  table.add(0x08, "memory.init", "address i32 i32 ->", .dataMemory)
  table.add(0x09, "data.drop", "->", .data)
  // The operands of copies depend on two address types.
  table.add(0x0A, "memory.copy", nil, .memoryPair)
  table.add(0x0B, "memory.fill", "address i32 address ->", .memory)
  table.add(0x0C, "table.init", nil, .elementTable)
  table.add(0x0D, "elem.drop", "->", .element)
  table.add(0x0E, "table.copy", nil, .tablePair)
  table.feature = .referenceTypes
  table.add(0x0F, "table.grow table.size table.fill", nil, .table)
  table.feature = .memoryControl
  table.add(0x12, "memory.discard", "address address ->", .memory)
  table.add(0x20, "memory.map", "address address -> address", .memoryProtection)
  table.add(0x21, "memory.unmap", "address address ->", .memory)
  table.add(0x22, "memory.protect", "address address ->", .memoryProtection)
  table.add(0x23, "memory.try_discard", "address address -> i32", .memory)
  table.feature = .memoryReferences
  table.add(0x28, "ref.mem", nil, .memory)
  table.add(0x29, "memory.size_ref memory.copy_ref")
  return table.instructions
}

/// The instructions of prefix 0xFE, the threads proposal.
func wasmAtomicInstructions() -> [WasmInstruction] {
  var table = WasmInstructionTable(prefix: .fe, feature: .threads)
  table.add(0x00, "memory.atomic.notify", "address i32 -> i32", .memoryArgument, alignment: 2)
  table.add(0x01, "memory.atomic.wait32", "address i32 i64 -> i32", .memoryArgument, alignment: 2)
  table.add(0x02, "memory.atomic.wait64", "address i64 i64 -> i32", .memoryArgument, alignment: 3)
  table.add(0x03, "atomic.fence", "->", .zeroByte)

  // Every group comes in the same seven widths.
  let widths: [(type: String, width: String, alignment: UInt8)] = [
    ("i32", "", 2), ("i64", "", 3), ("i32", "8", 0), ("i32", "16", 1), ("i64", "8", 0), ("i64", "16", 1), ("i64", "32", 2),
  ]
  for (index, (type, width, alignment)) in widths.enumerated() {
    let offset = UInt16(index)
    let suffix = width.isEmpty ? "" : "_u"
    table.add(0x10 + offset, "\(type).atomic.load\(width)\(suffix)", "address -> \(type)", .memoryArgument, alignment: alignment)
    table.add(0x17 + offset, "\(type).atomic.store\(width)", "address \(type) ->", .memoryArgument, alignment: alignment)
    for (group, operation) in ["add", "sub", "and", "or", "xor", "xchg"].enumerated() {
      table.add(
        0x1E + UInt16(group) * 7 + offset, "\(type).atomic.rmw\(width).\(operation)\(suffix)", "address \(type) -> \(type)",
        .memoryArgument, alignment: alignment)
    }
    table.add(
      0x48 + offset, "\(type).atomic.rmw\(width).cmpxchg\(suffix)", "address \(type) \(type) -> \(type)", .memoryArgument,
      alignment: alignment)
  }
  return table.instructions
}
