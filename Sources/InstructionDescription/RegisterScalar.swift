/// Integer and floating-point arithmetic of one value.
func scalarInstructions() -> [RegisterInstruction] {
  integerInstructions() + floatInstructions() + conversionInstructions()
}

private func integerInstructions() -> [RegisterInstruction] {
  var table: [RegisterInstruction] = []
  for (type, signed, bits, first, compareFirst) in [("i32", "int32_t", 32, 0x67, 0x46), ("i64", "int64_t", 64, 0x79, 0x51)] {
    func unary(_ name: String, _ wasm: Int, _ body: String) {
      table.append(RegisterInstruction("\(type)_\(name)", .unary, wasm: wasm, [type], result: type, body))
    }
    func binary(_ name: String, _ wasm: Int, commutative: Bool = false, _ body: String) {
      table.append(
        RegisterInstruction(
          "\(type)_\(name)", commutative ? .integerCommutative : .integer, wasm: wasm, [type, type], result: type, body))
    }
    table.append(
      RegisterInstruction("\(type)_eqz", .unary, wasm: compareFirst - 1, [type], result: "i32", "r = a == 0;"))
    for (index, comparison) in comparisons.enumerated() {
      let cast = comparison.isSigned ? "(\(signed))" : ""
      table.append(
        RegisterInstruction(
          "\(type)_\(comparison.name)", index < 2 ? .integerCommutative : .integer, wasm: compareFirst + index, [type, type],
          result: "i32", "r = \(cast)a \(comparison.symbol) \(cast)b;"))
    }
    unary("clz", first, "r = count_leading_zeros_\(type)(a);")
    unary("ctz", first + 1, "r = count_trailing_zeros_\(type)(a);")
    unary("popcnt", first + 2, "r = (\(type))__builtin_popcountll(a);")
    binary("add", first + 3, commutative: true, "r = a + b;")
    binary("sub", first + 4, "r = a - b;")
    binary("mul", first + 5, commutative: true, "r = a * b;")
    let minimum = bits == 32 ? "INT32_MIN" : "INT64_MIN"
    let zero = "if (unlikely(b == 0)) TRAP(DIVIDE_BY_ZERO); "
    binary(
      "div_s", first + 6,
      zero + "if (unlikely((\(signed))a == \(minimum) && (\(signed))b == -1)) TRAP(INTEGER_OVERFLOW); "
        + "r = (\(type))((\(signed))a / (\(signed))b);")
    binary("div_u", first + 7, zero + "r = a / b;")
    binary("rem_s", first + 8, zero + "r = (\(signed))b == -1 ? 0 : (\(type))((\(signed))a % (\(signed))b);")
    binary("rem_u", first + 9, zero + "r = a % b;")
    binary("and", first + 10, commutative: true, "r = a & b;")
    binary("or", first + 11, commutative: true, "r = a | b;")
    binary("xor", first + 12, commutative: true, "r = a ^ b;")
    binary("shl", first + 13, "r = a << (b & \(bits - 1));")
    binary("shr_s", first + 14, "r = (\(type))((\(signed))a >> (b & \(bits - 1)));")
    binary("shr_u", first + 15, "r = a >> (b & \(bits - 1));")
    binary("rotl", first + 16, "r = (a << (b & \(bits - 1))) | (a >> (-b & \(bits - 1)));")
    binary("rotr", first + 17, "r = (a >> (b & \(bits - 1))) | (a << (-b & \(bits - 1)));")
  }
  return table
}

private func floatInstructions() -> [RegisterInstruction] {
  var table: [RegisterInstruction] = []
  for (type, suffix, first, compareFirst) in [("f32", "f", 0x8B, 0x5B), ("f64", "", 0x99, 0x61)] {
    func unary(_ name: String, _ index: Int, _ body: String) {
      table.append(RegisterInstruction("\(type)_\(name)", .unary, wasm: first + index, [type], result: type, body))
    }
    func binary(_ name: String, _ index: Int, commutative: Bool = false, _ body: String) {
      table.append(
        RegisterInstruction(
          "\(type)_\(name)", commutative ? .commutative : .binary, wasm: first + index, [type, type], result: type, body))
    }
    for (index, (name, symbol)) in [("eq", "=="), ("ne", "!="), ("lt", "<"), ("gt", ">"), ("le", "<="), ("ge", ">=")].enumerated() {
      table.append(
        RegisterInstruction(
          "\(type)_\(name)", index < 2 ? .commutative : .binary, wasm: compareFirst + index, [type, type], result: "i32",
          "r = a \(symbol) b;"))
    }
    unary("abs", 0, "r = __builtin_fabs\(suffix)(a);")
    unary("neg", 1, "r = -a;")
    unary("ceil", 2, "r = quiet_\(type)(__builtin_ceil\(suffix)(a));")
    unary("floor", 3, "r = quiet_\(type)(__builtin_floor\(suffix)(a));")
    unary("trunc", 4, "r = quiet_\(type)(__builtin_trunc\(suffix)(a));")
    unary("nearest", 5, "r = quiet_\(type)(__builtin_rint\(suffix)(a));")
    unary("sqrt", 6, "r = __builtin_sqrt\(suffix)(a);")
    binary("add", 7, commutative: true, "r = a + b;")
    binary("sub", 8, "r = a - b;")
    binary("mul", 9, commutative: true, "r = a * b;")
    binary("div", 10, "r = a / b;")
    binary("min", 11, "r = minimum_\(type)(a, b);")
    binary("max", 12, "r = maximum_\(type)(a, b);")
    binary("copysign", 13, "r = __builtin_copysign\(suffix)(a, b);")
  }
  return table
}

