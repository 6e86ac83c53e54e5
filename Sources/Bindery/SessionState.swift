import TensorOperations
import Tokenizers
import VirtualMemory
import WasmRuntime

/// What a session owns: the program's instance, the sequence in its cache, and the tokens that the cache holds.
struct SessionState {
  let program: ProgramInstance
  private let options: HostOptions
  private var sequence: Int32?
  /// Tokens whose keys and values are in the cache, from position 0.
  private var cachedTokens: [Int32] = []
  /// After a trap the program's state is unknown: the session refuses to go on.
  private var failure: BinderyError?
  private(set) var scratchPeakByteCount: UInt64 = 0
  /// Since the session was made.
  private(set) var discards = DiscardStatistics()
  private var lastDiscard: ContinuousClock.Instant?
  private var touched = Touched.nothing
  /// What a decode pass leaves resident, as it was last counted, and at how many positions: the next ones are alike.
  private var decodeCount: (byteCount: UInt64, positions: Range<Int>)?

  /// What has used the scratch since the last discard.
  private enum Touched { case nothing, decode, more }

  init(program: ProgramInstance, options: HostOptions) {
    self.program = program
    self.options = options
  }

  // MARK: Generating

  mutating func generate(
    _ request: GenerationRequest, model: Model, isCancelled: () -> Bool, onText: (String) -> Void
  ) throws(BinderyError) -> GenerationResult {
    try check(request)
    let tokenizer = try model.tokenizer()
    var result = GenerationResult(promptTokens: request.promptTokens)
    var sampler = Sampler(request.sampling)
    var decoder = StreamingDecoder(tokenizer)
    var filter = StopStringFilter(request.stopStrings)
    func give(_ text: String) {
      guard !text.isEmpty else { return }
      result.text += text
      onText(text)
    }
    for token in request.promptTokens { sampler.accept(token) }
    scratchPeakByteCount = 0
    let earlierDiscards = discards
    program.store.setTimeLimit(request.timeLimit)
    defer { program.store.setTimeLimit(nil) }

    let clock = ContinuousClock()
    let start = clock.now
    var firstTokenTime = start
    do throws(BinderyError) {
      let reused = try prepare(for: request.promptTokens)
      var logits = try prefill(request.promptTokens[...], from: reused)
      let prefillSeconds = (clock.now - start).seconds
      result.timings.prefillTokensPerSecond = rate(request.promptTokens.count - reused, prefillSeconds)
      var isPrefill = true
      while true {
        if request.topLogProbabilityCount > 0 {
          result.topLogProbabilities.append(
            try program.withLogits(logits) { Logits.top(request.topLogProbabilityCount, $0) })
        }
        guard let token = try program.withLogits(logits, { sampler.sample($0) }) else {
          throw BinderyError(.trap, "the model program computed no usable logit (all are NaN or minus infinity)")
        }
        discardScratch(after: isPrefill ? .prefill : .decode)
        isPrefill = false
        result.tokens.append(token)
        sampler.accept(token)
        if result.tokens.count == 1 { firstTokenTime = clock.now }
        if tokenizer.endOfGenerationIDs.contains(TokenID(token)) {
          result.finishReason = .stop
          break
        }
        give(filter.append(decoder.push(TokenID(token))))
        if filter.isStopped {
          result.finishReason = .stop
          break
        }
        if result.tokens.count >= request.tokenCountMax || cachedTokens.count >= program.contextLength {
          result.finishReason = .length
          break
        }
        if isCancelled() {
          result.finishReason = .cancelled
          break
        }
        logits = try pass(result.tokens.suffix(1), outputs: 0..<1)
      }
    } catch {
      guard isInterruption(error) else { throw fail(error) }
      result.finishReason = .cancelled
      // The pass was stopped half-way: what is in the cache beyond the tokens of finished passes is forgotten.
      abandonSequence()
    }
    give(filter.append(decoder.finish()))
    give(filter.finish())
    let end = clock.now
    result.timings.firstTokenSeconds = result.tokens.isEmpty ? 0 : (firstTokenTime - start).seconds
    result.timings.decodeTokensPerSecond = rate(result.tokens.count - 1, (end - firstTokenTime).seconds)
    discardScratch(after: .everything)
    result.memory.weightsMappedByteCount = model.weightByteCounts.mapped
    result.memory.weightsCopiedByteCount = model.weightByteCounts.copied
    result.memory.scratchPeakByteCount = scratchPeakByteCount
    result.memory.scratchDiscardedByteCount = discards.byteCount - earlierDiscards.byteCount
    result.memory.scratchDiscardCount = discards.count - earlierDiscards.count
    result.memory.cacheMappedByteCount = program.memories.cache.mappedByteCount
    result.memory.measureProcess()
    return result
  }

