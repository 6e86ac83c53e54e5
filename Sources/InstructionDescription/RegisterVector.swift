/// The 128-bit vectors, relaxed ones included. Lanes are C vector types: `i8x16`, `u8x16` ... `f64x2`.
func vectorInstructions() -> [RegisterInstruction] {
  var table = VectorTable()
  table.lanesAccess()
  table.comparisons()
  table.bitwise()
  table.integerLanes()
  table.widening()
  table.floatLanes()
  table.conversions()
  table.relaxed()
  return table.instructions
}

private struct VectorTable {
  var instructions: [RegisterInstruction] = []

  mutating func unary(_ name: String, _ wasm: Int, _ type: String, _ value: String) {
    instructions.append(
      RegisterInstruction(name, .unary, wasm: 0x200 + wasm, [type], result: "v128", "r = (v128)(\(value));"))
  }

  mutating func binary(_ name: String, _ wasm: Int, _ type: String, commutative: Bool = false, _ value: String) {
    instructions.append(
      RegisterInstruction(
        name, commutative ? .commutative : .binary, wasm: 0x200 + wasm, [type, type], result: "v128", "r = (v128)(\(value));"))
  }

  mutating func lanesAccess() {
    instructions.append(
      RegisterInstruction(
        "i8x16_shuffle", .binary, ["u8x16", "u8x16"], result: "v128", words: 6,
        note: "Words 2-3 select from the first operand, 4-5 from the second; 0x80 gives zero.",
        "r = (v128)(select_bytes(a, (u8x16)load_v128((const uint8_t *)(pc + 2))) | select_bytes(b, (u8x16)load_v128((const uint8_t *)(pc + 4))));"
      ))
    binary("i8x16_swizzle", 14, "u8x16", "swizzle(a, b)")
    let lanes: [(String, String, Int, String, Int)] = [
      ("i8x16", "u8", 16, "i32", 15), ("i16x8", "u16", 8, "i32", 16), ("i32x4", "u32", 4, "i32", 17), ("i64x2", "u64", 2, "i64", 18),
      ("f32x4", "f32", 4, "f32", 19), ("f64x2", "f64", 2, "f64", 20),
    ]
    for (lane, element, _, scalar, wasm) in lanes {
      instructions.append(
        RegisterInstruction("\(lane)_splat", .unary, wasm: 0x200 + wasm, [scalar], result: "v128", "r = splat_\(element)(a);"))
    }
    func extract(_ name: String, _ wasm: Int, _ type: String, _ result: String, _ cast: String) {
      instructions.append(
        RegisterInstruction(
          name, .unary, wasm: 0x200 + wasm, [type], result: result, note: "Lane in field 2.", "r = \(cast)a[FIELD(2)];"))
    }
    extract("i8x16_extract_lane_s", 21, "i8x16", "i32", "(i32)(int32_t)")
    extract("i8x16_extract_lane_u", 22, "u8x16", "i32", "")
    extract("i16x8_extract_lane_s", 24, "i16x8", "i32", "(i32)(int32_t)")
    extract("i16x8_extract_lane_u", 25, "u16x8", "i32", "")
    extract("i32x4_extract_lane", 27, "u32x4", "i32", "")
    extract("i64x2_extract_lane", 29, "u64x2", "i64", "")
    extract("f32x4_extract_lane", 31, "f32x4", "f32", "")
    extract("f64x2_extract_lane", 33, "f64x2", "f64", "")
    for (lane, element, scalar, wasm, log2) in [
      ("i8x16", "u8", "i32", 23, 0), ("i16x8", "u16", "i32", 26, 1), ("i32x4", "u32", "i32", 28, 2), ("i64x2", "u64", "i64", 30, 3),
      ("f32x4", "f32", "f32", 32, 2), ("f64x2", "f64", "f64", 34, 3),
    ] {
      instructions.append(
        RegisterInstruction(
          "\(lane)_replace_lane", .binary, wasm: 0x200 + wasm, ["v128", scalar], result: "v128", note: "Lane in field 3.",
          "r = insert_lane(a, splat_\(element)(b), FIELD(3), \(log2));"))
    }
  }