private func conversionInstructions() -> [RegisterInstruction] {
  var table: [RegisterInstruction] = []
  func convert(_ name: String, _ wasm: Int, _ from: String, _ to: String, _ body: String) {
    table.append(RegisterInstruction(name, .unary, wasm: wasm, [from], result: to, body))
  }
  convert("i32_wrap_i64", 0xA7, "i64", "i32", "r = (i32)a;")
  convert("i64_extend_i32_s", 0xAC, "i32", "i64", "r = (i64)(int64_t)(int32_t)a;")

  // Truncations trap outside the open interval (low, high) of values whose integer part is representable.
  let bounds: [(to: String, isSigned: Bool, f32: (String, String), f64: (String, String))] = [
    ("i32", true, (">= -0x1p31f", "< 0x1p31f"), ("> -2147483649.0", "< 2147483648.0")),
    ("i32", false, ("> -1.0f", "< 0x1p32f"), ("> -1.0", "< 4294967296.0")),
    ("i64", true, (">= -0x1p63f", "< 0x1p63f"), (">= -0x1p63", "< 0x1p63")),
    ("i64", false, ("> -1.0f", "< 0x1p64f"), ("> -1.0", "< 0x1p64")),
  ]
  for (index, bound) in bounds.enumerated() {
    let integer = bound.isSigned ? (bound.to == "i32" ? "int32_t" : "int64_t") : bound.to
    let sign = bound.isSigned ? "s" : "u"
    for (from, low, high, step) in [("f32", bound.f32.0, bound.f32.1, 0), ("f64", bound.f64.0, bound.f64.1, 2)] {
      let wasm = (index < 2 ? 0xA8 + index : 0xAE + index - 2) + step
      convert(
        "\(bound.to)_trunc_\(from)_\(sign)", wasm, from, bound.to,
        "if (unlikely(!(a \(low) && a \(high)))) { if (a != a) TRAP(INVALID_CONVERSION); TRAP(INTEGER_OVERFLOW); } "
          + "r = (\(bound.to))(\(integer))a;")
      let limits =
        bound.isSigned
        ? (bound.to == "i32" ? ("INT32_MIN", "INT32_MAX") : ("INT64_MIN", "INT64_MAX"))
        : (bound.to == "i32" ? ("0", "UINT32_MAX") : ("0", "UINT64_MAX"))
      convert(
        "\(bound.to)_trunc_sat_\(from)_\(sign)", 0x100 + index + (index < 2 ? 0 : 2) + step, from, bound.to,
        "r = a != a ? 0 : !(a \(low)) ? (\(bound.to))\(limits.0) : !(a \(high)) ? (\(bound.to))\(limits.1) : (\(bound.to))(\(integer))a;")
    }
  }
  for (to, base) in [("f32", 0xB2), ("f64", 0xB7)] {
    for (index, (from, cast, sign)) in [
      ("i32", "(int32_t)", "s"), ("i32", "", "u"), ("i64", "(int64_t)", "s"), ("i64", "", "u"),
    ].enumerated() {
      convert("\(to)_convert_\(from)_\(sign)", base + index, from, to, "r = (\(to))\(cast)a;")
    }
  }
  convert("f32_demote_f64", 0xB6, "f64", "f32", "r = (float)a;")
  convert("f64_promote_f32", 0xBB, "f32", "f64", "r = (double)a;")
  convert("i32_reinterpret_f32", 0xBC, "f32", "i32", "r = bits_of_float(a);")
  convert("i64_reinterpret_f64", 0xBD, "f64", "i64", "r = bits_of_double(a);")
  convert("f32_reinterpret_i32", 0xBE, "i32", "f32", "r = float_bits(a);")
  convert("f64_reinterpret_i64", 0xBF, "i64", "f64", "r = double_bits(a);")
  convert("i32_extend8_s", 0xC0, "i32", "i32", "r = (i32)(int32_t)(int8_t)a;")
  convert("i32_extend16_s", 0xC1, "i32", "i32", "r = (i32)(int32_t)(int16_t)a;")
  convert("i64_extend8_s", 0xC2, "i64", "i64", "r = (i64)(int64_t)(int8_t)a;")
  convert("i64_extend16_s", 0xC3, "i64", "i64", "r = (i64)(int64_t)(int16_t)a;")
  convert("i64_extend32_s", 0xC4, "i64", "i64", "r = (i64)(int64_t)(int32_t)a;")
  return table
}
