/// Instructions that stand for several of WebAssembly's: an operation with an operand in memory, product and sum, the end of a
/// counting loop. A dispatch costs as much as three or four simple operations, so what often stands together is one.
///
/// Products and sums that are rounded twice in WebAssembly are rounded twice here.
func fusedInstructions() -> [RegisterInstruction] {
  var table: [RegisterInstruction] = []
  let vector = "v128"

  // Vector arithmetic on three values.
  for lane in ["f32x4", "f64x2"] {
    table.append(
      RegisterInstruction(
        "\(lane)_mul_add", .ternary, [lane, lane, lane], result: vector, note: "c + a * b, rounded twice.",
        "\(lane) product = a * b; r = (v128)(c + product);"))
  }
  table.append(
    RegisterInstruction(
      "i32x4_dot_add", .ternary, ["i16x8", "i16x8", "u32x4"], result: vector, note: "c + dot(a, b).",
      "r = (v128)(c + (u32x4)dot_i16x8(a, b));"))

  // An operand in memory. Fields: result, a, view, address. Word 2: offset, or second address field above it, or immediate above 0.
  // Word 3: field of c.
  let operations: [(name: String, type: String, log2: Int, load: String, value: String)] = [
    ("f32x4_add_load", "f32x4", 4, "(f32x4)load_v128(p)", "a + b"),
    ("f32x4_sub_load", "f32x4", 4, "(f32x4)load_v128(p)", "a - b"),
    ("f32x4_mul_load", "f32x4", 4, "(f32x4)load_v128(p)", "a * b"),
    ("f64x2_add_load", "f64x2", 4, "(f64x2)load_v128(p)", "a + b"),
    ("f64x2_mul_load", "f64x2", 4, "(f64x2)load_v128(p)", "a * b"),
    ("i32x4_add_load", "u32x4", 4, "(u32x4)load_v128(p)", "a + b"),
    ("i16x8_add_load", "u16x8", 4, "(u16x8)load_v128(p)", "a + b"),
    ("v128_and_load", "u64x2", 4, "(u64x2)load_v128(p)", "a & b"),
    ("v128_xor_load", "u64x2", 4, "(u64x2)load_v128(p)", "a ^ b"),
    ("i32x4_dot_load", "i16x8", 4, "(i16x8)load_v128(p)", "dot_i16x8(a, b)"),
    ("i32x4_dot_load8x8_s", "i16x8", 3, "__builtin_convertvector(load_i8x8(p), i16x8)", "dot_i16x8(a, b)"),
    ("f32x4_mul_load_splat", "f32x4", 2, "(f32x4)splat_u32(load_u32(p))", "a * b"),
  ]
  for operation in operations {
    for address in ["i32", "i64"] {
      table.append(
        RegisterInstruction(
          "\(operation.name)_m\(address.dropFirst())", .operateLoad, [operation.type, address], result: vector, words: 3,
          "READ(\(operation.log2)); \(operation.type) b = \(operation.load); r = (v128)(\(operation.value));"))
    }
  }
  let accumulations: [(name: String, type: String, sum: String, log2: Int, load: String, value: String)] = [
    ("f32x4_mul_add_load", "f32x4", "f32x4", 4, "(f32x4)load_v128(p)", "f32x4 product = a * b; r = (v128)(c + product)"),
    ("f64x2_mul_add_load", "f64x2", "f64x2", 4, "(f64x2)load_v128(p)", "f64x2 product = a * b; r = (v128)(c + product)"),
    ("f32x4_relaxed_madd_load", "f32x4", "f32x4", 4, "(f32x4)load_v128(p)", "r = (v128)multiply_add_f32x4(a, b, c)"),
    ("f64x2_relaxed_madd_load", "f64x2", "f64x2", 4, "(f64x2)load_v128(p)", "r = (v128)multiply_add_f64x2(a, b, c)"),
    ("f32x4_relaxed_madd_load_splat", "f32x4", "f32x4", 2, "(f32x4)splat_u32(load_u32(p))", "r = (v128)multiply_add_f32x4(a, b, c)"),
    ("i32x4_dot_add_load", "i16x8", "u32x4", 4, "(i16x8)load_v128(p)", "r = (v128)(c + (u32x4)dot_i16x8(a, b))"),
    ("i32x4_relaxed_dot_add_load", "i8x16", "u32x4", 4, "(i8x16)load_v128(p)", "r = (v128)relaxed_dot_add(a, b, c)"),
    ("i32x4_relaxed_dot_load_add", "i8x16", "u32x4", 4, "(i8x16)load_v128(p)", "r = (v128)relaxed_dot_add(b, a, c)"),
    (
      "i32x4_dot_add_load8x8_s", "i16x8", "u32x4", 3, "__builtin_convertvector(load_i8x8(p), i16x8)",
      "r = (v128)(c + (u32x4)dot_i16x8(a, b))"
    ),
  ]
  for operation in accumulations {
    for address in ["i32", "i64"] {
      table.append(
        RegisterInstruction(
          "\(operation.name)_m\(address.dropFirst())", .accumulateLoad, [operation.type, address, operation.sum], result: vector,
          words: 4, "READ(\(operation.log2)); \(operation.type) b = \(operation.load); \(operation.value);"))
    }
  }

  // Both factors in memory. Fields: result, c, views. Word 2: fields of the two addresses. Word 3: their immediates.
  for (name, value) in [
    ("f32x4_mul_add_loads", "f32x4 product = a * b; r = (v128)(c + product);"),
    ("f32x4_relaxed_madd_loads", "r = (v128)multiply_add_f32x4(a, b, c);"),
  ] {
    for address in ["i32", "i64"] {
      table.append(
        RegisterInstruction(
          "\(name)_m\(address.dropFirst())", .accumulateLoads, ["f32x4", "f32x4", "f32x4", address], result: vector, words: 4,
          "const uint8_t *first, *second; READ_AT(first, \(address), 0, 2, 4); READ_AT(second, \(address), 1, 3, 4); "
            + "f32x4 a = (f32x4)load_v128(first), b = (f32x4)load_v128(second); \(value)"))
    }
  }

  // Nibbles: the dot product with the low or the high halves of bytes. Word 2: field of d.
  table.append(
    RegisterInstruction(
      "i32x4_relaxed_dot_and_add", .quaternary, ["i8x16", "u64x2", "u64x2", "u32x4"], result: vector, words: 3,
      note: "d + relaxed_dot(a, b & c).", "r = (v128)(relaxed_dot_add(a, (i8x16)(b & c), d));"))
  table.append(
    RegisterInstruction(
      "i32x4_relaxed_dot_shr_add", .quaternary, ["i8x16", "u8x16", "i32", "u32x4"], result: vector, words: 3,
      note: "d + relaxed_dot(a, b >> c).", "r = (v128)(relaxed_dot_add(a, (i8x16)shr_u_i8x16(b, c & 7), d));"))

  // Chains of dot products, added up. Operands in the order of the fields, a1 b1 a2 b2 ..., and c in the last field.
  func dot(_ a: String, _ b: String) -> String { "c = relaxed_dot_add((i8x16)\(a), (i8x16)\(b), c); " }
  table.append(
    RegisterInstruction(
      "i32x4_relaxed_dots2_add", .chain, ["u32x4"], result: vector, words: 3, note: "c + dot(a1, b1) + dot(a2, b2).",
      dot("S_v128(1)", "S_v128(2)") + dot("S_v128(3)", "V_AT(2, 0)") + "r = (v128)c;"))
  table.append(
    RegisterInstruction(
      "i32x4_relaxed_dots4_add", .chain, ["u32x4"], result: vector, words: 4, note: "The same with four products.",
      dot("S_v128(1)", "S_v128(2)") + dot("S_v128(3)", "V_AT(2, 0)") + dot("V_AT(2, 1)", "V_AT(2, 2)")
        + dot("V_AT(2, 3)", "V_AT(3, 0)") + "r = (v128)c;"))
  table.append(
    RegisterInstruction(
      "i32x4_relaxed_dot_nibbles_add", .chain, ["u32x4"], result: vector, words: 3,
      note: "c + dot(a1, b1 & mask) + dot(a2, b2 >> shift); fields a1 b1 mask a2 b2 shift c.",
      dot("S_v128(1)", "(S_v128(2) & S_v128(3))")
        + dot("V_AT(2, 0)", "shr_u_i8x16((u8x16)V_AT(2, 1), (i32)V_AT(2, 2)[0] & 7)") + "r = (v128)c;"))

  // The end of a counting loop: slot 0 += immediate (lower half of word 2), compared with slot 1 or the upper half of word 2.
  for (type, signed) in [("i32", "int32_t"), ("i64", "int64_t")] {
    for comparison in comparisons {
      let cast = comparison.isSigned ? "(\(signed))" : ""
      table.append(
        RegisterInstruction(
          "step_branch_\(type)_\(comparison.name)", .stepBranch, [type, type], words: 3,
          "r = \(cast)a \(comparison.symbol) \(cast)b;"))
    }
  }
  return table
}
