/// Why a generation ended.
public enum FinishReason: String, Sendable, Codable {
  /// An end-of-generation token or a stop string.
  case stop
  /// The number of tokens asked for, or the end of the context.
  case length
  /// Cancelled by the caller or by its time limit.
  case cancelled
  /// The session's budget of memory has no room for another token. The session can be used again.
  case memoryLimit = "memory_limit"
}

/// What to generate from.
public struct GenerationRequest: Sendable {
  /// The tokens of the prompt; at least one.
  public var promptTokens: [Int32]
  /// At most this many tokens, the end-of-generation token included.
  public var tokenCountMax: Int
  public var sampling: SamplingOptions
  /// Generation ends before the first of these texts; no part of it is given out. At most 256 texts of 65 536 bytes in all.
  public var stopStrings: [String]
  /// How many of the most probable tokens to report for each generated token; 0 = none, at most the whole vocabulary.
  public var topLogProbabilityCount: Int
  /// Gives up after this time, counted from the call, with what there is and `FinishReason.cancelled`. Nil: no limit. It holds for
  /// everything: waiting for the session, renewing the program, passes, sampling and text.
  public var timeLimit: Duration?

  public init(
    promptTokens: [Int32], tokenCountMax: Int = 256, sampling: SamplingOptions = .greedy, stopStrings: [String] = [],
    topLogProbabilityCount: Int = 0, timeLimit: Duration? = nil
  ) {
    self.promptTokens = promptTokens
    self.tokenCountMax = tokenCountMax
    self.sampling = sampling
    self.stopStrings = stopStrings
    self.topLogProbabilityCount = topLogProbabilityCount
    self.timeLimit = timeLimit
  }
}

/// What was generated, how fast, and in how much memory.
public struct GenerationResult: Sendable {
  public var promptTokens: [Int32]
  /// The generated tokens; the end-of-generation token, if it came, is the last of them and gives no text.
  public var tokens: [Int32] = []
  public var text = ""
  public var finishReason = FinishReason.length
  /// Per generated token, the most probable candidates at its position, best first.
  public var topLogProbabilities: [[TokenLogProbability]] = []
  public var timings = Timings()
  public var memory = MemoryUse()
}

/// Seconds and tokens per second of one generation.
public struct Timings: Sendable, Hashable {
  /// From the request to open the model until it could take a prompt.
  public var loadSeconds = 0.0
  /// From the start of the generation to its first token.
  public var firstTokenSeconds = 0.0
  public var prefillTokensPerSecond = 0.0
  /// Over all tokens after the first; 0 if there are none.
  public var decodeTokensPerSecond = 0.0

  public init() {}
}

/// Bytes of guest memories and of the whole process.
public struct MemoryUse: Sendable, Hashable {
  /// Bytes of weight files that lie in guest memory as mappings of the files: nothing was copied.
  public var weightsMappedByteCount: UInt64 = 0
  /// Bytes of weights that were copied into guest memory.
  public var weightsCopiedByteCount: UInt64 = 0
  /// The largest size of the activations of one pass.
  public var scratchPeakByteCount: UInt64 = 0
  /// Bytes of activations given back to the operating system, summed over all discards.
  public var scratchDiscardedByteCount: UInt64 = 0
  /// How often activations were given back.
  public var scratchDiscardCount = 0
  /// Bytes of the cache that were mapped at the end of the generation.
  public var cacheMappedByteCount: UInt64 = 0
  /// The process: anonymous and file-backed resident bytes, and its proportional share (0 where the system does not say).
  public var residentAnonymousByteCount: UInt64 = 0
  public var residentFileByteCount: UInt64 = 0
  public var proportionalByteCount: UInt64 = 0

  public init() {}
}