  private func check(_ request: GenerationRequest) throws(BinderyError) {
    if let failure {
      throw BinderyError(.trap, "this session ended with an earlier failure, make a new one: \(failure.message)", cause: failure)
    }
    if let problem = request.sampling.problem { throw BinderyError(.malformedInput, problem) }
    guard request.tokenCountMax >= 1 else {
      throw BinderyError(.malformedInput, "at least 1 token must be asked for, found \(request.tokenCountMax)")
    }
    guard request.topLogProbabilityCount >= 0 else {
      throw BinderyError(
        .malformedInput, "the number of log-probabilities must be at least 0, found \(request.topLogProbabilityCount)")
    }
    try check(request.promptTokens)
  }

  private func check(_ tokens: [Int32]) throws(BinderyError) {
    guard !tokens.isEmpty else { throw BinderyError(.malformedInput, "the prompt is empty: expected at least one token") }
    guard tokens.count <= program.contextLength else {
      throw BinderyError(
        .malformedInput,
        "the prompt has \(tokens.count) tokens, but the model's context holds \(program.contextLength): shorten it")
    }
    if let token = tokens.first(where: { $0 < 0 || Int($0) >= program.vocabularySize }) {
      throw BinderyError(
        .malformedInput,
        "the prompt holds the token \(token), but the model's vocabulary has the ids 0 to \(program.vocabularySize - 1)")
    }
  }

  // MARK: Scoring

  mutating func negativeLogLikelihoods(
    of tokens: [Int32], timeLimit: Duration?, isCancelled: () -> Bool
  ) throws(BinderyError) -> [Double] {
    try check(tokens)
    program.store.setTimeLimit(timeLimit)
    defer { program.store.setTimeLimit(nil) }
    do throws(BinderyError) {
      _ = try prepare(for: [])
      var scores: [Double] = []
      // Each row gives a whole vocabulary of logits, so passes are short.
      let rowCountMax = max(1, min(options.prefillRowCountMax, 1 << 23 / program.vocabularySize))
      while cachedTokens.count < tokens.count - 1 {
        if isCancelled() { throw BinderyError(.environment, "the scoring was cancelled") }
        let start = cachedTokens.count
        let rows = min(rowCountMax, tokens.count - 1 - start)
        let logits = try pass(tokens[start..<start + rows], outputs: 0..<rows)
        for row in 0..<rows {
          let next = tokens[start + row + 1]
          let score = try program.withLogits(logits, row: row) { Logits.logProbability(of: next, $0) ?? -.infinity }
          scores.append(-score)
        }
        discardScratch(after: .prefill)
      }
      discardScratch(after: .everything)
      abandonSequence()
      return scores
    } catch {
      if isInterruption(error) {
        abandonSequence()
        throw BinderyError(.environment, "the scoring was stopped before its end: cancelled, or out of time", cause: error)
      }
      throw fail(error)
    }
  }

  /// Seconds of `passCount` passes of `rowCount` rows each, after `contextCount` positions.
  mutating func measurePasses(rowCount: Int, contextCount: Int, passCount: Int) throws(BinderyError) -> Double {
    let tokens = (0..<contextCount + rowCount * passCount).map { Int32($0 * 7919 % program.vocabularySize) }
    try check(tokens)
    _ = try prepare(for: [])
    if contextCount > 0 { _ = try prefill(tokens[..<contextCount], from: 0) }
    discardScratch(after: .everything)
    let clock = ContinuousClock()
    let start = clock.now
    for _ in 0..<passCount {
      let count = cachedTokens.count
      _ = try prefill(tokens[..<(count + rowCount)], from: count)
      discardScratch(after: rowCount > 1 ? .prefill : .decode)
    }
    let seconds = (clock.now - start).seconds
    abandonSequence()
    return seconds
  }

