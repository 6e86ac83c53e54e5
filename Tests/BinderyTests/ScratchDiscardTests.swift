import Bindery
import Testing

/// How often each policy gives activations back, counted: one prefill pass, then a pass for each token but the first.
@Suite("When scratch is given back")
struct ScratchDiscardTests {
  private static let tokenCount = 6

  private static func memory(_ policy: ScratchDiscardPolicy) throws -> (use: MemoryUse, scratch: UInt64, session: Session) {
    let host = try TinyModel.host { $0.scratchDiscard = policy }
    let session = try TinyModel.session(host)
    let prompt = Array(try TinyModel.reference().perplexity_token_ids.prefix(200))
    let result = try session.generate(GenerationRequest(promptTokens: prompt, tokenCountMax: tokenCount))
    #expect(result.tokens.count == tokenCount)
    return (result.memory, try session.residentByteCounts().scratch, session)
  }

  @Test("after every pass")
  func everyPass() throws {
    let (use, scratch, _) = try Self.memory(.everyPass)
    #expect(use.scratchDiscardCount == Self.tokenCount && scratch == 0)
  }

  @Test("above a size, by what decode touches and not by what prefill once needed")
  func threshold() throws {
    let every = try Self.memory(.everyPass).use
    let (use, scratch, _) = try Self.memory(.aboveByteCount(1 << 20))
    // The memory has grown beyond the threshold in prefill; a decode pass touches less.
    #expect(use.scratchPeakByteCount > 1 << 20)
    #expect(use.scratchDiscardCount == 2 && scratch == 0, "after prefill and at the end, found \(use.scratchDiscardCount)")
    #expect(use.scratchDiscardedByteCount < every.scratchDiscardedByteCount)
    let (low, _, _) = try Self.memory(.aboveByteCount(4096))
    #expect(low.scratchDiscardCount == Self.tokenCount)
  }

  @Test("at most so often, and at the end")
  func rateLimited() throws {
    let (use, scratch, session) = try Self.memory(.atMostEvery(.seconds(3600)))
    #expect(use.scratchDiscardCount == 2 && scratch == 0, "the first pass and the end, found \(use.scratchDiscardCount)")
    let again = try session.generate(GenerationRequest(promptTokens: [5, 6, 7], tokenCountMax: 3))
    #expect(again.memory.scratchDiscardCount == 1, "an hour has not passed: the end alone")
    #expect(try Self.memory(.atMostEvery(.zero)).use.scratchDiscardCount == Self.tokenCount)
  }

  @Test("not before the host asks")
  func manual() throws {
    let (use, scratch, session) = try Self.memory(.manual)
    #expect(use.scratchDiscardCount == 0 && use.scratchDiscardedByteCount == 0 && scratch > 1 << 19)
    session.discardScratch()
    #expect(try session.residentByteCounts().scratch == 0)
    #expect(session.discardStatistics().count == 1 && session.discardStatistics().byteCount == scratch)
  }
}
