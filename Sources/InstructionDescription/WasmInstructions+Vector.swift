/// The instructions of prefix 0xFD: SIMD (numbers below 256) and relaxed SIMD. The numbers are decimal, as in the proposal.
func wasmVectorInstructions() -> [WasmInstruction] {
  var table = WasmInstructionTable(prefix: .fd, feature: .simd)
  addMemory(to: &table)
  addLanes(to: &table)
  addComparisons(to: &table)
  addInteger(to: &table)
  addFloat(to: &table)
  addRelaxed(to: &table)
  return table.instructions
}

private let unary = "v128 -> v128"
private let binary = "v128 v128 -> v128"
private let ternary = "v128 v128 v128 -> v128"
private let shift = "v128 i32 -> v128"
private let test = "v128 -> i32"

private func prefixed(_ shape: String, _ names: String) -> String {
  names.split(separator: " ").map { "\(shape).\($0)" }.joined(separator: " ")
}

private func addMemory(to table: inout WasmInstructionTable) {
  let load = "address -> v128"
  table.add(0, "v128.load", load, .memoryArgument, alignment: 4)
  table.add(
    1, prefixed("v128", "load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u"), load, .memoryArgument, alignment: 3)
  table.add(7, "v128.load8_splat", load, .memoryArgument, alignment: 0)
  table.add(8, "v128.load16_splat", load, .memoryArgument, alignment: 1)
  table.add(9, "v128.load32_splat", load, .memoryArgument, alignment: 2)
  table.add(10, "v128.load64_splat", load, .memoryArgument, alignment: 3)
  table.add(11, "v128.store", "address v128 ->", .memoryArgument, alignment: 4)
  for (index, width) in ["8", "16", "32", "64"].enumerated() {
    let alignment = UInt8(index)
    table.add(84 + UInt16(index), "v128.load\(width)_lane", "address v128 -> v128", .memoryArgumentLane, alignment: alignment)
    table.add(88 + UInt16(index), "v128.store\(width)_lane", "address v128 ->", .memoryArgumentLane, alignment: alignment)
  }
  table.add(92, "v128.load32_zero", load, .memoryArgument, alignment: 2)
  table.add(93, "v128.load64_zero", load, .memoryArgument, alignment: 3)
}

private func addLanes(to table: inout WasmInstructionTable) {
  table.add(12, "v128.const", "-> v128", .v128)
  table.add(13, "i8x16.shuffle", binary, .shuffle)
  table.add(14, "i8x16.swizzle", binary)
  table.add(15, "i8x16.splat i16x8.splat i32x4.splat", "i32 -> v128")
  table.add(18, "i64x2.splat", "i64 -> v128")
  table.add(19, "f32x4.splat", "f32 -> v128")
  table.add(20, "f64x2.splat", "f64 -> v128")
  table.add(21, "i8x16.extract_lane_s i8x16.extract_lane_u", "v128 -> i32", .lane)
  table.add(23, "i8x16.replace_lane", "v128 i32 -> v128", .lane)
  table.add(24, "i16x8.extract_lane_s i16x8.extract_lane_u", "v128 -> i32", .lane)
  table.add(26, "i16x8.replace_lane", "v128 i32 -> v128", .lane)
  for (number, shape, type) in [
    (27, "i32x4", "i32"), (29, "i64x2", "i64"), (31, "f32x4", "f32"), (33, "f64x2", "f64"),
  ] as [(UInt16, String, String)] {
    table.add(number, "\(shape).extract_lane", "v128 -> \(type)", .lane)
    table.add(number + 1, "\(shape).replace_lane", "v128 \(type) -> v128", .lane)
  }
}

private func addComparisons(to table: inout WasmInstructionTable) {
  let integer = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
  let float = "eq ne lt gt le ge"
  table.add(35, prefixed("i8x16", integer), binary)
  table.add(45, prefixed("i16x8", integer), binary)
  table.add(55, prefixed("i32x4", integer), binary)
  table.add(65, prefixed("f32x4", float), binary)
  table.add(71, prefixed("f64x2", float), binary)
  table.add(214, prefixed("i64x2", "eq ne lt_s gt_s le_s ge_s"), binary)
  table.add(77, "v128.not", unary)
  table.add(78, prefixed("v128", "and andnot or xor"), binary)
  table.add(82, "v128.bitselect", ternary)
  table.add(83, "v128.any_true", test)
}

