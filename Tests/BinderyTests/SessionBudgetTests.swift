import Bindery
import Foundation
import Testing
import WasmRuntime
import _TestSupport

@Suite("The budget of a session")
struct SessionBudgetTests {
  private static let request = GenerationRequest(promptTokens: [5, 6, 7], tokenCountMax: 3)

  @Test("the memories of a program are limited by their sum", arguments: [KernelProvider.native, .wasm])
  func sum(kernels: KernelProvider) throws {
    let folder = try TemporaryFolder()
    let memories = (0..<12).map { "(memory $m\($0) 1000)" }.joined()
    let fills = (0..<12).map { "(memory.fill $m\($0) (i32.const 0) (i32.const 1) (i32.const 1000000))" }.joined()
    let program = HostileProgram(fields: "\(memories) (func $start \(fills)) (start $start)")
    let model = try program.model(on: try TinyModel.host(kernels), in: folder)
    expectBinderyError(.memoryLimit, containing: ["64000000"]) {
      _ = try model.makeSession(SessionLimits(memoryByteCountMax: 64_000_000))
    }
    // Each of them alone would fit, and so would eleven and a half.
    expectBinderyError(.memoryLimit) { _ = try model.makeSession(SessionLimits(memoryByteCountMax: 760_000_000)) }
    let session = try model.makeSession(SessionLimits(memoryByteCountMax: 900_000_000))
    #expect(session.memory.usedByteCount >= 12 * 65_536_000 && session.memory.byteCountMax == 900_000_000)
  }

  @Test("the limit counts cache and scratch, growing and mapping, whatever the order", arguments: ["cache", "scratch", "own", "table"])
  func greedy(what: String) throws {
    let folder = try TemporaryFolder()
    let step =
      switch what {
      case "cache":
        "(if (i64.eq (memory.grow $cache (i64.const 16)) (i64.const -1)) (then (return (i64.const -1)))) (drop (memory.map $cache readwrite (i64.shl (local.get $i) (i64.const 20)) (i64.const 1048576))) (if (i32.eqz (call $touch (i64.shl (local.get $i) (i64.const 20)))) (then (return (i64.const -1))))"
      case "scratch": "(if (i64.eq (memory.grow $scratch (i64.const 16)) (i64.const -1)) (then (return (i64.const -1))))"
      case "own": "(if (i32.eq (memory.grow $own (i32.const 16)) (i32.const -1)) (then (return (i64.const -1))))"
      default: "(if (i32.eq (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)) (then (return (i64.const -1))))"
      }
    let program = HostileProgram(
      fields: "(table $t 0 funcref) (func $touch (param i64) (result i32) (i64.store $cache (local.get 0) (i64.const 1)) (i32.const 1))",
      bodies: ["forward": "(loop $l \(step) (local.set $i (i64.add (local.get $i) (i64.const 1))) (br $l)) (i64.const 0)"])
    let session = try program.model(on: try TinyModel.host(), in: folder)
      .makeSession(SessionLimits(memoryByteCountMax: 48 << 20))
    for _ in 0..<2 {
      expectBinderyError(.memoryLimit) { _ = try session.generate(Self.request) }
      #expect(session.memory.peakByteCount <= 48 << 20 && session.memory.peakByteCount > 16 << 20, "\(session.memory)")
      #expect(session.memory.usedByteCount < 16 << 20, "a program that was given up gives its memory back: \(session.memory)")
    }
  }

  @Test("a generation that no longer fits keeps its text, and the session goes on", arguments: [KernelProvider.native, .wasm])
  func longAnswer(kernels: KernelProvider) throws {
    let host = try TinyModel.host(kernels)
    let model = try host.openModel(at: TinyModel.folder)
    let reference = try #require(TinyModel.cases.first)
    let long = GenerationRequest(
      promptTokens: reference.prompt_token_ids, tokenCountMax: 400,
      sampling: SamplingOptions(temperature: 1.5, repeatPenalty: 1.3, seed: 5))
    let free = try model.makeSession()
    var short = long
    short.tokenCountMax = 4
    _ = try free.generate(short)
    let needed = free.memory.peakByteCount
    let whole = try free.generate(long)
    try #require(whole.tokens.count > 100 && free.memory.peakByteCount > needed)
    // Room for the beginning, and not for all.
    let session = try model.makeSession(SessionLimits(memoryByteCountMax: (needed + free.memory.peakByteCount) / 2))
    for _ in 0..<2 {
      var text = ""
      let result = try session.generate(long) { text += $0 }
      #expect(result.finishReason == .memoryLimit, "\(result.finishReason) after \(result.tokens.count) tokens")
      #expect(result.tokens.count >= 4 && result.tokens == Array(whole.tokens.prefix(result.tokens.count)))
      #expect(result.text == text && !text.isEmpty && whole.text.hasPrefix(text.dropLast()))
      #expect(try session.generate(short).tokens == Array(whole.tokens.prefix(4)))
    }
    #expect(session.memory.peakByteCount <= session.memory.byteCountMax)
  }

