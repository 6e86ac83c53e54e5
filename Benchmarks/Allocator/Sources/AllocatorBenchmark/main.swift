// Runs the trace with each allocator: what it keeps resident after each phase and at its peak, and what an operation takes.
import Foundation
import WasmRuntime
import WebAssembly

/// A guest with one allocator.
struct Subject {
  let name: String
  let instance: Instance
  let memory: Memory
  /// Resident before the first allocation: the program, its table of objects.
  let emptyByteCount: UInt64

  init(_ name: String, folder: String, touchesAll: Bool, seed: UInt32) throws {
    self.name = name
    let store = Store(engine: Engine())
    var imports = Imports()
    let log = Function(store: store, type: FunctionType(parameters: [.i32, .i32], results: [])) { caller, arguments, _ in
      let (address, byteCount) = (UInt64(arguments.i32(0)), UInt64(arguments.i32(1)))
      let bytes = try? caller.instance?.memory("memory")?.read(address: address, byteCount: byteCount)
      print("\(name): \(String(decoding: bytes ?? [], as: UTF8.self))")
    }
    imports.define(module: "bindery", name: "log", .function(log))
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(name).wasm")))
    instance = try Instance(store: store, module: CompiledModule(engine: store.engine, bytes: bytes), imports: imports)
    guard let memory = instance.memory("memory") else { fatalError("\(name).wasm exports no memory") }
    self.memory = memory
    guard let start = instance.function("trace_start") else { fatalError("\(name).wasm exports no trace") }
    _ = try start(.i32(seed), .i32(UInt32(touchesAll ? 1 : 0)))
    emptyByteCount = try memory.residentByteCount()
  }

  func call(_ name: String, _ arguments: Value...) throws -> UInt64 {
    guard let function = instance.function(name) else { fatalError("\(self.name).wasm exports no \(name)") }
    let result = try function(arguments).first
    return result?.i64 ?? result?.i32.map(UInt64.init) ?? 0
  }

  func trim() throws { if let trim = instance.function("malloc_trim") { _ = try trim(.i32(UInt32(0))) } }
}

struct Phase {
  var name: String
  var number: UInt32
  var stepCount: Int
}
let phases = [
  Phase(name: "mixture", number: 0, stepCount: 300_000), Phase(name: "more, larger", number: 1, stepCount: 60_000),
  Phase(name: "drained", number: 2, stepCount: 130_000), Phase(name: "small only", number: 3, stepCount: 300_000),
]

func megabytes(_ count: UInt64) -> String { String(format: "%7.2f", Double(count) / 1e6) }

/// Memory: every byte of an allocation is written. A sample each thousand steps.
func measureMemory(_ name: String, folder: String, seed: UInt32) throws {
  let subject = try Subject(name, folder: folder, touchesAll: true, seed: seed)
  let base = try subject.call("heap_base")
  var peak = (live: UInt64(0), resident: UInt64(0), time: 0.0)
  func row(_ phase: String, _ peakOfPhase: (live: UInt64, resident: UInt64)) throws {
    let live = try subject.call("live_byte_count"), resident = try subject.memory.residentByteCount() - subject.emptyByteCount
    let heap = subject.memory.byteCount - base
    let ratio = live == 0 ? "      -" : String(format: "%7.3f", Double(resident) / Double(live))
    let heapRatio = peak.live == 0 ? "      -" : String(format: "%7.3f", Double(heap) / Double(peak.live))
    print(
      "| \(name) | \(phase) | \(megabytes(peakOfPhase.live)) | \(megabytes(peakOfPhase.resident)) | \(megabytes(live)) | "
        + "\(megabytes(resident)) | \(ratio) | \(megabytes(heap)) | \(heapRatio) |")
  }
  for phase in phases {
    var inPhase = (live: UInt64(0), resident: UInt64(0))
    for _ in 0..<phase.stepCount / 1000 {
      _ = try subject.call("trace_run", .i32(phase.number), .i32(UInt32(1000)))
      inPhase.live = max(inPhase.live, try subject.call("live_byte_count"))
      inPhase.resident = max(inPhase.resident, try subject.memory.residentByteCount() - subject.emptyByteCount)
    }
    peak.live = max(peak.live, inPhase.live)
    peak.resident = max(peak.resident, inPhase.resident)
    try row(phase.name, inPhase)
  }
  _ = try subject.call("trace_end", .i32(UInt32(0)))
  try row("1 % left", (0, 0))
  _ = try subject.call("trace_end", .i32(UInt32(1)))
  try row("none left", (0, 0))
  try subject.trim()
  try row("trimmed", (0, 0))
  let failures = try subject.call("failure_count")
  if failures > 0 { print("\(name): \(failures) requests failed") }
}

/// Processor time of this thread, the system's for it included: other programs disturb it less than a clock.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Seconds of each phase, and its operations; allocations are not written to, but for their first byte.
func time(_ name: String, folder: String, seed: UInt32, touchesAll: Bool) throws -> [(seconds: Double, operations: UInt64)] {
  let subject = try Subject(name, folder: folder, touchesAll: touchesAll, seed: seed)
  var operations: UInt64 = 0
  return try phases.map { phase in
    let start = processorSeconds()
    _ = try subject.call("trace_run", .i32(phase.number), .i32(UInt32(phase.stepCount)))
    let seconds = processorSeconds() - start
    let total = try subject.call("operation_count")
    defer { operations = total }
    return (seconds, total - operations)
  }
}

let folder = CommandLine.arguments.dropFirst().first ?? ".build/guests"
let seed = CommandLine.arguments.count > 2 ? UInt32(CommandLine.arguments[2]) ?? 1 : 1
let names = ["bindery", "dlmalloc", "bump"]

let isShort = CommandLine.arguments.contains("memory")  // no times
print("Seed \(seed). Megabytes of 10^6.\n")
print("| allocator | phase | peak live | peak resident | live | resident | resident / live | heap | heap / greatest live |")
print("|---|---|---|---|---|---|---|---|---|")
for name in names { try measureMemory(name, folder: folder, seed: seed) }

if isShort { exit(0) }
print("\n| allocator | " + phases.map { "\($0.name), ns" }.joined(separator: " | ") + " | all, ns | all, written, ns |")
print("|---|" + phases.map { _ in "---|" }.joined() + "---|---|")
var best: [String: [[Double]]] = [:]
let roundCount = 5
for _ in 0..<roundCount {
  for name in ["none"] + names {
    for touchesAll in [false, true] {
      let results = try time(name, folder: folder, seed: seed, touchesAll: touchesAll)
      let operations = Double(results.reduce(0) { $0 + $1.operations })
      var times = results.map { $0.seconds * 1e9 / Double($0.operations) }
      times.append(results.reduce(0) { $0 + $1.seconds } * 1e9 / operations)
      best[name + (touchesAll ? "+" : ""), default: []].append(times)
    }
  }
}
/// The least of the rounds.
func least(_ rounds: [[Double]]?) -> [Double] {
  let rounds = rounds ?? []
  return (0...phases.count).map { column in rounds.map { $0[column] }.min() ?? .nan }
}
for name in names {
  let cells = zip(least(best[name]), least(best["none"])).map { String(format: "%6.0f", $0 - $1) }
  let written = String(format: "%6.0f", (least(best[name + "+"]).last ?? .nan) - (least(best["none"]).last ?? .nan))
  print("| \(name) | \(cells.joined(separator: " | ")) | \(written) |")
}
print(String(format: "\nThe trace itself, subtracted: %.0f ns an operation.", least(best["none"]).last ?? .nan))
