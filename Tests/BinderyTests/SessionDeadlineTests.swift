import Bindery
import Foundation
import Testing
import _TestSupport

/// One deadline, from the first instruction of a start function to the end of clean-up; one cancellation, for the call it was made for.
@Suite("Deadlines and cancellation of sessions", .serialized)
struct SessionDeadlineTests {
  private static let request = GenerationRequest(promptTokens: [5, 6, 7], tokenCountMax: 3)

  @Test(
    "a program that never ends while it is set up is stopped",
    arguments: ["program_abi", "allocate", "configure", "vocabulary_size", "context_length", "embedding_size", "start"],
    [KernelProvider.native, .wasm])
  func settingUp(export: String, kernels: KernelProvider) throws {
    let folder = try TemporaryFolder()
    let program =
      export == "start"
      ? HostileProgram(fields: "(func $start \(HostileProgram.endless)) (start $start)") : HostileProgram(endlessIn: export)
    let model = try program.model(on: try TinyModel.host(kernels, threads: kernels == .wasm ? 2 : 1), in: folder)
    expectBinderyError(.timeLimit) { _ = try model.makeSession(SessionLimits(timeLimit: .milliseconds(50))) }
    let cancellation = Cancellation()
    Thread.detachNewThread {
      Thread.sleep(forTimeInterval: 0.05)
      cancellation.cancel()
    }
    expectBinderyError(.cancelled) { _ = try model.makeSession(cancellation: cancellation) }
  }

  @Test(
    "a program that never ends in a generation is stopped, and none of it runs after that",
    arguments: ["sequence_open", "pass_begin", "forward"], [KernelProvider.native, .wasm])
  func generating(export: String, kernels: KernelProvider) throws {
    let folder = try TemporaryFolder()
    let log = LogRecord()
    let host = try TinyModel.host(kernels, threads: kernels == .wasm ? 2 : 1) { options in
      options.log = { log.add($0) }
    }
    var program = HostileProgram(endlessIn: export)
    // What is endless after the deadline is as bad as what is endless before it.
    for end in ["sequence_close", "sequence_trim", "error_address", "error_byte_count"] {
      program.bodies[end] = "(call $log (i32.const 16) (i32.const 7)) \(HostileProgram.endless) (i32.const 0)"
    }
    let session = try program.model(on: host, in: folder).makeSession()
    for _ in 0..<2 {
      var request = Self.request
      request.timeLimit = .milliseconds(50)
      let start = ContinuousClock.now
      let result = try session.generate(request)
      #expect(result.finishReason == .cancelled && result.tokens.isEmpty)
      #expect(ContinuousClock.now - start < .seconds(10))
    }
    #expect(log.all.isEmpty, "the host ran the guest after its deadline")
    Thread.detachNewThread {
      Thread.sleep(forTimeInterval: 0.05)
      session.cancel()
    }
    #expect(try session.generate(Self.request).finishReason == .cancelled)
    expectBinderyError(.timeLimit) { _ = try session.negativeLogLikelihoods(of: [5, 6, 7], timeLimit: .milliseconds(50)) }
  }