  @Test("what a session was charged is credited when it ends")
  func credited() throws {
    let model = try TinyModel.host(.wasm, threads: 2).openModel(at: TinyModel.folder)
    let session = try model.makeSession()
    _ = try session.generate(GenerationRequest(promptTokens: [5, 6], tokenCountMax: 8, sampling: .init(temperature: 1, topP: 0.9)))
    let before = session.memory
    for _ in 0..<5 {
      _ = try session.generate(GenerationRequest(promptTokens: [5, 6], tokenCountMax: 8, sampling: .init(temperature: 1, topP: 0.9)))
    }
    let after = session.memory
    #expect(after.usedByteCount == before.usedByteCount, "\(before) \(after)")
    #expect(after.usedByteCount == after.usedByteCounts.values.reduce(0, +))
    #expect(after.usedByteCounts[.memories, default: 0] > 0 && after.usedByteCounts[.hostBuffers, default: 0] > 0)
  }

  @Test("more log-probabilities than there are tokens are all there are", arguments: [Int.max, 1_000_000_000_000, 100_000])
  func logProbabilities(count: Int) throws {
    let model = try TinyModel.host().openModel(at: TinyModel.folder)
    let session = try model.makeSession()
    let request = GenerationRequest(promptTokens: [5, 6, 7], tokenCountMax: 2, topLogProbabilityCount: count)
    let result = try session.generate(request)
    let first = try #require(result.topLogProbabilities.first)
    #expect(first.count == session.vocabularySize)
    #expect(zip(first, first.dropFirst()).allSatisfy { $0.logit >= $1.logit })
    // In another session: what is in the cache already is computed in a pass of another shape, and rounded otherwise.
    let few = try model.makeSession().generate(GenerationRequest(promptTokens: [5, 6, 7], tokenCountMax: 1, topLogProbabilityCount: 40))
    #expect(few.topLogProbabilities[0] == Array(first.prefix(40)))
    #expect(abs(first.reduce(0) { $0 + exp($1.logprob) } - 1) < 1e-6)
  }

  @Test("log-probabilities are charged")
  func chargedLogProbabilities() throws {
    let model = try TinyModel.host().openModel(at: TinyModel.folder)
    let plain = try model.makeSession()
    let request = GenerationRequest(
      promptTokens: [5, 6, 7], tokenCountMax: 200, sampling: .init(temperature: 1.5, seed: 3), topLogProbabilityCount: .max)
    var other = request
    other.topLogProbabilityCount = 0
    _ = try plain.generate(other)
    let limit = plain.memory.peakByteCount + UInt64(24 * 5 * plain.vocabularySize)
    let result = try model.makeSession(SessionLimits(memoryByteCountMax: limit)).generate(request)
    #expect(result.finishReason == .memoryLimit && 1..<20 ~= result.tokens.count, "\(result.finishReason) \(result.tokens.count)")
  }

  @Test("what a program logs is escaped, cut, and limited in all")
  func log() throws {
    let folder = try TemporaryFolder()
    let log = LogRecord()
    let host = try TinyModel.host { options in options.log = { log.add($0) } }
    let program = HostileProgram(
      fields: #"(data (memory $own) (i32.const 200) "\1b]0;pwned\07\1b[2J\9b31m\e2\80\aeroot#\0a")"#,
      bodies: [
        "sequence_open": "(call $log (i32.const 200) (i32.const 27)) (call $log (i32.const 0) (i32.const 131072)) (i32.const 0)",
        "forward":
          "(loop $l (call $log (i32.const 0) (i32.const 0)) (local.set $i (i64.add (local.get $i) (i64.const 1))) (br_if $l (i64.lt_u (local.get $i) (i64.const 100000)))) (i64.const 1048576)",
      ])
    let session = try program.model(on: host, in: folder).makeSession()
    _ = try session.generate(GenerationRequest(promptTokens: [1], tokenCountMax: 1))
    let lines = log.all
    #expect(lines[0] == "\\u{1b}]0;pwned\\u{7}\\u{1b}[2J\\x9b31m\\u{202e}root#\\n")
    #expect(lines[1].hasSuffix("... (131072 bytes)") && lines[1].utf8.count < 100_000)
    #expect(lines.count < 17_000 && lines.last?.contains("dropped") == true, "\(lines.count) lines")
    // A range that the memory does not have traps, whether it is still listened to or not.
    for (address, count) in [("0", "131073"), ("-1", "2"), ("131072", "-1")] {
      let bad = HostileProgram(bodies: ["forward": "(call $log (i32.const \(address)) (i32.const \(count))) (i64.const 1048576)"])
      let other = try bad.model(on: host, in: folder).makeSession()
      expectBinderyError(.trap, containing: ["out of bounds"]) { _ = try other.generate(Self.request) }
    }
  }

  @Test("without a limit, half of the machine's memory is the limit")
  func defaultLimit() throws {
    let session = try TinyModel.session(try TinyModel.host())
    #expect(session.memory.byteCountMax == ResourceBudget.byteCountMaxDefault)
  }
}
