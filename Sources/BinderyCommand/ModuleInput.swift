import BinaryReading
import SystemFiles
import WebAssembly
import WebAssemblyText

/// A module as a user gives it, binary or text: a file, a pipe (`<(...)`), or standard input for `-`.
///
/// The one door for modules: which form they have is seen by their contents, not by their name.
struct ModuleInput {
  /// How messages call it.
  let name: String
  let bytes: [UInt8]

  /// Every one: a tool for modules does not ask which engine will run them.
  private static let features: WasmFeatures = [.standard, .threads]
  /// As long as engines for the web take them.
  static let binaryByteCountMax = 1 << 30
  /// A token of a text takes 12 bytes more.
  static let textByteCountMax = 1 << 28

  init(_ path: String) throws(CommandFailure) { try self.init(SystemString(path)) }

  /// - Parameter isStopped: asked while nothing comes from a pipe.
  init(_ path: SystemString, isStopped: () -> Bool = { false }) throws(CommandFailure) {
    name = path == "-" ? "<standard input>" : path.description
    do throws(SystemFileError) {
      bytes =
        path == "-"
        ? try InputFile.readStandardInput(byteCountMax: Self.binaryByteCountMax, isStopped: isStopped)
        : try InputFile.read(path, byteCountMax: Self.binaryByteCountMax, isStopped: isStopped)
    } catch { throw CommandFailure(error) }
    guard !bytes.isEmpty else {
      throw CommandFailure("'\(name)' is empty: expected a WebAssembly module, in its binary form (\\0asm) or its text form")
    }
    guard isBinary || bytes.count <= Self.textByteCountMax else {
      throw CommandFailure("'\(name)' is a text of \(bytes.count) bytes: a module's text may have \(Self.textByteCountMax)")
    }
  }

  /// Whether it claims to be a binary: by its first byte, which no text has; or by its name, where the contents are no text either.
  var isBinary: Bool { bytes.first == 0 || name.hasSuffix(".wasm") && !Self.looksLikeText(bytes) }

  /// A binary module begins with a zero byte and `asm`, no text does.
  var hasMagicNumber: Bool { bytes.starts(with: [0x00, 0x61, 0x73, 0x6D]) }

  /// True if bytes begin as the text of a module does: with blanks, a parenthesis, a comment. To be asked of the first bytes of a file
  /// of any kind.
  static func looksLikeText(_ bytes: some Collection<UInt8>) -> Bool {
    guard !bytes.isEmpty, !bytes.prefix(8).contains(0) else { return false }
    let rest = bytes.drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
    // Blanks alone are the text of an empty module.
    return rest.isEmpty || rest.starts(with: [UInt8(ascii: "(")]) || rest.starts(with: ";;".utf8)
  }

  /// Parses a binary.
  func parseBinary() throws(ModuleProblem) -> Module {
    do { return try Module.parse(bytes, features: Self.features) } catch {
      throw ModuleProblem(file: name, message: Self.sentence(error), byteOffset: error.offset, place: nil)
    }
  }

  /// What is missing here, or too large, is not wrong there.
  private static func sentence(_ error: WasmParseError) -> String {
    error.reason == .malformed ? "malformed module: \(error.message)" : error.message
  }

  /// The binary form, for an engine. A text is checked against the rules of the language, so that its errors have their lines.
  func binary() throws(CommandFailure) -> [UInt8] {
    guard !isBinary else { return bytes }
    return try reportingProblem { () throws(ModuleProblem) in try translateText().bytes }
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
    // What the text can say and the binary cannot: types that this version does not have; and binaries in strings.
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

  /// - Parameter message: names of the module may stand in it as they are.
  init(file: String, message: String, byteOffset: Int, place: SourcePlace?) {
    self.file = file
    self.message = message.escapedForTerminal
    self.byteOffset = byteOffset
    self.place = place
  }

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

/// Writes a result to a file, or to standard output for nil and `-`, part by part as it comes into being. A file appears under its
/// name when it is whole.
func writeOutput(to path: String?, _ body: ((_ part: [UInt8]) throws -> Void) throws -> Void) throws {
  guard let path, path != "-" else {
    return try body { part in try standardOutput(part) }
  }
  do {
    let file = try OutputFile(SystemString(path))
    try body { part in try file.write(part) }
    try file.commit()
  } catch let error as SystemFileError { throw CommandFailure(error) }
}

/// Writes a binary to a file, or to standard output for nil and `-`.
func writeBinary(_ bytes: [UInt8], to path: String?) throws {
  guard path != nil && path != "-" || !StandardStream.output.isTerminal else {
    throw CommandFailure(
      "a binary is not written to a terminal: name a file with --output, or redirect standard output", status: 64)
  }
  try writeOutput(to: path) { write in try write(bytes) }
}
