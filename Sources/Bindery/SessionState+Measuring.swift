import TensorOperations
import VirtualMemory
import WasmRuntime

// Scoring, and passes for benchmarks and tests. Each forgets the conversation.
extension SessionState {
  mutating func negativeLogLikelihoods(of tokens: [Int32], use: SessionUse) throws(BinderyError) -> [Double] {
    try check(tokens)
    let account = BufferAccount(budget)
    defer { account.creditAll() }
    try account.charge(tokens.count * MemoryLayout<Double>.stride, for: "scores", isOnePiece: true)
    return try perform(use) { (state, program) throws(BinderyError) in
      _ = try state.prepare(program, for: [])
      var scores: [Double] = []
      // Each row gives a whole vocabulary of logits, so passes are short.
      let rowCountMax = max(1, min(state.options.prefillRowCountMax, 1 << 23 / state.vocabularySize))
      while state.cachedTokens.count < tokens.count - 1 {
        try use.check()
        let start = state.cachedTokens.count
        let rows = min(rowCountMax, tokens.count - 1 - start)
        let logits = try state.pass(program, tokens[start..<start + rows], outputs: 0..<rows)
        for row in 0..<rows {
          try use.check()
          let next = tokens[start + row + 1]
          let score = try program.withLogits(logits, row: row) { Logits.logProbability(of: next, $0) ?? -.infinity }
          scores.append(-score)
        }
        state.discardScratch(after: .prefill)
      }
      state.discardScratch(after: .everything)
      try state.closeSequence(program)
      return scores
    }
  }

  private func tokens(contextCount: Int, rowCount: Int) throws(BinderyError) -> [Int32] {
    let (count, overflow) = contextCount.addingReportingOverflow(rowCount)
    guard !overflow, count <= contextLength else {
      throw BinderyError(
        .malformedInput,
        "the measurement takes \(contextCount) and \(rowCount) positions, but the model's context holds \(contextLength): ask for less")
    }
    let tokens = (0..<count).map { Int32($0 * 7919 % vocabularySize) }
    try check(tokens)
    return tokens
  }

  /// Seconds of `passCount` passes of `rowCount` rows each, after `contextCount` positions.
  mutating func measurePasses(
    rowCount: Int, contextCount: Int, passCount: Int, use: SessionUse
  ) throws(BinderyError) -> Double {
    let tokens = try tokens(contextCount: contextCount, rowCount: rowCount.multipliedReportingOverflow(by: passCount).overflow ? .max : rowCount * passCount)
    return try perform(use) { (state, program) throws(BinderyError) in
      _ = try state.prepare(program, for: [])
      if contextCount > 0 { _ = try state.prefill(program, tokens[..<contextCount], from: 0, use: use) }
      state.discardScratch(after: .everything)
      let clock = ContinuousClock()
      let start = clock.now
      for _ in 0..<passCount {
        let count = state.cachedTokens.count
        _ = try state.prefill(program, tokens[..<(count + rowCount)], from: count, use: use)
        state.discardScratch(after: rowCount > 1 ? .prefill : .decode)
      }
      let seconds = (clock.now - start).seconds
      try state.closeSequence(program)
      return seconds
    }
  }

  /// Passes of `rowCount` rows after `contextCount` positions, one after another at the same place, for benchmarks.
  /// - Parameters:
  ///   - discards: for each pass, whether the scratch is given back before it.
  ///   - now: seconds on the clock that times them.
  mutating func measureSeries(
    rowCount: Int, contextCount: Int, discards: [Bool], now: () -> Double, use: SessionUse
  ) throws(BinderyError) -> [PassMeasurement] {
    let tokens = try tokens(contextCount: contextCount, rowCount: rowCount)
    return try perform(use) { (state, program) throws(BinderyError) in
      _ = try state.prepare(program, for: [])
      if contextCount > 0 { _ = try state.prefill(program, tokens[..<contextCount], from: 0, use: use) }
      let scratch = program.memories.scratch
      var measurements: [PassMeasurement] = []
      for discards in discards {
        if state.cachedTokens.count > contextCount, let sequence = state.sequence {
          try state.trim(program, sequence, to: contextCount)
        }
        var measurement = PassMeasurement()
        if discards {
          let start = now()
          state.discardScratch()
          measurement.discardSeconds = now() - start
          measurement.residentByteCountBefore = (try? scratch.residentByteCount()) ?? 0
        }
        let faultCount = (try? ProcessMemory.minorFaultCount()) ?? 0
        let start = now()
        _ = try state.prefill(program, tokens[...], from: contextCount, use: use)
        measurement.seconds = now() - start
        measurement.minorFaultCount = ((try? ProcessMemory.minorFaultCount()) ?? 0) - faultCount
        measurement.residentByteCount = (try? scratch.residentByteCount()) ?? 0
        measurements.append(measurement)
      }
      try state.closeSequence(program)
      return measurements
    }
  }

  /// Gives `body` one pass over `rowCount` rows after `contextCount` positions, to be run and taken back as often as it likes: each
  /// is the same work, in the same places. What `step` returns is the number of instructions executed so far.
  mutating func withRepeatablePass<Result>(
    rowCount: Int, contextCount: Int, use: SessionUse, _ body: (_ step: (PassStep) throws(BinderyError) -> Int64) throws -> Result
  ) throws -> Result {
    let tokens = try tokens(contextCount: contextCount, rowCount: rowCount)
    let outcome = try perform(use) { (state, program) throws(BinderyError) -> Swift.Result<Result, any Error> in
      _ = try state.prepare(program, for: [])
      if contextCount > 0 { _ = try state.prefill(program, tokens[..<contextCount], from: 0, use: use) }
      let outcome = Swift.Result {
        try body { (step) throws(BinderyError) in
          switch step {
          case .pass:
            _ = try state.prefill(program, tokens[...], from: contextCount, use: use)
            state.discardScratch(after: rowCount > 1 ? .prefill : .decode)
          case .rewind:
            guard let sequence = state.sequence else { preconditionFailure("the sequence is open until the body has returned") }
            try state.trim(program, sequence, to: contextCount)
          case .discard: state.discardScratch()
          }
          return program.instructionCount
        }
      }
      if case .failure(let error as BinderyError) = outcome { throw error }
      try state.closeSequence(program)
      return outcome
    }
    return try outcome.get()
  }
}
