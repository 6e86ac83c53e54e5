import Bindery

/// What a small server is asked, in order: the same for every policy.
struct MemoryTrace: Sendable {
  /// A request: so many tokens in, so many out, then a pause.
  struct Turn: Sendable, Hashable {
    /// Which session answers.
    var session: Int
    var promptTokenCount: Int
    var tokenCount: Int
    var pauseSeconds: Double
  }

  static let sessionCount = 4
  let turns: [Turn]

  /// Half of the requests come one by one, every fourth with a long prompt; then a quarter comes at once, most of them long,
  /// and the server is left alone for a second; the last quarter are short ones with time between them.
  init(turnCount: Int, contextLength: Int, seed: UInt64) {
    var random = SamplingGenerator(seed: seed)
    let (burst, trickle) = (turnCount / 2, turnCount * 3 / 4)
    turns = (0..<turnCount).map { index in
      let isLong = index < burst ? index % 4 == 1 : index < trickle && index % 3 != 2
      let length = isLong ? Int.random(in: 512...768, using: &random) : Int.random(in: 12...56, using: &random)
      let tokenCount = Int.random(in: 8...24, using: &random)
      let pause: Double
      if index == turnCount - 1 || index == trickle - 1 {
        pause = 1
      } else if index < burst {
        pause = Double.random(in: 0.02...0.12, using: &random)
      } else {
        pause = index < trickle ? 0 : Double.random(in: 0.2...0.4, using: &random)
      }
      return Turn(
        session: Int.random(in: 0..<Self.sessionCount, using: &random),
        promptTokenCount: min(length, contextLength - tokenCount - 1),
        tokenCount: tokenCount, pauseSeconds: pause)
    }
  }
}