  mutating func comparisons() {
    for (lane, unsigned, first) in [("i8x16", "u8x16", 35), ("i16x8", "u16x8", 45), ("i32x4", "u32x4", 55)] {
      for (index, comparison) in InstructionDescription.comparisons.enumerated() {
        binary(
          "\(lane)_\(comparison.name)", first + index, comparison.isSigned ? lane : unsigned, commutative: index < 2,
          "a \(comparison.symbol) b")
      }
    }
    for (index, (name, symbol)) in [("eq", "=="), ("ne", "!="), ("lt_s", "<"), ("gt_s", ">"), ("le_s", "<="), ("ge_s", ">=")].enumerated() {
      binary("i64x2_\(name)", 214 + index, "i64x2", commutative: index < 2, "a \(symbol) b")
    }
    for (lane, first) in [("f32x4", 65), ("f64x2", 71)] {
      for (index, (name, symbol)) in [("eq", "=="), ("ne", "!="), ("lt", "<"), ("gt", ">"), ("le", "<="), ("ge", ">=")].enumerated() {
        binary("\(lane)_\(name)", first + index, lane, commutative: index < 2, "a \(symbol) b")
      }
    }
  }

  mutating func bitwise() {
    unary("v128_not", 77, "u64x2", "~a")
    binary("v128_and", 78, "u64x2", commutative: true, "a & b")
    binary("v128_andnot", 79, "u64x2", "a & ~b")
    binary("v128_or", 80, "u64x2", commutative: true, "a | b")
    binary("v128_xor", 81, "u64x2", commutative: true, "a ^ b")
    instructions.append(
      RegisterInstruction(
        "v128_bitselect", .ternary, wasm: 0x200 + 82, ["u64x2", "u64x2", "u64x2"], result: "v128",
        "r = (v128)((a & c) | (b & ~c));"))
    test("v128_any_true", 83, "u64x2", "(a[0] | a[1]) != 0")
    for (lane, wasm) in [("i8x16", 99), ("i16x8", 131), ("i32x4", 163), ("i64x2", 195)] {
      test("\(lane)_all_true", wasm, lane, "all_true_\(lane)(a)")
      test("\(lane)_bitmask", wasm + 1, lane, "bitmask_\(lane)(a)")
    }
  }

  mutating func test(_ name: String, _ wasm: Int, _ type: String, _ value: String) {
    instructions.append(RegisterInstruction(name, .unary, wasm: 0x200 + wasm, [type], result: "i32", "r = \(value);"))
  }

  mutating func integerLanes() {
    for (lane, unsigned, bits, base) in [("i8x16", "u8x16", 8, 96), ("i16x8", "u16x8", 16, 128), ("i32x4", "u32x4", 32, 160), ("i64x2", "u64x2", 64, 192)] {
      unary("\(lane)_abs", base, lane, "__builtin_elementwise_abs(a)")
      unary("\(lane)_neg", base + 1, unsigned, "-a")
      for (index, (name, type)) in [("shl", unsigned), ("shr_s", lane), ("shr_u", unsigned)].enumerated() {
        instructions.append(
          RegisterInstruction(
            "\(lane)_\(name)", .binary, wasm: 0x200 + base + 11 + index, [type, "i32"], result: "v128",
            "r = (v128)\(name)_\(lane)(a, b & \(bits - 1));"))
      }
      binary("\(lane)_add", base + 14, unsigned, commutative: true, "a + b")
      binary("\(lane)_sub", base + 17, unsigned, "a - b")
      if bits <= 16 {
        for (offset, name) in [(15, "add"), (18, "sub")] {
          binary("\(lane)_\(name)_sat_s", base + offset, lane, commutative: name == "add", "__builtin_elementwise_\(name)_sat(a, b)")
          binary("\(lane)_\(name)_sat_u", base + offset + 1, unsigned, commutative: name == "add", "__builtin_elementwise_\(name)_sat(a, b)")
        }
        binary("\(lane)_avgr_u", base + 27, unsigned, commutative: true, "average_\(unsigned)(a, b)")
      }
      if bits >= 16 { binary("\(lane)_mul", base + 21, unsigned, commutative: true, "a * b") }
      if bits <= 32 {
        binary("\(lane)_min_s", base + 22, lane, commutative: true, "__builtin_elementwise_min(a, b)")
        binary("\(lane)_min_u", base + 23, unsigned, commutative: true, "__builtin_elementwise_min(a, b)")
        binary("\(lane)_max_s", base + 24, lane, commutative: true, "__builtin_elementwise_max(a, b)")
        binary("\(lane)_max_u", base + 25, unsigned, commutative: true, "__builtin_elementwise_max(a, b)")
      }
    }
    unary("i8x16_popcnt", 98, "u8x16", "popcount_u8x16(a)")
    binary("i16x8_q15mulr_sat_s", 130, "i16x8", commutative: true, "q15mulr(a, b)")
    binary("i32x4_dot_i16x8_s", 186, "i16x8", commutative: true, "dot_i16x8(a, b)")
  }