  @Test("a call that waits for the session ends with its own limits, and the one that runs goes on")
  func waiting() throws {
    let folder = try TemporaryFolder()
    let session = try HostileProgram(endlessIn: "forward").model(on: try TinyModel.host(), in: folder).makeSession()
    let first = Cancellation()
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      _ = try? session.generate(Self.request, cancellation: first)
      ended.signal()
    }
    Thread.sleep(forTimeInterval: 0.05)
    var request = Self.request
    request.timeLimit = .milliseconds(50)
    #expect(try session.generate(request).finishReason == .cancelled)
    let second = Cancellation()
    Thread.detachNewThread {
      Thread.sleep(forTimeInterval: 0.05)
      second.cancel()
    }
    #expect(try session.generate(Self.request, cancellation: second).finishReason == .cancelled)
    #expect(ended.wait(timeout: .now()) == .timedOut, "the first generation was not meant")
    first.cancel()
    #expect(ended.wait(timeout: .now() + 10) == .success)
  }

  @Test("a cancellation before the call ends it at once, and one after its end reaches nobody")
  func earlyAndLate() throws {
    let session = try TinyModel.session(try TinyModel.host())
    let reference = try #require(TinyModel.cases.first)
    let request = GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 4)
    let right = try session.generate(request).tokens
    let cancellation = Cancellation()
    cancellation.cancel()
    let early = try session.generate(request, cancellation: cancellation)
    #expect(early.finishReason == .cancelled && early.tokens.isEmpty)
    for _ in 0..<20 {
      session.cancel()
      cancellation.cancel()
      let result = try session.generate(request)
      #expect(result.tokens == right && result.finishReason != .cancelled)
    }
  }

  @Test("streams that are left at any moment never end the next generation")
  func leftStreams() async throws {
    let session = try TinyModel.session(try TinyModel.host())
    let reference = try #require(TinyModel.cases.first)
    let request = GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 6)
    let right = try session.generate(request)
    for round in 0..<150 {
      var count = 0
      var last: GenerationResult?
      for try await event in session.stream(request) {
        if case .finished(let result) = event { last = result }
        count += 1
        if count > round % 8 { break }
      }
      if let last { #expect(last.text == right.text && last.finishReason == right.finishReason, "round \(round)") }
      let next = try session.generate(request)
      #expect(next.text == right.text && next.finishReason == right.finishReason, "round \(round)")
    }
  }

  @Test(
    "a session whose generation is cancelled again and again goes on giving right answers",
    arguments: [(KernelProvider.native, 1), (.native, 2), (.wasm, 1), (.wasm, 2)])
  func cancellationStorm(kernels: KernelProvider, threads: Int) throws {
    let host = try TinyModel.host(kernels, threads: threads)
    let model = try host.openModel(at: TinyModel.folder)
    let reference = try #require(TinyModel.cases.max { $0.greedy_token_ids.count < $1.greedy_token_ids.count })
    let request = GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 24)
    // One that is left alone, on another thread.
    let right = try model.makeSession().generate(request).tokens
    let (neighbour, isOver) = (LogRecord(), Cancellation())
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      do {
        let session = try model.makeSession()
        while !isOver.isCancelled {
          if try session.generate(request).tokens != right { neighbour.add("a wrong text") }
        }
      } catch { neighbour.add("\(error)") }
      ended.signal()
    }
    let session = try model.makeSession()
    var generator = SeededGenerator(seed: 11)
    var cancelledCount = 0
    for round in 0..<150 {
      let cancellation = Cancellation()
      let delay = Double.random(in: 0...0.003, using: &generator)
      Thread.detachNewThread {
        Thread.sleep(forTimeInterval: delay)
        cancellation.cancel()
      }
      let result = try session.generate(request, cancellation: cancellation)
      #expect(result.tokens == Array(right.prefix(result.tokens.count)), "seed 11, round \(round)")
      if result.finishReason == .cancelled { cancelledCount += 1 }
      if round % 10 == 9 { #expect(try session.generate(request).tokens == right, "seed 11, round \(round)") }
    }
    isOver.cancel()
    ended.wait()
    #expect(neighbour.all.isEmpty, "\(neighbour.all)")
    #expect(cancelledCount > 10 && session.renewals().count > 0, "\(cancelledCount) cancelled, \(session.renewals())")
  }

  @Test("a program that traps once is renewed, and what its trap left behind is gone")
  func renewedAfterTrap() throws {
    let folder = try TemporaryFolder()
    // The global survives a trap within an instance; a new instance has it anew.
    let program = HostileProgram(
      fields: "(global $count (mut i32) (i32.const 0))",
      bodies: [
        "sequence_open":
          "(global.set $count (i32.add (global.get $count) (i32.const 1))) (if (i32.gt_u (global.get $count) (i32.const 1)) (then (unreachable))) (i32.const 0)",
        "forward": "(if (i32.eqz (i32.load $scratch (i64.const 0))) (then (unreachable))) (i64.const 1048576)",
      ])
    let session = try program.model(on: try TinyModel.host(), in: folder).makeSession()
    for _ in 0..<3 {
      expectBinderyError(.trap, containing: ["unreachable"]) {
        _ = try session.generate(GenerationRequest(promptTokens: [0], tokenCountMax: 1))
      }
      #expect(try session.generate(GenerationRequest(promptTokens: [1], tokenCountMax: 1)).tokens.count == 1)
    }
    #expect(session.renewals().count >= 2)
  }
}
