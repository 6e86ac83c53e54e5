import TensorOperations
import TensorStore
import Tokenizers
import WasmRuntime

/// What a session owns: the program's instance, the sequence in its cache, and the tokens that the cache holds.
struct SessionState {
  let model: Model
  let budget: ResourceBudget
  private let log: SessionLog
  /// As the first instance of the program reported them; every other one must report the same.
  let contextLength: Int
  let vocabularySize: Int
  /// Nil after it was stopped in the middle: whatever it was doing, its globals and memories may be in any state. The next use makes a
  /// new one, in a store of its own.
  private(set) var instance: ProgramInstance?
  private(set) var renewals = (count: 0, seconds: 0.0)
  /// In the cache of the instance.
  var sequence: Int32?
  /// Tokens whose keys and values are in the cache, from position 0.
  var cachedTokens: [Int32] = []
  private var chargedTokenCount = 0
  /// For what lasts as long as the session.
  private let account: BufferAccount

  // Of the scratch memory; see `SessionState+Scratch`.
  var scratchPeakByteCount: UInt64 = 0
  /// Since the session was made.
  var discards = DiscardStatistics()
  var lastDiscard: ContinuousClock.Instant?
  var touched = Touched.nothing
  /// What a decode pass leaves resident, as it was last counted, and at how many positions: the next ones are alike.
  var decodeCount: (byteCount: UInt64, positions: Range<Int>)?

  var options: HostOptions { model.host.options }

  init(model: Model, budget: ResourceBudget, log: SessionLog, use: SessionUse) throws(BinderyError) {
    try Self.checkWeights(of: model)
    let instance = try Self.makeInstance(model, budget, log, use)
    instance.end()
    self.model = model
    self.budget = budget
    self.log = log
    contextLength = instance.contextLength
    vocabularySize = instance.vocabularySize
    self.instance = instance
    account = BufferAccount(budget)
  }

  // MARK: The program

  /// Runs `body` with a program that is in order, stopped by what stops `use`. If it throws, the program is given up.
  mutating func perform<Result>(
    _ use: SessionUse, _ body: (inout SessionState, ProgramInstance) throws(BinderyError) -> Result
  ) throws(BinderyError) -> Result {
    try Self.checkWeights(of: model)
    try use.check()
    let program = try program(for: use)
    let refusalCount = budget.refusalCount
    do throws(BinderyError) {
      let result = try body(&self, program)
      program.end()
      return result
    } catch {
      program.end()
      giveUpInstance()
      throw Self.explain(error, model, budget, refusalCount)
    }
  }

  private mutating func program(for use: SessionUse) throws(BinderyError) -> ProgramInstance {
    if let instance {
      instance.begin(use)
      return instance
    }
    let start = ContinuousClock.now
    let new = try Self.makeInstance(model, budget, log, use)
    guard new.contextLength == contextLength, new.vocabularySize == vocabularySize else {
      new.end()
      throw BinderyError(
        .programInterface,
        "\(model.programDescription) reported a context of \(contextLength) and a vocabulary of \(vocabularySize), and now of "
          + "\(new.contextLength) and \(new.vocabularySize): expected the same each time")
    }
    renewals.count += 1
    renewals.seconds += (ContinuousClock.now - start).seconds
    instance = new
    return new
  }

  /// Frees the program with its memories, without running any of it.
  private mutating func giveUpInstance() {
    instance = nil
    sequence = nil
    cachedTokens.removeAll(keepingCapacity: true)
    touched = .nothing
    decodeCount = nil
  }

  /// - Returns: a program that has begun `use`.
  private static func makeInstance(
    _ model: Model, _ budget: ResourceBudget, _ log: SessionLog, _ use: SessionUse
  ) throws(BinderyError) -> ProgramInstance {
    let refusalCount = budget.refusalCount
    do throws(BinderyError) {
      return try ProgramInstance(model: model, budget: budget, log: log, use: use)
    } catch { throw explain(error, model, budget, refusalCount) }
  }

  /// - Throws: `environment` if the weight file is not what it was when the model was opened.
  private static func checkWeights(of model: Model) throws(BinderyError) {
    do throws(TensorStoreError) { try model.weights.checkUnchanged() } catch { throw BinderyError(error) }
  }

  /// The error that a caller can do something about: a program that fails because its weights are gone, or because its budget is spent,
  /// says all kinds of things.
  private static func explain(
    _ error: BinderyError, _ model: Model, _ budget: ResourceBudget, _ refusalCountBefore: UInt64
  ) -> BinderyError {
    if model.weights.isLost {
      let reason: String
      do throws(TensorStoreError) {
        try model.weights.checkUnchanged()
        reason = "'\(model.path)' could not be read"
      } catch { reason = error.message }
      return BinderyError(.environment, "the model program was stopped, for its host mapping was lost: \(reason)", cause: error.cause)
    }
    guard budget.refusalCount > refusalCountBefore, error.kind == .trap || error.kind == .environment else { return error }
    return BinderyError(
      .memoryLimit,
      "\(error.message) (the session's memory limit of \(budget.byteCountMax) bytes is reached: allow more, or ask for less)",
      cause: error.cause ?? error)
  }

