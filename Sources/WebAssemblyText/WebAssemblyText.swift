import WebAssembly

/// The text format of WebAssembly: modules (WAT) and specification scripts (WAST).
///
/// Source: WebAssembly specification, chapter 6; the text of memory control is in `WebAssemblyText.docc`.
public enum WebAssemblyText {
  /// The binary form of the text of one module, its names in a name section.
  ///
  /// The text must be well-formed; whether the module is valid is for ``Validator`` to say of the result.
  /// - Parameter text: UTF-8.
  /// - Throws: ``TextFormatError`` with line, column and the source line.
  /// - Complexity: linear in the text.
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
  /// - Throws: `WasmParseError` for a function of more than 50 000 locals, and a text of more than 1 GiB.
  public static func text(of module: Module, customSections: Bool = true) throws(WasmParseError) -> String {
    try ModulePrinter.print(module, withCustomSections: customSections)
  }
}
