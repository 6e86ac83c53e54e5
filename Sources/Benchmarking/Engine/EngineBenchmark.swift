import CEngineKernels
import Foundation
import WasmRuntime

/// How much slower the interpreter is than native code: the same C source, compiled natively with `-O2` and to WebAssembly with
/// `-O2 -msimd128`, in turns.
///
/// Times are processor time, which other processes disturb less than the clock on the wall; nothing here waits or starts threads.
/// Both sides hold the same data and do the same work in the same order, so that the sums they give must agree in every round.
public struct EngineBenchmark: Sendable {
  public struct Options: Sendable {
    public var rounds = 7
    /// The least time that the guest's share of a round takes, for each kernel.
    public var sampleSeconds = 0.04
    /// Handlers that run on every machine, not the best ones of this machine.
    public var usesPortableHandlers = false

    public init() {}
  }

  /// The two sides found different results: one of them computes wrongly.
  public struct Disagreement: Error, CustomStringConvertible {
    let test: String
    let native: UInt64
    let wasm: UInt64

    public var description: String {
      "\(test): native code found \(String(native, radix: 16)), the interpreter \(String(wasm, radix: 16))"
    }
  }

  /// One kernel. Times and counts are per unit of work.
  public struct Result: Codable, Sendable {
    public let test: String
    public let unit: String
    /// Processor time, medians over the rounds.
    public let nativeNanoseconds: Double
    public let wasmNanoseconds: Double
    /// Of the medians: wasm to native.
    public let ratio: Double
    /// The smallest and the largest ratio of a single round.
    public let ratioMin: Double
    public let ratioMax: Double
    public let rounds: Int
    public let repetitions: Int
    public let unitsPerRepetition: Int
    /// Instructions of WebAssembly that were executed, and those of the interpreter that did their work. Both repeat exactly.
    public let wasmInstructions: Double
    public let dispatchedInstructions: Double
    /// What both sides computed.
    public let checksum: String
  }

  public struct Report: Codable, Sendable {
    /// Which handlers ran.
    public let handlers: String
    /// False in debug builds, whose times mean nothing.
    public let isOptimized: Bool
    public let results: [Result]
  }

  struct Kernel: Sendable {
    let number: Int32
    let test: String
    let unit: String

    init(_ number: Int, _ test: String, _ unit: String) {
      self.number = Int32(number)
      self.test = test
      self.unit = unit
    }

    var unitCount: Double { Double(engine_unit_count(number)) }
  }

  static let kernels = [
    Kernel(ENGINE_LIST, "list processing", "pass"),
    Kernel(ENGINE_MATRIX, "integer matrix", "pass"),
    Kernel(ENGINE_STATE_MACHINE, "state machine", "byte"),
    Kernel(ENGINE_CRC, "CRC-16", "byte"),
    Kernel(ENGINE_SORT, "bubble sort", "comparison"),
    Kernel(ENGINE_XORSHIFT, "xorshift", "step"),
    Kernel(ENGINE_FIBONACCI, "calls (fibonacci)", "call"),
    Kernel(ENGINE_MATMUL, "f32 matmul", "multiply-add"),
    Kernel(ENGINE_DOT, "SIMD dot product", "16 bytes"),
    Kernel(ENGINE_Q8_0, "Q8_0 product", "block"),
    Kernel(ENGINE_Q4_0, "Q4_0 product", "block"),
    Kernel(ENGINE_STREAM, "streaming sum", "16 bytes"),
    Kernel(ENGINE_CHASE, "pointer chase", "step"),
  ]

  /// The module that the interpreter runs, as it is committed.
  static var module: [UInt8] { (0..<engine_module_byte_count()).map { engine_module_byte($0) } }

  let options: Options
  let progress: @Sendable (String) -> Void

  public init(_ options: Options, progress: @escaping @Sendable (String) -> Void) {
    self.options = options
    self.progress = progress
  }

  /// - Throws: ``Disagreement``, or what the runtime says where it cannot run the module (`WasmError`).
  public func run() throws -> Report {
    progress("counting")
    let (wasmCounts, dispatchCounts) = (try counts(ofDispatches: false), try counts(ofDispatches: true))
    let guest = try Guest(configuration)
    engine_prepare()
    try guest.prepare()
    var measurements = try Self.kernels.map { try calibrated($0, guest) }
    for round in 1...options.rounds {
      progress("round \(round) of \(options.rounds)")
      for index in measurements.indices { try measurements[index].measure(guest) }
    }
    let results = measurements.enumerated().map { index, measurement in
      measurement.result(wasmInstructions: wasmCounts[index], dispatchedInstructions: dispatchCounts[index])
    }
    return Report(handlers: guest.handlers, isOptimized: engine_is_optimized() != 0, results: results)
  }