private func addInteger(to table: inout WasmInstructionTable) {
  let shifts = "shl shr_s shr_u"
  let saturating = "add add_sat_s add_sat_u sub sub_sat_s sub_sat_u"
  let extremes = "min_s min_u max_s max_u"

  table.add(96, prefixed("i8x16", "abs neg popcnt"), unary)
  table.add(99, prefixed("i8x16", "all_true bitmask"), test)
  table.add(101, prefixed("i8x16", "narrow_i16x8_s narrow_i16x8_u"), binary)
  table.add(107, prefixed("i8x16", shifts), shift)
  table.add(110, prefixed("i8x16", saturating), binary)
  table.add(118, prefixed("i8x16", extremes), binary)
  table.add(123, "i8x16.avgr_u", binary)

  table.add(124, prefixed("i16x8", "extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u"), unary)
  table.add(126, prefixed("i32x4", "extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u"), unary)

  table.add(128, prefixed("i16x8", "abs neg"), unary)
  table.add(130, "i16x8.q15mulr_sat_s", binary)
  table.add(131, prefixed("i16x8", "all_true bitmask"), test)
  table.add(133, prefixed("i16x8", "narrow_i32x4_s narrow_i32x4_u"), binary)
  table.add(135, prefixed("i16x8", "extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u"), unary)
  table.add(139, prefixed("i16x8", shifts), shift)
  table.add(142, prefixed("i16x8", saturating), binary)
  table.add(149, prefixed("i16x8", "mul " + extremes), binary)
  table.add(155, "i16x8.avgr_u", binary)
  table.add(156, prefixed("i16x8", "extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u"), binary)

  table.add(160, prefixed("i32x4", "abs neg"), unary)
  table.add(163, prefixed("i32x4", "all_true bitmask"), test)
  table.add(167, prefixed("i32x4", "extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u"), unary)
  table.add(171, prefixed("i32x4", shifts), shift)
  table.add(174, "i32x4.add", binary)
  table.add(177, "i32x4.sub", binary)
  table.add(181, prefixed("i32x4", "mul " + extremes), binary)
  table.add(186, "i32x4.dot_i16x8_s", binary)
  table.add(188, prefixed("i32x4", "extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u"), binary)

  table.add(192, prefixed("i64x2", "abs neg"), unary)
  table.add(195, prefixed("i64x2", "all_true bitmask"), test)
  table.add(199, prefixed("i64x2", "extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u"), unary)
  table.add(203, prefixed("i64x2", shifts), shift)
  table.add(206, "i64x2.add", binary)
  table.add(209, "i64x2.sub", binary)
  table.add(213, "i64x2.mul", binary)
  table.add(220, prefixed("i64x2", "extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u"), binary)
}

private func addFloat(to table: inout WasmInstructionTable) {
  let arithmetic = "add sub mul div min max pmin pmax"
  table.add(94, "f32x4.demote_f64x2_zero f64x2.promote_low_f32x4", unary)
  table.add(103, prefixed("f32x4", "ceil floor trunc nearest"), unary)
  table.add(116, prefixed("f64x2", "ceil floor"), unary)
  table.add(122, "f64x2.trunc", unary)
  table.add(148, "f64x2.nearest", unary)
  table.add(224, prefixed("f32x4", "abs neg"), unary)
  table.add(227, "f32x4.sqrt", unary)
  table.add(228, prefixed("f32x4", arithmetic), binary)
  table.add(236, prefixed("f64x2", "abs neg"), unary)
  table.add(239, "f64x2.sqrt", unary)
  table.add(240, prefixed("f64x2", arithmetic), binary)
  table.add(248, prefixed("i32x4", "trunc_sat_f32x4_s trunc_sat_f32x4_u"), unary)
  table.add(250, prefixed("f32x4", "convert_i32x4_s convert_i32x4_u"), unary)
  table.add(252, prefixed("i32x4", "trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero"), unary)
  table.add(254, prefixed("f64x2", "convert_low_i32x4_s convert_low_i32x4_u"), unary)
}

private func addRelaxed(to table: inout WasmInstructionTable) {
  table.feature = .relaxedSIMD
  table.add(256, "i8x16.relaxed_swizzle", binary)
  table.add(257, prefixed("i32x4", "relaxed_trunc_f32x4_s relaxed_trunc_f32x4_u"), unary)
  table.add(259, prefixed("i32x4", "relaxed_trunc_f64x2_s_zero relaxed_trunc_f64x2_u_zero"), unary)
  table.add(261, "f32x4.relaxed_madd f32x4.relaxed_nmadd f64x2.relaxed_madd f64x2.relaxed_nmadd", ternary)
  table.add(
    265, "i8x16.relaxed_laneselect i16x8.relaxed_laneselect i32x4.relaxed_laneselect i64x2.relaxed_laneselect", ternary)
  table.add(269, "f32x4.relaxed_min f32x4.relaxed_max f64x2.relaxed_min f64x2.relaxed_max", binary)
  table.add(273, "i16x8.relaxed_q15mulr_s i16x8.relaxed_dot_i8x16_i7x16_s", binary)
  table.add(275, "i32x4.relaxed_dot_i8x16_i7x16_add_s", ternary)
}
