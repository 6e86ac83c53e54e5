import WebAssembly

extension CompiledModule {
  /// The register code of a function that the module defines, one instruction a line: for tests and for reading.
  ///
  ///     12  f32x4_add_as_s   0006 0008 0000 0000   @0x1f3
  ///
  /// Word index, variant, the four fields in hexadecimal (twice the slot's index where they name slots), further words, and
  /// the place in the module's bytes.
  package func listing(definedFunction index: Int) -> [String] {
    let start = functionStarts[index]
    let end = functionStarts[index + 1]
    let instructions = instructionStarts[index]..<instructionStarts[index + 1]
    return instructions.map { place in
      // SAFETY: the lists have an entry for each instruction.
      let word = unsafe Int(starts[place])
      let first = start + word
      let next = unsafe place + 1 < instructions.upperBound ? start + Int(starts[place + 1]) : end
      let offset = unsafe offsets[place]
      // SAFETY: the function's words lie between its start and the next one's.
      let contents = (first..<next).map { unsafe words[$0] }
      let name = engine.handlerName(at: contents[0])
      let extra = contents.dropFirst(2).map { " " + String($0, radix: 16) }.joined()
      let fields =
        contents.count > 1 ? (0..<4).map { String((contents[1] >> (16 * $0)) & 0xFFFF, radix: 16) }.joined(separator: " ") : ""
      return "\(word)  \(name)  \(fields)\(extra)  @0x\(String(offset, radix: 16))"
    }
  }
}

extension Engine {
  /// The variant whose handler has an address.
  fileprivate func handlerName(at address: UInt64) -> String {
    // SAFETY: addresses are compared, not used.
    guard let handler = unsafe handlers.firstIndex(where: { UInt64(UInt(bitPattern: $0)) == address }) else { return "?" }
    return RegisterTable.variantName(handler)
  }
}

extension RegisterTable {
  /// The name of a variant by its handler's number.
  static func variantName(_ handler: Int) -> String {
    var (low, high) = (0, firstHandler.count)
    while low + 1 < high {
      let middle = (low + high) / 2
      if Int(firstHandler[middle]) <= handler { low = middle } else { high = middle }
    }
    let suffixes = variantSuffixes[Int(shape[low])]
    return names[low] + suffixes[handler - Int(firstHandler[low])]
  }
}
