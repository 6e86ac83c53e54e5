import WebAssembly

/// A valid module of dense live code, made from the choices in an input: deep expressions, many locals, nested loops, tables of
/// labels, calls, several values, memories of both address types, bulk operations, tables; all plain instructions.
///
/// Whatever it does is the same in every engine. It ends, since loops and calls take from a counter in a global; and NaNs are made
/// canonical wherever their bits could be seen.
///
/// Exports: `f0`... functions of numbers, `r0`... which fill the counter again, globals, both memories.
public struct GeneratedModule {
  static let memoryCount: UInt32 = 2
  static let counterGlobal: UInt32 = 0
  /// Types of the globals behind the counter.
  static let globalTypes: [ValueType] = [.i32, .i64, .f32, .f64, .v128]
  private static let fuel: Int64 = 400

  private(set) var types: [FunctionType] = []
  private(set) var functions: [FunctionType] = []
  var input: InputReader

  /// The module's bytes.
  public static func bytes(_ input: [UInt8]) -> [UInt8] {
    var module = GeneratedModule(input: InputReader(input))
    return module.make()
  }

  private init(input: InputReader) { self.input = input }

  mutating func typeIndex(_ type: FunctionType) -> UInt32 {
    if let index = types.firstIndex(of: type) { return UInt32(index) }
    types.append(type)
    return UInt32(types.count - 1)
  }

  static let numberTypes: [ValueType] = [.i32, .i64, .f32, .f64]

  private mutating func make() -> [UInt8] {
    let count = 2 + input.integer(0...3)
    for index in 0..<count {
      // Those that are exported have numbers only: not every host can pass vectors.
      let choices = index % 2 == 0 ? Self.numberTypes : Self.numberTypes + [.v128]
      functions.append(
        FunctionType(
          parameters: (0..<input.integer(0...3)).map { _ in input.element(of: choices) },
          results: (0..<input.element(of: [1, 1, 1, 0, 2, 3])).map { _ in input.element(of: choices) }))
    }
    let refill = FunctionType(parameters: [], results: [])
    for type in functions { _ = typeIndex(type) }
    _ = typeIndex(refill)
    let data = [input.take(40), input.take(24)]
    var bodies = (0..<count).map { index in
      var code = GeneratedFunction(module: self, index: index)
      let body = code.make()
      // What the body chose and added goes on.
      self = code.module
      return body
    }
    bodies.append([0, 0x41] + Bytes.signed(Self.fuel) + [0x24, 0, 0x0B])
    return assemble(bodies, data, refill)
  }

  private mutating func assemble(_ bodies: [[UInt8]], _ data: [[UInt8]], _ refill: FunctionType) -> [UInt8] {
    let count = functions.count
    let typeIndices = (functions + [refill]).map { typeIndex($0) }
    var exports: [[UInt8]] = []
    for index in stride(from: 0, to: count, by: 2) {
      exports.append(Bytes.name("r\(index)") + [0] + Bytes.unsigned(UInt64(count)))
      exports.append(Bytes.name("f\(index)") + [0] + Bytes.unsigned(UInt64(index)))
    }
    exports += [Bytes.name("m0") + [2, 0], Bytes.name("m1") + [2, 1]]
    for index in 0..<Self.globalTypes.count where Self.globalTypes[index] != .v128 || index == 0 {
      exports.append(Bytes.name("g\(index)") + [3] + Bytes.unsigned(UInt64(index)))
    }
    let globals =
      [[0x7F, 1, 0x41] + Bytes.signed(Self.fuel) + [0x0B]]
      + Self.globalTypes.map { type -> [UInt8] in [Bytes.type(type), 1] + Bytes.constant(type, 7) + [0x0B] }
    let elements = (0..<count).flatMap { Bytes.unsigned(UInt64($0)) }
    return [0x00, 0x61, 0x73, 0x6D, 1, 0, 0, 0]
      + Bytes.section(
        1, types.map { [0x60] + Bytes.vector($0.parameters.map { [Bytes.type($0)] }) + Bytes.vector($0.results.map { [Bytes.type($0)] }) })
      + Bytes.section(3, typeIndices.map { Bytes.unsigned(UInt64($0)) })
      + Bytes.section(4, [[0x70, 1] + Bytes.unsigned(UInt64(count + 3)) + Bytes.unsigned(UInt64(count + 8))])
      + Bytes.section(5, [[1, 1, 3], [5, 1, 2]]) + Bytes.section(6, globals) + Bytes.section(7, exports)
      + Bytes.section(
        9,
        [
          [0, 0x41, 0, 0x0B] + Bytes.unsigned(UInt64(count)) + elements,
          [1, 0] + Bytes.unsigned(UInt64(count)) + elements,
        ]) + Bytes.section(12, count: 2, [])
      + Bytes.section(10, bodies.map { Bytes.unsigned(UInt64($0.count)) + $0 })
      + Bytes.section(11, [[0, 0x41, 16, 0x0B] + Bytes.unsigned(UInt64(data[0].count)) + data[0], [1] + Bytes.unsigned(UInt64(data[1].count)) + data[1]])
  }
}

