import Testing
import WasmRuntime

@Suite("A rate limit for discards")
struct DiscardRateLimitTests {
  @Test("lets the burst through at once, then one an interval, whatever was refused between")
  func rate() {
    let limit = DiscardRateLimit(perSecond: 10, burst: 3)
    let start = ContinuousClock.now
    func releases(from first: Int, through last: Int) -> [Int] {
      (first...last).filter { limit.decide(at: start + .milliseconds($0)) == .release }
    }
    #expect(releases(from: 0, through: 450) == [0, 1, 2, 100, 200, 300, 400])
    // After a second without requests the burst is there again, and no more than it.
    #expect(releases(from: 1600, through: 1750) == [1600, 1601, 1602, 1700])
  }

  @Test("what is beyond the rate gets the other decision, and memory shows it")
  func decisions() throws {
    for otherwise in [MemoryLimits.DiscardDecision.zeroOnly, .refuse] {
      // One release in the lifetime of this test.
      let limit = DiscardRateLimit(perSecond: 1, otherwise: otherwise)
      let start = ContinuousClock.now
      var limits = MemoryLimits()
      limits.discardPolicy = { _ in limit.decide(at: start) }
      let memory = try Memories.plain(1, 1, limits: limits)
      #expect(try memory.tryDiscard(address: 0, byteCount: 65536) == .released)
      try memory.write([7], address: 5)
      #expect(try memory.tryDiscard(address: 0, byteCount: 65536) == (otherwise == .refuse ? .refused : .zeroedOnly))
      #expect(try memory.read(address: 5, byteCount: 1) == [otherwise == .refuse ? 7 : 0])
    }
  }
}
