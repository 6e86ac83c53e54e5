import WebAssembly

/// The text format of WebAssembly: modules (WAT) and specification scripts (WAST).
///
/// Source: WebAssembly specification, chapter 6; the text of memory control is in `WebAssemblyText.docc`.
public enum WebAssemblyText {
  /// The binary form of the text of one module, its names in a name section. `(module binary "...")` gives the bytes of the strings,
  /// `(module quote "...")` the binary of the text in them.
  ///
  /// The text must be well-formed; whether the module is valid is for ``Validator`` to say of the result.
  /// - Parameter text: UTF-8.
  /// - Throws: ``TextFormatError`` with line, column and the source line.
  /// - Complexity: linear in the text, whatever its depth, in time and memory (about 12 bytes a token).
  public static func binary(of text: [UInt8]) throws(TextFormatError) -> [UInt8] { try translate(text).bytes }

  /// The binary form of the text of one module, and for each offset in it the place in the text: for the errors of a validator.
  public static func translate(_ text: [UInt8]) throws(TextFormatError) -> TranslatedModule {
    try ModuleTextParser.translate(text)
  }

  /// The commands of a script. Text modules in it are translated; quoted ones are left as text.
  public static func script(_ text: [UInt8]) throws(TextFormatError) -> Script { try ScriptParser.parse(text) }
}

extension WebAssemblyText {
  /// The text of a module, one instruction a line. Reading it back with ``binary(of:)`` gives the same bytes.
  ///
  /// Not kept, because no text can say it: numbers in more bytes than they need, sections without entries, a data count that no
  /// instruction needs, groups of locals that are empty or could be one, a page size of 65 536 that is written out, flags of
  /// segments in a longer form than needed.
  /// - Parameter customSections: whether to print custom sections, as `@custom` annotations. Names are printed as identifiers all
  ///   the same.
  /// - Throws: `WasmParseError` for a function of more than 50 000 locals, and for a text of more than 1 GiB and 64 bytes for each
  ///   byte of the module.
  public static func text(of module: Module, customSections: Bool = true) throws(WasmParseError) -> String {
    var bytes: [UInt8] = []
    do { try write(module, customSections: customSections) { bytes += $0 } } catch let error as WasmParseError { throw error } catch {
      preconditionFailure("appending throws nothing")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Prints the text of a module, as ``text(of:customSections:)`` gives it, part by part as it comes into being.
  ///
  /// - Parameter sink: takes the next part, of about 64 KiB; what it throws ends the printing.
  /// - Throws: as ``text(of:customSections:)`` does, before the first part for too many locals; and what `sink` throws.
  /// - Complexity: linear in the text. Memory: the buffer of one part, and 12 bytes for each entry of the name section.
  public static func write(_ module: Module, customSections: Bool = true, to sink: ([UInt8]) throws -> Void) throws {
    try withoutActuallyEscaping(sink) { sink in
      try ModulePrinter.print(module, withCustomSections: customSections, to: sink)
    }
  }
}