/// Pieces of the binary format.
enum Bytes {
  static func unsigned(_ value: UInt64) -> [UInt8] {
    var (value, bytes) = (value, [UInt8]())
    repeat {
      bytes.append(UInt8(value & 0x7F) | (value > 0x7F ? 0x80 : 0))
      value >>= 7
    } while value != 0
    return bytes
  }

  static func signed(_ value: Int64) -> [UInt8] {
    var (value, bytes) = (value, [UInt8]())
    while true {
      let byte = UInt8(truncatingIfNeeded: value) & 0x7F
      value >>= 7
      if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) { return bytes + [byte] }
      bytes.append(byte | 0x80)
    }
  }

  static func little(_ value: UInt64, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }

  static func name(_ text: String) -> [UInt8] { unsigned(UInt64(text.utf8.count)) + Array(text.utf8) }
  static func vector(_ items: [[UInt8]]) -> [UInt8] { unsigned(UInt64(items.count)) + items.flatMap { $0 } }
  static func section(_ number: UInt8, _ items: [[UInt8]]) -> [UInt8] { section(number, count: items.count, items) }
  static func section(_ number: UInt8, count: Int, _ items: [[UInt8]]) -> [UInt8] {
    let contents = unsigned(UInt64(count)) + items.flatMap { $0 }
    return [number] + unsigned(UInt64(contents.count)) + contents
  }

  static func type(_ type: ValueType) -> UInt8 {
    switch type {
    case .i32: 0x7F
    case .i64: 0x7E
    case .f32: 0x7D
    case .f64: 0x7C
    case .v128: 0x7B
    default: 0x70
    }
  }

  /// A constant instruction with these bits.
  static func constant(_ type: ValueType, _ bits: UInt64) -> [UInt8] {
    switch type {
    case .i32: [0x41] + signed(Int64(Int32(truncatingIfNeeded: bits)))
    case .i64: [0x42] + signed(Int64(bitPattern: bits))
    case .f32: [0x43] + little(bits, 4)
    case .f64: [0x44] + little(bits, 8)
    default: [0xFD, 12] + little(bits, 8) + little(bits &* 0x9E37_79B9_7F4A_7C15, 8)
    }
  }

  static func opcode(_ opcode: Opcode) -> [UInt8] {
    let code = opcode.rawValue
    return switch code {
    case 0..<0x100: [UInt8(code)]
    case 0x100..<0x200: [0xFC] + unsigned(UInt64(code - 0x100))
    case 0x200..<0x400: [0xFD] + unsigned(UInt64(code - 0x200))
    default: [0xFE] + unsigned(UInt64(code - 0x400))
    }
  }
}