  /// Passes of `rowCount` rows after `contextCount` positions, one after another at the same place, for benchmarks.
  /// - Parameters:
  ///   - discards: for each pass, whether the scratch is given back before it.
  ///   - now: seconds on the clock that times them.
  mutating func measureSeries(
    rowCount: Int, contextCount: Int, discards: [Bool], now: () -> Double
  ) throws(BinderyError) -> [PassMeasurement] {
    let tokens = (0..<contextCount + rowCount).map { Int32($0 * 7919 % program.vocabularySize) }
    try check(tokens)
    _ = try prepare(for: [])
    if contextCount > 0 { _ = try prefill(tokens[..<contextCount], from: 0) }
    let scratch = program.memories.scratch
    var measurements: [PassMeasurement] = []
    for discards in discards {
      if cachedTokens.count > contextCount, let sequence {
        try program.trimSequence(sequence, to: contextCount)
        cachedTokens.removeLast(cachedTokens.count - contextCount)
      }
      var measurement = PassMeasurement()
      if discards {
        let start = now()
        discardScratch()
        measurement.discardSeconds = now() - start
        measurement.residentByteCountBefore = (try? scratch.residentByteCount()) ?? 0
      }
      let faultCount = (try? ProcessMemory.minorFaultCount()) ?? 0
      let start = now()
      _ = try prefill(tokens[...], from: contextCount)
      measurement.seconds = now() - start
      measurement.minorFaultCount = ((try? ProcessMemory.minorFaultCount()) ?? 0) - faultCount
      measurement.residentByteCount = (try? scratch.residentByteCount()) ?? 0
      measurements.append(measurement)
    }
    abandonSequence()
    return measurements
  }

  /// Gives `body` one pass over `rowCount` rows after `contextCount` positions, to be run and taken back as often as it likes: each
  /// is the same work, in the same places. What `step` returns is the number of instructions executed so far.
  mutating func withRepeatablePass<Result>(
    rowCount: Int, contextCount: Int, _ body: (_ step: (PassStep) throws(BinderyError) -> Int64) throws -> Result
  ) throws -> Result {
    let tokens = (0..<contextCount + rowCount).map { Int32($0 * 7919 % program.vocabularySize) }
    try check(tokens)
    _ = try prepare(for: [])
    if contextCount > 0 { _ = try prefill(tokens[..<contextCount], from: 0) }
    defer { abandonSequence() }
    return try body { (step) throws(BinderyError) in
      switch step {
      case .pass:
        _ = try prefill(tokens[...], from: contextCount)
        discardScratch(after: rowCount > 1 ? .prefill : .decode)
      case .rewind:
        guard let sequence else { preconditionFailure("the sequence is open until the body has returned") }
        try program.trimSequence(sequence, to: contextCount)
        cachedTokens.removeLast(cachedTokens.count - contextCount)
      case .discard: discardScratch()
      }
      return program.instructionCount
    }
  }

  // MARK: Passes

  /// Opens a sequence, or trims the one there is to what it has in common with the prompt.
  /// - Returns: how many tokens of the prompt are in the cache already; at least the last one is not, since its logits are
  ///   needed.
  private mutating func prepare(for prompt: [Int32]) throws(BinderyError) -> Int {
    guard let sequence else {
      self.sequence = try program.openSequence(contextLength: program.contextLength)
      cachedTokens.removeAll(keepingCapacity: true)
      return 0
    }
    var common = 0
    while common < min(cachedTokens.count, prompt.count - 1), cachedTokens[common] == prompt[common] { common += 1 }
    if common < cachedTokens.count {
      try program.trimSequence(sequence, to: common)
      cachedTokens.removeLast(cachedTokens.count - common)
    }
    return common
  }

  /// Brings the prompt into the cache, in passes of limited size.
  /// - Returns: where the logits of its last token are.
  private mutating func prefill(_ prompt: ArraySlice<Int32>, from reused: Int) throws(BinderyError) -> UInt64 {
    var start = reused
    while true {
      let end = min(prompt.count, start + options.prefillRowCountMax)
      let isLast = end == prompt.count
      let logits = try pass(prompt[start..<end], outputs: isLast ? end - start - 1..<end - start : 0..<0)
      if isLast { return logits }
      discardScratch(after: .prefill)
      start = end
    }
  }