  mutating func widening() {
    binary("i8x16_narrow_i16x8_s", 101, "i16x8", "narrow_i16x8_s(a, b)")
    binary("i8x16_narrow_i16x8_u", 102, "i16x8", "narrow_i16x8_u(a, b)")
    binary("i16x8_narrow_i32x4_s", 133, "i32x4", "narrow_i32x4_s(a, b)")
    binary("i16x8_narrow_i32x4_u", 134, "i32x4", "narrow_i32x4_u(a, b)")
    for (wide, narrow, unsignedWide, unsignedNarrow, extend, multiply) in [
      ("i16x8", "i8x16", "u16x8", "u8x16", 135, 156), ("i32x4", "i16x8", "u32x4", "u16x8", 167, 188),
      ("i64x2", "i32x4", "u64x2", "u32x4", 199, 220),
    ] {
      for (index, (half, sign)) in [("low", "s"), ("high", "s"), ("low", "u"), ("high", "u")].enumerated() {
        let from = sign == "s" ? narrow : unsignedNarrow
        let to = sign == "s" ? wide : unsignedWide
        unary("\(wide)_extend_\(half)_\(narrow)_\(sign)", extend + index, from, "extend_\(half)_\(from)(a)")
        binary(
          "\(wide)_extmul_\(half)_\(narrow)_\(sign)", multiply + index, from, commutative: true,
          "(\(to))extend_\(half)_\(from)(a) * (\(to))extend_\(half)_\(from)(b)")
      }
    }
    unary("i16x8_extadd_pairwise_i8x16_s", 124, "i8x16", "pairwise_i8x16(a)")
    unary("i16x8_extadd_pairwise_i8x16_u", 125, "u8x16", "pairwise_u8x16(a)")
    unary("i32x4_extadd_pairwise_i16x8_s", 126, "i16x8", "pairwise_i16x8(a)")
    unary("i32x4_extadd_pairwise_i16x8_u", 127, "u16x8", "pairwise_u16x8(a)")
  }

  mutating func floatLanes() {
    for (lane, integer, base, roundings) in [
      ("f32x4", "u32x4", 224, [103, 104, 105, 106]), ("f64x2", "u64x2", 236, [116, 117, 122, 148]),
    ] {
      let signBit = lane == "f32x4" ? "0x80000000u" : "0x8000000000000000ull"
      unary("\(lane)_abs", base, integer, "a & ~\(signBit)")
      unary("\(lane)_neg", base + 1, integer, "a ^ \(signBit)")
      unary("\(lane)_sqrt", base + 3, lane, "__builtin_elementwise_sqrt(a)")
      for (index, (name, symbol)) in [("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/")].enumerated() {
        binary("\(lane)_\(name)", base + 4 + index, lane, commutative: index % 2 == 0, "a \(symbol) b")
      }
      binary("\(lane)_min", base + 8, lane, "minimum_\(lane)(a, b)")
      binary("\(lane)_max", base + 9, lane, "maximum_\(lane)(a, b)")
      binary("\(lane)_pmin", base + 10, lane, "pseudo_minimum_\(lane)(a, b)")
      binary("\(lane)_pmax", base + 11, lane, "pseudo_maximum_\(lane)(a, b)")
      for (name, wasm) in zip(["ceil", "floor", "trunc", "rint"], roundings) {
        unary("\(lane)_\(name == "rint" ? "nearest" : name)", wasm, lane, "quiet_\(lane)(__builtin_elementwise_\(name)(a))")
      }
    }
  }