  // MARK: Generating

  mutating func generate(
    _ request: GenerationRequest, use: SessionUse, onText: (String) -> Void
  ) throws(BinderyError) -> GenerationResult {
    try check(request)
    let tokenizer = try model.tokenizer()
    let topCount = min(request.topLogProbabilityCount, vocabularySize)
    var result = GenerationResult(promptTokens: request.promptTokens)
    var sampler = Sampler(request.sampling)
    var decoder = StreamingDecoder(tokenizer)
    var filter = StopStringFilter(request.stopStrings)
    // For what lasts as long as the generation; the result is the caller's.
    let account = BufferAccount(budget)
    defer { account.creditAll() }
    func give(_ text: String) {
      guard !text.isEmpty else { return }
      result.text += text
      onText(text)
    }
    /// A token's text, which may be as long as a file has room for, in pieces that take a moment each.
    func add(_ text: String) throws(BinderyError) {
      let pieceByteCount = 1024
      guard text.utf8.count > pieceByteCount else { return give(filter.append(text)) }
      var piece = ""
      for scalar in text.unicodeScalars where !filter.isStopped {
        piece.unicodeScalars.append(scalar)
        guard piece.utf8.count >= pieceByteCount else { continue }
        give(filter.append(piece))
        piece = ""
        try use.check()
      }
      give(filter.append(piece))
    }
    scratchPeakByteCount = 0
    let earlierDiscards = discards

    let clock = ContinuousClock()
    let start = clock.now
    var firstTokenTime = start
    do throws(BinderyError) {
      try account.charge(request.sampling.bufferByteCount(vocabularySize: vocabularySize), for: "sampling", isOnePiece: true)
      if topCount > 64 { try account.charge(8 * vocabularySize, for: "log-probabilities", isOnePiece: true) }
      for token in request.promptTokens.suffix(request.sampling.repeatWindowTokenCount) { sampler.accept(token) }
      try perform(use) { (state, program) throws(BinderyError) in
        let reused = try state.prepare(program, for: request.promptTokens)
        var logits = try state.prefill(program, request.promptTokens[...], from: reused, use: use)
        let prefillSeconds = (clock.now - start).seconds
        result.timings.prefillTokensPerSecond = Self.rate(request.promptTokens.count - reused, prefillSeconds)
        var isPrefill = true
        while true {
          if topCount > 0 {
            try account.charge(topCount * MemoryLayout<TokenLogProbability>.stride, for: "log-probabilities", isOnePiece: true)
            result.topLogProbabilities.append(try program.withLogits(logits) { Logits.top(topCount, $0) })
          }
          guard let token = try program.withLogits(logits, { sampler.sample($0, isStopped: { use.stop != nil }) }) else {
            try use.check()
            throw BinderyError(.trap, "the model program computed no usable logit (all are NaN or minus infinity)")
          }
          state.discardScratch(after: isPrefill ? .prefill : .decode)
          isPrefill = false
          result.tokens.append(token)
          sampler.accept(token)
          if result.tokens.count == 1 { firstTokenTime = clock.now }
          if tokenizer.endOfGenerationIDs.contains(TokenID(token)) {
            result.finishReason = .stop
            break
          }
          let text = decoder.push(TokenID(token))
          try account.charge(2 * text.utf8.count + 8, for: "the text")
          try add(text)
          if filter.isStopped {
            result.finishReason = .stop
            break
          }
          if result.tokens.count >= request.tokenCountMax || state.cachedTokens.count >= state.contextLength {
            result.finishReason = .length
            break
          }
          // Between two passes the program is in order, and so it stays.
          if use.stop != nil {
            result.finishReason = .cancelled
            break
          }
          logits = try state.pass(program, result.tokens.suffix(1), outputs: 0..<1)
        }
      }
    } catch {
      switch error.kind {
      case .cancelled, .timeLimit: result.finishReason = .cancelled
      case .memoryLimit where !result.tokens.isEmpty: result.finishReason = .memoryLimit
      default: throw error
      }
    }
    give(filter.append(decoder.finish()))
    give(filter.finish())
    let end = clock.now
    result.timings.firstTokenSeconds = result.tokens.isEmpty ? 0 : (firstTokenTime - start).seconds
    result.timings.decodeTokensPerSecond = Self.rate(result.tokens.count - 1, (end - firstTokenTime).seconds)
    discardScratch(after: .everything)
    result.memory.weightsMappedByteCount = model.weightByteCounts.mapped
    result.memory.weightsCopiedByteCount = model.weightByteCounts.copied
    result.memory.scratchPeakByteCount = scratchPeakByteCount
    result.memory.scratchDiscardedByteCount = discards.byteCount - earlierDiscards.byteCount
    result.memory.scratchDiscardCount = discards.count - earlierDiscards.count
    result.memory.cacheMappedByteCount = instance?.memories.cache.mappedByteCount ?? 0
    result.memory.measureProcess()
    return result
  }