  private var configuration: EngineConfiguration {
    var configuration = EngineConfiguration()
    configuration.usesPortableHandlers = options.usesPortableHandlers
    return configuration
  }

  /// The instructions of each kernel's first repetition.
  private func counts(ofDispatches: Bool) throws -> [Double] {
    var configuration = configuration
    configuration.consumesFuel = true
    configuration.fuelCountsRegisterInstructions = ofDispatches
    let guest = try Guest(configuration)
    try guest.prepare()
    return try Self.kernels.map { kernel in
      let before = guest.store.fuel
      _ = try guest.run(kernel, 1)
      return Double(before - guest.store.fuel)
    }
  }

  /// Finds the number of repetitions that takes long enough. Both sides take every step, and stay alike.
  private func calibrated(_ kernel: Kernel, _ guest: Guest) throws -> Measurement {
    var repetitions = 1
    while true {
      var measurement = Measurement(kernel: kernel, repetitions: repetitions)
      try measurement.measure(guest)
      let seconds = measurement.wasmSeconds[0]
      if seconds >= options.sampleSeconds || repetitions >= 1 << 24 {
        return Measurement(kernel: kernel, repetitions: repetitions)
      }
      // Not much more than is needed, and never more than tenfold on the word of a short time.
      let factor = min(max(options.sampleSeconds / max(seconds, 1e-9) * 1.1, 1.5), 10)
      repetitions = Int((Double(repetitions) * factor).rounded(.up))
    }
  }

  /// The module in a store of its own.
  private struct Guest {
    let store: Store
    private let prepareFunction: Function
    private let runFunction: Function

    struct Missing: Error, CustomStringConvertible {
      let description = "the module of the kernels does not export engine_prepare and engine_run"
    }

    init(_ configuration: EngineConfiguration) throws {
      store = Store(engine: Engine(configuration: configuration))
      if configuration.consumesFuel { store.fuel = .max }
      let instance = try Instance(store: store, module: try CompiledModule(engine: store.engine, bytes: EngineBenchmark.module))
      guard let prepare = instance.function("engine_prepare"), let run = instance.function("engine_run") else { throw Missing() }
      prepareFunction = prepare
      runFunction = run
    }

    var handlers: String { store.engine.handlerSetName }

    func prepare() throws { try prepareFunction() }

    func run(_ kernel: Kernel, _ repetitions: Int) throws -> UInt64 {
      let results = try runFunction(.i32(UInt32(kernel.number)), .i32(UInt32(repetitions)))
      guard case .i64(let sum)? = results.first else { throw Missing() }
      return sum
    }
  }

  private struct Measurement {
    let kernel: Kernel
    let repetitions: Int
    var nativeSeconds: [Double] = []
    var wasmSeconds: [Double] = []
    var checksum: UInt64 = 0

    init(kernel: Kernel, repetitions: Int) {
      self.kernel = kernel
      self.repetitions = repetitions
    }

    /// Processor time of this process, in steps of a microsecond: POSIX fixes the scale of `clock`.
    private static var processorSeconds: Double { Double(clock()) * 1e-6 }

    mutating func measure(_ guest: Guest) throws {
      let start = Self.processorSeconds
      let native = engine_run(kernel.number, Int32(repetitions))
      let middle = Self.processorSeconds
      let wasm = try guest.run(kernel, repetitions)
      let end = Self.processorSeconds
      nativeSeconds.append(max(middle - start, 1e-6))
      wasmSeconds.append(max(end - middle, 1e-6))
      guard native == wasm else { throw Disagreement(test: kernel.test, native: native, wasm: wasm) }
      checksum = native
    }

    func result(wasmInstructions: Double, dispatchedInstructions: Double) -> Result {
      let units = kernel.unitCount
      let nanoseconds = 1e9 / units / Double(repetitions)
      let (native, wasm) = (median(nativeSeconds) * nanoseconds, median(wasmSeconds) * nanoseconds)
      let ratios = zip(wasmSeconds, nativeSeconds).map { $0 / $1 }
      return Result(
        test: kernel.test, unit: kernel.unit, nativeNanoseconds: native, wasmNanoseconds: wasm, ratio: wasm / native,
        ratioMin: ratios.min() ?? 0, ratioMax: ratios.max() ?? 0, rounds: wasmSeconds.count, repetitions: repetitions,
        unitsPerRepetition: Int(units), wasmInstructions: wasmInstructions / units,
        dispatchedInstructions: dispatchedInstructions / units, checksum: String(checksum, radix: 16))
    }
  }
}
