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
  public static func binary(of text: [UInt8]) throws(TextFormatError) -> [UInt8] { try ModuleTextParser.binary(of: text) }

  /// The commands of a script. Text modules in it are translated; quoted ones are left as text.
  public static func script(_ text: [UInt8]) throws(TextFormatError) -> Script { try ScriptParser.parse(text) }
}

extension WebAssemblyText {
  /// The text of a module, in the style of one instruction a line. Reading it back with ``binary(of:)`` gives the same binary,
  /// custom sections other than names and over-long numbers aside.
  ///
  /// - Throws: `WasmParseError` if a function body cannot be decoded; a validated module never throws.
  public static func text(of module: Module) throws(WasmParseError) -> String { try ModulePrinter.print(module) }
}
