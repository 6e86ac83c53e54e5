/// Parts of WebAssembly that this version does not have, by the codes that they use: so that an error names the part and does
/// not call the module malformed.
enum UnsupportedPart {
  /// The part and the name of an instruction with this opcode; nil for codes that nobody uses.
  static func instruction(_ code: UInt8) -> (part: String, name: String)? {
    switch code {
    case 0x06: (exceptions, "try")
    case 0x07: (exceptions, "catch")
    case 0x08: (exceptions, "throw")
    case 0x09: (exceptions, "rethrow")
    case 0x0A: (exceptions, "throw_ref")
    case 0x18: (exceptions, "delegate")
    case 0x19: (exceptions, "catch_all")
    case 0x1F: (exceptions, "try_table")
    case 0x14: (references, "call_ref")
    case 0x15: (references, "return_call_ref")
    case 0xD3: (garbageCollection, "ref.eq")
    case 0xD4: (references, "ref.as_non_null")
    case 0xD5: (references, "br_on_null")
    case 0xD6: (references, "br_on_non_null")
    case 0xE0...0xE6: (stackSwitching, "opcode \(hexadecimal(code))")
    case 0xFB: (garbageCollection, "opcode fb")
    default: nil
    }
  }

  /// The part and the name of an instruction behind prefix 0xFC, 0xFD or 0xFE.
  static func instruction(prefix: UInt8, _ number: UInt32) -> (part: String, name: String)? {
    switch (prefix, number) {
    case (0xFC, 0x13...0x16): ("wide arithmetic", "opcode fc \(hexadecimal(UInt8(number)))")
    case (0xFD, 0x120...0x14F): ("half-precision vectors", "opcode fd \(String(number, radix: 16))")
    default: nil
    }
  }

  /// The part that has this code as a type: a value type, a reference type, or the form of a defined type.
  static func type(_ code: UInt8) -> (part: String, name: String)? {
    switch code {
    case 0x63, 0x64: (references, "type \(hexadecimal(code))")
    case 0x69, 0x74: (exceptions, code == 0x69 ? "exnref" : "noexn")
    case 0x5D, 0x68, 0x75: (stackSwitching, code == 0x5D ? "cont type" : "contref")
    case 0x65: ("shared-everything threads", "shared type")
    case 0x62, 0x4C, 0x4D: ("custom descriptors", "type \(hexadecimal(code))")
    case 0x6A...0x6E, 0x71...0x73, 0x5E, 0x5F, 0x4E...0x50, 0x77, 0x78: (garbageCollection, "type \(hexadecimal(code))")
    default: nil
    }
  }

  static let exceptions = "exception handling"
  static let references = "typed function references"
  static let garbageCollection = "garbage collection"
  static let stackSwitching = "stack switching"

  private static func hexadecimal(_ number: UInt8) -> String { (number < 16 ? "0" : "") + String(number, radix: 16) }
}