  static func rate(_ count: Int, _ seconds: Double) -> Double { count > 0 && seconds > 0 ? Double(count) / seconds : 0 }

  // MARK: Checks

  private func check(_ request: GenerationRequest) throws(BinderyError) {
    if let problem = request.sampling.problem { throw BinderyError(.malformedInput, problem) }
    guard request.tokenCountMax >= 1 else {
      throw BinderyError(.malformedInput, "at least 1 token must be asked for, found \(request.tokenCountMax)")
    }
    guard request.topLogProbabilityCount >= 0 else {
      throw BinderyError(
        .malformedInput, "the number of log-probabilities must be at least 0, found \(request.topLogProbabilityCount)")
    }
    // Text is compared with each of them, byte by byte.
    let stopByteCount = request.stopStrings.reduce(0) { $0 + $1.utf8.count }
    guard request.stopStrings.count <= 256, stopByteCount <= 1 << 16 else {
      throw BinderyError(
        .malformedInput,
        "at most 256 stop strings of 65536 bytes in all are compared with, found \(request.stopStrings.count) of \(stopByteCount) bytes")
    }
    try check(request.promptTokens)
  }

  func check(_ tokens: [Int32]) throws(BinderyError) {
    guard !tokens.isEmpty else { throw BinderyError(.malformedInput, "the prompt is empty: expected at least one token") }
    guard tokens.count <= contextLength else {
      throw BinderyError(
        .malformedInput,
        "the prompt has \(tokens.count) tokens, but the model's context holds \(contextLength): shorten it")
    }
    if let token = tokens.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
      throw BinderyError(
        .malformedInput,
        "the prompt holds the token \(token), but the model's vocabulary has the ids 0 to \(vocabularySize - 1)")
    }
  }

  // MARK: Passes

  /// Opens a sequence, or trims the one there is to what it has in common with the prompt.
  /// - Returns: how many tokens of the prompt are in the cache already; at least the last one is not, since its logits are
  ///   needed.
  mutating func prepare(_ program: ProgramInstance, for prompt: [Int32]) throws(BinderyError) -> Int {
    guard let sequence else {
      self.sequence = try program.openSequence(contextLength: contextLength)
      cachedTokens.removeAll(keepingCapacity: true)
      return 0
    }
    var common = 0
    while common < min(cachedTokens.count, prompt.count - 1), cachedTokens[common] == prompt[common] { common += 1 }
    if common < cachedTokens.count { try trim(program, sequence, to: common) }
    return common
  }

  mutating func trim(_ program: ProgramInstance, _ sequence: Int32, to count: Int) throws(BinderyError) {
    try program.trimSequence(sequence, to: count)
    cachedTokens.removeLast(cachedTokens.count - count)
  }

  /// Brings the prompt into the cache, in passes of limited size.
  /// - Returns: where the logits of its last token are.
  mutating func prefill(
    _ program: ProgramInstance, _ prompt: ArraySlice<Int32>, from reused: Int, use: SessionUse
  ) throws(BinderyError) -> UInt64 {
    var start = reused
    while true {
      let end = min(prompt.count, start + options.prefillRowCountMax)
      let isLast = end == prompt.count
      let logits = try pass(program, prompt[start..<end], outputs: isLast ? end - start - 1..<end - start : 0..<0)
      if isLast { return logits }
      discardScratch(after: .prefill)
      start = end
      try use.check()
    }
  }

  mutating func pass(
    _ program: ProgramInstance, _ tokens: ArraySlice<Int32>, outputs: Range<Int>
  ) throws(BinderyError) -> UInt64 {
    guard let sequence else { preconditionFailure("a sequence is opened before the first pass") }
    let tokenCount = cachedTokens.count + tokens.count
    if tokenCount > chargedTokenCount {
      // As the array grows: by half of what it has, at least.
      let target = max(tokenCount, chargedTokenCount + chargedTokenCount / 2, 1024)
      try account.charge((target - chargedTokenCount) * 4, for: "the conversation's tokens")
      chargedTokenCount = target
    }
    touched = touched != .more && tokens.count == 1 && outputs.count == 1 ? .decode : .more
    let logits = try program.forward(
      tokens: tokens, firstPosition: cachedTokens.count, sequence: sequence, outputs: outputs)
    // What was read of a file that shrank meanwhile were zeroes. One load as long as nothing was ever lost.
    guard !model.weights.isLost else { throw BinderyError(.environment, "the weights were lost during a pass") }
    cachedTokens.append(contentsOf: tokens)
    scratchPeakByteCount = max(scratchPeakByteCount, program.memories.scratch.byteCount)
    return logits
  }

  /// Closes the sequence, which unmaps its part of the cache. Within the limits of the use, as everything that the program does.
  mutating func closeSequence(_ program: ProgramInstance) throws(BinderyError) {
    guard let sequence else { return }
    self.sequence = nil
    cachedTokens.removeAll(keepingCapacity: true)
    try program.closeSequence(sequence)
  }
}
