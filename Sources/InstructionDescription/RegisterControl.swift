/// Control flow, calls, moves, and the instructions that reach beyond the frame.
func controlInstructions() -> [RegisterInstruction] {
  var table: [RegisterInstruction] = []

  // Written by hand in control_handlers.h.
  func special(_ name: String, words: Int, _ note: String) {
    table.append(RegisterInstruction(name, .special, words: words, note: note))
  }
  special("unreachable", words: 1, "Traps.")
  special("jump", words: 2, "Continues at pc + distance (bytes, in the upper half of word 1).")
  special("jump_back", words: 2, "The same, polling the interrupt flag.")
  special("jump_table", words: 3, "Continues at the distance (word 3 + min(slot 0, word 2)); that many + 1 words follow. Polls.")
  special("enter", words: 3, "Zeroes fields[1] slots from slot 0; copies fields[3] constants from address word 2 to slot 2.")
  special("return_void", words: 1, "Continues in the caller.")
  special("return_many", words: 2, "Copies fields[1] slots from slot 0 to the start of the frame, and returns.")
  special("call", words: 3, "Calls the code at word 2 of the same instance; its frame starts at slot 0.")
  special("call_import", words: 3, "Calls function word 2 of the instance's index space, of any instance or the host.")
  special("call_indirect", words: 3, "Calls through table (low half of word 2), entry slot 1, type (high half).")
  special("return_call", words: 3, "Tail call: fields[1] arguments from slot 0 replace the frame.")
  special("return_call_import", words: 3, "Tail call of function word 2; fields[1] arguments from slot 0.")
  special("return_call_indirect", words: 3, "Tail call through a table: entry slot 2; else as call_indirect.")
  special("table_set", words: 2, "table[slot 0] = slot 1; table in the upper half.")
  special("memory_copy", words: 2, "Operands slot 0...2; views fields[1] (destination), fields[2] (source).")
  special("memory_fill", words: 2, "Operands slot 0...2; view fields[1].")
  special("atomic_wait", words: 3, "Waits or notifies: operation fields[1] in Swift, operands from slot 0, view fields[2], offset word 2.")
  special("atomic_fence", words: 1, "Orders what is before it and what is after it.")
  special("runtime", words: 3, "Operation fields[1] in Swift; operands and result from slot 0; word 2 holds two 32-bit numbers.")
  special("fuel", words: 2, "Takes word 1 from the fuel; traps when it is used up.")
  special("copy_many", words: 2, "Copies fields[2] slots (whole) from slot 1 to slot 0; may overlap.")

  func add(
    _ name: String, _ shape: RegisterInstruction.Shape, wasm: Int? = nil, _ operands: [String], result: String? = nil,
    words: Int = 2, _ body: String, note: String = ""
  ) {
    table.append(
      RegisterInstruction(name, shape, wasm: wasm, operands, result: result, words: words, note: note, body))
  }
  for type in ["i64", "f32", "f64", "v128"] {
    add("copy_\(type)", .unary, [type], result: type, "r = a;")
    add("select_\(type)", .ternary, [type, type, "i32"], result: type, "r = c ? a : b;")
    add("global_get_\(type)", .nullary, [], result: type, "r = *(\(type)_alias *)inst->globals[INDEX];")
    add("global_set_\(type)", .consumer, [type], type == "i64" || type == "f64" || type == "f32"
      ? "*(\(type)_alias *)inst->globals[INDEX] = a;" : "*(v128_alias *)inst->globals[INDEX] = a;")
    add("return_\(type)", .consumer, [type], "*(\(type)_alias *)fp = a; RETURN;", note: "Returns one value.")
  }
  add("const_i64", .nullary, [], result: "i64", words: 3, "r = pc[2];")
  add("const_f32", .nullary, [], result: "f32", words: 3, "r = float_bits((uint32_t)pc[2]);")
  add("const_f64", .nullary, [], result: "f64", words: 3, "r = double_bits(pc[2]);")
  add("const_v128", .nullary, [], result: "v128", words: 4, "r = load_v128((const uint8_t *)(pc + 2));")
  add(
    "memory_size", .nullary, [], result: "i64",
    "const bindery_memory_view *view = VIEW(2); r = __atomic_load_n(&view->byte_count, __ATOMIC_RELAXED) >> view->page_log2;")
  add("ref_func", .nullary, [], result: "i64", "r = (uint64_t)(uintptr_t)inst->functions[INDEX];")
  add(
    "table_get", .unary, ["i64"], result: "i64",
    "const bindery_table *table = inst->tables[INDEX]; if (unlikely(a >= table->count)) TRAP(OUT_OF_BOUNDS_TABLE); r = table->elements[clamped(a, table->count)];")
  add("table_size", .nullary, [], result: "i64", "r = inst->tables[INDEX]->count;")

  // Branches. The distance is in bytes from the instruction, in the upper half of word 1.
  add("branch_if", .testBranch, ["i32"], "r = a != 0;", note: "Jumps if the operand is not zero.")
  add("branch_unless", .testBranch, ["i32"], "r = a == 0;", note: "Jumps if the operand is zero.")
  for (type, signed) in [("i32", "int32_t"), ("i64", "int64_t")] {
    for (name, sign, sense) in comparisons {
      let cast = name.hasSuffix("_s") ? "(\(signed))" : ""
      _ = sign
      add(
        "branch_\(type)_\(name)", name == "eq" || name == "ne" ? .compareBranchCommutative : .compareBranch, [type, type],
        "r = \(cast)a \(sense) \(cast)b;")
    }
  }
  return table
}

/// Integer comparisons in the order of their opcodes.
let comparisons: [(name: String, isSigned: Bool, symbol: String)] = [
  ("eq", false, "=="), ("ne", false, "!="), ("lt_s", true, "<"), ("lt_u", false, "<"), ("gt_s", true, ">"), ("gt_u", false, ">"),
  ("le_s", true, "<="), ("le_u", false, "<="), ("ge_s", true, ">="), ("ge_u", false, ">="),
]
