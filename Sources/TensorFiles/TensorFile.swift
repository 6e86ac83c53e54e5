/// Reads the header of any file of weights that is known, whichever it is.
public enum TensorFile {
  /// - Parameter file: the whole file, mapped; only the header is touched.
  /// - Throws: `TensorFileError`; `unsupported` when the bytes start like no format that is known.
  public static func readCatalog(_ file: RawSpan) throws(TensorFileError) -> TensorCatalog {
    if GGUFFile.isGGUF(file) { return try GGUFFile.readCatalog(file) }
    if SafetensorsFile.isSafetensors(file) { return try SafetensorsFile.readCatalog(file) }
    throw TensorFileError(
      .unsupported, "expected a GGUF or safetensors file; its \(file.byteCount) bytes start like neither", at: 0)
  }
}
