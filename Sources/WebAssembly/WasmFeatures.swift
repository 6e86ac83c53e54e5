/// The parts of WebAssembly that a parser and validator accept beyond the first version of the language.
///
/// What is switched off is rejected as if it did not exist: `illegal opcode`, `malformed limits flags` and so on.
public struct WasmFeatures: OptionSet, Hashable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The language of 2017: always on; it only gives the table's plain instructions a feature to belong to.
  public static let mvp: WasmFeatures = []
  public static let signExtension = WasmFeatures(rawValue: 1 << 0)
  public static let saturatingConversion = WasmFeatures(rawValue: 1 << 1)
  public static let bulkMemory = WasmFeatures(rawValue: 1 << 2)
  public static let referenceTypes = WasmFeatures(rawValue: 1 << 3)
  /// Several results of functions and blocks, and parameters of blocks.
  public static let multiValue = WasmFeatures(rawValue: 1 << 4)
  public static let simd = WasmFeatures(rawValue: 1 << 5)
  public static let relaxedSIMD = WasmFeatures(rawValue: 1 << 6)
  public static let tailCall = WasmFeatures(rawValue: 1 << 7)
  public static let multiMemory = WasmFeatures(rawValue: 1 << 8)
  /// 64-bit memories and tables.
  public static let memory64 = WasmFeatures(rawValue: 1 << 9)
  /// Arithmetic in constant expressions.
  public static let extendedConstants = WasmFeatures(rawValue: 1 << 10)
  /// Pages of one byte.
  public static let customPageSizes = WasmFeatures(rawValue: 1 << 11)
  /// Page states: `memory.discard`, `memory.map` and so on, and the attributes of memory types.
  public static let memoryControl = WasmFeatures(rawValue: 1 << 12)
  /// Shared memories and atomic instructions.
  public static let threads = WasmFeatures(rawValue: 1 << 13)

  /// Memories as values: `memref`, and loads and stores through one. Off by default.
  public static let memoryReferences = WasmFeatures(rawValue: 1 << 14)

  /// WebAssembly 2.0 with what Bindery adds to it: everything above but `memoryReferences`.
  public static let standard: WasmFeatures = [
    .signExtension, .saturatingConversion, .bulkMemory, .referenceTypes, .multiValue, .simd, .relaxedSIMD, .tailCall,
    .multiMemory, .memory64, .extendedConstants, .customPageSizes, .memoryControl, .threads,
  ]
}
