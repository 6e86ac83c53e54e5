/// Loads and stores. Each exists for 32-bit and for 64-bit addresses; the second follows the first.
///
/// Fields of a load: result, address, view, second address or vector. Of a store: value, address, view, second address or lane.
/// Word 2 is the offset; with an immediate (`i`, upper half of word 2) it is 0.
func memoryInstructions() -> [RegisterInstruction] {
  var table: [RegisterInstruction] = []
  for (name, wasm, log2, result, value) in loads {
    for address in ["i32", "i64"] {
      table.append(
        RegisterInstruction(
          "\(name)_m\(address.dropFirst())", .load, wasm: address == "i32" ? wasm : nil, [address], result: result, words: 3,
          "READ(\(log2)); r = \(value);"))
    }
  }
  for (name, wasm, log2, type, statement) in stores {
    for address in ["i32", "i64"] {
      table.append(
        RegisterInstruction(
          "\(name)_m\(address.dropFirst())", type.hasPrefix("i") ? .store : .storeVector, wasm: address == "i32" ? wasm : nil,
          [type, address], words: 3, "WRITE(\(log2)); \(statement);"))
    }
  }
  for (log2, bits) in [8, 16, 32, 64].enumerated() {
    for address in ["i32", "i64"] {
      let suffix = "m\(address.dropFirst())"
      let wasm = address == "i32"
      table.append(
        RegisterInstruction(
          "v128_load\(bits)_lane_\(suffix)", .loadLane, wasm: wasm ? 0x254 + log2 : nil, [address], result: "v128", words: 4,
          note: "The vector is slot 3, the lane word 3.",
          "READ(\(log2)); r = insert_lane(S_v128(3), splat_u\(bits)(load_u\(bits)(p)), pc[3], \(log2));"))
    }
  }
  for (log2, bits) in [8, 16, 32, 64].enumerated() {
    for address in ["i32", "i64"] {
      table.append(
        RegisterInstruction(
          "v128_store\(bits)_lane_m\(address.dropFirst())", .storeLane, wasm: address == "i32" ? 0x258 + log2 : nil,
          ["v128", address], words: 3, note: "The lane is field 3.",
          "WRITE(\(log2)); store_u\(bits)(p, ((u\(bits)x\(128 / bits))a)[FIELD(3)]);"))
    }
  }
  return table
}

/// Name, opcode, log2 of the byte count, result type, value in C (`p` is the host address).
private let loads: [(String, Int, Int, String, String)] = [
  ("i32_load", 0x28, 2, "i32", "load_u32(p)"),
  ("i64_load", 0x29, 3, "i64", "load_u64(p)"),
  ("f32_load", 0x2A, 2, "f32", "load_f32(p)"),
  ("f64_load", 0x2B, 3, "f64", "load_f64(p)"),
  ("i32_load8_s", 0x2C, 0, "i32", "(i32)(int32_t)(int8_t)*p"),
  ("i32_load8_u", 0x2D, 0, "i32", "*p"),
  ("i32_load16_s", 0x2E, 1, "i32", "(i32)(int32_t)(int16_t)load_u16(p)"),
  ("i32_load16_u", 0x2F, 1, "i32", "load_u16(p)"),
  ("i64_load8_s", 0x30, 0, "i64", "(i64)(int64_t)(int8_t)*p"),
  ("i64_load8_u", 0x31, 0, "i64", "*p"),
  ("i64_load16_s", 0x32, 1, "i64", "(i64)(int64_t)(int16_t)load_u16(p)"),
  ("i64_load16_u", 0x33, 1, "i64", "load_u16(p)"),
  ("i64_load32_s", 0x34, 2, "i64", "(i64)(int64_t)(int32_t)load_u32(p)"),
  ("i64_load32_u", 0x35, 2, "i64", "load_u32(p)"),
  ("v128_load", 0x200, 4, "v128", "load_v128(p)"),
  ("v128_load8x8_s", 0x201, 3, "v128", "(v128)__builtin_convertvector(load_i8x8(p), i16x8)"),
  ("v128_load8x8_u", 0x202, 3, "v128", "(v128)__builtin_convertvector(load_u8x8(p), u16x8)"),
  ("v128_load16x4_s", 0x203, 3, "v128", "(v128)__builtin_convertvector(load_i16x4(p), i32x4)"),
  ("v128_load16x4_u", 0x204, 3, "v128", "(v128)__builtin_convertvector(load_u16x4(p), u32x4)"),
  ("v128_load32x2_s", 0x205, 3, "v128", "(v128)__builtin_convertvector(load_i32x2(p), i64x2)"),
  ("v128_load32x2_u", 0x206, 3, "v128", "(v128)__builtin_convertvector(load_u32x2(p), u64x2)"),
  ("v128_load8_splat", 0x207, 0, "v128", "splat_u8(*p)"),
  ("v128_load16_splat", 0x208, 1, "v128", "splat_u16(load_u16(p))"),
  ("v128_load32_splat", 0x209, 2, "v128", "splat_u32(load_u32(p))"),
  ("v128_load64_splat", 0x20A, 3, "v128", "splat_u64(load_u64(p))"),
  ("v128_load32_zero", 0x25C, 2, "v128", "(v128)(u32x4){load_u32(p), 0, 0, 0}"),
  ("v128_load64_zero", 0x25D, 3, "v128", "(v128)(u64x2){load_u64(p), 0}"),
]

/// Name, opcode, log2 of the byte count, value type, statement.
private let stores: [(String, Int, Int, String, String)] = [
  ("i32_store", 0x36, 2, "i32", "store_u32(p, a)"),
  ("i64_store", 0x37, 3, "i64", "store_u64(p, a)"),
  ("f32_store", 0x38, 2, "f32", "store_f32(p, a)"),
  ("f64_store", 0x39, 3, "f64", "store_f64(p, a)"),
  ("i32_store8", 0x3A, 0, "i32", "*p = (uint8_t)a"),
  ("i32_store16", 0x3B, 1, "i32", "store_u16(p, (uint16_t)a)"),
  ("i64_store8", 0x3C, 0, "i64", "*p = (uint8_t)a"),
  ("i64_store16", 0x3D, 1, "i64", "store_u16(p, (uint16_t)a)"),
  ("i64_store32", 0x3E, 2, "i64", "store_u32(p, (uint32_t)a)"),
  ("v128_store", 0x20B, 4, "v128", "store_v128(p, a)"),
]
