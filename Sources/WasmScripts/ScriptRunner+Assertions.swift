import WasmRuntime
import WebAssembly
import WebAssemblyText

extension ScriptRunner {
  func assertReturn(_ action: ScriptAction, _ expected: [ExpectedValue]) throws {
    let values = try perform(action)
    guard values.count == expected.count, zip(expected, values).allSatisfy({ $0.matches($1) }) else {
      throw CommandFailure(
        message: "expected \(Self.list(expected.map(\.description))), found \(Self.list(values.map(Self.describe)))")
    }
  }

  private static func list(_ values: [String]) -> String { values.isEmpty ? "no result" : values.joined(separator: " ") }

  func assertTrap(_ message: String, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch WasmError.trap(let trap) {
      return try check(message, "the trap", trap.message)
    }
    throw CommandFailure(message: "expected the trap `\(message)`, but nothing trapped")
  }

  func assertMalformed(_ module: ScriptModule, _ message: String, _ command: ScriptCommand) throws {
    let parsed: Module
    do {
      parsed = try Module.parse(try bytes(of: module), features: engine.configuration.features)
    } catch let error as WasmParseError {
      return try check(message, "malformed", error.message)
    } catch let error as TextFormatError {
      return try check(message, "malformed", error.message)
    }
    do {
      try Validator.validate(parsed, features: engine.configuration.features)
    } catch {
      // The suite is of two minds about limits beyond the address type: the core scripts call them invalid (in version 3.0 a
      // limit is a 64-bit number), the threads proposal malformed. They are refused either way.
      let isLimit = error.message.hasPrefix("memory size") || error.message.hasPrefix("table size")
      guard isLimit, message.hasSuffix("constant out of range") else {
        throw CommandFailure(message: "expected malformed, `\(message)`, found invalid, `\(error.message)`")
      }
      return remark(command, "refused as invalid (\(error.message)), not as malformed")
    }
    throw CommandFailure(message: "expected malformed, `\(message)`, but it was accepted")
  }

  func assertInvalid(_ module: ScriptModule, _ message: String, _ command: ScriptCommand) throws {
    let parsed: Module
    do {
      parsed = try Module.parse(try bytes(of: module), features: engine.configuration.features)
    } catch let error as WasmParseError where error.isUnsupported {
      return remark(command, "refused before validation: \(error.message)")
    } catch let error as WasmParseError {
      throw CommandFailure(message: "expected invalid, `\(message)`, found malformed, `\(error.message)`")
    }
    do {
      try Validator.validate(parsed, features: engine.configuration.features)
    } catch {
      return try check(message, "invalid", error.message)
    }
    throw CommandFailure(message: "expected invalid, `\(message)`, but it was accepted")
  }

  func assertUnlinkable(_ module: ScriptModule, _ message: String, _ command: ScriptCommand) throws {
    let compiled = try compile(module)
    do {
      _ = try Instance(store: store, module: compiled, imports: imports)
    } catch {
      guard case .link(let reason) = error else { throw error }
      // An excerpt without the module that exports: linking fails as it must, but for want of that module.
      if reason.code == .unknownImport, !registeredNames.contains(Name(reason.module)), !message.hasPrefix("unknown import") {
        return remark(command, "the script registers no module `\(reason.module)`: \(reason)")
      }
      return try check(message, "unlinkable", reason.description)
    }
    throw CommandFailure(message: "expected unlinkable, `\(message)`, but it was linked")
  }

  /// Messages agree if one begins with the other, at the end of a word: engines may say more, and the suite sometimes names an
  /// index.
  private func check(_ expected: String, _ kind: String, _ found: String) throws {
    func begins(_ text: String, with start: String) -> Bool {
      guard !start.isEmpty, text.hasPrefix(start) else { return start.isEmpty && text.isEmpty }
      guard let next = text.dropFirst(start.count).first else { return true }
      return !next.isLetter
    }
    guard expected.isEmpty || begins(found, with: expected) || begins(expected, with: found) else {
      throw CommandFailure(message: "expected \(kind) `\(expected)`, found `\(found)`")
    }
  }

  /// A value as scripts write it, floats with their bits.
  static func describe(_ value: Value) -> String {
    switch value {
    case .i32(let value): ScriptValue.i32(value).description
    case .i64(let value): ScriptValue.i64(value).description
    case .f32(let bits): ScriptValue.f32(bits).description
    case .f64(let bits): ScriptValue.f64(bits).description
    case .v128(let bits): ScriptValue.v128(bits).description
    case .funcref(let function): function == nil ? "(ref.null func)" : "(ref.func)"
    case .memref(let reference): reference == nil ? "ref.null mem" : "a memory"
    case .externref(let number): number.map { ScriptValue.externalReference($0).description } ?? "(ref.null extern)"
    }
  }
}