  mutating func conversions() {
    unary("f32x4_demote_f64x2_zero", 94, "f64x2", "(f32x4){(float)a[0], (float)a[1], 0, 0}")
    unary("f64x2_promote_low_f32x4", 95, "f32x4", "(f64x2){(double)a[0], (double)a[1]}")
    unary("i32x4_trunc_sat_f32x4_s", 248, "f32x4", "truncate_sat_s(a)")
    unary("i32x4_trunc_sat_f32x4_u", 249, "f32x4", "truncate_sat_u(a)")
    unary("f32x4_convert_i32x4_s", 250, "i32x4", "__builtin_convertvector(a, f32x4)")
    unary("f32x4_convert_i32x4_u", 251, "u32x4", "__builtin_convertvector(a, f32x4)")
    unary("i32x4_trunc_sat_f64x2_s_zero", 252, "f64x2", "truncate_sat_zero_s(a)")
    unary("i32x4_trunc_sat_f64x2_u_zero", 253, "f64x2", "truncate_sat_zero_u(a)")
    unary("f64x2_convert_low_i32x4_s", 254, "i32x4", "(f64x2){(double)a[0], (double)a[1]}")
    unary("f64x2_convert_low_i32x4_u", 255, "u32x4", "(f64x2){(double)a[0], (double)a[1]}")
  }

  /// Relaxed SIMD. Where the proposal leaves a choice we take the answer of the strict instruction, but two: madd is fused
  /// where the machine has it (both results are allowed), and the second operand of a dot product is unsigned, saturating.
  mutating func relaxed() {
    func ternary(_ name: String, _ wasm: Int, _ type: String, _ value: String) {
      instructions.append(
        RegisterInstruction(
          name, .ternary, wasm: 0x200 + wasm, [type, type, type], result: "v128", "r = (v128)(\(value));"))
    }
    binary("i8x16_relaxed_swizzle", 0x100, "u8x16", "swizzle(a, b)")
    unary("i32x4_relaxed_trunc_f32x4_s", 0x101, "f32x4", "truncate_sat_s(a)")
    unary("i32x4_relaxed_trunc_f32x4_u", 0x102, "f32x4", "truncate_sat_u(a)")
    unary("i32x4_relaxed_trunc_f64x2_s_zero", 0x103, "f64x2", "truncate_sat_zero_s(a)")
    unary("i32x4_relaxed_trunc_f64x2_u_zero", 0x104, "f64x2", "truncate_sat_zero_u(a)")
    ternary("f32x4_relaxed_madd", 0x105, "f32x4", "multiply_add_f32x4(a, b, c)")
    ternary("f32x4_relaxed_nmadd", 0x106, "f32x4", "multiply_add_f32x4(-a, b, c)")
    ternary("f64x2_relaxed_madd", 0x107, "f64x2", "multiply_add_f64x2(a, b, c)")
    ternary("f64x2_relaxed_nmadd", 0x108, "f64x2", "multiply_add_f64x2(-a, b, c)")
    for (index, lane) in ["i8x16", "i16x8", "i32x4", "i64x2"].enumerated() {
      ternary("\(lane)_relaxed_laneselect", 0x109 + index, "u64x2", "(a & c) | (b & ~c)")
    }
    for (index, lane) in ["f32x4", "f64x2"].enumerated() {
      binary("\(lane)_relaxed_min", 0x10D + 2 * index, lane, "minimum_\(lane)(a, b)")
      binary("\(lane)_relaxed_max", 0x10E + 2 * index, lane, "maximum_\(lane)(a, b)")
    }
    binary("i16x8_relaxed_q15mulr_s", 0x111, "i16x8", commutative: true, "q15mulr(a, b)")
    binary("i16x8_relaxed_dot_i8x16_i7x16_s", 0x112, "i8x16", "relaxed_dot(a, b)")
    instructions.append(
      RegisterInstruction(
        "i32x4_relaxed_dot_i8x16_i7x16_add_s", .ternary, wasm: 0x200 + 0x113, ["i8x16", "i8x16", "u32x4"], result: "v128",
        "r = (v128)relaxed_dot_add(a, b, c);"))
  }
}
