// Times each kernel natively and in the interpreter, in turns, and prints the ratio of the best times.
import Foundation
import NativeKernels
import WasmRuntime
import WebAssembly

let path = CommandLine.arguments.dropFirst().first ?? "kernels.wasm"
let store = Store(engine: Engine())
let module = try CompiledModule(engine: store.engine, bytes: [UInt8](Data(contentsOf: URL(filePath: path))))
let instance = try Instance(store: store, module: module)
guard let memory = instance.memory("memory"), memory.grow(by: 4) != nil else { fatalError("\(path) exports its memory") }

func function(_ name: String) -> Function {
  guard let function = instance.function(name) else { fatalError("\(path) exports \(name)") }
  return function
}

/// Nanoseconds of the fastest of several rounds, of each of two bodies.
func compare(rounds: Int = 15, calls: Int, _ native: () -> Void, _ guest: () throws -> Void) rethrows -> (Double, Double) {
  var best = (Double.infinity, Double.infinity)
  for _ in 0..<rounds {
    let start = DispatchTime.now().uptimeNanoseconds
    for _ in 0..<calls { native() }
    let middle = DispatchTime.now().uptimeNanoseconds
    for _ in 0..<calls { try guest() }
    let end = DispatchTime.now().uptimeNanoseconds
    best.0 = min(best.0, Double(middle - start) / Double(calls))
    best.1 = min(best.1, Double(end - middle) / Double(calls))
  }
  return best
}

func report(_ name: String, units: Int, _ times: (Double, Double)) {
  let (native, guest) = (times.0 / Double(units), times.1 / Double(units))
  print(
    name.padding(toLength: 26, withPad: " ", startingAt: 0)
      + String(format: "native %8.3f ns   wasm %8.3f ns   ratio %6.2f", native, guest, guest / native))
}

let count = 4096
let (firstAddress, secondAddress): (UInt32, UInt32) = (1 << 16, 2 << 16)
let a = (0..<count).map { Float($0 % 17) * 0.25 }
let b = (0..<count).map { Float($0 % 13) * 0.5 }
try memory.write(elements: a, address: UInt64(firstAddress))
try memory.write(elements: b, address: UInt64(secondAddress))
var sink = 0.0

let dotProduct = function("dot")
report(
  "dot product, 16 bytes", units: count / 4,
  try compare(
    calls: 200, { sink += Double(dot(a, b, Int32(count))) },
    { try dotProduct(.i32(firstAddress), .i32(secondAddress), .i32(UInt32(count))) }))

let generator = function("xorshift")
report(
  "xorshift, a step", units: 10_000,
  try compare(
    calls: 20, { sink += Double(xorshift(88_172_645_463_325_252, 10_000)) },
    { try generator(.i64(UInt64(88_172_645_463_325_252)), .i32(UInt32(10_000))) }))

let blockCount = 128
let blocks = (0..<blockCount).map { index in
  var block = q8_block()
  block.scale = 0.01
  withUnsafeMutableBytes(of: &block.values) { values in
    for place in values.indices { values[place] = UInt8(truncatingIfNeeded: index &* 37 &+ place &* 91) }
  }
  return block
}
let blockBytes = blocks.withUnsafeBytes { [UInt8]($0) }
try memory.write(blockBytes, address: UInt64(firstAddress))
try memory.write(blockBytes, address: UInt64(secondAddress))
let blockProduct = function("q8_dot")
report(
  "Q8_0 product, a block", units: blockCount,
  try compare(
    calls: 200, { sink += Double(q8_dot(blocks, blocks, Int32(blockCount))) },
    { try blockProduct(.i32(firstAddress), .i32(secondAddress), .i32(UInt32(blockCount))) }))

let unsorted = (0..<256).map { Int32(($0 * 7919) % 257) }
let bubbleSort = function("sort")
report(
  "bubble sort, a comparison", units: 256 * 255 / 2,
  try compare(
    calls: 4,
    {
      var values = unsorted
      sink += Double(sort(&values, 256))
    },
    {
      try memory.write(elements: unsorted, address: UInt64(firstAddress))
      try bubbleSort(.i32(firstAddress), .i32(UInt32(256)))
    }))

let recursion = function("fibonacci")
report(
  "fibonacci, a call", units: 242_785,
  try compare(rounds: 7, calls: 1, { sink += Double(fibonacci(25)) }, { try recursion(.i32(UInt32(25))) }))
print("handlers: \(store.engine.handlerSetName); checksum \(sink)")
