import Foundation
import WasmRuntime
import WebAssembly
import WebAssemblyText

extension FuzzTarget {
  /// Everything that a module of a stranger goes through. Where it computes with integers only, two engines (fused instructions
  /// and the machine's handlers; none of both) must tell the same.
  static let wasm = FuzzTarget(
    "wasm", "a module: parsed, validated, written again, translated, instantiated, its exports called",
    dictionary: ["\0asm\u{1}\0\0\0", "name", "memory", "_start"],
    bytes: [[0x0B], [0x00, 0x61, 0x73, 0x6D], [0xFC], [0xFD], [0xFE], [0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0xFF, 0xFF, 0xFF, 0xFF, 0x07],
      [0x80, 0x80, 0x80, 0x80, 0x78], [0x02, 0x40], [0x03, 0x40], [0x04, 0x40], [0x05], [0x0E, 0x01, 0x00, 0x00], [0x7F], [0x7B],
      [0x01, 0x60, 0x00, 0x00], [0x10, 0x00], [0x11, 0x00, 0x00], [0x41, 0x00], [0x42, 0x00], [0xFC, 0x0A, 0x00, 0x00],
      [0xFC, 0x0B, 0x00], [0x40, 0x00], [0x3F, 0x00]],
    seeds: WasmSeeds.modules
  ) { (input) throws(BrokenPromise) in
    guard let module = try? Module.parse(input, features: WasmEngines.features) else { return }
    _ = module.readNames()
    let encoded = module.encode()
    guard let again = try? Module.parse(encoded, features: WasmEngines.features) else {
      throw BrokenPromise("a module that was read and written is no longer a module")
    }
    try promise(again.encode() == encoded, "writing a module twice gives different bytes")
    guard (try? Validator.validate(module, features: WasmEngines.features)) != nil else { return }
    try promise(
      (try? Validator.validate(again, features: WasmEngines.features)) != nil, "a valid module that was read and written is invalid")
    try WasmEngines.compare(input, module)
  }

  /// The text of a module, read back.
  static let moduleText = FuzzTarget(
    "print", "a module: printed as text, which gives the same module again", seeds: WasmSeeds.modules
  ) { (input) throws(BrokenPromise) in
    guard let module = try? Module.parse(input, features: WasmEngines.features),
      let text = try? WebAssemblyText.text(of: module)
    else { return }
    guard (try? Validator.validate(module, features: WasmEngines.features)) != nil else { return }
    let bytes: [UInt8]
    do { bytes = try WebAssemblyText.binary(of: Array(text.utf8)) } catch { throw BrokenPromise("a printed module is no text: \(error)") }
    guard let again = try? Module.parse(bytes, features: WasmEngines.features),
      (try? Validator.validate(again, features: WasmEngines.features)) != nil
    else { throw BrokenPromise("the text of a valid module gives an invalid one") }
    guard let text2 = try? WebAssemblyText.text(of: again) else { throw BrokenPromise("a printed module cannot be printed again") }
    try promise(text2 == text, "a module that was printed and read prints differently")
  }
}

extension FuzzTarget {
  /// See ``GeneratedModule``: every input is a program that runs.
  static let code = FuzzTarget(
    "code", "generated modules of dense live code, by two engines", inputByteCountMax: 2048, bytes: [[0, 0, 0, 0], [14, 14], [6, 7, 8]],
    seeds: { _ in
      (UInt64(1)...24).map { seed in
        var state = seed
        return (0..<600).map { _ in
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return UInt8(truncatingIfNeeded: state >> 56)
        }
      }
    }
  ) { (input) throws(BrokenPromise) in
    let bytes = GeneratedModule.bytes(input)
    let module: Module
    do throws(WasmParseError) { module = try Module.parse(bytes, features: WasmEngines.features) } catch {
      throw BrokenPromise("a generated module is malformed: \(error)")
    }
    do throws(ValidationError) { try Validator.validate(module, features: WasmEngines.features) } catch {
      throw BrokenPromise("a generated module is invalid: \(error)")
    }
    try WasmEngines.compare(bytes, module, isExact: true)
  }
}

enum WasmEngines {
  static let features = WasmFeatures.standard.union(.memoryReferences)

  private static func engine(isPlain: Bool) -> Engine {
    var configuration = EngineConfiguration()
    configuration.features = features
    configuration.consumesFuel = true
    configuration.callDepthMax = 256
    configuration.stackByteCount = 1 << 18
    configuration.usesPortableHandlers = isPlain
    configuration.combinesInstructions = !isPlain
    return Engine(configuration: configuration)
  }

  static let fast = engine(isPlain: false)
  static let plain = engine(isPlain: true)

  /// Runs a valid module in both engines.
  /// - Parameter isExact: floats are compared too, since the module makes its NaNs canonical.
  static func compare(_ input: [UInt8], _ module: Module, isExact: Bool = false) throws(BrokenPromise) {
    let seed = Checksum.of(input)
    func argument(_ index: Int) -> UInt64 {
      let number = (UInt64(seed) &+ UInt64(index)) &* 0x9E37_79B9_7F4A_7C15
      return switch number >> 62 {
      case 0: number >> 16 & 15
      case 1: (number >> 16 & 7) << 16
      case 2: UInt64(bitPattern: -Int64(number >> 16 & 15))
      default: number
      }
    }
    guard let compiled = try? CompiledModule(engine: fast, bytes: input) else { return }
    let run = GuestRun(compiled, arguments: argument)
    guard let compiledPlainly = try? CompiledModule(engine: plain, bytes: input) else { return }
    let plainRun = GuestRun(compiledPlainly, arguments: argument)
    // What a NaN's payload is, and what relaxed instructions do, is each engine's business.
    guard isExact || !computesWithFloats(module) else { return }
    for (found, expected) in zip(run.outcomes, plainRun.outcomes) {
      if found.1 == .limit || expected.1 == .limit { return }
      try promise(found.1 == expected.1, "'\(found.0)': \(found.1), without fused instructions \(expected.1)")
    }
    try promise(run.outcomes.count == plainRun.outcomes.count, "one engine went further than the other")
  }

  /// Whether a module has instructions whose results depend on an engine: arithmetic of floats, clocks of others' threads.
  private static func computesWithFloats(_ module: Module) -> Bool {
    for body in module.functionBodies {
      var reader = module.instructions(of: body)
      while let instruction = try? reader.next() {
        let name = instruction.opcode.mnemonic
        if name.contains("relaxed") || name.contains("wait") || name.contains("discard") { return true }
        if name.hasPrefix("f"), !name.contains("load"), !name.contains("store"), !name.contains("const") { return true }
      }
    }
    return false
  }
}

enum WasmSeeds {
  /// The modules of our own scripts and of the fixtures, and short texts that between them have something of everything.
  static func modules(_ checkout: URL) -> [[UInt8]] {
    let scripts = SeedFiles.all(checkout, "Tests/Fixtures/memory-control", endings: [".wast"]).flatMap { text -> [[UInt8]] in
      guard let script = try? WebAssemblyText.script(text) else { return [] }
      return script.commands.compactMap { command in
        if case .module(let module) = command.kind, case .binary(let bytes) = module.form { bytes } else { nil }
      }
    }
    let texts = WatSeeds.texts.compactMap { try? WebAssemblyText.binary(of: Array($0.utf8)) }
    return texts + scripts + SeedFiles.all(checkout, "Tests/Fixtures/wasi", endings: [".wasm"]).filter { $0.count < 4096 }
  }
}
