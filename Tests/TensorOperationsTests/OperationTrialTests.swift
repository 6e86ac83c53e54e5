import ModelPrograms
import TensorOperations
import Testing
import WasmRuntime
import _TestSupport

@Suite("Tensor operations with random arguments")
struct OperationTrialTests {
  @Test("nothing but the outputs changes, natively and as wasm, on 1, 2, 4 and 8 threads", arguments: [1, 2, 4, 8], [true, false])
  func random(threadCount: Int, isNative: Bool) throws {
    try run(seed: UInt64.random(in: 0...UInt64.max), threadCount: threadCount, isNative: isNative)
  }

  @Test("an output that wraps past 2^64 is refused by lanes as by one kernel", arguments: [1, 4])
  func wrappingOutput(threadCount: Int) throws {
    // Call 122 of it: out = 2^64 - 1, nine rows.
    try run(seed: 4_702_213_464_682_422_562, threadCount: threadCount, isNative: false)
  }

  private func run(seed: UInt64, threadCount: Int, isNative: Bool) throws {
    var generator = SeededGenerator(seed: seed)
    let engine = Engine()
    let bytes = try #require(ModelProgram.kernels.bytes)
    let trial = try OperationTrial(
      provider: isNative ? .native : .wasm(KernelModule(CompiledModule(engine: engine, bytes: bytes))), engine: engine,
      threadCount: threadCount)
    try trial.fill { generator.next() }
    var counts: [OperationTrial.Outcome: Int] = [:]
    for call in 0..<(isNative ? 1000 : 300) {
      do { counts[try trial.call { generator.next() }, default: 0] += 1 } catch {
        Issue.record("call \(call), seed \(seed): \(error)")
        return
      }
    }
    #expect(counts[.done, default: 0] > 100, "most calls get past the checks: \(counts)")
  }
}