  private mutating func pass(_ tokens: ArraySlice<Int32>, outputs: Range<Int>) throws(BinderyError) -> UInt64 {
    guard let sequence else { preconditionFailure("a sequence is opened before the first pass") }
    touched = touched != .more && tokens.count == 1 && outputs.count == 1 ? .decode : .more
    let logits = try program.forward(
      tokens: tokens, firstPosition: cachedTokens.count, sequence: sequence, outputs: outputs)
    cachedTokens.append(contentsOf: tokens)
    scratchPeakByteCount = max(scratchPeakByteCount, program.memories.scratch.byteCount)
    return logits
  }

  /// What has just ended.
  private enum Ended { case decode, prefill, everything }

  /// Gives the activations back to the system where the policy says so. (Giving a page of 4 KiB back and faulting it in again
  /// costs about a microsecond: one percent of a pass of a small model.)
  private mutating func discardScratch(after ended: Ended) {
    switch options.scratchDiscard {
    case .everyPass: discardScratch()
    case .aboveByteCount(let byteCount): if ended != .decode || decodeExceeds(byteCount) { discardScratch() }
    case .atMostEvery(let duration):
      if ended == .everything || lastDiscard.map({ ContinuousClock.now - $0 >= duration }) ?? true { discardScratch() }
    case .manual: break
    }
  }

  /// Whether decode passes have left more than so many bytes resident. The size of the memory does not tell: it never shrinks,
  /// and a prefill before needed more.
  private mutating func decodeExceeds(_ byteCount: UInt64) -> Bool {
    program.memories.scratch.byteCount > byteCount && residentScratchByteCount() > byteCount
  }

  /// Bytes that passes have left resident since the last discard. Counting takes longer than a small discard, so that only one of
  /// 64 decode passes is counted. Where the system does not tell what is resident, the whole size counts.
  private mutating func residentScratchByteCount() -> UInt64 {
    if touched == .nothing { return 0 }
    let position = cachedTokens.count
    if touched == .decode, let decodeCount, decodeCount.positions.contains(position) { return decodeCount.byteCount }
    let scratch = program.memories.scratch
    let byteCount = (try? scratch.residentByteCount()) ?? scratch.byteCount
    if touched == .decode { decodeCount = (byteCount, position..<position + 64) }
    return byteCount
  }

  mutating func discardScratch() {
    let start = ContinuousClock.now
    // Counting first, discarding after.
    let residentByteCount = residentScratchByteCount()
    lastDiscard = start
    let scratch = program.memories.scratch
    guard residentByteCount > 0, (try? scratch.clearPages(start: 0, count: scratch.pageCount)) != nil else { return }
    touched = .nothing
    discards.count += 1
    discards.byteCount += residentByteCount
    discards.seconds += (ContinuousClock.now - start).seconds
  }

  // MARK: Ends

  /// Closes the sequence, which unmaps its part of the cache; if the program cannot, the session is over.
  private mutating func abandonSequence() {
    guard let sequence else { return }
    program.store.setTimeLimit(nil)
    program.store.interruptHandle.reset()
    self.sequence = nil
    cachedTokens.removeAll(keepingCapacity: true)
    do throws(BinderyError) { try program.closeSequence(sequence) } catch { failure = error }
  }

  private mutating func fail(_ error: BinderyError) -> BinderyError {
    failure = error
    return error
  }

  /// Whether the guest was stopped by `cancel` or the time limit.
  private func isInterruption(_ error: BinderyError) -> Bool {
    let trap = (error.cause as? Trap)
    return trap?.kind == .cancelled || trap?.kind == .deadlineExceeded
  }

  private func rate(_ count: Int, _ seconds: Double) -> Double { count > 0 && seconds > 0 ? Double(count) / seconds : 0 }
}

/// What a test does with a pass: run it, forget its positions, give its activations back.
package enum PassStep { case pass, rewind, discard }

extension Duration {
  /// As a number of seconds.
  var seconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}
