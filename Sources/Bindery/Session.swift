import Synchronization
import TensorOperations
import TensorStore
import WasmRuntime

/// One conversation with a model: its own instance of the model program, its own cache, its own budget.
///
/// A session does one thing at a time: a second call from another thread waits for its turn. What two calls have in common at the start
/// of their prompts is not computed again. Memory: the cache of the tokens so far; activations go back to the system between passes.
///
/// A program that was stopped in the middle (by a limit, a cancellation or a trap) is never used again: the session makes a new instance
/// at its next use, and computes the conversation again.
public final class Session: Sendable {
  public let model: Model
  private let state: Exclusive<SessionState>
  private let turn = SessionTurn()
  /// The uses that have been called for and have not ended, waiting ones included.
  private let uses = Mutex<[ObjectIdentifier: Cancellation]>([:])
  private let budget: ResourceBudget
  /// Positions that a prompt and its continuation may take.
  public let contextLength: Int
  public let vocabularySize: Int

  init(model: Model, limits: SessionLimits, cancellation: Cancellation?) throws(BinderyError) {
    self.model = model
    let budget = ResourceBudget(byteCountMax: limits.memoryByteCountMax ?? model.host.options.sessionMemoryByteCountMax)
    self.budget = budget
    let use = SessionUse(timeLimit: limits.timeLimit, cancellation: cancellation ?? Cancellation())
    let state = try SessionState(
      model: model, budget: budget, log: SessionLog(model.host.options.log, byteCountMax: limits.logByteCountMax), use: use)
    contextLength = state.contextLength
    vocabularySize = state.vocabularySize
    self.state = Exclusive(state)
  }

  /// Ends what the session is doing for calls that have begun, from any thread, those that wait for their turn included: a generation
  /// returns what there is, with `FinishReason.cancelled`. Calls that begin later are not touched; `Cancellation` ends a certain call,
  /// whenever it begins.
  public func cancel() {
    for cancellation in uses.withLock({ Array($0.values) }) { cancellation.cancel() }
  }

  /// What the session has made the host spend in memory. Does not wait for a generation in progress.
  public var memory: SessionMemory { SessionMemory(budget) }

  /// Generates tokens after the prompt.
  ///
  /// - Parameters:
  ///   - cancellation: ends this generation, and no other, from another thread.
  ///   - onText: called with each piece of text as soon as it is certain: whole characters, and no beginning of a stop string.
  /// - Throws: `malformedInput` for an empty prompt, one that is longer than the context, or options out of range; `trap` or
  ///   `programInterface` if the program fails; `memoryLimit` if not even the first token fits; `environment` where the system refuses,
  ///   or the weight file shrank or was changed. Except in the last case, the session can be used again.
  public func generate(
    _ request: GenerationRequest, cancellation: Cancellation? = nil, onText: (String) -> Void = { _ in }
  ) throws(BinderyError) -> GenerationResult {
    do throws(BinderyError) {
      return try use(timeLimit: request.timeLimit, cancellation) { (state, use) throws(BinderyError) in
        try state.generate(request, use: use, onText: onText)
      }
    } catch {
      // Stopped before its turn.
      guard error.isInterruption else { throw error }
      var result = GenerationResult(promptTokens: request.promptTokens)
      result.finishReason = .cancelled
      return result
    }
  }

  /// Scores a text in one context: the negative logarithm of each token's probability after all tokens before it.
  /// - Returns: one number per token after the first.
  /// - Throws: as `generate`, and `timeLimit` or `cancelled`, for half of the numbers are no use.
  public func negativeLogLikelihoods(
    of tokens: [Int32], timeLimit: Duration? = nil, cancellation: Cancellation? = nil
  ) throws(BinderyError) -> [Double] {
    try use(timeLimit: timeLimit, cancellation) { (state, use) throws(BinderyError) in
      try state.negativeLogLikelihoods(of: tokens, use: use)
    }
  }

  /// Gives the memory of the activations back to the operating system, whatever the policy. Waits for a generation in progress.
  public func discardScratch() {
    try? use { (state, _) throws(BinderyError) in state.discardScratch() }
  }

  /// Runs `body` when it is this call's turn.
  private func use<Result>(
    timeLimit: Duration? = nil, _ cancellation: Cancellation? = nil,
    _ body: (inout SessionState, SessionUse) throws(BinderyError) -> Result
  ) throws(BinderyError) -> Result {
    // The use has a cancellation of its own, which `cancel` finds, and which the caller's reaches too.
    let own = Cancellation()
    let use = SessionUse(timeLimit: timeLimit, cancellation: own)
    uses.withLock { $0[ObjectIdentifier(own)] = own }
    defer { uses.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(own)) } }
    let id = cancellation?.attach { own.cancel() }
    defer { if let id { cancellation?.detach(id) } }
    try turn.begin(use)
    defer { turn.end() }
    return try state.use { (state) throws(BinderyError) in try body(&state, use) }
  }

  // MARK: For tests and benchmarks

  /// Seconds for one pass over `rowCount` rows after `contextCount` positions: for benchmarks. Forgets the conversation.
  package func measurePass(rowCount: Int, contextCount: Int = 0, passCount: Int = 1) throws(BinderyError) -> Double {
    try use { (state, use) throws(BinderyError) in
      try state.measurePasses(rowCount: rowCount, contextCount: contextCount, passCount: passCount, use: use)
    }
  }

  /// Passes of `rowCount` rows after `contextCount` positions, all at the same place: for benchmarks. Forgets the conversation.
  /// - Parameters:
  ///   - discards: for each pass, whether the scratch is given back before it, whatever the policy.
  ///   - now: seconds on the clock that times them.
  package func measureSeries(
    rowCount: Int, contextCount: Int = 0, discards: [Bool], now: () -> Double
  ) throws(BinderyError) -> [PassMeasurement] {
    try use { (state, use) throws(BinderyError) in
      try state.measureSeries(rowCount: rowCount, contextCount: contextCount, discards: discards, now: now, use: use)
    }
  }

  /// What giving back activations came to since the session was made: for measurements.
  package func discardStatistics() -> DiscardStatistics { state.use { $0.discards } }

  /// How often the program was instantiated anew after it had been stopped, and how long that took in all: for tests.
  package func renewals() -> (count: Int, seconds: Double) { state.use { $0.renewals } }

  /// Bytes of the session's own memories that are resident now, as the system counts them: for tests and measurements.
  package func residentByteCounts() throws -> (scratch: UInt64, cache: UInt64) {
    try state.use { state in try state.residentByteCounts() }
  }

  /// The memory that the activations are in, to watch from another thread during a generation: for measurements. Another one after the
  /// program was renewed. Waits for a generation in progress.
  package var scratchMemory: Memory? { state.use { $0.instance?.memories.scratch } }

  /// Gives `body` one pass over `rowCount` rows after `contextCount` positions, to be run and taken back as often as it likes: for
  /// tests, which count what a pass costs. What `step` returns is the number of instructions executed so far, where the engine
  /// counts them. Forgets the conversation.
  package func withRepeatablePass<Result>(
    rowCount: Int, contextCount: Int, _ body: (_ step: (PassStep) throws(BinderyError) -> Int64) throws -> Result
  ) throws -> Result {
    let use = SessionUse(timeLimit: nil, cancellation: Cancellation())
    return try state.use { state in try state.withRepeatablePass(rowCount: rowCount, contextCount: contextCount, use: use, body) }
  }

  /// The memory that the weights are in: for tests.
  package var weightsMemory: Memory { model.weights.memory }
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

/// What a test does with a pass: run it, forget its positions, give its activations back.
package enum PassStep { case pass, rewind, discard }
