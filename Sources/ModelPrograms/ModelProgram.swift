import CModelPrograms

/// A guest that is built into this library: a model program, or the kernels of the wasm provider.
public enum ModelProgram: String, Sendable, CaseIterable {
  /// The architecture `llama`: RMS norms, rotary positions, grouped-query attention, SiLU gates.
  case llama
  /// Every tensor operation, with SIMD128, over the model program's own memories.
  case kernels

  /// The program for the architecture that a weight file names (`general.architecture`), nil if there is none yet.
  public static func forArchitecture(_ architecture: String) -> ModelProgram? {
    switch architecture {
    case "llama": .llama
    default: nil
    }
  }

  /// The architectures that `forArchitecture` knows.
  public static let architectures = ["llama"]

  /// The WebAssembly module; nil if this build was made without it.
  public var bytes: [UInt8]? {
    var byteCount = 0
    let start =
      switch self {
      case .llama: unsafe bindery_program_llama(&byteCount)
      case .kernels: unsafe bindery_program_kernels(&byteCount)
      }
    guard let start = unsafe start, byteCount > 0 else { return nil }
    // SAFETY: the C function gives an array of constants of the executable and its length.
    return unsafe [UInt8](UnsafeBufferPointer(start: start, count: byteCount))
  }
}
