import Foundation
import Testing
import WasmRuntime
import WebAssembly
import _TestSupport

/// The kernels of `bindery bench engine`, in counts that repeat exactly: a translator that combines less shows here, without a
/// clock.
///
/// The bounds stand in `Tests/Fixtures/engine/counts.json`. After a change that is meant to change them (another
/// `engine_kernels.wasm`, a better translator), run once with `BINDERY_RECORD=1`, which writes that file, and look at its
/// difference.
@Suite("Kernels of the engine benchmark")
struct EngineKernelTests {
  /// One repetition of a kernel after `engine_prepare` and one repetition of each kernel before it.
  struct Counts: Codable {
    var kernel: String
    /// Instructions of WebAssembly: which module this is about.
    var wasmInstructions: Int64
    /// Register instructions, i.e. dispatches, but for those that count and those that open a function's frame.
    var dispatchedInstructions: Int64
  }

  private static let file = Repository.path("Tests/Fixtures/engine/counts.json")

  @Test("no kernel takes more dispatched instructions than recorded")
  func dispatches() throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    var recorded = try decoder.decode([Counts].self, from: Data(contentsOf: Self.file))
    let (wasm, dispatched) = (try Self.counts(ofDispatches: false), try Self.counts(ofDispatches: true))
    try #require(wasm.count == recorded.count && dispatched.count == recorded.count, "a kernel was added or left out")
    if ProcessInfo.processInfo.environment["BINDERY_RECORD"] == "1" {
      for index in recorded.indices {
        recorded[index].wasmInstructions = wasm[index]
        recorded[index].dispatchedInstructions = dispatched[index]
      }
      let encoder = JSONEncoder()
      encoder.keyEncodingStrategy = .convertToSnakeCase
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try (encoder.encode(recorded) + Data("\n".utf8)).write(to: Self.file)
      return
    }
    for (index, bound) in recorded.enumerated() {
      #expect(wasm[index] == bound.wasmInstructions, "\(bound.kernel): another module: record anew")
      #expect(dispatched[index] <= bound.dispatchedInstructions, "\(bound.kernel): less is combined than was")
    }
  }

  @Test("uncombined code dispatches more, so the counts are of what is dispatched")
  func uncombined() throws {
    let combined = try Self.counts(ofDispatches: true)
    let plain = try Self.counts(ofDispatches: true, combinesInstructions: false)
    for (less, more) in zip(combined, plain) { #expect(less < more) }
  }

  @Test("combined and uncombined code, best and portable handlers compute the same")
  func sums() throws {
    let best = try Self.run(EngineConfiguration()).map(\.sum)
    var configuration = EngineConfiguration()
    configuration.usesPortableHandlers = true
    #expect(try Self.run(configuration).map(\.sum) == best)
    configuration.combinesInstructions = false
    #expect(try Self.run(configuration).map(\.sum) == best)
  }

  private static func counts(ofDispatches: Bool, combinesInstructions: Bool = true) throws -> [Int64] {
    var configuration = EngineConfiguration()
    configuration.consumesFuel = true
    configuration.fuelCountsRegisterInstructions = ofDispatches
    configuration.combinesInstructions = combinesInstructions
    return try run(configuration).map(\.fuel)
  }

  /// One repetition of each kernel: its sum, and the fuel that it took.
  private static func run(_ configuration: EngineConfiguration) throws -> [(sum: UInt64?, fuel: Int64)] {
    let store = Store(engine: Engine(configuration: configuration))
    store.fuel = .max
    let bytes = [UInt8](try Data(contentsOf: Repository.path("Sources/CEngineKernels/engine_kernels.wasm")))
    let instance = try Instance(store: store, module: CompiledModule(engine: store.engine, bytes: bytes))
    try instance.call("engine_prepare")
    var results: [(UInt64?, Int64)] = []
    while let units = try instance.i32("engine_unit_count", .i32(UInt32(results.count))), units > 0 {
      let before = store.fuel
      let sum = try instance.i64("engine_run", .i32(UInt32(results.count)), .i32(UInt32(1)))
      results.append((sum, before - store.fuel))
    }
    return results
  }
}
