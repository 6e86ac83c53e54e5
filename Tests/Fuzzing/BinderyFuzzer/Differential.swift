import Foundation
import FuzzBodies
import WasmRuntime
import WebAssembly

/// Our side of the comparison with another engine: see `Tests/Fuzzing/differential.py`, which has the other side and the same rules
/// for arguments and for writing results down.
enum Differential {
  static let memoryByteCountMax: UInt64 = 1 << 22
  static let roundCount = 2

  // MARK: Frames: a length of four bytes, the lowest first, and the bytes.

  private static func write(_ bytes: [UInt8]) {
    let count = UInt32(bytes.count)
    let frame = (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + bytes
    do { try FileHandle.standardOutput.write(contentsOf: Data(frame)) } catch { exit(0) }
  }

  private static func read(_ count: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard let part = try? FileHandle.standardInput.read(upToCount: count - bytes.count), !part.isEmpty else { return nil }
      bytes += part
    }
    return bytes
  }

  static func generate(seed: UInt64, count: Int) {
    var state = seed &* 0x9E37_79B9_7F4A_7C15
    for _ in 0..<count {
      let input = (0..<1200).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
      }
      write(GeneratedModule.bytes(input))
    }
  }

  static func execute() {
    while let header = read(4) {
      let count = header.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
      guard let bytes = read(count) else { return }
      let line = outcome(of: bytes) + "\n"
      do { try FileHandle.standardOutput.write(contentsOf: Data(line.utf8)) } catch { return }
    }
  }

  // MARK: Running

  private static let engine: Engine = {
    var configuration = EngineConfiguration()
    configuration.features.subtract([.memoryControl, .threads, .customPageSizes])
    return Engine(configuration: configuration)
  }()

  /// Numbers that both sides make from the module.
  private struct Numbers {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }

    mutating func argument() -> UInt64 {
      let kind = next() & 3
      let number = next()
      return switch kind {
      case 0: number & 15
      case 1: number & 0xFFFF
      case 2: ~(number & 15)
      default: number
      }
    }
  }

  private static func outcome(of bytes: [UInt8]) -> String {
    let compiled: CompiledModule
    do throws(WasmError) { compiled = try CompiledModule(engine: engine, bytes: bytes) } catch {
      let sentence = "\(error)".replacing("\n", with: " ")
      if case .limit = error { return "limit: \(sentence)" }
      return "refused: \(sentence)"
    }
    var limits = ResourceLimits()
    limits.memoryByteCountMax = memoryByteCountMax
    limits.tableElementCountMax = 20_000
    let store = Store(engine: engine, limits: limits)
    store.setTimeLimit(.seconds(10))
    let instance: Instance
    do throws(WasmError) { instance = try Instance(store: store, module: compiled) } catch { return "start=" + text(of: error) }
    var fields = ["start=ok"]
    var numbers = Numbers(state: UInt64(Checksum.of(bytes)))
    let exports = instance.exports
    for _ in 0..<roundCount {
      for (name, value) in exports {
        guard case .function(let function) = value,
          (function.type.parameters + function.type.results).allSatisfy({ [.i32, .i64, .f32, .f64].contains($0) })
        else { continue }
        let what = "f\(number(of: name)):" + letters(function.type.parameters) + ">" + letters(function.type.results)
        let arguments = function.type.parameters.map { argument($0, numbers.argument()) }
        do throws(WasmError) {
          fields.append("\(what)=" + (try function(arguments)).map(text(of:)).joined(separator: ","))
        } catch {
          fields.append("\(what)=" + text(of: error))
        }
      }
    }
    for (name, value) in exports {
      switch value {
      case .function, .table: continue
      case .global(let global):
        if [.i32, .i64, .f32, .f64].contains(global.type.valueType) { 
          fields.append("g\(number(of: name)):\(letters([global.type.valueType]))=" + text(of: global.value))
        }
      case .memory(let memory):
        let contents = (try? memory.read(address: 0, byteCount: memory.byteCount)) ?? []
        fields.append("m\(number(of: name))=\(memory.byteCount) \(Checksum.of(contents))")
      }
    }
    return fields.joined(separator: "|")
  }

  private static func argument(_ type: ValueType, _ number: UInt64) -> Value {
    switch type {
    case .i32: return .i32(UInt32(truncatingIfNeeded: number))
    case .i64: return .i64(number)
    case .f32:
      let bits = UInt32(truncatingIfNeeded: number)
      return .f32(Float(bitPattern: bits).isNaN ? 0x3F80_0000 : bits)
    default: return .f64(Double(bitPattern: number).isNaN ? 0x3FF0_0000_0000_0000 : number)
    }
  }

  private static func text(of value: Value) -> String {
    switch value {
    case .i32(let bits): "\(bits)"
    case .i64(let bits): "\(bits)"
    case .f32(let bits): Float(bitPattern: bits).isNaN ? "nan" : "\(bits)"
    case .f64(let bits): Double(bitPattern: bits).isNaN ? "nan" : "\(bits)"
    default: "?"
    }
  }

  private static func text(of error: WasmError) -> String {
    guard case .trap(let trap) = error else { return "limit" }
    return switch trap.kind {
    case .unreachable: "unreachable"
    case .integerDivideByZero: "divide by zero"
    case .integerOverflow: "overflow"
    case .invalidConversionToInteger: "conversion"
    case .memory(.outOfBounds): "memory"
    case .outOfBoundsTableAccess, .undefinedElement: "table"
    case .uninitializedElement: "null"
    case .indirectCallTypeMismatch: "signature"
    case .callStackExhausted, .deadlineExceeded, .fuelExhausted: "limit"
    default: "other: \(trap.kind)"
    }
  }

  /// Names of exports may have any character.
  private static func number(of name: String) -> UInt32 { Checksum.of(Array(name.utf8)) }

  private static func letters(_ types: [ValueType]) -> String {
    types.map { type in
      switch type {
      case .i32: "i"
      case .i64: "l"
      case .f32: "f"
      default: "d"
      }
    }.joined()
  }
}
