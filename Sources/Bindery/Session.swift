import Synchronization
import TensorOperations
import TensorStore
import WasmRuntime

/// One conversation with a model: its own instance of the model program, its own cache.
///
/// A session does one thing at a time: a second call from another thread waits. What two calls have in common at the start of
/// their prompts is not computed again. Memory: the cache of the tokens so far; activations go back to the system between passes.
public final class Session: Sendable {
  public let model: Model
  private let state: Exclusive<SessionState>
  private let interrupt: InterruptHandle
  private let isCancelled = Atomic<Bool>(false)
  /// Positions that a prompt and its continuation may take.
  public let contextLength: Int
  public let vocabularySize: Int
  /// The memory that the activations are in, to watch from another thread during a generation: for measurements.
  package let scratchMemory: Memory

  /// - Throws: `malformedInput` if weights and program do not suit each other, `environment` where memory is refused.
  init(model: Model) throws(BinderyError) {
    self.model = model
    let state = SessionState(program: try ProgramInstance(model: model), options: model.host.options)
    interrupt = state.program.store.interruptHandle
    contextLength = state.program.contextLength
    vocabularySize = state.program.vocabularySize
    scratchMemory = state.program.memories.scratch
    self.state = Exclusive(state)
  }

  /// Ends the generation in progress, from any thread: it returns what there is, with `FinishReason.cancelled`. If none is in
  /// progress, the next one ends at once.
  public func cancel() {
    isCancelled.store(true, ordering: .releasing)
    interrupt.cancel()
  }

  /// Generates tokens after the prompt.
  ///
  /// - Parameter onText: called with each piece of text as soon as it is certain: whole characters, and no beginning of a stop
  ///   string.
  /// - Throws: `malformedInput` for an empty prompt, one that is longer than the context, or options out of range; `trap` if the
  ///   program fails; `environment` where memory is refused.
  public func generate(
    _ request: GenerationRequest, onText: (String) -> Void = { _ in }
  ) throws(BinderyError) -> GenerationResult {
    try use { (state) throws(BinderyError) in
      try state.generate(request, model: self.model, isCancelled: { self.isCancelled.load(ordering: .acquiring) }, onText: onText)
    }
  }

  /// Scores a text in one context: the negative logarithm of each token's probability after all tokens before it.
  /// - Returns: one number per token after the first.
  public func negativeLogLikelihoods(of tokens: [Int32], timeLimit: Duration? = nil) throws(BinderyError) -> [Double] {
    try use { (state) throws(BinderyError) in
      try state.negativeLogLikelihoods(
        of: tokens, timeLimit: timeLimit, isCancelled: { self.isCancelled.load(ordering: .acquiring) })
    }
  }

  /// Gives the memory of the activations back to the operating system, whatever the policy. Waits for a generation in progress.
  public func discardScratch() { state.use { $0.discardScratch() } }

  /// Seconds for one pass over `rowCount` rows after `contextCount` positions: for benchmarks. Forgets the conversation.
  package func measurePass(rowCount: Int, contextCount: Int = 0, passCount: Int = 1) throws(BinderyError) -> Double {
    try use { (state) throws(BinderyError) in
      try state.measurePasses(rowCount: rowCount, contextCount: contextCount, passCount: passCount)
    }
  }

  /// Passes of `rowCount` rows after `contextCount` positions, all at the same place: for benchmarks. Forgets the conversation.
  /// - Parameters:
  ///   - discards: for each pass, whether the scratch is given back before it, whatever the policy.
  ///   - now: seconds on the clock that times them.
  package func measureSeries(
    rowCount: Int, contextCount: Int = 0, discards: [Bool], now: () -> Double
  ) throws(BinderyError) -> [PassMeasurement] {
    try use { (state) throws(BinderyError) in
      try state.measureSeries(rowCount: rowCount, contextCount: contextCount, discards: discards, now: now)
    }
  }

  /// What giving back activations came to since the session was made: for measurements.
  package func discardStatistics() -> DiscardStatistics { state.use { $0.discards } }

  /// Bytes of the session's own memories that are resident now, as the system counts them: for tests and measurements.
  package func residentByteCounts() throws -> (scratch: UInt64, cache: UInt64) {
    try state.use { state in
      (try state.program.memories.scratch.residentByteCount(), try state.program.memories.cache.residentByteCount())
    }
  }

  /// Gives `body` one pass over `rowCount` rows after `contextCount` positions, to be run and taken back as often as it likes: for
  /// tests, which count what a pass costs. What `step` returns is the number of instructions executed so far, where the engine
  /// counts them. Forgets the conversation.
  package func withRepeatablePass<Result>(
    rowCount: Int, contextCount: Int, _ body: (_ step: (PassStep) throws(BinderyError) -> Int64) throws -> Result
  ) throws -> Result {
    try state.use { state in try state.withRepeatablePass(rowCount: rowCount, contextCount: contextCount, body) }
  }

  /// The memory that the weights are in: for tests.
  package var weightsMemory: Memory { model.weights.memory }

  private func use<Result>(_ body: (inout SessionState) throws(BinderyError) -> Result) throws(BinderyError) -> Result {
    try state.use { (state) throws(BinderyError) in
      defer {
        isCancelled.store(false, ordering: .releasing)
        interrupt.reset()
      }
      return try body(&state)
    }
  }
}

/// One pass of a series: for benchmarks.
package struct PassMeasurement: Sendable {
  /// Of the discard before the pass; nil: there was none.
  package var discardSeconds: Double?
  package var seconds = 0.0
  /// Page faults of the process during the pass.
  package var minorFaultCount = 0
  /// Bytes of the scratch that were resident between the discard and the pass, and after the pass.
  package var residentByteCountBefore: UInt64 = 0
  package var residentByteCount: UInt64 = 0
}

/// How often a session gave its activations back, how much that was, and how long the calls took.
package struct DiscardStatistics: Sendable {
  package var count = 0
  package var byteCount: UInt64 = 0
  package var seconds = 0.0
}
