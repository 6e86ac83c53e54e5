/// Atomic accesses, sequentially consistent. A slot holds an i32 zero-extended, so that one instruction serves 32-bit and 64-bit
/// values and addresses; each operation exists for 8, 16, 32 and 64 bits, in this order.
///
/// The effective address is tested in the order of the threads proposal: alignment, then bounds, then page states.
func atomicInstructions() -> [RegisterInstruction] {
  var table: [RegisterInstruction] = []
  for (name, shape, expression) in accesses {
    for (log2, bits) in [8, 16, 32, 64].enumerated() {
      let cell = "(uint\(bits)_t *)(void *)p"
      let value = "(uint\(bits)_t)S_i64(\(shape == .atomicStore ? 0 : 3))"
      let isWrite = name != "load"
      var body = "ATOMIC_ADDRESS(\(log2), \(isWrite ? 1 : 0)); "
      if name == "compare_exchange" {
        body += "uint\(bits)_t found = \(value); __atomic_compare_exchange_n(\(cell), &found, "
          + "(uint\(bits)_t)*(const i64_alias *)SLOT_OF_WORD(3), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); r = found;"
      } else {
        let arguments = name == "load" ? cell : "\(cell), \(value)"
        body += "\(shape == .atomic ? "r = " : "")\(expression)(\(arguments), __ATOMIC_SEQ_CST);"
      }
      table.append(
        RegisterInstruction(
          "atomic_\(name)\(bits)", shape, result: shape == .atomic ? "i64" : nil, words: name == "compare_exchange" ? 4 : 3,
          note: name == "compare_exchange" ? "Word 3: field of the replacement." : "", body))
    }
  }
  return table
}

/// Name, shape, function of the C compiler; in the order of WebAssembly's opcodes.
private let accesses: [(String, RegisterInstruction.Shape, String)] = [
  ("load", .atomic, "__atomic_load_n"),
  ("store", .atomicStore, "__atomic_store_n"),
  ("add", .atomic, "__atomic_fetch_add"),
  ("sub", .atomic, "__atomic_fetch_sub"),
  ("and", .atomic, "__atomic_fetch_and"),
  ("or", .atomic, "__atomic_fetch_or"),
  ("xor", .atomic, "__atomic_fetch_xor"),
  ("exchange", .atomic, "__atomic_exchange_n"),
  ("compare_exchange", .atomic, "__atomic_compare_exchange_n"),
]
