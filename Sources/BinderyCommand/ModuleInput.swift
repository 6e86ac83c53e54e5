import Foundation
import SystemFiles
import WebAssembly
import WebAssemblyText

/// A module as a user gives it: a file, or standard input for `-`.
struct ModuleInput {
  /// How messages call it.
  let name: String
  let bytes: [UInt8]

  /// Every one: a tool for modules does not ask which engine will run them.
  private static let features: WasmFeatures = [.standard, .threads]

  init(_ path: String) throws(CommandFailure) { try self.init(SystemString(path)) }

  /// - Parameter isStopped: asked while a pipe gives nothing.
  init(_ path: SystemString, isStopped: () -> Bool = { false }) throws(CommandFailure) {
    name = path == "-" ? "<standard input>" : path.description
    bytes = try readBytes(path, isStopped: isStopped)
  }

  /// The module as a binary: the bytes themselves, or what their text says.
  func binary() throws(CommandFailure) -> [UInt8] {
    // A text begins, after blanks, with a parenthesis or a comment.
    let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    guard first == UInt8(ascii: "(") || first == UInt8(ascii: ";") else { return bytes }
    return try reportingProblem { () throws(ModuleProblem) in try translateText(checking: false).bytes }
  }

  /// Whether the file claims to be a binary: by its first bytes, or by its name.
  var isBinary: Bool { hasMagicNumber || name.hasSuffix(".wasm") }

  /// A binary module begins with a zero byte and `asm`, no text does.
  var hasMagicNumber: Bool { bytes.starts(with: [0x00, 0x61, 0x73, 0x6D]) }

  /// Parses a binary.
  func parseBinary() throws(ModuleProblem) -> Module {
    do { return try Module.parse(bytes, features: Self.features) } catch {
      throw ModuleProblem(file: name, message: "malformed module: \(error.message)", byteOffset: error.offset, place: nil)
    }
  }

  /// Translates a text; checks the result against the rules of the language.
  func translateText(checking: Bool = true) throws(ModuleProblem) -> TranslatedModule {
    let module: TranslatedModule
    do { module = try WebAssemblyText.translate(bytes) } catch {
      throw ModuleProblem(file: name, message: error.message, byteOffset: error.offset, place: error.place)
    }
    guard checking else { return module }
    func problem(_ message: String, _ offset: Int) -> ModuleProblem {
      let place = module.sourceMap.place(ofByte: offset)
      return ModuleProblem(file: name, message: message, byteOffset: place?.offset ?? offset, place: place)
    }
    let parsed: Module
    // What the text can say and the binary cannot: types that this version does not have.
    do { parsed = try Module.parse(module.bytes, features: Self.features) } catch { throw problem(error.message, error.offset) }
    do { try Validator.validate(parsed) } catch { throw problem("invalid module: \(error.message)", error.offset) }
    return module
  }

  /// Checks a module in either form.
  func validate() throws(ModuleProblem) {
    guard isBinary else {
      _ = try translateText()
      return
    }
    let module = try parseBinary()
    do { try Validator.validate(module) } catch {
      throw ModuleProblem(file: name, message: "invalid module: \(error.message)", byteOffset: error.offset, place: nil)
    }
  }
}

/// What is wrong with a module, and where: a line and column of a text, an offset of a binary.
struct ModuleProblem: Error {
  let file: String
  let message: String
  /// Into the file.
  let byteOffset: Int
  /// Nil for a binary.
  let place: SourcePlace?

  /// `FILE:LINE:COLUMN: message`, the line and a marker; or `FILE: message at byte N`.
  var sentence: String {
    guard let place else { return "\(file): \(message), at byte \(byteOffset) (0x\(String(byteOffset, radix: 16)))" }
    return "\(file):\(place.line):\(place.column): \(message)\n\(place.excerpt)"
  }
}

/// Runs a body and turns what is wrong with a module into what the user sees.
func reportingProblem<Result>(_ body: () throws(ModuleProblem) -> Result) throws(CommandFailure) -> Result {
  do { return try body() } catch { throw CommandFailure(error.sentence) }
}

/// Writes a result to a file, or to standard output for nil and `-`.
func writeOutput(_ bytes: [UInt8], to path: String?, isText: Bool) throws {
  guard let path, path != "-" else {
    guard isText || isatty(1) == 0 else {
      throw CommandFailure(
        "a binary is not written to a terminal: name a file with --output, or redirect standard output", status: 64)
    }
    return try standardOutput(bytes)
  }
  try writeFile(bytes, to: path)
}
