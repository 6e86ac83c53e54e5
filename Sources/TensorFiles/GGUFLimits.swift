/// What a GGUF header may ask for. Each limit stops a small file from costing much; none is near what a real file needs.
///
/// Counts of elements need no limit of their own: each element takes bytes of the file, so a count is compared with what is
/// left of it before anything is reserved, and the whole header is read in time linear in its length.
public enum GGUFLimits {
  /// Tensors in a file. The largest published models have a few thousand; each costs us some 200 bytes.
  public static let tensorCountMax = 1 << 20

  /// Keys. Files have some 40.
  public static let metadataCountMax = 1 << 16

  /// Bytes of a key: the specification's own limit.
  public static let keyByteCountMax = (1 << 16) - 1

  /// Bytes of a string value. Chat templates, the longest in practice, take tens of KiB; beyond this is an allocation attack.
  public static let stringByteCountMax = 1 << 24

  /// Bytes of the tokens, or of the merges, of a vocabulary, which are copied. The largest published ones have some 5 MB.
  public static let vocabularyByteCountMax = 1 << 28

  /// Bytes of a tensor's name. The specification says 64; some writers were built with 128.
  public static let tensorNameByteCountMax = 256

  /// Dimensions of a tensor: ggml's limit.
  public static let rankMax = 4

  /// Arrays within arrays: reading one takes a stack frame per level. No known file has more than two levels.
  public static let nestingDepthMax = 8
}
